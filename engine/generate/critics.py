"""Critics: the verdict is read from label log probabilities, never sampled."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

GOOD_LABELS = (" A", "A")
BAD_LABELS = (" B", "B")
LABELS = GOOD_LABELS + BAD_LABELS

LEAST = -1e9
"""Stands for the log probability of what cannot come, minus infinity: that would be no number in a JSON file."""


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
        return {
            "good": self.good,
            "confident": self.confident,
            "label": self.label,
            "margin": self.margin,
            "logprobs": self.logprobs,
        }


def judge(logprobs: Mapping[str, float], threshold: float, bounded: Collection[str] = ()) -> CriticVerdict:
    """The verdict of natural log probabilities of the four `LABELS`; equal sums are not good.

    Of the labels in `bounded` only an upper bound is known. A verdict must hold wherever they are below it; the margin
    is the least it can be, and 0 when either verdict could be true.
    """
    logprobs = {label: max(logprobs[label], LEAST) for label in LABELS}
    good_low, good_high = _range(GOOD_LABELS, logprobs, bounded)
    bad_low, bad_high = _range(BAD_LABELS, logprobs, bounded)
    if good_low > bad_high:
        good, margin = True, good_low - bad_high
    elif bad_low >= good_high:
        good, margin = False, bad_low - good_high if bad_low != good_high else 0.0
    else:
        good, margin = good_high > bad_high, 0.0
    return CriticVerdict(
        good=good,
        confident=margin >= threshold,
        label="A" if good else "B",
        margin=margin,
        logprobs=logprobs,
    )


def _range(labels: Sequence[str], logprobs: Mapping[str, float], bounded: Collection[str]) -> tuple[float, float]:
    """Least and largest log probability that one of `labels` comes next."""
    known = [logprobs[label] for label in labels if label not in bounded]
    return _logsumexp(known), _logsumexp([logprobs[label] for label in labels])


def _logsumexp(values: list[float]) -> float:
    highest = max(values, default=-math.inf)
    if highest == -math.inf:
        return highest
    return highest + math.log(sum(math.exp(value - highest) for value in values))
