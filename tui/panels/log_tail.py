"""Log lines as they are shown, and the end of the selected run's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len, get_character_cell_size

from tui.cells import Cell, Line, Role, rule
from tui.logs.lines import Stamps, severity_of, stamp_of
from tui.view import View

Span = tuple[int, int]
ROLE_OF: dict[str | None, Role] = {"error": "bad", "warning": "warn", None: "text"}


def level_role(text: str) -> Role:
    """How a log line is coloured: by the level word that it holds near its beginning."""
    return ROLE_OF[severity_of(text)]


def day_of(text: str) -> str | None:
    """`2026-11-23` of a line that begins with date, time and level."""
    stamp = stamp_of(text)
    return stamp.day if stamp is not None else None


def line_cells(text: str, skip: int = 0, stamps: Stamps = "time", spans: Sequence[Span] = ()) -> tuple[Cell, ...]:
    """A log line as it is shown, its first `skip` characters out of sight and what is at `spans` lifted out.

    Of a leading date, time and level only the time of day stays, or nothing of them, or all; and the level where it
    is more than `INFO`.
    """
    role = level_role(text)
    cells: list[Cell] = []
    for place, words, look in _pieces(text, role, stamps):
        start = min(skip, len(words))
        skip -= start
        for span in spans if place >= 0 else ():
            low, high = max(span[0] - place, start), min(span[1] - place, len(words))
            if low < high:
                cells += [Cell(words[start:low], look), Cell(words[low:high], "hit", underline=True)]
                start = high
        cells.append(Cell(words[start:], look))
    return tuple(cell for cell in cells if cell.text)


def _pieces(text: str, role: Role, stamps: Stamps) -> list[tuple[int, str, Role]]:
    """Parts of a line as they are shown: where they stand in it (-1: nowhere), the words, their role."""
    stamp = stamp_of(text) if stamps != "written" else None
    if stamp is None:
        return [(0, text, role)]
    time: list[tuple[int, str, Role]] = [(stamp.time_at, stamp.time, "dim"), (-1, " ", "dim")]
    return [
        *(time if stamps == "time" else []),
        *([(-1, f"{stamp.loud} ", role)] if stamp.loud else []),
        (0, text[: stamp.source], "dim"),
        (stamp.rest, text[stamp.rest :], role),
    ]


def folded(cells: Sequence[Cell], width: int) -> list[Line]:
    """The cells on as many rows of `width` as they take; at least one."""
    rows: list[list[Cell]] = [[]]
    room = width
    for cell in cells:
        text = cell.text
        while text:
            count = _fitting(text, room)
            if count == 0 and rows[-1]:
                rows.append([])
                room = width
                continue
            count = max(1, count)
            piece = replace(cell, text=text[:count])
            rows[-1].append(piece)
            room -= cell_len(piece.text)
            text = text[count:]
    return [tuple(row) for row in rows]


def _fitting(text: str, room: int) -> int:
    """Characters of `text` that fit into `room` cells."""
    if text.isascii():
        return min(len(text), max(0, room))
    for count, character in enumerate(text):
        room -= get_character_cell_size(character)
        if room < 0:
            return count
    return len(text)


def log_lines(view: View, log: tuple[str, ...] | None, width: int, rows: int) -> tuple[Line, ...]:
    """Title and the last `rows` lines; None for `log` while nothing has been read."""
    run = view.selected
    if run is None:
        return (rule([Cell("Log", "strong")], width), (Cell(" the first run's log will stand here", "dim"),))
    file = run.log.rsplit("/", 1)[-1] or run.log
    title = [Cell("Log", "strong"), Cell(f" · {run.name} · {file}", "dim")]
    if run.live:
        title.append(Cell(" · following", "dim"))
    if log is None:
        lines: list[Line] = [(Cell(" …", "dim"),)]
    elif not log:
        lines = [(Cell(" nothing has been written yet" if run.live else " this run has no log", "dim"),)]
    else:
        lines = [(Cell(" "), *line_cells(line)) for line in log[-rows:]] if rows > 0 else []
    return (rule(title, width, [Cell("l", "key", action="log"), Cell(" all of it", "dim", action="log")]), *lines)
