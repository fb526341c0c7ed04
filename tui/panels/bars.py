"""Lines that are filled to a share of one."""

from __future__ import annotations

from tui.cells import Cell, Line, Role


def meter(share: float, width: int, role: Role) -> list[Cell]:
    """`width` cells that are filled to `share` of one."""
    filled = min(width, max(0, round(min(1.0, share) * width)))
    return [Cell("━" * filled, role), Cell("─" * (width - filled), "rule")]


def bar(share: float, width: int, role: Role) -> Line:
    """A whole line of `width`, indented by one."""
    return (Cell(" "), *meter(share, max(1, width - 1), role))
