"""Critics: the verdict is read from label log probabilities, never sampled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

GOOD_LABELS = (" A", "A")
BAD_LABELS = (" B", "B")
LABELS = GOOD_LABELS + BAD_LABELS


@dataclass(frozen=True, slots=True)
class CriticVerdict:
    """`margin` is |log p(A) − log p(B)| in nats; `confident` when it reaches the threshold."""

    good: bool
    confident: bool
    label: Literal["A", "B"]
    margin: float
    logprobs: dict[str, float]

    @property
    def accepted(self) -> bool:
        """Good and confident: only that is kept."""
        return self.good and self.confident

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(logprobs: Mapping[str, float], threshold: float) -> CriticVerdict:
    """The verdict of natural log probabilities of the four `LABELS`; equal sums are not good."""
    a = _logsumexp([logprobs[label] for label in GOOD_LABELS])
    b = _logsumexp([logprobs[label] for label in BAD_LABELS])
    margin = abs(a - b) if a != b else 0.0
    return CriticVerdict(
        good=a > b,
        confident=margin >= threshold,
        label="A" if a > b else "B",
        margin=margin,
        logprobs={label: logprobs[label] for label in LABELS},
    )


def _logsumexp(values: list[float]) -> float:
    highest = max(values)
    if highest == -math.inf:
        return highest
    return highest + math.log(sum(math.exp(value - highest) for value in values))
