"""Better or worse than the run it is compared with? An arrow only where the figures differ, bright only where it is
proven, as `pilothouse compare` proves it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from engine.policy.compare import compare, of_like_size
from engine.qc.metrics import IN_ORDER, metric_of
from engine.qc.verdicts import GateVerdict
from engine.snapshot import RunSnapshot
from tui.cells import Role


@dataclass(frozen=True, slots=True)
class Trend:
    sign: str
    role: Role


def trend(metric: str, before: RunSnapshot | None, after: RunSnapshot) -> Trend | None:
    """`▲` better, `▼` worse, in the metric's own sense; None where the figures are equal, unknown or not comparable.

    Hollow where the difference may be chance. `before`: see `engine.policy.compare.partner_of`.
    """
    if before is None:
        return None
    if metric == "examples":
        return _kept(before, after)
    proven = _proven(before.gate, after.gate).get(metric)
    if proven is not None:
        return _arrow(proven == "better", proven=True)
    if metric in IN_ORDER and not of_like_size(before.counts.kept, after.counts.kept):
        return None
    old, new, known = before.metrics.get(metric), after.metrics.get(metric), metric_of(metric)
    if old is None or new is None or known is None or round(old, 3) == round(new, 3):
        return None
    return _arrow((new < old) == known.lower_is_better, proven=False)


@lru_cache(maxsize=256)
def _proven(before: GateVerdict, after: GateVerdict) -> dict[str, str]:
    """Which checks an interval on the difference proves better or worse; kept, because two gates are looked at on
    every tick."""
    return {check.metric: check.change for check in compare(before, after).checks if check.proven}


def _kept(before: RunSnapshot, after: RunSnapshot) -> Trend | None:
    """Kept pairs against the same target; a run that still goes on is not worse for having fewer yet."""
    if before.counts.target != after.counts.target or before.counts.kept == after.counts.kept:
        return None
    better = after.counts.kept > before.counts.kept
    return None if after.live and not better else _arrow(better, proven=True)


def _arrow(better: bool, *, proven: bool) -> Trend:
    """Filled where it is proven, hollow where it may be chance."""
    if not proven:
        return Trend("△" if better else "▽", "dim")
    return Trend("▲", "good") if better else Trend("▼", "bad")
