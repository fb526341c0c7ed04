"""All that is known of a campaign's kept engine, in lines with a label each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from rich.cells import cell_len

from engine.report.engine import figures_text, no_engine_text, stop_text
from engine.snapshot import EngineSnapshot
from tui import formatting
from tui.cells import Cell, Line, Role, wrap
from tui.panels.engine import hourly_usd, idle_left, troubles, when_idle
from tui.panels.figures import loading_line
from tui.panels.gpus import gpu_cells
from tui.panels.states import engine_look
from tui.view import View

LABEL = 9
MOST_ACTIONS = 3


def engine_page(view: View, width: int) -> tuple[Line, ...]:
    """The engine's state in full; where there never was one, what keeping one would mean."""
    current, engine = view.current, view.engine
    if current is None:
        return ((Cell("no campaign is open", "dim"),),)
    if engine is None:
        lines = _wrapped(no_engine_text(current.name), width)
        usd = hourly_usd(current, 1)
        price = f" It costs {formatting.money(usd)}/h for each GPU all the while, and" if usd else " It"
        words = f"A kept engine has the model loaded for the runs that come.{price} {when_idle(current)}."
        return (*lines, (), *_wrapped(words, width, "dim"))
    sign, word, role = engine_look(engine)
    lines = [(Cell(f"{sign} {word}", role), *_used(view, engine)), ()]
    if engine.live and not engine.ready and engine.loading:
        lines += [(Cell("start", "dim", LABEL - 1), *loading_line(formatting.loading(engine.loading), width - LABEL))]
    lines += _labelled("model", engine.model, width)
    if engine.live and engine.ready and engine.figures is not None:
        lines += _labelled("does", figures_text(engine.figures), width, between=" · ")
    lines += [tuple(gpu_cells(gpu, width, indent=0, label=LABEL)) for gpu in engine.gpus if engine.live]
    lines += _labelled("time", _time(engine), width)
    lines += _labelled("cost", _cost(view, engine), width)
    lines += _labelled("stops", _stops(view, engine), width)
    lines += _labelled("log", engine.log, width)
    for action in reversed(engine.actions[-MOST_ACTIONS:]):
        pending = " – not taken yet" if action.pending else ""
        what = f"{formatting.clock(action.time)} {action.author} {action.action}{pending}"
        lines += _labelled("who" if action is engine.actions[-1] else "", what, width)
    if troubles(engine):
        lines.append(())
    for mark, sentence in troubles(engine):
        first, *rest = wrap(sentence, width - 2) or [""]
        lines += [(Cell(f"{mark} ", "warn"), Cell(first)), *((Cell("  "), Cell(row)) for row in rest)]
    return tuple(lines)


def _used(view: View, engine: EngineSnapshot) -> list[Cell]:
    if not engine.live or not engine.ready or engine.state != "running":
        return []
    if engine.attached:
        return [Cell(f", used by {', '.join(engine.attached)}")]
    since = formatting.unix_time(engine.idle_since)
    idled = f" for {formatting.duration(view.now - since)}" if since is not None and view.now else ""
    return [Cell(", in use" if engine.in_use else f", idle{idled}")]


def _time(engine: EngineSnapshot) -> str:
    start = f", {engine.start_s:.0f} s of it to start" if engine.start_s is not None else ""
    return f"{'up' if engine.live else 'was up'} for {formatting.duration(engine.active_s)}{start}"


def _cost(view: View, engine: EngineSnapshot) -> str:
    usd = hourly_usd(view.current, len(engine.devices)) if view.current is not None and engine.live else None
    rate = f" so far, {formatting.money(usd)}/h" if usd else ""
    return f"{formatting.money(engine.cost_usd)}{rate}"


def _stops(view: View, engine: EngineSnapshot) -> str:
    """When it does so by itself; empty where it is not up."""
    if not engine.live:
        return ""
    due = formatting.unix_time(engine.stops_at)
    if due is not None and idle_left(view) is not None:
        known = replace(engine, stops_at=datetime.fromtimestamp(due, UTC).isoformat())
        return stop_text(known, datetime.fromtimestamp(view.now, UTC)).removeprefix("stops ")
    return when_idle(view.current).removeprefix("stops ") if view.current is not None else ""


def _labelled(label: str, text: str, width: int, between: str = "") -> list[Line]:
    """With `between` the lines are broken there, as far as that is possible."""
    rows: list[str] = []
    for part in text.split(between) if between else [text] if text else []:
        joined = f"{rows[-1]}{between}{part}" if rows else part
        if rows and cell_len(joined) <= width - LABEL:
            rows[-1] = joined
        else:
            rows += wrap(part, width - LABEL)
    return [(Cell(label if not number else "", "dim", LABEL), Cell(row)) for number, row in enumerate(rows)]


def _wrapped(text: str, width: int, role: Role = "text") -> list[Line]:
    return [(Cell(row, role),) for row in wrap(text, width)]
