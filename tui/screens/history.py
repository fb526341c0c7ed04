"""What is wrong with the selected run, in full; who did what to it, and when, the newest last."""

from __future__ import annotations

import time
from datetime import datetime
from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.snapshot import MOST_ACTIONS
from tui import formatting
from tui.cells import Cell, Line, wrap
from tui.panels.remarks import warning_lines
from tui.screens.page import PageScreen
from tui.view import View

CLOCK_WIDTH = 12
WIDEST_AUTHOR = 26


class HistoryScreen(PageScreen):
    """Shows its end, and stays there until it is scrolled up."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("h", "close", show=False)]

    def heading(self, view: View) -> str:
        return f"{view.selected.id if view.selected else ''} · history"

    def body_lines(self, view: View, width: int) -> tuple[Line, ...]:
        return (*warning_lines(view, width, most=None), *history_lines(view, width))

    def on_mount(self) -> None:
        super().on_mount()
        self.call_after_refresh(self.scroll.scroll_end, animate=False)

    def show_view(self, view: View, /) -> None:
        at_end = self.scroll.is_vertical_scroll_end
        super().show_view(view)
        if at_end:
            self.call_after_refresh(self.scroll.scroll_end, animate=False)


def history_lines(view: View, width: int) -> tuple[Line, ...]:
    """A line for each action, under the day it was done on."""
    actions = view.selected.actions if view.selected else ()
    if not actions:
        return ((Cell(" nobody has done anything to it yet", "dim"),),)
    zone = time.tzname[time.localtime().tm_isdst > 0]
    note = f" the latest {MOST_ACTIONS} actions" if len(actions) >= MOST_ACTIONS else " all actions"
    lines: list[Line] = [(Cell(f"{note}; times are {zone}", "dim"),)]
    author = min(max(len(action.author) for action in actions), WIDEST_AUTHOR, width // 3)
    indent = CLOCK_WIDTH + author + 2
    shown = ""
    for action in actions:
        at = formatting.unix_time(action.time)
        day = datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d") if at is not None else "time not known"
        if day != shown:
            lines.append((Cell(f" {day}", "strong"),))
            shown = day
        rows = wrap(action.action, width - indent - 1) or [""]
        lines.append(
            (
                Cell(f"   {formatting.clock(action.time, seconds=True)}", "dim", CLOCK_WIDTH),
                Cell(action.author, "accent", author),
                Cell(f"  {rows[0]}"),
            )
        )
        lines += [(Cell(" " * indent), Cell(row)) for row in rows[1:]]
        if action.pending:
            lines.append((Cell(" " * indent), Cell("⚠ not taken yet", "warn")))
    return tuple(lines)
