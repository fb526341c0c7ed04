"""The inference engine, kept or a run's own: does it answer, what does it do, what does it cost, when does it stop.

Title and first line say what matters; the GPUs come last, because the first line of the screen sums them up.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.figures import GpuFigures
from engine.snapshot import CampaignSnapshot, EngineSnapshot, RunSnapshot
from tui import formatting
from tui.cells import Cell, Line, cut, rule, width_of
from tui.panels.figures import WIDE, brief, figures_line, loading_line
from tui.panels.gpus import gpu_lines, gpu_rows
from tui.panels.remarks import sentence_lines
from tui.panels.states import engine_look, process_look
from tui.view import View

USUAL = 80
FRAME = 10
"""Cells of a title that are not its words."""


def engine_lines(view: View, width: int, rows: int | None = None) -> tuple[Line, ...]:
    """A title, and under it up to `rows` lines; nothing where there is nothing to say of an engine."""
    current, engine = view.current, engine_in_sight(view)
    if current is not None and engine is not None:
        return _kept(view, current, engine, width, rows)
    run = run_with_engine(view)
    return _own(run, width, rows) if run is not None else ()


def engine_in_sight(view: View) -> EngineSnapshot | None:
    """The kept engine while it lives or holds memory; one that failed or was lost until a run went on without it."""
    engine = view.engine
    if engine is None or engine.live or engine.gpu_held:
        return engine
    return engine if engine.state in ("failed", "lost") and not _is_past(view, engine) else None


def _is_past(view: View, engine: EngineSnapshot) -> bool:
    ended = formatting.unix_time(engine.ended) or 0.0
    return any(
        (run.live and run.engine != engine.name) or (formatting.unix_time(run.started) or 0.0) > ended
        for run in view.runs
    )


def run_with_engine(view: View) -> RunSnapshot | None:
    """The live run that has the model loaded itself, and tells something of it; the selected one first."""
    runs = [run for run in (view.selected, *reversed(view.runs)) if run is not None and run.live]
    return next((run for run in runs if run.loading or run.figures is not None or run.gpus), None)


# --- a kept engine -------------------------------------------------------------------------------------------------


def _kept(
    view: View, current: CampaignSnapshot, engine: EngineSnapshot, width: int, rows: int | None
) -> tuple[Line, ...]:
    sign, word, role = engine_look(engine)
    doing = _doing(view, engine, width)[:rows]
    wrong = list(sentence_lines(troubles(engine), width, None if rows is None else rows - len(doing)))
    state = [Cell(f"Engine · {engine.name} " if width >= WIDE else "Engine ", "strong"), Cell(f"{sign} {word}", role)]
    if troubles(engine) and not wrong and engine.live:
        state.append(Cell(" ⚠", "warn"))
    title = [*state, *([] if doing or wrong else _told_in_title(engine))]
    title += [*_since_start(view, engine), *_use(view, engine)]
    cost = Cell(formatting.money(engine.cost_usd), "strong")
    figures = brief(engine.figures) if rows == 0 and engine.live and engine.ready and idle_left(view) is None else ""
    if figures:  # there is no line for them
        does = Cell(figures)
        head = _title(((title, [does, Cell(" · "), cost]), (title, [does]), (state, [does])), width)
    else:
        usd = hourly_usd(current, len(engine.devices)) if engine.live else None
        rate = [cost, Cell(f" · {formatting.money(usd)}/h", "dim")] if usd else [cost]
        key = [Cell("  "), Cell("e", "key", action="engine"), Cell(" engine", "dim", action="engine")]
        whole = ((title, [*rate, *key]),) if width >= WIDE else ()
        head = _title((*whole, (title, rate), (title, [cost]), (title, [])), width)
    return (head, *_with_gpus([*doing, *wrong], engine.gpus if engine.live else (), width, rows))


def _title(choices: Sequence[tuple[list[Cell], list[Cell]]], width: int) -> Line:
    """The first pair of left and right side that fits into a title; else the last, cut."""
    fitting = (pair for pair in choices if width_of(pair[0]) + width_of(pair[1]) + FRAME <= width)
    left, right = next(fitting, choices[-1])
    return rule(cut(left, max(0, width - width_of(right) - FRAME)), width, right)


def _told_in_title(engine: EngineSnapshot) -> list[Cell]:
    """What has no line of its own here: who holds memory, how far its start is, or why it ended."""
    if engine.gpu_held_by:
        return [Cell(f" by {'; '.join(engine.gpu_held_by)}")]
    if not engine.live:
        return [Cell(f": {engine.reason}")] if engine.reason else []
    return [Cell(f" · {formatting.loading(engine.loading)}")] if engine.loading and not engine.ready else []


def _since_start(view: View, engine: EngineSnapshot) -> list[Cell]:
    """How long it has been starting."""
    since = formatting.unix_time(engine.started)
    if not engine.live or engine.ready or since is None or not view.now:
        return []
    return [Cell(f" · {formatting.duration(view.now - since)}")]


def _use(view: View, engine: EngineSnapshot) -> list[Cell]:
    """By whom it is used, or since when it is not and when it stops for that."""
    if not engine.live or not engine.ready or engine.state != "running":
        return []
    if engine.attached:
        return [Cell(f" · used by {', '.join(engine.attached)}")]
    if engine.in_use:
        return [Cell(" · in use")]
    since, left = formatting.unix_time(engine.idle_since), idle_left(view)
    idled = f" {formatting.duration(view.now - since)}" if since is not None and view.now else ""
    cells = [Cell(f" · idle{idled}")]
    if left is not None:
        cells += [Cell(", stops in "), Cell(formatting.duration(left), "strong")]
    return cells


def idle_left(view: View) -> float | None:
    """Seconds until the engine stops because nothing uses it; None while that is not so."""
    engine = view.engine
    due = formatting.unix_time(engine.stops_at) if engine is not None and engine.live else None
    return max(0.0, due - view.now) if due is not None and view.now else None


def hourly_usd(current: CampaignSnapshot, devices: int) -> float | None:
    """What so many devices cost an hour; None where the campaign's file cannot be read."""
    return current.campaign.budget.gpu_usd_per_hour * max(1, devices) if current.campaign else None


