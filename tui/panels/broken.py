"""What stands on top while a campaign's file cannot be used: what is wrong, where, what to do. The runs go on below."""

from __future__ import annotations

from tui.cells import Cell, Line, Role, rule, wrap
from tui.view import View

LEAST_ROWS = 2
MOST_ROWS = 4


def broken_lines(view: View, width: int, rows: int = MOST_ROWS) -> tuple[Line, ...]:
    """Title and up to `rows` - 1 lines; nothing while the file is well. Where it is narrow or low the parts run on."""
    error = view.current.error if view.current else None
    if error is None:
        return ()
    parts = [part.strip() for part in error.splitlines() if part.strip()] or ["not known why"]
    lines: list[tuple[str, Role]] = [
        (row, "dim" if number else "text") for number, part in enumerate(parts) for row in wrap(part, width - 2)
    ]
    if len(lines) > rows - 1:
        lines = [(row, "text") for row in wrap(" · ".join(parts), width - 2, rows - 1)]
    title = rule([Cell("This campaign's file cannot be used; runs go on", "bad")], width)
    return (title, *((Cell(f" {row}", role),) for row, role in lines))
