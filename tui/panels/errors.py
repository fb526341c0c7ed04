"""What went wrong, where, and what to do about it, on a page."""

from __future__ import annotations

from engine.errors import PilothouseError
from tui.cells import Cell, Line, Role, wrap


def error_lines(error: PilothouseError, width: int) -> tuple[Line, ...]:
    """As a dialog says it, each on lines of its own."""
    told: list[tuple[str, Role]] = [(error.what, "bad")]
    told += [(f"where: {error.where}", "dim")] if error.where else []
    told += [(f"to do: {error.remedy}", "text")] if error.remedy else []
    return tuple((Cell(f" {row}", role),) for text, role in told for row in wrap(text, width - 2))
