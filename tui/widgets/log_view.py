"""A whole log of any size: the window reads the lines it shows by byte offset, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import events
from textual.message import Message

from tui.cells import Cell, Line
from tui.logfile import LogFile, LogLine
from tui.logs.finder import Finder, Search
from tui.logs.lines import STAMPS, Stamps
from tui.logs.query import EVERYTHING, Query
from tui.logs.reading import Reading
from tui.logs.searcher import LogSearcher, ScanAnswered, ScanBroke
from tui.panels.log_tail import day_of, folded, line_cells
from tui.widgets.cell_lines import CellLines

INTERVAL_S = 0.5
SIDE_STEP = 20
WHEEL_LINES = 3
MOST_FOLDED = 1000


@dataclass(frozen=True, slots=True)
class LogPlace:
    """How somebody was reading a log: what one comes back to."""

    top: int = 0
    skip: int = 0
    left: int = 0
    following: bool = True
    wraps: bool = False
    stamps: Stamps = "time"
    filter: Query = EVERYTHING
    search: Search | None = None
    hit: LogLine | None = None


class LogView(CellLines):
    """Follows the end of the file, or stands still at a line and counts what arrives meanwhile."""

    DEFAULT_CSS = "LogView { height: 1fr; }"

    class Moved(Message):
        """Something else is in sight, or more is known of it."""

    def __init__(self, path: Path, place: LogPlace | None = None, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        place = place or LogPlace()
        file = LogFile(path)
        self._searcher = LogSearcher(path, self)
        self.reading = Reading(file, self._searcher, lambda line: len(self._rows_of(line)))
        self.reading.top, self.reading.skip, self.reading.following = place.top, place.skip, place.following
        self.reading.filter = place.filter
        self.finder = Finder(file, self._searcher, self.reading)
        self.finder.search, self.finder.hit = place.search, place.hit
        self._left, self.wraps, self.stamps = place.left, place.wraps, place.stamps
        self._rows: list[tuple[LogLine, int]] = []
        self._folded: dict[LogLine, Sequence[Line]] = {}

    # --- what there is to say of it ------------------------------------------------------------------------------

    @property
    def place(self) -> LogPlace:
        reading, finder = self.reading, self.finder
        where = (reading.top, reading.skip, self._left, reading.following)
        return LogPlace(*where, self.wraps, self.stamps, reading.filter, finder.search, finder.hit)

    @property
    def following(self) -> bool:
        return self.reading.following

    @property
    def octets(self) -> int | None:
        """Octets of the log that there were when it was last looked at; None when there is no file."""
        return None if self.reading.size is None else max(0, self.reading.size - self.reading.start)

    @property
    def trimmed(self) -> bool:
        """The oldest lines were given back to the disk."""
        return self.reading.start > 0

    @property
    def position(self) -> float:
        """Where the lowest line in sight ends, as a share of what there is of the log."""
        end = self._rows[-1][0].end if self._rows else 0
        return min(1.0, max(0, end - self.reading.start) / self.octets) if self._rows and self.octets else 1.0

    @property
    def day(self) -> str | None:
        """The date of the lowest line in sight that names one; the lines themselves show the time of day."""
        return next((day for line in reversed(self.in_sight) if (day := day_of(line.text))), None)

    @property
    def in_sight(self) -> list[LogLine]:
        """The lines in the window, each once."""
        return list(dict.fromkeys(line for line, _ in self._rows))

    def _has_in_sight(self, line: LogLine) -> bool:
        return any(shown.start == line.start for shown, _ in self._rows)

    @property
    def chosen(self) -> list[LogLine]:
        """The line that was found, while it is in sight; else all that are."""
        hit = self.finder.hit
        return [hit] if hit is not None and self._has_in_sight(hit) else self.in_sight

    # --- life ----------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.set_interval(INTERVAL_S, self.look)

    def on_unmount(self) -> None:
        self._searcher.close()

    def on_resize(self) -> None:
        super().on_resize()
        self._folded.clear()
        hit = self.finder.hit
        in_sight = hit is not None and self._has_in_sight(hit)
        self.reading.height = self.size.height
        self.reading.look()
        self.reading.settle()
        self._rows = self.reading.rows()
        if hit is not None and in_sight and not self._has_in_sight(hit):
            self.reading.show(hit.start, below=self.size.height - 1)
        self.finder.count()
        self.draw()

    def look(self) -> None:
        """Notice what was written since, or that the file is another or was cut short."""
        anew = self.reading.changes
        if self.reading.look():
            if self.reading.changes != anew:
                self.finder.hit = None
                self.finder.filter_changed()
            self.finder.count()
            self.draw()

    def on_scan_answered(self, message: ScanAnswered) -> None:
        message.stop()
        if not self._searcher.takes(message):
            return
        if message.stream == "fill":
            self.reading.answered(message.answer)
        elif message.stream == "find":
            self.finder.found(message.answer)
        elif message.stream == "spans":
            self.finder.lift(message.answer)
        else:
            self.finder.take_count(message.answer)
        self.redraw()

    def on_scan_broke(self, message: ScanBroke) -> None:
        """Give up the search, or else the filter: what the expression does would be the same again."""
        message.stop()
        if not self._searcher.broke(message):
            return
        self.reading.drop_fill()
        blamed = self.finder.search or self.reading.filter
        self.finder.forget()
        if not isinstance(blamed, Search):
            self.reading.set_filter(EVERYTHING)
        if message.too_long:
            what = blamed if isinstance(blamed, Search) else " ".join(map(str, blamed.expressions))
            self.finder.note = f"{what} takes too long to match: given up"
        else:
            self.finder.note = "the search broke off"
        self.finder.filter_changed()
        self.redraw()

    # --- moving --------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """To the end, and stay there."""
        self.reading.follow()
        self.draw()

    def pause(self) -> None:
        self.reading.pause()
        self.draw()

    def to_start(self) -> None:
        self.reading.show(self.reading.start)
        self.draw()

    def move(self, rows: int) -> None:
        """Scroll by rows, down when positive; reaching the end follows again."""
        self.reading.move(rows)
        self.draw()

    def page(self, pages: int) -> None:
        self.move(pages * max(1, self.size.height - 1))

    def sideways(self, steps: int) -> None:
        self._left = max(0, self._left + steps * SIDE_STEP)
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move(-WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move(WHEEL_LINES)

    # --- how it looks --------------------------------------------------------------------------------------------

    def toggle_wrap(self) -> None:
        self.wraps = not self.wraps
        self.reading.skip = 0
        self.redraw()

    def next_stamps(self) -> None:
        """The time of day, the line as it was written, no stamp, and round."""
        self.stamps = STAMPS[(STAMPS.index(self.stamps) + 1) % len(STAMPS)]
        self.redraw()

    def set_filter(self, query: Query) -> None:
        """Show only lines that fit."""
        self.finder.stop()
        self.reading.set_filter(query)
        self.finder.filter_changed()
        self.redraw()

    def redraw(self) -> None:
        """Lay out all lines anew."""
        self._folded.clear()
        self.reading.settle()
        self.draw()

    def draw(self) -> None:
        """Show what is in sight now; what equals the picture before is not painted."""
        height = self.size.height
        if height <= 0:
            return
        self._rows = self.reading.rows()
        lines = [self._rows_of(line)[part] for line, part in self._rows]
        if not lines:
            lines = [(Cell(f" {self._emptiness()}", "dim"),)]
        self.show((*lines[:height], *((),) * (height - len(lines))))
        self.finder.ask_spans(self.in_sight)
        self.post_message(self.Moved())

    def _rows_of(self, line: LogLine) -> Sequence[Line]:
        """A line on as many rows as it takes, with a sign before the one that was found."""
        rows = self._folded.get(line)
        if rows is None:
            found = self.finder.hit is not None and line.start == self.finder.hit.start
            sign, room = Cell("▸" if found else " ", "accent"), max(1, self.size.width - 1)
            cells = line_cells(line.text, 0 if self.wraps else self._left, self.stamps, self.finder.spans(line))
            first, *others = folded(cells, room) if self.wraps else [cells]
            rows = [(sign, *first), *((Cell(" "), *row) for row in others)]
            if len(self._folded) >= MOST_FOLDED:
                self._folded.clear()
            self._folded[line] = rows
        return rows

    def _emptiness(self) -> str:
        if self.reading.size is None:
            return "there is no such file yet"
        if not self.reading.filter:
            return "nothing has been written yet"
        return "looking for lines that fit …" if self.reading.filling else "no line fits the filter"
