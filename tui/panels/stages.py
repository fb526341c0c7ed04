"""Second line: the stages of the campaign, done, running and pending, in the order they happened. Under it, while
nothing runs, the countdown to the command that is run on an idle machine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from engine.snapshot import RunSnapshot
from tui import formatting
from tui.cells import Cell, Line, clean, cut, spread, width_of
from tui.panels.states import stage_look
from tui.view import View

Group = tuple[Cell, ...]

ARROW: Group = (Cell(" ▸ ", "rule"),)
ELLIPSIS: Group = (Cell("…", "dim"),)
LONGEST_LOADING = 24
"""Characters of how far a start is that the line of stages has room for."""


def stage_lines(view: View, width: int) -> tuple[Line, ...]:
    """As many runs with words as there is room for, the newest first; then as many with their sign only; then an
    ellipsis after the first."""
    if view.current is None:
        return ((),)
    pending = _pending(view)

    def stages(*, in_words: bool = True, in_full: bool = False) -> list[Group]:
        selected = view.selected
        return [_stage(view, run, run is selected, in_words=in_words, in_full=in_full) for run in view.runs]

    line = _joined([*stages(in_full=True), *pending])
    if width_of(line) <= width:
        return (line,)
    groups, signs = stages(), stages(in_words=False)
    needed = width_of(_joined([*groups, *pending]))
    for number, sign in enumerate(signs[:-1]):
        if needed <= width:
            break
        needed += width_of(sign) - width_of(groups[number])
        groups[number] = sign
    while needed > width and len(groups) > 2 and groups[1] is not groups[-1]:
        if groups[1] == ELLIPSIS:
            if len(groups) == 3:
                break
            needed -= width_of(groups.pop(2)) + width_of(ARROW)
        else:
            needed += width_of(ELLIPSIS) - width_of(groups[1])
            groups[1] = ELLIPSIS
    return (cut(_joined([*groups, *pending]), width),)


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


def _joined(groups: Sequence[Group]) -> Line:
    cells: list[Cell] = [Cell(" ")]
    for number, group in enumerate(groups):
        cells += [*(ARROW if number else ()), *group]
    return tuple(cells)


def _stage(view: View, run: RunSnapshot, selected: bool, *, in_words: bool, in_full: bool) -> Group:
    sign, word, role = stage_look(run, in_full=in_full)
    cells = [Cell(run.name, "strong" if selected else "text", underline=selected and len(view.runs) > 1)]
    cells.append(Cell(f" {sign} {word}" if in_words else f" {sign}", role))
    if run.live and in_words:
        seconds = formatting.elapsed(run, view.now)
        if seconds is not None:
            cells.append(Cell(f" {formatting.duration(seconds)}", role))
        if run.loading:
            loading = formatting.loading(run.loading, run.engine)
            cells.append(Cell(f", {loading if in_full else clean(loading.split(',')[0], LONGEST_LOADING)}", "text"))
    return tuple(cells)


def _pending(view: View) -> list[Group]:
    names = {run.name for run in view.runs}
    pending: list[Group] = []
    upcoming = view.next
    if upcoming and upcoming.run and upcoming.run not in names and upcoming.kind in ("launch", "iterate", "scale"):
        names.add(upcoming.run)
        pending.append((Cell(upcoming.run, "text"), Cell(" ○ next", "accent")))
    if view.current and view.current.campaign and not any(name.startswith("scale") for name in names):
        pending.append((Cell("scale", "dim"), Cell(" ○ pending", "dim")))
    return pending
