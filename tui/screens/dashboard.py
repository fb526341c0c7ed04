"""The dashboard: draws the view at the terminal's size and hands each part its lines."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from tui.actions import Scope
from tui.cells import Cell, Line
from tui.panels.arrange import LEAST_HEIGHT, LEAST_WIDTH, PARTS, Drawn, draw, log_rows
from tui.screens.base import ActionScreen, bindings
from tui.screens.run_page import page_of
from tui.view import View
from tui.widgets.cell_lines import CellLines


class DashboardScreen(ActionScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dashboard")]

    def __init__(self) -> None:
        super().__init__()
        self._log: tuple[str, ...] | None = None
        self._log_path: str | None = None

    def compose(self) -> ComposeResult:
        for part in PARTS:
            yield CellLines(id=part)

    def on_resize(self) -> None:
        self.redraw()

    def show_view(self, _: View, /) -> None:
        self.redraw()

    def show_log(self, path: str, lines: tuple[str, ...]) -> None:
        """The watched log's end; of another run's log nothing is kept."""
        self._log_path, self._log = path, lines
        self.redraw()

    @property
    def text(self) -> str:
        """What stands on the screen, as plain text."""
        return "\n".join(self.query_one(f"#{part}", CellLines).text for part in PARTS)

    def redraw(self) -> None:
        """Draw everything; each part repaints only what changed."""
        width, height = self.app.size
        view = self.pilothouse.view
        if width < LEAST_WIDTH or height < LEAST_HEIGHT:
            drawn = _too_small(width, height)
        else:
            run = view.selected
            log = self._log if run is not None and self._log_path == run.log else None
            drawn = draw(view, log, width, height)
            self.pilothouse.feed.watch_log(run.log if run else None, log_rows(height))
        for part in PARTS:
            self.query_one(f"#{part}", CellLines).show(getattr(drawn, part))

    def do_next(self) -> None:
        self.pilothouse.operations.next.ask()

    def do_own_launch(self) -> None:
        self.pilothouse.operations.next.ask_own()

    def do_stop(self) -> None:
        self.pilothouse.operations.ask_stop()

    def do_restart(self) -> None:
        self.pilothouse.operations.ask_restart(fresh=False)

    def do_restart_fresh(self) -> None:
        self.pilothouse.operations.ask_restart(fresh=True)

    def do_extend(self) -> None:
        self.pilothouse.operations.ask_extend()

    def _open_page(self, scope: Scope) -> None:
        run = self.pilothouse.view.selected
        if run is not None:
            self.app.push_screen(page_of(scope, run, self.pilothouse.service.root))

    def do_log(self) -> None:
        self._open_page("log")

    def do_metrics(self) -> None:
        self._open_page("metrics")

    def do_events(self) -> None:
        self._open_page("events")

    def do_samples(self) -> None:
        self.pilothouse.operations.samples.open()

    def do_engine(self) -> None:
        self.pilothouse.operations.engine.open()

    def do_compare(self) -> None:
        from tui.screens.compare import CompareScreen

        self.app.push_screen(CompareScreen())

    def do_cancel_idle(self) -> None:
        self.pilothouse.operations.keep_machine()

    def do_previous_run(self) -> None:
        self.pilothouse.select_neighbour(-1)

    def do_next_run(self) -> None:
        self.pilothouse.select_neighbour(1)

    def do_campaigns(self) -> None:
        self.pilothouse.pick_campaign()

    def do_copy(self) -> None:
        from tui.copying import copyables
        from tui.screens.copy import CopyScreen

        self.app.push_screen(CopyScreen(copyables(self.pilothouse.view, self.pilothouse.service.root)))


def _too_small(width: int, height: int) -> Drawn:
    lines: tuple[Line, ...] = (
        (Cell(" This window is too small", "warn"),),
        (Cell(f" It is {width} × {height};", "text"),),
        (Cell(f" {LEAST_WIDTH} × {LEAST_HEIGHT} are needed."),),
        (Cell(" q", "key"), Cell(" quits; runs go on.", "dim")),
    )
    return Drawn(header=lines[:1], stages=(), table=lines[1:])
