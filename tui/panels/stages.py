"""Second line: the stages of the campaign, done, running and pending, in the order they happened. Under it, while
nothing runs, the countdown to the command that is run on an idle machine."""

from __future__ import annotations

import shlex

from engine.snapshot import RunSnapshot
from tui import formatting
from tui.cells import Cell, Line, clean, cut, spread, width_of
from tui.panels.states import stage_look
from tui.view import View

LONGEST_LOADING = 24
"""Characters of how far a start is that the line of stages has room for."""


def stage_lines(view: View, width: int) -> tuple[Line, ...]:
    if view.current is None:
        return ((),)
    runs = view.runs
    line = _stages(view, len(runs), 0, in_full=True)
    if width_of(line) <= width:
        return (line,)
    for detailed in range(len(runs), 0, -1):
        line = _stages(view, detailed, 0)
        if width_of(line) <= width:
            return (line,)
    for left_out in range(max(0, len(runs) - 1)):
        line = _stages(view, 1, left_out)
        if width_of(line) <= width:
            return (line,)
    return (cut(_stages(view, 1, max(0, len(runs) - 2)), width),)


def idle_lines(view: View, width: int) -> tuple[Line, ...]:
    """How long the machine has been idle and what happens when, with the key that calls it off; then what came of it.
    Nothing where nothing has counted down."""
    idle = view.idle
    if idle is None:
        return ()
    command = shlex.join(idle.command)
    if idle.state != "counting":
        said, warned = {
            "cancelled": (f"{idle.author} keeps the machine: the idle countdown is cancelled", False),
            "running": (f"idle: {command} is being run", True),
            "done": (f"idle: {command} was run", False),
            "failed": (f"idle: {command} failed: {idle.detail}", True),
        }[idle.state]
        return (cut([Cell(" ⚠ " if warned else " ○ ", "warn" if warned else "dim"), Cell(said, "dim")], width),)
    since, due = formatting.unix_time(idle.since), formatting.unix_time(idle.due)
    idled = f" {formatting.duration(view.now - since)}" if since is not None else ""
    left = f"in {formatting.duration(due - view.now)} runs" if due is not None else "about to run"
    countdown = [Cell(f" ⚠ idle{idled} · {left}: ", "warn"), Cell(command, "strong")]
    keep = [Cell("i", "key", action="cancel_idle"), Cell(" keeps the machine ", action="cancel_idle")]
    return (spread(countdown, keep, width),)


def _stages(view: View, detailed: int, left_out: int, *, in_full: bool = False) -> Line:
    """The last `detailed` runs with words, the others with their sign only; `left_out` of those after the first
    give way to an ellipsis."""
    runs = view.runs
    groups: list[list[Cell]] = []
    for number, run in enumerate(runs):
        if 0 < number <= left_out:
            if number == 1:
                groups.append([Cell("…", "dim")])
            continue
        groups.append(_stage(view, run, in_words=number >= len(runs) - detailed, in_full=in_full))
    groups.extend(_pending(view))
    cells: list[Cell] = [Cell(" ")]
    for number, group in enumerate(groups):
        if number:
            cells.append(Cell(" ▸ ", "rule"))
        cells.extend(group)
    return tuple(cells)


def _stage(view: View, run: RunSnapshot, *, in_words: bool, in_full: bool) -> list[Cell]:
    sign, word, role = stage_look(run, in_full=in_full)
    selected = view.selected is not None and view.selected.name == run.name
    cells = [Cell(run.name, "strong" if selected else "text", underline=selected and len(view.runs) > 1)]
    cells.append(Cell(f" {sign} {word}" if in_words else f" {sign}", role))
    if run.live and in_words:
        seconds = formatting.elapsed(run, view.now)
        if seconds is not None:
            cells.append(Cell(f" {formatting.duration(seconds)}", role))
        if run.loading:
            loading = formatting.loading(run.loading, run.engine)
            cells.append(Cell(f", {loading if in_full else clean(loading.split(',')[0], LONGEST_LOADING)}", "text"))
    return cells


def _pending(view: View) -> list[list[Cell]]:
    names = {run.name for run in view.runs}
    pending: list[list[Cell]] = []
    upcoming = view.next
    if upcoming and upcoming.run and upcoming.run not in names and upcoming.kind in ("launch", "iterate", "scale"):
        names.add(upcoming.run)
        pending.append([Cell(upcoming.run, "text"), Cell(" ○ next", "accent")])
    if view.current and view.current.campaign and not any(name.startswith("scale") for name in names):
        pending.append([Cell("scale", "dim"), Cell(" ○ pending", "dim")])
    return pending
