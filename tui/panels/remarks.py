"""What is to be said of the selected run in whole sentences, under the facts: what is wrong, and who did what."""

from __future__ import annotations

from collections.abc import Iterator

from engine.snapshot import LoggedAction, RunSnapshot
from tui import formatting
from tui.cells import Cell, Line, spread, width_of, wrap
from tui.view import View

MOST_ROWS = 2
"""Lines that one sentence may take."""
MOST_ACTIONS = 2
_HELD = "GPU memory"
"""What a run's own warning of held memory begins with; it gives way where it is known who holds it."""
_DUE = "; restart "
"""Where the reason of an awaited restart goes over from why to when, which is said first."""


def warning_lines(view: View, width: int, rows: int | None = None, *, most: int | None = MOST_ROWS) -> tuple[Line, ...]:
    """A line for each thing that is wrong, up to `most` for a long one; with fewer `rows` what matters most, and how
    many more there are."""
    run = view.selected
    if run is None:
        return ()
    return sentence_lines(list(_warnings(run)), width, rows, most=most)


def sentence_lines(
    sentences: list[tuple[str, str]], width: int, rows: int | None = None, *, most: int | None = MOST_ROWS
) -> tuple[Line, ...]:
    """Sentences with their signs, each on up to `most` lines; with fewer `rows` the first ones, and how many more."""
    shown = sentences[:rows]
    hidden = len(sentences) - len(shown)
    lines: list[Line] = []
    for number, (sign, sentence) in enumerate(shown):
        room = most if rows is None else min(most or rows, rows - len(lines) - (len(shown) - number - 1))
        wrapped = wrap(sentence, width - 4, room)
        lines.append((Cell(f" {sign} ", "warn"), Cell(wrapped[0] if wrapped else "")))
        lines += [(Cell("   "), Cell(row)) for row in wrapped[1:]]
    if hidden and lines:
        lines[-1] = spread(lines[-1], [Cell(f"+{hidden} more ", "warn")], width)
    return tuple(lines)


def _warnings(run: RunSnapshot) -> Iterator[tuple[str, str]]:
    """Sign and sentence, what matters most first."""
    if run.stalled:
        yield "⚠", run.stalled
    if run.awaits_restart:
        cause, due, when = run.reason.rpartition(_DUE)
        yield "○", f"{due[2:]}{when} (s calls it off)" + (f" · {cause}" if cause else "")
    held = formatting.held_text(run)
    if held:
        yield "⚠", f"{run.state}, {held}"
    if run.live and run.keeper_alive is False:
        yield "⚠", "its keeper is gone: restart or stop takes over"
    for warning in run.warnings:
        if not (held and warning.startswith(_HELD)):
            yield "⚠", warning
    if run.sync_error:
        yield "⚠", f"sync failed: {run.sync_error}"


def action_line(view: View, width: int) -> Line | None:
    """The latest actions, newest first, as far as they fit; when artifacts were copied away. None without either."""
    run = view.selected
    if run is None or not (run.actions or run.synced):
        return None
    copied = [Cell(f"copied away {formatting.ago(run.synced, view.now)} ", "dim")] if run.synced else []
    cells: list[Cell] = [Cell(" ")]
    for number, action in enumerate(reversed(run.actions[-MOST_ACTIONS:])):
        more = [*([Cell(" · ", "rule")] if number else []), *_action(action)]
        if number and width_of(cells) + width_of(more) + width_of(copied) + 2 > width:
            break
        cells += more
    return spread(cells, copied, width)


def _action(action: LoggedAction) -> list[Cell]:
    cells = [
        Cell(f"{formatting.clock(action.time)} ", "dim"),
        Cell(f"{action.author} ", action="events"),
        Cell(action.action, action="events"),
    ]
    return [*cells, Cell(" – not taken yet", "warn")] if action.pending else cells
