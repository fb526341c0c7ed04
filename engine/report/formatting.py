"""How numbers, times and values read, the same in every front end. Pure functions, fixed English."""

from __future__ import annotations

from typing import Any

from engine.qc.metrics import metric_of
from engine.qc.verdicts import GateVerdict
from engine.snapshot import RunSnapshot

UNKNOWN = "–"

OPERATORS = {"<=": "≤", ">=": "≥"}
VERDICT_SIGNS = {"pass": "✓", "fail": "✗", "undecided": "◐"}
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


def is_stalled(run: RunSnapshot) -> bool:
    """Whether a run stands still just now; one that is taken down for it is past that already."""
    return bool(run.stalled) and run.state in ("starting", "running")


def state_text(run: RunSnapshot) -> str:
    """`● running`, `⚠ stalled`: the state of its process as a sign and a word."""
    return "⚠ stalled" if is_stalled(run) else f"{STATE_SIGNS[run.state]} {run.state}"


def held_text(run: RunSnapshot) -> str:
    """`GPU memory still held by pid 812 (python) on GPU 0`; empty where none is, or nobody knows by whom."""
    return f"GPU memory still held by {'; '.join(run.gpu_held_by)}" if run.gpu_held and run.gpu_held_by else ""


def saved_text(run: RunSnapshot) -> str:
    """`saved about $1.10`: what its early end spared; empty where it did not end early, or nobody can tell."""
    return f"saved about {money(run.saved_usd)}" if run.saved_usd else ""


def ending_text(run: RunSnapshot) -> str:
    """Why it ended, and what that spared."""
    return "; ".join(part for part in (run.reason, saved_text(run)) if part)


def metric_title(name: str, *, long: bool = False) -> str:
    """`token limit` or, where there is room, `token limit rate`; an unknown metric keeps its name."""
    metric = metric_of(name)
    return metric.title if metric is not None and not long else name.replace("_", " ")


def signs(sentence: str) -> str:
    """`>=` and `<=` in a sentence as one sign each."""
    for plain, sign in OPERATORS.items():
        sentence = sentence.replace(plain, sign)
    return sentence


def is_share(name: str) -> bool:
    """Whether a metric is a fraction of one, shown as a percentage."""
    return name.endswith(("_rate", "_acceptance", "_yield", "_diversity"))


def metric_value(name: str, value: float | None) -> str:
    """`20.9 %` for shares, `32` or `30.5` for the others, `–` when not known."""
    if value is None:
        return UNKNOWN
    if is_share(name):
        return f"{value * 100:.1f} %"
    return f"{value:g}" if value == round(value, 1) else f"{value:.1f}"


def headline(verdict: GateVerdict) -> str:
    """The gate's sentence with its verdict in capitals: `FAIL: runaway 42 of 123, limit < 5%`."""
    return signs(verdict.verdict.upper() + verdict.sentence.removeprefix(verdict.verdict))


def limit_text(op: str, limit: float, *, percent: bool) -> str:
    """`< 5 %`, `≥ 50 %`, `= 0`."""
    sign = OPERATORS.get(op, op)
    return f"{sign} {limit * 100:g} %" if percent else f"{sign} {limit:g}"


def money(usd: float | None) -> str:
    """`$4.20`, `$1,234.50`; under ten cents with three digits (`$0.003`), so that a short run does not look free."""
    if usd is None:
        return UNKNOWN
    amount, sign = abs(usd), "−" if usd < 0 else ""
    if 0 < amount < 0.0005:
        return "<$0.001"
    return f"{sign}${amount:.3f}" if 0 < amount < 0.0995 else f"{sign}${amount:,.2f}"


def duration(seconds: float | None) -> str:
    """`0:07`, `12:41`, `1:02:03`, from a day on `2d 03:04`; `–` when not known."""
    if seconds is None:
        return UNKNOWN
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24}d {hours % 24:02d}:{minute:02d}"
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def parameter_value(value: Any) -> str:
    """A parameter as one writes it; stop strings are counted, since five of them fill a line."""
    if isinstance(value, list | tuple):
        return "none" if not value else f"{len(value)} string" + ("s" if len(value) > 1 else "")
    return "–" if value is None else f"{value}"


def short_parameter(name: str) -> str:
    """`response.max_tokens` → `resp. max_tokens`: a dotted name for a narrow column."""
    group, dot, inner = name.partition(".")
    short = {"instruction": "inst.", "response": "resp.", "critic": "critic"}.get(group, group)
    return f"{short} {inner.replace('repetition_penalty', 'rep. penalty')}" if dot else name
