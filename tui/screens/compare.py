"""All runs side by side with every parameter that differs, and the gate's evidence in full sentences."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from engine.policy.compare import partner_of
from tui import formatting
from tui.cells import Cell, Line, rule, wrap
from tui.panels.changes import change_lines, changes
from tui.panels.comparison import table_lines
from tui.panels.states import VERDICTS
from tui.screens.base import bindings
from tui.screens.page import PageScreen, closed_by
from tui.view import View

EVERY_ROW = 10_000


class CompareScreen(PageScreen):
    SCOPE = "compare"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("compare"), closed_by("compare")]

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
    partner = partner_of(view.runs, run)
    found = changes(partner, run) if partner is not None else []
    if partner is not None and found:
        lines += [(), rule([Cell(f"Changed · {partner.name} → {run.name}", "strong")], width)]
        lines += change_lines(found, width)
    return tuple(lines)
