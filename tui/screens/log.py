"""The whole log of one run, or of an engine."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from tui import formatting
from tui.cells import Cell, spread
from tui.panels.footer import footer_lines
from tui.screens.base import ActionScreen, bindings
from tui.view import View
from tui.widgets.cell_lines import CellLines
from tui.widgets.log_view import LogView


class LogScreen(ActionScreen):
    SCOPE = "log"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("log")]

    def __init__(self, run_id: str, path: Path) -> None:
        super().__init__()
        self._run_id = run_id
        self._path = path

    def compose(self) -> ComposeResult:
        yield CellLines(id="header")
        yield LogView(self._path, id="view")
        yield CellLines(id="footer")

    def on_mount(self) -> None:
        self.set_interval(0.5, self.redraw)
        self.call_after_refresh(self.redraw)

    def on_resize(self) -> None:
        self.redraw()

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def show_view(self, _: View, /) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Title and footer; the view draws itself."""
        width = self.app.size.width
        view = self.view
        size = formatting.size(view.octets) if view.octets is not None else "no file"
        size = f"its newest {size}" if view.trimmed else size
        left = [Cell(f" {self._run_id}", "title"), Cell(f" · {self._path.name} · {size}", "dim")]
        if view.day:
            left.append(Cell(f" · {view.day}", "dim"))
        shown = self.pilothouse.view
        writers = (*shown.runs, *((shown.engine,) if shown.engine is not None else ()))
        live = any(writer.live for writer in writers if writer.id == self._run_id)
        if view.following:
            state = [Cell("● following ", "accent") if live else Cell("the end ", "dim")]
        else:
            new = view.new_lines
            news = f" · {new:,} new line{'' if new == 1 else 's'}" if new else ""
            where = f"‖ {'paused at ' if live else ''}{view.position * 100:.0f} %"
            state = [Cell(where, "warn"), Cell(f"{news} ", "strong")]
        self.query_one("#header", CellLines).show((spread(left, state, width),))
        self.query_one("#footer", CellLines).show(footer_lines(self.pilothouse.view, width, "log"))

    def do_toggle_follow(self) -> None:
        if self.view.following:
            self.view.pause()
        else:
            self.view.follow()
        self.redraw()

    def do_line_up(self) -> None:
        self.view.move(-1)
        self.redraw()

    def do_line_down(self) -> None:
        self.view.move(1)
        self.redraw()

    def do_page_up(self) -> None:
        self.view.page(-1)
        self.redraw()

    def do_page_down(self) -> None:
        self.view.page(1)
        self.redraw()

    def do_first_line(self) -> None:
        self.view.to_start()
        self.redraw()

    def do_last_line(self) -> None:
        self.view.follow()
        self.redraw()

    def do_scroll_left(self) -> None:
        self.view.sideways(-1)
        self.redraw()

    def do_scroll_right(self) -> None:
        self.view.sideways(1)
        self.redraw()

    def do_close(self) -> None:
        self.dismiss()
