"""A person's place in a log: which lines stand in the window, whether it follows the end, what is left out.

Lines come from the file at once, or, where a filter leaves some out, from the process that looks for those that fit:
then the window fills as they are found. Only what is near the place is known, however large the log is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tui.logfile import LogFile, LogLine
from tui.logs.query import EVERYTHING, Query
from tui.logs.searcher import LogSearcher
from tui.logs.window import Window

_ROUNDS = 6
"""Fills that one change may take when lines come from the file at once."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Lines to get known: `most` from `begin` on, those before `until`; with `back` those before `begin`, to `until`.
    `tail`: `begin` is the end of the file."""

    begin: int
    until: int
    most: int
    back: bool = False
    tail: bool = False


class Reading:
    """`height` rows are in sight, of which a line takes `rows_of`. `share` is how far a look for lines that fit the
    filter is, None while there is none; `changes` how often the file turned out to be another."""

    def __init__(self, file: LogFile, searcher: LogSearcher, rows_of: Callable[[LogLine], int]) -> None:
        self._file, self._searcher, self._rows_of = file, searcher, rows_of
        self._window = Window()
        self._identity: tuple[int, int] | None = None
        self._fill: Fill | None = None
        self._held: list[LogLine] = []
        self._owed = 0
        self.height = 0
        self.start = 0
        self.top, self.skip = 0, 0
        self.following = True
        self.new_lines = 0
        self.filter: Query = EVERYTHING
        self.share: float | None = None
        self.changes = 0

    @property
    def size(self) -> int | None:
        """Octets of the file when it was last looked at; None when there was none."""
        return self._identity[1] if self._identity is not None else None

    @property
    def filling(self) -> bool:
        """Whether lines that fit are being looked for."""
        return self._fill is not None

    # --- what is in sight ----------------------------------------------------------------------------------------

    def rows(self) -> list[tuple[LogLine, int]]:
        """Line and number of the row in it, from top to bottom."""
        if self.following:
            self._to_end()
        rows: list[tuple[LogLine, int]] = []
        for line in self._window.lines[self._window.index(self.top) :]:
            first = self.skip if line.start == self.top else 0
            rows += [(line, part) for part in range(first, self._rows_of(line))]
            if len(rows) >= self.height:
                break
        return rows[: self.height]

    def _to_end(self) -> None:
        """The place from which the last rows fill the window."""
        left = self.height
        for line in reversed(self._window.lines):
            count = self._rows_of(line)
            self.top, self.skip = line.start, max(0, count - left)
            left -= count
            if left <= 0:
                break

    def _rows_below(self, most: int) -> int:
        """Rows from the place on, counted up to `most`."""
        count = -self.skip
        for line in self._window.lines[self._window.index(self.top) :]:
            count += self._rows_of(line)
            if count >= most:
                return most
        return max(0, count)

    # --- what a person does --------------------------------------------------------------------------------------

    def follow(self) -> None:
        """To the end, and stay there."""
        self.following = True
        self.new_lines = self._owed = 0
        self.settle()

    def pause(self) -> None:
        if self.following:
            self._to_end()
        self.following = False
        self.new_lines = 0

    def move(self, rows: int) -> None:
        """Scroll by rows, down when positive; reaching the end follows again."""
        if rows < 0 and self.following:
            self.pause()
        if not self.following:
            self._window = self._window.from_offset(self.start)
            self._owed = rows
            self.settle()

    def show(self, offset: int, *, below: int = 0) -> None:
        """Stand still with the line at `offset`, or the next one that is shown, `below` rows under the top."""
        self.pause()
        if not self._window.begin <= offset <= self._window.end:
            self._restart(Window.at(offset))
        self.top, self.skip, self._owed = offset, 0, -below
        self.settle()

    def set_filter(self, query: Query) -> None:
        """Show only lines that fit, from the place on."""
        self.filter = query
        self._restart(Window() if self.following else Window.at(self.top))
        self.settle()

    def look(self) -> bool:
        """Notice what was written since, or that the file is another or was cut short; False where nothing was."""
        before, now = self._identity, self._file.identity()
        if now == before:
            return False
        self._identity, self.start = now, self._file.start()
        if before is not None and (now is None or now[0] != before[0] or now[1] < before[1]):
            self.following = True
            self.new_lines = self._owed = 0
            self.changes += 1
            self._restart(Window())
        elif before is not None and now is not None and not self.following:
            self.new_lines += self._file.newlines(before[1], now[1])
        self.settle()
        return True

    # --- what is known -------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Get known what is to be shown, as far as that takes no time, and have the rest looked for."""
        self._keep_within_line()
        for _ in range(_ROUNDS):
            self._pay()
            fill = self._wanted() if self._fill is None else None
            if fill is None:
                return
            if self.filter:
                self._held = []
                request = {"begin": fill.begin, "until": fill.until, "back": fill.back, "most": fill.most}
                if self._searcher.ask("fill", self.filter, **request):
                    self._fill, self.share = fill, 0.0
                return
            if fill.back:
                lines = self._file.preceding(fill.begin, fill.most)
                reached = lines[0].start if lines else fill.until
            else:
                lines = self._file.following(fill.begin, fill.most)
                reached = lines[-1].end if lines else fill.until
            self._learn(fill, lines, reached, done=True)

    def answered(self, answer: dict[str, Any]) -> None:
        """Take in lines that were found."""
        fill = self._fill
        if fill is None:
            return
        found = self._file.lines_at(answer["found"])
        self._held = [*reversed(found), *self._held] if fill.back else [*self._held, *found]
        done = bool(answer.get("done"))
        self.share = None if done else answer["share"]
        if done:
            self._fill = None
        self._learn(fill, self._held, answer["reached"], done=done)
        self.settle()

    def drop_fill(self) -> None:
        """No answer comes any more."""
        self._fill, self.share = None, None

    def _restart(self, window: Window) -> None:
        """Know nothing but `window`; what is being looked for is not wanted any more."""
        self._window = window
        self._searcher.stop("fill")
        self.drop_fill()

    def _wanted(self) -> Fill | None:
        """What has to be known next."""
        window, size = self._window, self.size or 0
        margin = self.height if self.filter else 0
        if self.following:
            if window.seen < size:
                until = max(window.end, self.start) if self.filter else self.start
                return Fill(size, until, self.height, back=True, tail=True)
            above, below = len(window.lines), 0
            needed = self.height
        else:
            above = window.index(self.top)
            wanted = self.height + margin + max(0, self._owed)
            below = self._rows_below(wanted)
            if (below < wanted or window.is_torn) and window.seen < size:
                return Fill(window.end, size, wanted)
            needed = max(-self._owed, margin, self.height - below)
        if above < needed and window.begin > self.start:
            return Fill(window.begin, self.start, needed - above, back=True)
        return None

    def _learn(self, fill: Fill, lines: list[LogLine], reached: int, *, done: bool) -> None:
        """All that is shown between where a fill began and what it has `reached` is known now."""
        whole = done and len(lines) < fill.most
        if fill.back:
            begin, end = min(fill.until, reached) if whole else reached, fill.begin
            end = self._file.whole(end) if fill.tail else end
            seen = fill.begin if fill.tail else self._window.seen
            begin = min(begin, end)
        else:
            begin, end = fill.begin, fill.until if whole else reached
            seen = end = max(end, begin)
            if end >= fill.until:
                end = max(begin, self._file.whole(end))
        touches = begin <= self._window.end and end >= self._window.begin
        if touches or done:
            self._window = self._window.with_lines(lines, begin, end, seen)
            self._window = self._window.near(self._window.end if self.following else self.top)

    def _keep_within_line(self) -> None:
        """A line takes fewer rows after the window became wider."""
        lines, place = self._window.lines, self._window.index(self.top)
        if self.skip and place < len(lines) and lines[place].start == self.top:
            self.skip = min(self.skip, self._rows_of(lines[place]) - 1)

    def _pay(self) -> None:
        """Scroll what is still owed, as far as the lines are known."""
        if self.following:
            self._owed = 0
        while self._owed < 0 and self._up():
            self._owed += 1
        while self._owed > 0:
            if self._rows_below(self.height + 1) > self.height:
                self._down()
                self._owed -= 1
            elif self._window.seen < (self.size or 0):
                return
            else:
                self.following = True
                self.new_lines = self._owed = 0
        if self._owed < 0 and self._window.begin <= self.start:
            self._owed = 0
        if not self.following and self._window.seen >= (self.size or 0):
            while self._rows_below(self.height) < self.height and self._up():
                pass

    def _up(self) -> bool:
        """One row up; False where no line is known above."""
        if self.skip:
            self.skip -= 1
            return True
        place = self._window.index(self.top)
        if place == 0:
            return False
        line = self._window.lines[place - 1]
        self.top, self.skip = line.start, self._rows_of(line) - 1
        return True

    def _down(self) -> None:
        lines, place = self._window.lines, self._window.index(self.top)
        line = lines[place]
        self.top, self.skip = line.start, self.skip if line.start == self.top else 0
        if self.skip + 1 < self._rows_of(line):
            self.skip += 1
        elif place + 1 < len(lines):
            self.top, self.skip = lines[place + 1].start, 0
