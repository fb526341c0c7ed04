"""A page over the dashboard that scrolls and stays up to date."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll

from tui.actions import BY_ID, Scope
from tui.cells import Cell, Line, spread
from tui.panels.footer import footer_lines
from tui.screens.base import ActionScreen
from tui.view import View
from tui.widgets.cell_lines import CellLines


def closed_by(action: str) -> Binding:
    """The key that opens a page closes it, too."""
    return Binding(BY_ID[action].key, "perform('close')", show=False)


class PageScreen(ActionScreen):
    """Subclasses say what stands on it, and have `bindings` of their scope."""

    SCOPE: ClassVar[Scope] = "page"

    def header_line(self, view: View, width: int) -> Line:
        """What stands on top of the page, at `width`."""
        return spread([Cell(f" {self.heading(view)}", "title")], [], width)

    def heading(self, view: View) -> str:
        """What the page is of."""
        raise NotImplementedError

    def body_lines(self, view: View, width: int) -> tuple[Line, ...]:
        """All of the page, however long."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield CellLines(id="header")
        with VerticalScroll(can_focus=False):
            yield CellLines(id="body")
        yield CellLines(id="footer")

    @property
    def scroll(self) -> VerticalScroll:
        return self.query_one(VerticalScroll)

    def on_mount(self) -> None:
        self.show_view(self.pilothouse.view)

    def on_resize(self) -> None:
        self.show_view(self.pilothouse.view)

    def show_view(self, view: View, /) -> None:
        width = self.app.size.width
        self.query_one("#header", CellLines).show((self.header_line(view, width),))
        self.query_one("#body", CellLines).show(self.body_lines(view, width - 2))
        self.query_one("#footer", CellLines).show(footer_lines(view, width, self.SCOPE))

    def do_previous_run(self) -> None:
        self.pilothouse.select_neighbour(-1)

    def do_next_run(self) -> None:
        self.pilothouse.select_neighbour(1)

    def do_line_up(self) -> None:
        self.scroll.scroll_up(animate=False)

    def do_line_down(self) -> None:
        self.scroll.scroll_down(animate=False)

    def do_page_up(self) -> None:
        self.scroll.scroll_page_up(animate=False)

    def do_page_down(self) -> None:
        self.scroll.scroll_page_down(animate=False)

    def do_first_line(self) -> None:
        self.scroll.scroll_home(animate=False)

    def do_last_line(self) -> None:
        self.scroll.scroll_end(animate=False)

    def do_close(self) -> None:
        self.dismiss()
