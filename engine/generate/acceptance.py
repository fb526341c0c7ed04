"""How many pairs may be expected of the items in flight.

A rejected instruction is known after one step of the engine, an accepted pair only after a whole response: of what has
finished early in a run nearly all was rejected. So each critic's share is taken over what that critic has judged, and
an item in flight counts by the critics that are still ahead of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

INSTRUCTIONS_BEFORE, PAIRS_BEFORE = 6.0, 8.5
"""So many of `JUDGED_BEFORE` are taken to be accepted before anything was judged: base models keep 40 to 75 % of their
own instructions, and 70 to 95 % of the pairs."""

JUDGED_BEFORE = 10.0

DEVIATIONS = 2.0


@dataclass(slots=True)
class Share:
    """A critic's share of accepted: the posterior mean under a Beta prior, so never 0 or 1."""

    accepted: float
    judged: float

    @property
    def value(self) -> float:
        return self.accepted / self.judged

    def add(self, *, accepted: bool) -> None:
        self.accepted += accepted
        self.judged += 1


class Acceptance:
    """Counts verdicts and what is in flight. `candidates`, `answered` and `kept` are what earlier attempts left."""

    def __init__(self, *, candidates: int = 0, answered: int = 0, kept: int = 0) -> None:
        self._instructions = Share(INSTRUCTIONS_BEFORE + answered, JUDGED_BEFORE + candidates)
        self._pairs = Share(PAIRS_BEFORE + kept, JUDGED_BEFORE + answered)
        self._judging = 0
        self._answering: set[int] = set()

    @property
    def yield_(self) -> float:
        """The share of candidates of which a pair is kept."""
        return self._instructions.value * self._pairs.value

    @property
    def at_least(self) -> float:
        """Pairs that what is in flight will give, if it comes out `DEVIATIONS` standard deviations low."""
        share, pair = self.yield_, self._pairs.value
        mean = self._judging * share + len(self._answering) * pair
        variance = self._judging * share * (1 - share) + len(self._answering) * pair * (1 - pair)
        return max(0.0, mean - DEVIATIONS * math.sqrt(variance))

    def start(self) -> None:
        """One more candidate is before the instruction critic."""
        self._judging += 1

    def pass_on(self, index: int) -> None:
        """The instruction critic accepted that item: a response is on its way."""
        self._judging -= 1
        self._answering.add(index)
        self._instructions.add(accepted=True)

    def end(self, index: int, *, kept: bool) -> None:
        """That item has an outcome."""
        if index in self._answering:
            self._answering.discard(index)
            self._pairs.add(accepted=kept)
        else:
            self._judging -= 1
            self._instructions.add(accepted=False)

    def drop(self) -> None:
        """Nothing is in flight any more."""
        self._judging = 0
        self._answering.clear()
