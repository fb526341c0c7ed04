"""Numbers and names as people read them. Pure functions; every width is in terminal cells."""

from __future__ import annotations

import re
from datetime import datetime

from engine.report.formatting import OPERATORS, duration, held_text, is_stalled, metric_title, money, signs
from engine.report.formatting import parameter_value as written
from engine.snapshot import RunSnapshot

__all__ = [
    "duration",
    "held_text",
    "is_stalled",
    "money",
    "signs",
    "written",
]

PARAMETER_LABELS: dict[str, str] = {
    "instruction.temperature": "inst. temp",
    "instruction.top_p": "inst. top_p",
    "instruction.repetition_penalty": "inst. rep.pen",
    "response.temperature": "resp. temp",
    "response.top_p": "resp. top_p",
    "response.repetition_penalty": "resp. rep.pen",
    "response.max_tokens": "max_tokens",
    "response.stop": "stop strings",
    "critic.confidence_threshold": "critic conf.",
}

BACKEND_LABELS = {"vllm": "vLLM", "ctranslate2": "CTranslate2", "server": "server"}


PER_CENT = re.compile(r"(\d{1,3}(?:\.\d{1,3})?) ?%")
"""A share in a sentence of somebody else's."""

LONGEST_GAP_S = 60.0
"""Beyond this a silent keeper is no clock any more."""


def about(usd: float | None) -> str:
    """A forecast in words: `about $1.90`, `less than $0.001`, `not known`."""
    if usd is None:
        return "not known"
    text = money(usd)
    return f"less than {text[1:]}" if text.startswith("<") else f"about {text}"


def money_left(left_usd: float, limit_usd: float) -> str:
    """What is left of a limit; next to a spending under ten cents with three digits too, so that they add up."""
    return f"${left_usd:,.3f}" if left_usd > 0 and 0 < limit_usd - left_usd < 0.0995 else money(left_usd)


def metric_label(metric: str, *, long: bool = False) -> str:
    """The metric's title; its long one where there is room."""
    return "kept pairs" if long and metric == "examples" else metric_title(metric, long=long)


def parameter_label(name: str, *, long: bool = False) -> str:
    """`resp. temp` or, where there is room, the dotted name that `--set` takes."""
    return name if long else PARAMETER_LABELS.get(name, name)


def run_label(name: str, width: int) -> str:
    """The run's name, `iteration-1` as `iter-1` where the full one is wider than `width`."""
    if len(name) > width and name.startswith("iteration-"):
        return "iter-" + name.removeprefix("iteration-")
    return name


def percent(fraction: float | None) -> str:
    """`20.9 %`, one decimal always so that a column of them lines up; `–` when not known."""
    return "–" if fraction is None else f"{fraction * 100:.1f} %"


def whole_percent(fraction: float) -> str:
    """`41 %`, three digits wide so that it stays in its place while it changes."""
    return f"{fraction * 100:3.0f} %"


def loading(text: str, engine: str = "") -> str:
    """How far a model's start is, e.g. `weights 40 %`, without the name of the `engine` that it stands behind."""
    if engine and text in (engine, f"{engine}:"):
        return f"waits for {engine}"
    return PER_CENT.sub(r"\1 %", text.removeprefix(f"{engine}: ") if engine else text)


def share_of(text: str) -> float | None:
    """The first per cent that stands in `text`, as a share of one; None where there is none."""
    found = PER_CENT.search(text)
    return min(1.0, float(found[1]) / 100) if found else None


def number(value: float | None) -> str:
    """`32`, `32.5`, `6,698`; `–` when not known."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def count(value: int) -> str:
    """`9,213` up to five digits, `15.0k`, `1.2M` above."""
    if value < 10_000:
        return f"{value:,}"
    return f"{value / 1000:.1f}k" if value < 1_000_000 else f"{value / 1_000_000:.1f}M"


def progress(kept: int, target: int) -> str:
    """`61/100`, short enough for a table column up to millions."""
    if target < 10_000:
        return f"{kept}/{target}"
    shown = f"{kept / 1000:.1f}k" if kept >= 1000 else str(kept)
    return f"{shown}/{target / 1000:.0f}k"


def per_second(rate: float | None) -> str:
    """`0.42/s`, `12/s`; empty when not known."""
    if rate is None:
        return ""
    return f"{rate:.2f}/s" if rate < 10 else f"{rate:,.0f}/s"


def age(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h`: how old something is, coarse on purpose."""
    if seconds < 60:
        return f"{int(seconds)} s"
    return f"{int(seconds // 60)} min" if seconds < 3600 else f"{int(seconds // 3600)} h"


def size(octets: int) -> str:
    """`512 B`, `4.2 MB`, in powers of 1000."""
    if octets < 1000:
        return f"{octets} B"
    value = float(octets)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def limit(op: str, value: float, *, as_percent: bool) -> tuple[str, str]:
    """A check's limit as (text, unit), e.g. (`< 5`, ` %`): the unit stands in a column of its own."""
    sign = OPERATORS.get(op, op)
    return (f"{sign} {value * 100:g}", " %") if as_percent else (f"{sign} {value:g}", "")


def parameter_value(value: object, width: int = 7) -> str:
    """A parameter's value in at most `width` cells; a list of strings by how many there are."""
    if isinstance(value, list | tuple):
        return f"{len(value)} set" if value else "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def unix_time(stamp: str | None) -> float | None:
    """Seconds since 1970 of an ISO 8601 time; None for what is not one."""
    if not stamp:
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError):
        return None


def clock(stamp: str, *, seconds: bool = False) -> str:
    """`03:12`, local time of an ISO 8601 one; `--:--` for what is not one."""
    at = unix_time(stamp)
    if at is None:
        return "--:--:--" if seconds else "--:--"
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S" if seconds else "%H:%M")


def day(stamp: str) -> str:
    """`2027-01-15`, local day of an ISO 8601 time; `time not known` for what is not one."""
    at = unix_time(stamp)
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d") if at is not None else "time not known"


def ago(stamp: str, now: float) -> str:
    """`just now`, `4 min ago`; the time of day while it is not known how late it is."""
    at = unix_time(stamp)
    if at is None or not now:
        return f"at {clock(stamp)}"
    return f"{age(now - at)} ago" if now - at >= 60 else "just now"


def elapsed(run: RunSnapshot, now: float) -> float | None:
    """Seconds that the run has had its devices, over all attempts; time in which it stood still does not count.

    While it goes on, the seconds since its keeper's last heartbeat are added, so that a clock beside it moves. None
    when it never started (an imported run's time is not known).
    """
    if run.imported or run.started is None:
        return None
    beaten = unix_time(run.heartbeat) if run.live else None
    return run.active_s + (max(0.0, min(now - beaten, LONGEST_GAP_S)) if beaten is not None and now else 0.0)


def remaining(run: RunSnapshot) -> float | None:
    """Forecast seconds until the run's target is kept, at its present rate; None when there is no rate."""
    if not run.live or not run.examples_per_second:
        return None
    return max(0, run.counts.target - run.counts.kept) / run.examples_per_second
