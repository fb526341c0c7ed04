"""What is wrong with a run, in full; what happened to it, and who did what, the newest last."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from engine.snapshot import RunSnapshot
from tui.cells import Line
from tui.panels.events import event_lines
from tui.panels.remarks import warning_lines
from tui.screens.base import bindings
from tui.screens.page import closed_by
from tui.screens.watched_page import WatchedPage
from tui.view import View
from tui.watch import Look

if TYPE_CHECKING:
    from engine.report.events import RunEvents


class EventsScreen(WatchedPage["RunEvents"]):
    """Shows its end, and stays there until it is scrolled up."""

    SCOPE = "events"
    EVERY_S = 2.0
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("events"), closed_by("events")]

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self._to_end = True

    def look(self) -> Look[RunEvents]:
        return self.pilothouse.service.events(self.run_id)

    def run_lines(self, run: RunSnapshot, view: View, width: int) -> tuple[Line, ...]:  # noqa: ARG002
        events = self.laid_out(lambda: event_lines(self.found, width), width)
        return (*warning_lines(view, width, most=None), *events)

    def news(self, run: RunSnapshot) -> object:
        return run.state, run.actions, run.gradings

    def begin(self) -> None:
        super().begin()
        self._to_end = True

    def show_view(self, view: View, /) -> None:
        at_end = self._to_end or self.scroll.is_vertical_scroll_end
        self._to_end = self.found is None
        super().show_view(view)
        if at_end:
            self.call_after_refresh(self.scroll.scroll_end, animate=False)
