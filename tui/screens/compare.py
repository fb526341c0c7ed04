"""All runs side by side with every parameter that differs, and the gate's evidence in full sentences."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.logs.sanitise import sanitise
from engine.policy.compare import partner_of
from engine.report.comparison import HASH_DIGITS
from engine.report.differences import differing_parameters, differing_prompts, differing_rules
from engine.snapshot import RunSnapshot
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
    partner = partner_of(view.runs, run)
    changes = _changes(partner, run) if partner is not None else []
    if partner is not None and changes:
        lines += [(), rule([Cell(f"Changed · {partner.name} → {run.name}", "strong")], width)]
        for name, before, after in changes:
            rows = wrap(f"{before} → {after}", width - 37)
            lines.append((Cell(f"   {name}", "text", 36), Cell(rows[0] if rows else "", "strong")))
            lines += [(Cell(" " * 36), Cell(row, "strong")) for row in rows[1:]]
    return tuple(lines)


def _changes(partner: RunSnapshot, run: RunSnapshot) -> list[tuple[str, str, str]]:
    """Parameters, prompts (by the start of their hash) and rules that differ, with both values."""
    runs = (partner, run)
    found = [(name, _shown(old), _shown(new)) for name, (old, new) in differing_parameters(runs).items()]
    hashes = differing_prompts(runs).items()
    found += [(f"prompt {name}", old[:HASH_DIGITS], new[:HASH_DIGITS]) for name, (old, new) in hashes]
    return found + [(name, _rule(old), _rule(new)) for name, (old, new) in differing_rules(runs).items()]


def _rule(value: str | None) -> str:
    return "–" if value is None else sanitise(value)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(repr(item) for item in value) or "none"
    return str(value)
