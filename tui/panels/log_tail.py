"""The end of the selected run's log."""

from __future__ import annotations

import re

from tui.cells import Cell, Line, Role, rule
from tui.view import View

_BAD = re.compile(r"\b(ERROR|CRITICAL|FATAL|Traceback|Exception)\b|\bError:")
_STAMP = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[ T](?P<time>\d{2}:\d{2}:\d{2})(?:[,.]\d+)? +\[?(?P<level>[A-Z]{4,8})\b\]?:? *"
)
QUIET = ("DEBUG", "INFO")
_WARN = re.compile(r"\bWARN(ING)?\b")


def level_role(text: str) -> Role:
    """How a log line is coloured: by the level word that it holds near its beginning."""
    head = text[:160]
    if _BAD.search(head):
        return "bad"
    return "warn" if _WARN.search(head) else "text"


def day_of(text: str) -> str | None:
    """`2026-11-23` of a line that begins with date, time and level."""
    found = _STAMP.match(text)
    return found["day"] if found else None


def line_cells(text: str, skip: int = 0) -> tuple[Cell, ...]:
    """A log line as it is shown, its first `skip` characters out of sight: of a leading date, time and level only the
    time of day stays, and the level where it is more than `INFO`."""
    found = _STAMP.match(text)
    role = level_role(text)
    if found is None:
        return (Cell(text[skip:], role),)
    level = found["level"] if found["level"] not in QUIET else ""
    parts: tuple[tuple[str, Role], ...] = (
        (f"{found['time']} ", "dim"),
        (f"{level} " if level else "", role),
        (text[found.end() :], role),
    )
    cells = []
    for words, look in parts:
        if words[skip:]:
            cells.append(Cell(words[skip:], look))
        skip = max(0, skip - len(words))
    return tuple(cells)


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
