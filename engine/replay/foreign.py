"""What a foreign run's own summary says, and the samples behind it, so that the one rule can judge it.

A metric that the summary does not state is not known and its check undecided: a verdict never mixes the script's
figure with our count. What we compute from the rows stands beside it, in `computed`. One figure may come from the rows
where the summary is silent: `examples`, since how many pairs a file holds is read off it and measured by nobody.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from engine.campaign.grading import GateConfig, Limit
from engine.campaign.spec import ForeignFigures
from engine.qc.metrics import METRICS, Metric, metric_of
from engine.qc.tally import RunTally

LARGEST = 1e15
"""Figures beyond this are nonsense; below it whole numbers are exact as floats."""

MEASURED_ON = {
    "runaway_rate": "kept",
    "token_limit_rate": "generated",
    "instruction_acceptance": "candidates",
    "pair_acceptance": "generated",
    "instruction_yield": "candidates",
    "pair_yield": "generated",
    "delimiter_leakage": "kept",
    "duplicate_rate": "parsed",
    "response_repetition_rate": "generated",
    "exact_duplicate_rate": "kept",
    "near_duplicate_rate": "kept",
    "verb_diversity": "kept",
}
"""What the seed's script measured each figure on (its runaway detector looked at cleaned, kept responses)."""

SUMMARY_SHARES = {
    "runaway_rate": "runaway_rate",
    "token_limit_rate": "token_limit_rate",
    "instruction_acceptance": "instruction_acceptance",
    "pair_acceptance": "pair_acceptance",
    "duplicate_rate": "duplicate_rate",
    "response_repetition_rate": "response_repetition_rate",
    "exact_duplicate_rate": "exact_duplicate_rate",
    "near_duplicate_rate": "near_duplicate_rate",
    "verb_diversity": "verb_diversity",
}
SUMMARY_COUNTS = {
    "parsed": ("counts", "lines_parsed"),
    "dropped": ("counts", "lines_dropped"),
    "failed": ("counts", "failed"),
    "candidates": ("counts", "instructions_generated"),
    "instructions_kept": ("counts", "instructions_kept"),
    "generated": ("counts", "pairs_generated"),
    "kept": ("counts", "pairs_kept"),
    "hit_token_limit": ("counts", "hit_token_limit"),
    "runaway": ("counts", "runaway"),
    "instructions_good": ("acceptance", "instructions_good"),
    "pairs_good": ("acceptance", "pairs_good"),
}
YIELDS = {"instruction_yield": ("instructions_kept", "candidates"), "pair_yield": ("kept", "generated")}

ROUNDING = 0.005
"""How far a stated rate may be from the counts stated beside it: summaries round."""

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}

Samples = tuple[int, float]
"""(n, failures)."""

NO_SAMPLES: Samples = (0, 0)


# --- what the summary says ---------------------------------------------------------------------------------------


