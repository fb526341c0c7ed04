"""The lines of a log that are known just now: all that are shown of one stretch of the file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from tui.logfile import LogLine

KEPT = 500
"""Lines that are kept on either side of what is in sight."""


@dataclass(frozen=True, slots=True)
class Window:
    """`lines` are those that are shown of the octets from `begin` to `end`, and a torn one behind them. `seen`: up to
    here the file was looked at; a torn line that begins at `end` is looked at again when more of it is there."""

    lines: tuple[LogLine, ...] = ()
    begin: int = 0
    end: int = 0
    seen: int = 0

    @classmethod
    def at(cls, offset: int) -> Window:
        """One in which nothing is known yet, at `offset`."""
        return cls((), offset, offset, offset)

    @property
    def is_torn(self) -> bool:
        """Whether the last line may have grown since."""
        return bool(self.lines) and self.lines[-1].start >= self.end

    def index(self, offset: int) -> int:
        """Number of the first line that starts at `offset` or later."""
        return bisect_left(self.lines, offset, key=lambda line: line.start)

    def with_lines(self, lines: Sequence[LogLine], begin: int, end: int, seen: int) -> Window:
        """With all that is shown between two offsets; only that where it does not touch what was known."""
        if begin > self.end or end < self.begin:
            return Window(tuple(lines), begin, end, seen)
        last = max(end, lines[-1].end) if lines else end
        before = self.lines[: self.index(begin)]
        # From the end on a line that was torn is whole now, or is not shown any more.
        behind = self.lines[self.index(last) :] if begin < self.end else ()
        seen = seen if end >= self.end else self.seen
        return Window((*before, *lines, *behind), min(begin, self.begin), max(end, self.end), seen)

    def from_offset(self, offset: int) -> Window:
        """Without what starts before `offset`, which is not there any more."""
        if offset <= self.begin:
            return self
        return Window(self.lines[self.index(offset) :], offset, max(offset, self.end), max(offset, self.seen))

    def near(self, offset: int) -> Window:
        """Without what is far from the line that starts at `offset`."""
        place = self.index(offset)
        first, last = max(0, place - KEPT), min(len(self.lines), place + KEPT)
        if first == 0 and last == len(self.lines):
            return self
        begin = self.lines[first].start if first else self.begin
        if last == len(self.lines):
            return Window(self.lines[first:], begin, self.end, self.seen)
        end = self.lines[last].start
        return Window(self.lines[first:last], begin, end, end)
