"""All runs side by side with every parameter that differs, and the gate's evidence in full sentences."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.campaign.parameters import difference
from tui import formatting
from tui.cells import Cell, Line, rule, wrap
from tui.panels.comparison import table_lines
from tui.panels.states import VERDICTS
from tui.screens.page import PageScreen
from tui.view import View

EVERY_ROW = 10_000


class CompareScreen(PageScreen):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "close", show=False)]

    def heading(self, view: View) -> str:
        return f"{view.current.name if view.current else ''} · comparison"

    def body_lines(self, view: View, width: int) -> tuple[Line, ...]:
        return comparison_lines(view, width)


def comparison_lines(view: View, width: int) -> tuple[Line, ...]:
    """The table with all its rows; then the selected run's evidence and its changes in full."""
    run = view.selected
    if run is None:
        return ((Cell(" there is no run yet", "dim"),),)
    lines: list[Line] = [*table_lines(view, width, parameter_rows=EVERY_ROW, further_metrics=True), ()]
    lines.append(rule([Cell(f"Evidence · {run.name}", "strong")], width))
    for check in run.gate.checks:
        sign, _, role = VERDICTS[check.verdict]
        label = formatting.metric_label(check.metric, long=True)
        rows = wrap(formatting.signs(check.sentence), width - 28)
        lines.append((Cell(f" {sign} ", role), Cell(label, "text", 24), Cell(rows[0] if rows else "", "dim")))
        lines += [(Cell(" " * 27), Cell(row, "dim")) for row in rows[1:]]
    parent = next((other for other in view.runs if other.name == run.parent), None)
    if parent is not None and parent.parameters_known and run.parameters_known:
        lines += [(), rule([Cell(f"Parameters · {parent.name} → {run.name}", "strong")], width)]
        for name, (before, after) in difference(parent.parameters, run.parameters).items():
            rows = wrap(f"{_shown(before)} → {_shown(after)}", width - 37)
            lines.append((Cell(f"   {name}", "text", 36), Cell(rows[0] if rows else "", "strong")))
            lines += [(Cell(" " * 36), Cell(row, "strong")) for row in rows[1:]]
    return tuple(lines)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(repr(item) for item in value) or "none"
    return str(value)
