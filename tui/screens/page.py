"""A page over the dashboard that scrolls and stays up to date."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from tui.cells import Cell, Line, spread
from tui.screens.base import ActionScreen
from tui.view import View
from tui.widgets.cell_lines import CellLines

KEYS = (("esc q", "back"), ("← →", "select a run"), ("↑ ↓", "scroll"), ("?", "help"))


class PageScreen(ActionScreen):
    """Subclasses say what stands on it, and bind the key that opened it to `close`."""

    SCOPE = "page"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", show=False),
        Binding("left", "perform('previous_run')", show=False),
        Binding("right", "perform('next_run')", show=False),
        Binding("question_mark,f1", "perform('help')", show=False),
    ]

    def heading(self, view: View) -> str:
        """What the page is of."""
        raise NotImplementedError

    def body_lines(self, view: View, width: int) -> tuple[Line, ...]:
        """All of the page, however long."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield CellLines(id="header")
        with VerticalScroll():
            yield CellLines(id="body")
        yield CellLines(id="footer")

    @property
    def scroll(self) -> VerticalScroll:
        return self.query_one(VerticalScroll)

    def on_mount(self) -> None:
        self.scroll.focus()
        self.show_view(self.pilothouse.view)

    def on_resize(self) -> None:
        self.show_view(self.pilothouse.view)

    def show_view(self, view: View, /) -> None:
        width = self.app.size.width
        self.query_one("#header", CellLines).show((spread([Cell(f" {self.heading(view)}", "title")], [], width),))
        self.query_one("#body", CellLines).show(self.body_lines(view, width - 2))
        cells = [cell for key, text in KEYS for cell in (Cell(f" {key}", "key"), Cell(f" {text} ", "dim"))]
        self.query_one("#footer", CellLines).show((tuple(cells),))

    def do_previous_run(self) -> None:
        self.pilothouse.select_neighbour(-1)

    def do_next_run(self) -> None:
        self.pilothouse.select_neighbour(1)

    def action_close(self) -> None:
        self.dismiss()
