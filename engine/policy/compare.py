"""Is a run better than another? Only what an interval on the difference proves counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from engine.qc.metrics import IN_ORDER, metric_of, title_of
from engine.qc.statistics import difference_interval
from engine.qc.verdicts import CheckVerdict, GateVerdict

CheckMove = Literal["better", "worse", "not distinguishable", "not known"]
Change = Literal["better", "worse", "mixed", "not distinguishable", "not known"]

CONFIDENCE = 0.95
LIKE_SIZES = 0.1
"""Part of the larger of two runs that the smaller may lack, where a metric changes as a run grows."""


class Compared(Protocol):
    """What is asked of a run; both `PastRun` and `RunSnapshot` have it."""

    @property
    def name(self) -> str: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def gate(self) -> GateVerdict: ...


Run = TypeVar("Run", bound=Compared)


@dataclass(frozen=True, slots=True)
class CheckChange:
    """How a check's failure rate moved: `lower` and `upper` bound (rate before − rate after), better when above 0.

    `other_sizes`: it is not known only because one run is too much larger than the other.
    """

    metric: str
    change: CheckMove
    lower: float
    upper: float
    other_sizes: bool = False

    @property
    def proven(self) -> bool:
        return self.change in ("better", "worse")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`change` over all checks: better when some are proven better and none worse, worse the other way round, mixed
    when some are proven better and some worse."""

    change: Change
    checks: tuple[CheckChange, ...]

    @property
    def sentence(self) -> str:
        """ "runaway better, token limit worse", or that nothing is proven."""
        moved = [f"{title_of(check.metric)} {check.change}" for check in self.checks if check.proven]
        return ", ".join(moved) or "no difference is proven"


def partner_of(runs: Sequence[Run], run: Run) -> Run | None:
    """The run among the earlier of `runs`, in the order they were created, that `run` is compared with.

    That is the one whose parameters it started from, else the one before it; what was judged on nothing is passed
    over. None for the first, and for a run that is not among them.
    """
    place = next((place for place, other in enumerate(runs) if other.name == run.name), 0)
    earlier = [other for other in runs[:place] if any(check.n for check in other.gate.checks)]
    named = next((other for other in earlier if other.name == run.parent), None)
    return named or (earlier[-1] if earlier else None)


def compare(before: GateVerdict, after: GateVerdict) -> Comparison:
    """`after` against `before`, check by check on the failure rates (Newcombe's interval, 95 %)."""
    old = {check.metric: check for check in before.checks}
    checks = tuple(
        _compare(old[check.metric], check, same_ruler=_detector(before, check) == _detector(after, check))
        for check in after.checks
        if check.metric in old
    )
    changes = {check.change for check in checks}
    overall: Change = "not distinguishable"
    if {"better", "worse"} <= changes:
        overall = "mixed"
    elif "better" in changes:
        overall = "better"
    elif "worse" in changes:
        overall = "worse"
    elif changes <= {"not known"}:
        overall = "not known"
    return Comparison(overall, checks)


def of_like_size(n: int, other: int) -> bool:
    """Whether two runs of `n` and `other` samples may be compared in a metric that changes as a run grows."""
    return min(n, other) >= (1 - LIKE_SIZES) * max(n, other)


def _compare(before: CheckVerdict, after: CheckVerdict, *, same_ruler: bool) -> CheckChange:
    """Checks under different limits or detectors count different failures; they say nothing of each other.

    Nor do occurrences: several may stand in one sample, and an interval would take them for as many samples. Metrics
    that ask what stood before (`IN_ORDER`) change as a run grows, whatever its parameters: the same generator has fewer
    new verbs among 300 pairs than among 40. They are compared only where both runs have as many samples, to 10 %.
    """
    known = metric_of(after.metric)
    same = (before.op, before.limit, before.by_list) == (after.op, after.limit, after.by_list)
    if known is None or known.kind == "count" or not same or not same_ruler or before.n == 0 or after.n == 0:
        return CheckChange(after.metric, "not known", -1.0, 1.0)
    if known.name in IN_ORDER and not of_like_size(before.n, after.n):
        return CheckChange(after.metric, "not known", -1.0, 1.0, other_sizes=True)
    lower, upper = difference_interval((before.failures, before.n), (after.failures, after.n), CONFIDENCE)
    change: CheckMove = "better" if lower > 0 else "worse" if upper < 0 else "not distinguishable"
    return CheckChange(after.metric, change, lower, upper)


def _detector(verdict: GateVerdict, check: CheckVerdict) -> str | None:
    """What the check was measured by, where that is a rule of thumb."""
    detector = verdict.detector_of(check.metric)
    return detector.detector if detector is not None else None
