"""What was tried so far, what came of it, and which parameters are the best of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.campaign.models import Parameters
from engine.campaign.parameters import difference
from engine.policy.compare import Comparison, compare, partner_of
from engine.policy.history import PastRun, trials


@dataclass(frozen=True, slots=True)
class Tried:
    """`run` changed `changes` (dotted names, the seed left out) of `parent`'s parameters, and `outcome` came of it."""

    run: str
    parent: str
    changes: dict[str, tuple[Any, Any]]
    outcome: Comparison

    def made(self, name: str, before: Any, after: Any) -> bool:
        """Whether it moved parameter `name` as a move from `before` to `after` would: numbers in the same direction,
        whatever the step, anything else to the same value."""
        if name not in self.changes:
            return False
        old, new = self.changes[name]
        return bool(_direction(old, new) == _direction(before, after))


def _direction(before: Any, after: Any) -> Any:
    if isinstance(before, int | float) and isinstance(after, int | float):
        return (after > before) - (after < before)
    return after


def judged(runs: Sequence[PastRun]) -> list[PastRun]:
    """Ended trials that were judged on anything, oldest first."""
    return [run for run in trials(runs) if any(check.n for check in run.gate.checks)]


def tried(runs: Sequence[PastRun]) -> list[Tried]:
    """Every trial with a parent, whose parameters are both known and differ in more than the seed, oldest first."""
    found, known = [], judged(runs)
    for run in known:
        parent = partner_of(known, run)
        if parent is None or not (parent.parameters_known and run.parameters_known):
            continue
        changes = difference(parent.parameters, run.parameters)
        changes.pop("seed", None)
        if changes:
            found.append(Tried(run.name, parent.name, changes, compare(parent.gate, run.gate)))
    return found


def best_so_far(runs: Sequence[PastRun]) -> PastRun | None:
    """The trial to go on from; None before one was judged, unless one ended unjudged.

    The newest that no other is proven better than: of two that cannot be told apart the newer has at least a reason
    behind it. Where some checks are better and others worse, the run with fewer checks that fail is the better. Should
    every one be beaten by another, it is the newest of those with the fewest checks that fail.
    """
    known = judged(runs)
    for run in reversed(known):
        if not any(_is_behind(other, run) for other in known if other is not run):
            return run
    if known:
        return min(reversed(known), key=_standing)
    ended = trials(runs)
    return ended[-1] if ended else None


def _is_behind(other: PastRun, run: PastRun) -> bool:
    """Whether `run` is proven worse than `other`."""
    change = compare(other.gate, run.gate).change
    if change == "mixed":
        return _standing(run) > _standing(other)
    return change == "worse"


def _standing(run: PastRun) -> int:
    return sum(check.verdict == "fail" or not check.reachable for check in run.gate.checks)


def unused_seed(runs: Sequence[PastRun], base: Parameters) -> int:
    """One after the highest that a trial had: new samples, whichever run is gone back to."""
    seeds = [run.parameters.seed for run in trials(runs) if run.parameters_known]
    return (max([*seeds, base.seed]) + 1) % 2**63
