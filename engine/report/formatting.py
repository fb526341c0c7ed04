"""How numbers, times and values read, the same in every front end. Pure functions, fixed English."""

from __future__ import annotations

from typing import Any

from engine.qc.verdicts import GateVerdict

UNKNOWN = "–"

METRIC_TITLES = {
    "examples": "kept",
    "runaway_rate": "runaway",
    "token_limit_rate": "token limit",
    "delimiter_leakage": "delimiter",
    "median_tokens": "median tokens",
    "instruction_acceptance": "inst. accept",
    "pair_acceptance": "pair accept",
    "instruction_yield": "inst. yield",
    "pair_yield": "pair yield",
    "duplicate_rate": "duplicates",
}
VERDICT_SIGNS = {"pass": "✓", "fail": "✗", "undecided": "…"}
STATE_SIGNS = {
    "queued": "○",
    "starting": "◌",
    "running": "●",
    "stopping": "◍",
    "succeeded": "✓",
    "failed": "✗",
    "stopped": "■",
    "lost": "?",
}


def metric_title(name: str) -> str:
    return METRIC_TITLES.get(name, name.replace("_", " "))


def is_share(name: str) -> bool:
    """Whether a metric is a fraction of one, shown as a percentage."""
    return name.endswith(("_rate", "_acceptance", "_yield"))


def metric_value(name: str, value: float | None) -> str:
    """`20.9 %` for shares, `32` or `30.5` for the others, `–` when not known."""
    if value is None:
        return UNKNOWN
    if is_share(name):
        return f"{value * 100:.1f} %"
    return f"{value:g}" if value == round(value, 1) else f"{value:.1f}"


def headline(verdict: GateVerdict) -> str:
    """The gate's sentence with its verdict in capitals: `FAIL: runaway 42 of 123, limit < 5%`."""
    return verdict.verdict.upper() + verdict.sentence.removeprefix(verdict.verdict)


def limit_text(op: str, limit: float, *, percent: bool) -> str:
    """`< 5 %`, `≥ 50 %`, `= 0`."""
    sign = {"<=": "≤", ">=": "≥"}.get(op, op)
    return f"{sign} {limit * 100:g} %" if percent else f"{sign} {limit:g}"


def money(usd: float | None) -> str:
    """`$4.20`; amounts under a cent with three digits, so that a short run does not look free."""
    if usd is None:
        return UNKNOWN
    if usd != 0 and abs(usd) < 0.095:
        return f"${usd:.3f}"
    return f"${usd:,.2f}"


def duration(seconds: float | None) -> str:
    """`8 s`, `12:41`, `1:02:03`."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def parameter_value(value: Any) -> str:
    """A parameter as one writes it; stop strings are counted, since five of them fill a line."""
    if isinstance(value, list | tuple):
        return "none" if not value else f"{len(value)} string" + ("s" if len(value) > 1 else "")
    return "–" if value is None else f"{value}"


def short_parameter(name: str) -> str:
    """`response.max_tokens` → `resp. max_tokens`: a dotted name for a narrow column."""
    group, dot, inner = name.partition(".")
    short = {"instruction": "inst.", "response": "resp.", "critic": "critic"}.get(group, group)
    return f"{short} {inner}" if dot else name
