"""Samples behind an imported run's own figures, so that the one rule can judge them."""

from __future__ import annotations

from engine.campaign.models import GateConfig
from engine.campaign.spec import ForeignFigures
from engine.qc.metrics import METRICS
from engine.qc.tally import RunTally

MEASURED_ON = {
    "runaway_rate": "kept",
    "token_limit_rate": "generated",
    "instruction_acceptance": "candidates",
    "pair_acceptance": "generated",
    "instruction_yield": "candidates",
    "pair_yield": "generated",
    "delimiter_leakage": "kept",
}
"""What the seed's script measured each figure on (its runaway detector looked at cleaned, kept responses)."""


def foreign_check_counts(figures: ForeignFigures, tally: RunTally, gate: GateConfig) -> dict[str, tuple[int, int]]:
    """(n, failures) per check from a summary's rates and counts; medians come from the rows themselves."""
    counts: dict[str, tuple[int, int]] = {}
    for name, limit in gate.checks.items():
        metric, value = METRICS.get(name), figures.metrics.get(name)
        n = figures.counts.get(MEASURED_ON.get(name, ""), 0)
        if metric is None or metric.kind == "median" or n == 0:
            counts[name] = tally.check_counts(name)
        elif value is not None and metric.kind == "count":
            counts[name] = (n, round(value))
        elif value is not None:
            bad = 1.0 - value if limit.op in (">", ">=") else value
            counts[name] = (n, min(n, max(0, round(bad * n))))
    return counts
