"""The end of the selected run's log."""

from __future__ import annotations

import re

from tui.cells import Cell, Line, Role, rule
from tui.view import View

_BAD = re.compile(r"\b(ERROR|CRITICAL|FATAL|Traceback|Exception)\b|\bError:")
_WARN = re.compile(r"\bWARN(ING)?\b")


def level_role(text: str) -> Role:
    """How a log line is coloured: by the level word that it holds near its beginning."""
    head = text[:160]
    if _BAD.search(head):
        return "bad"
    return "warn" if _WARN.search(head) else "text"


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
        lines = [(Cell(" "), Cell(line, level_role(line))) for line in log[-rows:]] if rows > 0 else []
    return (rule(title, width, [Cell("l", "key", action="log"), Cell(" all of it", "dim", action="log")]), *lines)