def number(value: Any) -> float | None:
    """`value` as a finite number of a sane size, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        return None
    return float(value)


def whole(value: Any) -> int | None:
    """`value` as a count, 0 or more; None for anything else."""
    known = number(value)
    return int(known) if known is not None and known >= 0 and known.is_integer() else None


def section(value: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """The object under `name`, empty when there is none."""
    found = (value or {}).get(name)
    return found if isinstance(found, dict) else {}


def foreign_figures(
    summary: Mapping[str, Any] | None, gate: GateConfig, *, kept_rows: int | None, source: str
) -> ForeignFigures:
    """The usable figures of a `qc_summary.json`; without a single one of them it counts as no summary at all.

    `kept_rows`: kept pairs among the rows beside it, None without a file of rows.
    """
    counts = {
        name: count
        for name, (part, key) in SUMMARY_COUNTS.items()
        if (count := whole(section(summary, part).get(key))) is not None
    }
    metrics = _stated_metrics(summary, counts)
    if not counts and all(value is None for value in metrics.values()):
        return ForeignFigures(source=source)
    metrics["examples"] = counts.get("kept", kept_rows)
    rates = section(summary, "rates")
    metrics |= {name: _share(rates.get(name)) for name in gate.checks if name not in METRICS}
    return ForeignFigures(source=source, metrics=metrics, counts=counts, checks=_stated_checks(summary, gate))


def _stated_metrics(summary: Mapping[str, Any] | None, counts: Mapping[str, int]) -> dict[str, float | None]:
    rates, acceptance = section(summary, "rates"), section(summary, "acceptance")
    metrics = {name: _share(rates.get(key)) for name, key in SUMMARY_SHARES.items()}
    metrics["delimiter_leakage"] = whole(rates.get("delimiter_leakage_count"))
    median = number(section(summary, "token_stats").get("median"))
    metrics["median_tokens"] = median if median is not None and median >= 0 else None
    for name, (kept, of) in YIELDS.items():
        if name in acceptance:
            metrics[name] = _share(acceptance[name])
        elif kept in counts and counts.get(of):
            metrics[name] = _share(counts[kept] / counts[of])
    return metrics


def _share(value: Any) -> float | None:
    known = number(value)
    return known if known is not None and 0.0 <= known <= 1.0 else None


def _stated_checks(summary: Mapping[str, Any] | None, gate: GateConfig) -> dict[str, Samples]:
    """(n, failures) of the checks that a summary of ours lists, where they were judged against the same limit."""
    listed = section(summary, "gate").get("checks")
    found: dict[str, Samples] = {}
    for check in listed if isinstance(listed, list) else ():
        name = check.get("metric") if isinstance(check, dict) else None
        if not isinstance(name, str) or name not in gate.checks:
            continue
        limit = gate.checks[name]
        if check.get("op") != limit.op or number(check.get("limit")) != limit.value:
            continue
        n, failures = whole(check.get("n")), whole(check.get("failures"))
        if n is not None and failures is not None:
            found[name] = (n, failures)
    return found


# --- how it is judged --------------------------------------------------------------------------------------------


def foreign_check_counts(figures: ForeignFigures, tally: RunTally, gate: GateConfig) -> dict[str, Samples]:
    """(n, failures) per check, all of it from the summary; (0, 0), which decides nothing, where it does not say.

    A summary holds a median and not the sizes behind it: those of the rows stand in when they have that median.
    """
    return {name: _samples(name, limit, figures, tally) for name, limit in gate.checks.items()}


def _samples(name: str, limit: Limit, figures: ForeignFigures, tally: RunTally) -> Samples:
    metric, value = metric_of(name), figures.metrics.get(name)
    if metric is None or value is None:
        return NO_SAMPLES
    stated = figures.checks.get(name)
    if stated is not None and _agree(metric, limit, value, stated):
        return stated
    if metric.kind == "median":
        ours = tally.metrics()[name]
        return tally.check_counts(name) if ours is not None and abs(ours - value) <= 0.5 else NO_SAMPLES
    counts = figures.counts
    if name == "examples":
        return max(1, counts.get("candidates", 0), int(value)), int(value)
    if name == "runaway_rate" and "runaway" in counts:
        n, strikes = _runaways(counts, value)
    else:
        n = counts.get(MEASURED_ON[name], 0) if name in MEASURED_ON else 0  # what a custom one judged is not stated
        strikes = int(value) if metric.kind == "count" else round(value * n)
    if n == 0:
        return NO_SAMPLES
    return n, n - strikes if metric.kind != "count" and _strikes_wanted(limit) else strikes


def _runaways(counts: Mapping[str, int], rate: float) -> Samples:
    """The stated count of runaways, over generated or over kept responses: whichever makes the stated rate."""
    strikes = counts["runaway"]
    over = [counts[name] for name in ("generated", "kept") if counts.get(name, 0) >= max(1, strikes)]
    n = min(over, key=lambda n: abs(strikes / n - rate), default=0)
    return (n, strikes) if n and abs(strikes / n - rate) <= ROUNDING else NO_SAMPLES


def _strikes_wanted(limit: Limit) -> bool:
    """The limit is from below: what does not strike is a failure."""
    return limit.op in (">", ">=") or (limit.op == "=" and limit.value > 0)


def _agree(metric: Metric, limit: Limit, value: float, samples: Samples) -> bool:
    """Whether `samples` can be those behind `value`."""
    n, failures = samples
    if metric.kind == "count":
        return n > 0 and failures == value
    if n == 0 or failures > n:
        return False
    if metric.kind == "median":
        return 2 * failures <= n if _COMPARE[limit.op](value, limit.value) else 2 * failures >= n
    return abs(failures / n - (1.0 - value if _strikes_wanted(limit) else value)) <= ROUNDING