def when_idle(current: CampaignSnapshot) -> str:
    """`stops when idle for 30 min`; of an engine that is started now."""
    minutes = current.campaign.engine.idle_stop_minutes if current.campaign else None
    return f"stops when idle for {minutes:g} min" if minutes is not None else "stops by itself when it is idle"


def troubles(engine: EngineSnapshot) -> list[tuple[str, str]]:
    """What is wrong with it, and why it ended, as signs and sentences."""
    found = []
    if engine.gpu_held_by:
        found.append(("⚠", f"GPU memory still held by {'; '.join(engine.gpu_held_by)}"))
    if engine.reason and not engine.live:
        found.append(("!" if engine.state in ("failed", "lost") else "■", engine.reason))
    if engine.live and engine.keeper_alive is False:
        found.append(("⚠", "its keeper is gone: until another one takes over it does not stop by itself"))
    found += [("⚠", text) for text in engine.warnings if not (engine.gpu_held_by and text.startswith("GPU memory"))]
    if engine.live and not engine.fits:
        found.append(("⚠", "the campaign asks for another model or other options now: the next launch replaces it"))
    return found


def _doing(view: View, engine: EngineSnapshot, width: int) -> list[Line]:
    """How far its start is, or what it does; nothing while it is idle, which the title says."""
    if not engine.live:
        return []
    if not engine.ready:
        return [loading_line(formatting.loading(engine.loading), width)] if engine.loading else []
    line = figures_line(engine.figures, width) if engine.figures is not None and idle_left(view) is None else ()
    return [line] if line else []


# --- the engine in a run's own process -----------------------------------------------------------------------------


def _own(run: RunSnapshot, width: int, rows: int | None) -> tuple[Line, ...]:
    sign, word, role = process_look(run)
    loading = formatting.loading(run.loading, run.engine)
    what = "Engine" if loading or run.figures is not None else "GPU" if len(run.gpus) == 1 else "GPUs"
    name = run.name if width >= USUAL else formatting.run_label(run.name, 8)
    title = [Cell(f"{what} of {name} ", "strong"), Cell(f"{sign} {word}", role)]
    line = loading_line(loading, width) if loading else figures_line(run.figures, width) if run.figures else ()
    body = [line][:rows] if line else []
    if rows == 0 and loading:
        title.append(Cell(f" · {loading}"))
    does = [Cell(brief(run.figures))] if rows == 0 and not loading and brief(run.figures) else []
    return (_title(((title, does),), width), *_with_gpus(body, run.gpus, width, rows))


# --- lines of both -------------------------------------------------------------------------------------------------


def _with_gpus(body: list[Line], gpus: Sequence[GpuFigures], width: int, rows: int | None) -> list[Line]:
    """The GPUs under all else; a single one only where it is wide, because the first line of the screen has it."""
    if width < WIDE and len(gpus) == 1:
        gpus = ()
    room = gpu_rows(gpus, width) if rows is None else rows - len(body)
    return [*body, *gpu_lines(gpus, width, room)]
