"""Better or worse than the run before? An arrow only where the figures differ, bright only where it is proven."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from engine.policy.compare import compare
from engine.qc.verdicts import GateVerdict
from engine.snapshot import RunSnapshot
from tui.cells import Role

MORE_IS_BETTER = frozenset({"instruction_acceptance", "pair_acceptance", "instruction_yield", "pair_yield"})


@dataclass(frozen=True, slots=True)
class Trend:
    sign: str
    role: Role


def trend(metric: str, before: RunSnapshot | None, after: RunSnapshot) -> Trend | None:
    """`▲` better, `▼` worse, in the metric's own sense; None where the figures are equal, unknown or not comparable.

    Dim where the difference may be chance.
    """
    if before is None:
        return None
    if metric == "examples":
        return _kept(before, after)
    old, new = before.metrics.get(metric), after.metrics.get(metric)
    if old is None or new is None or round(old, 3) == round(new, 3):
        return None
    better = (new > old) == (metric in MORE_IS_BETTER)
    proven = _proven(before.gate, after.gate).get(metric)
    return _arrow(better, proven=proven == ("better" if better else "worse"))


@lru_cache(maxsize=256)
def _proven(before: GateVerdict, after: GateVerdict) -> dict[str, str]:
    """What an interval on the difference says of each check; kept, because two gates are looked at on every tick."""
    return {check.metric: check.change for check in compare(before, after).checks}


def _kept(before: RunSnapshot, after: RunSnapshot) -> Trend | None:
    """Kept pairs against the same target; a run that still goes on is not worse for having fewer yet."""
    if before.counts.target != after.counts.target or before.counts.kept == after.counts.kept:
        return None
    better = after.counts.kept > before.counts.kept
    return None if after.live and not better else _arrow(better, proven=True)


def _arrow(better: bool, *, proven: bool) -> Trend:
    role: Role = ("good" if better else "bad") if proven else "dim"
    return Trend("▲" if better else "▼", role)
