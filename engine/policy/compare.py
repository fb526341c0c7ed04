"""Is a run better than the one before? Only what an interval on the difference proves counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.qc.metrics import METRICS
from engine.qc.statistics import difference_interval
from engine.qc.verdicts import CheckVerdict, GateVerdict

Change = Literal["better", "worse", "not distinguishable", "not known"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class CheckChange:
    """How a check's failure rate moved: `lower` and `upper` bound (rate before − rate after), better when above 0."""

    metric: str
    change: Change
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """`change` over all checks: better when some are proven better and none worse, and the other way round."""

    change: Change
    checks: tuple[CheckChange, ...]

    @property
    def sentence(self) -> str:
        """ "runaway better, token limit worse", or that nothing is proven."""
        moved = [
            f"{METRICS[check.metric].title} {check.change}"
            for check in self.checks
            if check.change in ("better", "worse")
        ]
        return ", ".join(moved) or "no difference is proven"


def compare(before: GateVerdict, after: GateVerdict) -> Comparison:
    """`after` against `before`, check by check on the failure rates (Newcombe's interval, 95 %)."""
    old = {check.metric: check for check in before.checks}
    checks = tuple(_compare(old[check.metric], check) for check in after.checks if check.metric in old)
    changes = {check.change for check in checks}
    overall: Change = "not distinguishable"
    if "better" in changes and "worse" not in changes:
        overall = "better"
    elif "worse" in changes and "better" not in changes:
        overall = "worse"
    elif changes <= {"not known"}:
        overall = "not known"
    return Comparison(overall, checks)


def _compare(before: CheckVerdict, after: CheckVerdict) -> CheckChange:
    """Checks under different limits count different failures; they say nothing of each other."""
    same = (before.op, before.limit, before.by_list) == (after.op, after.limit, after.by_list)
    same = same and after.metric in METRICS
    if not same or before.n == 0 or after.n == 0:
        return CheckChange(after.metric, "not known", -1.0, 1.0)
    lower, upper = difference_interval(
        (min(before.failures, before.n), before.n), (min(after.failures, after.n), after.n), CONFIDENCE
    )
    change: Change = "better" if lower > 0 else "worse" if upper < 0 else "not distinguishable"
    return CheckChange(after.metric, change, lower, upper)
