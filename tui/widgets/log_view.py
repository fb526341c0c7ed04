"""A whole log of any size: the window reads the lines it shows by byte offset, and nothing else."""

from __future__ import annotations

from pathlib import Path

from textual import events

from tui.cells import Cell, Line
from tui.logfile import LogFile, LogLine
from tui.panels.log_tail import day_of, line_cells
from tui.widgets.cell_lines import CellLines

INTERVAL_S = 0.5
SIDE_STEP = 20
WHEEL_LINES = 3


class LogView(CellLines):
    """Follows the end of the file, or stands still at a line and counts what arrives meanwhile."""

    DEFAULT_CSS = "LogView { height: 1fr; }"

    def __init__(self, path: Path, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._file = LogFile(path)
        self._rows: list[LogLine] = []
        self._top = 0
        self._left = 0
        self._octets: int | None = None
        self._start = 0
        self.following = True
        self.new_lines = 0

    @property
    def octets(self) -> int | None:
        """Octets of the log that there were when it was last looked at; None when there is no file."""
        return None if self._octets is None else max(0, self._octets - self._start)

    @property
    def trimmed(self) -> bool:
        """The oldest lines were given back to the disk."""
        return self._start > 0

    @property
    def position(self) -> float:
        """Where the lowest line in sight ends, as a share of what there is of the log."""
        return min(1.0, max(0, self._rows[-1].end - self._start) / self.octets) if self._rows and self.octets else 1.0

    @property
    def day(self) -> str | None:
        """The date of the lowest line in sight that names one; the lines themselves show the time of day."""
        return next((day for row in reversed(self._rows) if (day := day_of(row.text))), None)

    def on_mount(self) -> None:
        self.set_interval(INTERVAL_S, self.look)

    def on_resize(self) -> None:
        super().on_resize()
        self._load()

    def look(self) -> None:
        """Notice what was written since, or that the file was cut short."""
        before, now = self._octets, self._file.size()
        if now == before:
            return
        self._octets, self._start = now, self._file.start()
        if not self.following and before is not None and now is not None and now > before:
            self.new_lines += self._file.newlines(before, now)
            if len(self._rows) < self.size.height:
                self._load()
            return
        if now is None or now < self._top:
            self.following = True
        self._load()

    def follow(self) -> None:
        """To the end, and stay there."""
        self.following = True
        self._load()

    def pause(self) -> None:
        self.following = False
        self.new_lines = 0

    def to_start(self) -> None:
        self.pause()
        self._top = 0
        self._load()

    def move(self, lines: int) -> None:
        """Scroll by lines, down when positive; reaching the end follows again."""
        if lines < 0:
            if self.following:
                self.pause()
            earlier = self._file.preceding(self._top, -lines)
            if earlier:
                self._top = earlier[0].start
            self._load()
        elif not self.following:
            height = self.size.height
            ahead = self._file.following(self._top, height + lines)
            if len(ahead) < height + lines:
                self.follow()
                return
            self._top = ahead[lines].start
            self._load()

    def page(self, pages: int) -> None:
        self.move(pages * max(1, self.size.height - 1))

    def sideways(self, steps: int) -> None:
        self._left = max(0, self._left + steps * SIDE_STEP)
        self._draw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move(-WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move(WHEEL_LINES)

    def _load(self) -> None:
        height = self.size.height
        if height <= 0:
            return
        self._octets, self._start = self._file.size(), self._file.start()
        if self.following:
            self.new_lines = 0
            self._rows = self._file.last(height)
        else:
            self._rows = self._file.following(self._top, height)
        self._top = self._rows[0].start if self._rows else 0
        self._draw()

    def _draw(self) -> None:
        height = self.size.height
        lines: list[Line] = [(Cell(" "), *line_cells(row.text, self._left)) for row in self._rows]
        if not lines:
            empty = "there is no such file yet" if self._octets is None else "nothing has been written yet"
            lines = [(Cell(f" {empty}", "dim"),)]
        self.show((*lines[:height], *((),) * (height - len(lines))))
