"""What a keeper is started with."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.campaign.spec import RunSpec
from engine.journal.events import TargetRaised
from engine.supervise.ladder import GRACE_S


@dataclass(frozen=True, slots=True)
class Charge:
    """What the keeper was started with. Money in US dollars (`budget_left`: None for no cap), times in seconds.

    `engine` names the kept engine that the run attaches to; empty when it loads the model itself.
    """

    attempt: int
    author: str
    adoption: int = 0
    examples: int | None = None
    max_candidates: int | None = None
    budget_left: float | None = None
    grace_s: float = GRACE_S
    engine: str = ""

    @property
    def adopting(self) -> bool:
        return self.adoption > 0


def raised_target(spec: RunSpec, charge: Charge, examples: int, *, before: TargetRaised | None) -> TargetRaised:
    """The target that an extension to `examples` sets; `before` is the one that an earlier extension set.

    Candidates grow in proportion where the charge does not say how many may be spent.
    """
    was = before.examples if before else spec.target.examples
    allowed = before.max_candidates if before else spec.target.candidates_allowed
    candidates = charge.max_candidates or max(allowed, math.ceil(examples * allowed / was))
    return TargetRaised(attempt=charge.attempt, examples=examples, max_candidates=candidates, author=charge.author)
