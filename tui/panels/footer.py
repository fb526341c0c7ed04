"""The keys that do something now, from the table of actions."""

from __future__ import annotations

from rich.cells import cell_len

from tui.actions import Scope, footer_actions
from tui.cells import Cell, Line
from tui.view import View

LAST = ("leave_samples", "leave_prompt", "leave_form", "close", "help", "command_palette", "quit")


def footer_lines(view: View, width: int, scope: Scope = "dashboard") -> tuple[Line, ...]:
    """One line; where it is too narrow the middle ones give way, never the way back, help, palette and quit."""
    actions = footer_actions(scope, view)
    kept = [action for action in actions if action.id in LAST]
    others = [action for action in actions if action.id not in LAST]

    def length(count: int) -> int:
        return sum(cell_len(action.shown) + len(action.name) + 3 for action in [*others[:count], *kept])

    count = len(others)
    while count and length(count) > width:
        count -= 1
    cells: list[Cell] = []
    for action in [*others[:count], *kept]:
        cells += [Cell(f" {action.shown}", "key", action=action.id), Cell(f" {action.name} ", "dim", action=action.id)]
    return (tuple(cells),)
