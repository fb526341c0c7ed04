"""An application that sends over its line what differs, and nothing while the line has not taken what was sent."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from typing import Any, TypeVar

from rich.color import ColorSystem
from rich.console import RenderableType
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen

from tui.terminal.keyboard import PromptDriver
from tui.terminal.painter import Painter, UnpaintableError

Result = TypeVar("Result")

DRAIN_S = 0.05
MOST_QUEUED = 8
"""Writes that may wait for the writer. At 30 Textual's own queue would block the event loop."""
TEARING = 256
"""Octets of a frame from which on a terminal might show half of it, so that it is told to wait for the end."""


class ThriftyApp(App[Result]):
    """Falls back to Textual's way of writing whenever something is not as that is known to be."""

    _painter: Painter | None = None
    _owed = False

    def get_driver_class(self) -> type[Driver]:
        driver = super().get_driver_class()
        return PromptDriver if driver is LinuxDriver else driver

    def line_pace(self, *, busy: bool) -> None:
        """A frame had to wait for the line, or went out at once."""

    def on_resize(self, _: events.Resize) -> None:
        """Comes when the terminal was resized, and whenever it was taken over again."""
        self._lose(repaint=True)

    def _lose(self, *, repaint: bool) -> None:
        """What stands on the terminal is not known any more."""
        self._owed = False
        if self._painter is not None:
            self._painter.forget()
        if repaint and self.screen_stack:
            self.screen.refresh()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if renderable is None:
            return super()._display(screen, renderable)
        driver = self._driver
        if (
            isinstance(renderable, CompositorUpdate)
            and isinstance(driver, LinuxDriver)
            and not driver.is_inline
            and self._running
            and not self._closed
        ):
            try:
                self._take(renderable)
            except (UnpaintableError, AttributeError, LookupError):
                pass
            else:
                self._put_out()
                return self.post_display_hook()
        self._lose(repaint=self._owed)
        return super()._display(screen, renderable)

    def _take(self, update: CompositorUpdate) -> None:
        if self._painter is None:
            colors = self.console._color_system or ColorSystem.TRUECOLOR
            self._painter = Painter(colors, erases=fills_when_erasing(os.environ))
        self._painter.take(update, *self.size)

    def _put_out(self) -> None:
        """Write what differs, unless the line is busy: then once it is not, with all that has changed until then."""
        busy = _is_busy(self._driver)
        self.line_pace(busy=busy)
        if not (busy or self._owed or self._batch_count):
            self._write()
        elif not self._owed:
            self._owed = True
            self.set_timer(DRAIN_S, self._pay)

    def _pay(self) -> None:
        """Write what is owed once the line is free and no batch of changes is under way."""
        if self._owed and (self._batch_count or _is_busy(self._driver)):
            self.set_timer(DRAIN_S, self._pay)
        elif self._owed:
            self._owed = False
            self._write()

    def _write(self) -> None:
        if self._painter is None or self._driver is None or not self._running:
            return
        frame = self._painter.paint(self.screen.outer_size.clamp_offset(self.cursor_position))
        if not frame:
            return
        if len(frame) >= TEARING:
            self._begin_update()
        self._driver.write(frame)
        if len(frame) >= TEARING:
            self._end_update()


def fills_when_erasing(environment: Mapping[str, str]) -> bool:
    """Whether the terminal fills what it erases with the ground that is set. GNU screen and old consoles do not."""
    name = environment.get("TERM", "")
    return name.startswith(("xterm", "tmux", "alacritty", "kitty", "foot", "wezterm", "rxvt", "vte")) or (
        name.startswith("screen") and "TMUX" in environment
    )


def _is_busy(driver: Driver | None) -> bool:
    """Whether the terminal has not taken what was written."""
    writer = getattr(driver, "_writer_thread", None)
    if writer is None:
        return False
    if writer._queue.qsize() > MOST_QUEUED:
        return True
    line = select.poll()
    line.register(writer.fileno(), select.POLLOUT)
    return not line.poll(0)
