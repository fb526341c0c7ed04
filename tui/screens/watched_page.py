"""A run's page whose content is looked for on a thread while the page is open."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar, cast

from engine.errors import PilothouseError
from engine.snapshot import RunSnapshot
from tui.cells import Cell, Line, wrap
from tui.messages import Looked
from tui.screens.run_page import RunPageScreen
from tui.view import View
from tui.watch import Look, Watch

T = TypeVar("T")


class WatchedPage(RunPageScreen, Generic[T]):
    """Subclasses say what is looked for, and what `run_lines` stand on the page of what was found (None: not yet)."""

    EVERY_S: ClassVar[float]

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.found: T | None = None
        self._error: PilothouseError | None = None
        self._watch: Watch[T] | None = None

    def look(self) -> Look[T]:
        """What looks; asked for on the thread that calls it."""
        raise NotImplementedError

    def run_lines(self, run: RunSnapshot, view: View, width: int) -> tuple[Line, ...]:
        """All of the page, in which `view` has `run` for the selected one."""
        raise NotImplementedError

    def body_lines(self, view: View, width: int) -> tuple[Line, ...]:
        run = self.run_in(view)
        if run is None:
            return ((Cell(" there is no such run any more", "dim"),),)
        if self._error is not None:
            told = [self._error.what, *([f"to do: {self._error.remedy}"] if self._error.remedy else [])]
            return tuple((Cell(f" {row}", "bad"),) for text in told for row in wrap(text, width - 2))
        return self.run_lines(run, view.of(run), width)

    def on_mount(self) -> None:
        self.begin()

    def on_unmount(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def begin(self) -> None:
        if self._watch is not None:
            self._watch.close()
        self.found = self._error = None
        app = self.pilothouse
        self._watch = Watch(self.look, lambda: self.run_in(app.view), self.post_message, self.EVERY_S)

    def wake(self) -> None:
        """Something happened that the page should not be late for."""
        if self._watch is not None:
            self._watch.wake()

    def on_looked(self, message: Looked) -> None:
        message.stop()
        if message.watch is self._watch:
            self.found, self._error = cast("T | None", message.found), message.error
            self.show_view(self.pilothouse.view)
