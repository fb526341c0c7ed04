"""A run's page whose content is looked for on a thread while the page is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar, cast

from engine.errors import PilothouseError
from engine.snapshot import RunSnapshot
from tui.cells import Line
from tui.messages import Looked
from tui.panels.errors import error_lines
from tui.screens.run_page import RunPageScreen
from tui.view import View
from tui.watch import Look, Watch

T = TypeVar("T")


class WatchedPage(RunPageScreen, Generic[T]):
    """Subclasses say what is looked for, and what `run_lines` stand on the page of what was `found` (None: not
    yet)."""

    EVERY_S: ClassVar[float]

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.found: T | None = None
        self._error: PilothouseError | None = None
        self._watch: Watch[T] | None = None
        self._news: object = None
        self._laid_out: tuple[T | None, object, tuple[Line, ...]] = (None, None, ())

    def look(self) -> Look[T]:
        """What looks; asked for on the thread that calls it."""
        raise NotImplementedError

    def news(self, run: RunSnapshot) -> object:
        """What the page should not be late for: when this changes, it looks at once."""
        return run.state

    def laid_out(self, lay_out: Callable[[], tuple[Line, ...]], *by: object) -> tuple[Line, ...]:
        """The lines that `lay_out` makes of what was found and of `by`, made again only once one of these is another:
        a page may be thousands of lines long, and is shown twice a second."""
        found, before, _ = self._laid_out
        if found is not self.found or before != by:
            self._laid_out = (self.found, by, lay_out())
        return self._laid_out[2]

    def body_lines(self, view: View, width: int) -> tuple[Line, ...]:
        if self._error is not None and self.run_in(view) is not None:
            return error_lines(self._error, width)
        return super().body_lines(view, width)

    def show_view(self, view: View, /) -> None:
        run = self.run_in(view)
        news = self.news(run) if run is not None else None
        if news != self._news:
            self._news = news
            self.wake()
        super().show_view(view)

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
        """Look at once."""
        if self._watch is not None:
            self._watch.wake()

    def on_looked(self, message: Looked) -> None:
        message.stop()
        if message.watch is self._watch:
            self.found, self._error = cast("T | None", message.found), message.error
            self.show_view(self.pilothouse.view)
