"""Chooses a campaign: what each is doing, and what it has spent."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.snapshot import CampaignSnapshot, Snapshot
from tui import formatting
from tui.cells import Cell, Line, Role, cut
from tui.screens.dialog import Dialog
from tui.widgets.cell_lines import CellLines

STATES: dict[str, tuple[str, Role]] = {
    "empty": ("○", "dim"),
    "running": ("●", "accent"),
    "waiting": ("◐", "warn"),
    "done": ("✓", "good"),
    "blocked": ("!", "warn"),
    "broken": ("✗", "bad"),
}


def likeliest(snapshot: Snapshot, present: str | None) -> int:
    """Place of the campaign that one most likely wants: the present one, a running one, the last to start a run."""
    campaigns = snapshot.campaigns
    for number, campaign in enumerate(campaigns):
        if campaign.name == present:
            return number
    for number, campaign in enumerate(campaigns):
        if campaign.live_run:
            return number
    newest = [max((run.started or "" for run in campaign.runs), default="") for campaign in campaigns]
    return newest.index(max(newest)) if newest else 0


class PickerScreen(Dialog[str | None]):
    """Returns the chosen campaign's name, None when it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k,shift+tab", "move(-1)", show=False),
        Binding("down,j,tab", "move(1)", show=False),
        Binding("enter", "take", show=False),
        Binding("escape,q,a", "dismiss_dialog", show=False),
    ]

    def __init__(self, snapshot: Snapshot, present: str | None) -> None:
        super().__init__([])
        self._campaigns = snapshot.campaigns
        self._chosen = likeliest(snapshot, present)
        self._engines = any(campaign.engine is not None and campaign.engine.live for campaign in snapshot.campaigns)

    def text_lines(self, width: int) -> tuple[Line, ...]:
        rows = [self._row(number, campaign, width) for number, campaign in enumerate(self._campaigns)]
        return ((Cell("Choose a campaign", "title"),), (), *rows)

    def on_mount(self) -> None:
        super().on_mount()
        keys = (
            Cell("↑ ↓", "key"),
            Cell(" move  ", "dim"),
            Cell("⏎", "key"),
            Cell(" open  ", "dim"),
            Cell("esc q", "key", action="close"),
            Cell(" back", "dim", action="close"),
        )
        self.query_one("#choices", CellLines).show((keys,))

    def action_move(self, step: int) -> None:
        if self._campaigns:
            self._chosen = (self._chosen + step) % len(self._campaigns)
            self.redraw()

    def action_take(self) -> None:
        self.dismiss(self._campaigns[self._chosen].name if self._campaigns else None)

    def choose(self, choice: str) -> None:
        names = [campaign.name for campaign in self._campaigns]
        place = choice.removeprefix("pick:")
        if choice.startswith("pick:") and place.isdigit() and int(place) < len(names):
            self.dismiss(names[int(place)])
        else:
            super().choose(choice)

    def _row(self, number: int, campaign: CampaignSnapshot, width: int) -> Line:
        chosen = number == self._chosen
        sign, role = STATES.get(campaign.state, ("?", "dim"))
        spent = formatting.money(campaign.budget.spent_usd) if campaign.budget else ""
        runs = f"{len(campaign.runs)} run{'' if len(campaign.runs) == 1 else 's'}" if campaign.runs else "no run yet"
        pick = f"pick:{number}"
        name = min(24, max(8, width - 49)) if self._engines else 24
        cells = [
            Cell("▸ " if chosen else "  ", "accent", tint=chosen, action=pick),
            Cell(campaign.name, "strong" if chosen else "text", name, tint=chosen, action=pick),
            Cell(f" {sign} {campaign.state}", role, 12, tint=chosen, action=pick),
            Cell(runs, "dim", 12, tint=chosen, action=pick),
            Cell(spent, "text", 10, ">", tint=chosen, action=pick),
        ]
        if self._engines:
            up = campaign.engine is not None and campaign.engine.live
            cells.append(Cell("  ● engine up" if up else "", "accent", 13, tint=chosen, action=pick))
        return cut(cells, width)
