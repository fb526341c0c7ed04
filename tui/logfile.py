"""A log read by byte offset: any size opens at once and takes no memory. The file is the buffer.

A line is addressed by the offset of its first byte; the first line is that after the hole where the oldest octets
were given back to the disk. All methods open the file anew, so that a log that was replaced, cut short or trimmed is
seen as it is now; what cannot be read is empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from engine.logs.holes import log_start
from engine.logs.sanitise import sanitise_bytes

MAX_LINE = 2000
"""Characters of a line that are shown; the rest of a longer one is skipped."""
_BLOCK = 16_384
LONGEST = 1 << 20
"""Octets that are searched for a line's start or end before it is cut there."""
TAB = 4


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: where it starts, where the next one does, its sanitised text."""

    start: int
    end: int
    text: str


def readable(octets: bytes) -> str:
    """The text of a line, fit for the screen."""
    return sanitise_bytes(octets, MAX_LINE).expandtabs(TAB)


class LogFile:
    """Reads lines around an offset of the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int | None:
        """Octets in the file; None when there is none to read."""
        known = self.identity()
        return known[1] if known is not None else None

    def identity(self) -> tuple[int, int] | None:
        """What the file is known by, and its octets; None when there is none to read."""
        try:
            known = self.path.stat()
        except (OSError, ValueError):  # ValueError: no file can have such a name
            return None
        return known.st_ino, known.st_size

    def start(self) -> int:
        """Offset of the first line: 0, unless the oldest ones were given back to the disk."""
        with LogReader(self.path) as reader:
            return reader.start

    def following(self, offset: int, lines: int) -> list[LogLine]:
        """Up to `lines` lines from the one that starts at `offset`, or from the first one there still is; a torn last
        line counts as one."""
        found: list[LogLine] = []
        with LogReader(self.path) as reader:
            offset = max(offset, reader.start)
            while len(found) < lines:
                octets = reader.line(offset)
                if not octets:
                    break
                found.append(LogLine(offset, offset + len(octets), readable(octets)))
                offset += len(octets)
        return found

    def preceding(self, offset: int, lines: int) -> list[LogLine]:
        """Up to `lines` lines before the one that starts at `offset`, in the order of the file."""
        if lines <= 0 or offset <= 0:
            return []
        with LogReader(self.path) as reader:
            starts = reader.starts_before(offset, lines)
            return [reader.shown(start, end) for start, end in pairwise([*starts, offset])]

    def last(self, lines: int) -> list[LogLine]:
        """The last `lines` lines."""
        return self.preceding(self.size() or 0, lines)

    def lines_at(self, places: Iterable[tuple[int, int]]) -> list[LogLine]:
        """The lines with these starts and ends."""
        with LogReader(self.path) as reader:
            return [reader.shown(start, end) for start, end in places]

    def whole(self, size: int) -> int:
        """Where the last whole line before `size` ends; what stands behind it may still grow."""
        with LogReader(self.path) as reader:
            begin = max(0, size - LONGEST)
            place = reader.read(begin, size - begin).rfind(b"\n")
        if place >= 0:
            return begin + place + 1
        return size if begin else 0

    def newlines(self, start: int, end: int) -> int:
        """Line ends between two offsets; looks at no more than a mebibyte."""
        with LogReader(self.path) as reader:
            return reader.read(start, min(max(0, end - start), LONGEST)).count(b"\n")


class LogReader:
    """One open file; what cannot be opened or read is empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> LogReader:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError):
            self._descriptor = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    @property
    def start(self) -> int:
        """Offset at which the log begins."""
        try:
            return log_start(self._descriptor) if self._descriptor is not None else 0
        except OSError:
            return 0

    def read(self, offset: int, length: int) -> bytes:
        if self._descriptor is None or length <= 0:
            return b""
        try:
            return os.pread(self._descriptor, length, max(0, offset))
        except OSError:
            return b""

    def line(self, offset: int) -> bytes:
        """The line from `offset`, its line break included; cut where it is longer than `LONGEST`."""
        blocks: list[bytes] = []
        length = 0
        while length < LONGEST:
            block = self.read(offset + length, _BLOCK)
            place = block.find(b"\n")
            blocks.append(block[: place + 1] if place >= 0 else block)
            if place >= 0 or not block:
                break
            length += len(block)
        return b"".join(blocks)

    def shown(self, start: int, end: int) -> LogLine:
        """The line from `start` to `end`, as it can be shown."""
        return LogLine(start, end, readable(self.read(start, min(end - start, LONGEST))))

    def lines_from(self, offset: int, length: int) -> tuple[int, bytes]:
        """About `length` octets of whole lines from `offset`, or from the first line there still is, with where they
        start; a torn last line counts as one. Nothing at the end of the file."""
        offset = max(offset, self.start)
        octets = self.read(offset, length)
        if len(octets) == length:
            place = octets.rfind(b"\n")
            octets = octets[: place + 1] if place >= 0 else self.line(offset)
        return offset, octets

    def lines_before(self, offset: int, length: int) -> tuple[int, bytes]:
        """About `length` octets of whole lines that end at `offset`, with where they start. Nothing at the start."""
        first = self.start
        begin = max(first, offset - length)
        octets = self.read(begin, offset - begin)
        if len(octets) < offset - begin:
            return offset, b""
        place = octets.find(b"\n", 0, -1)
        if begin == first:
            return begin, octets
        if place >= 0:
            return begin + place + 1, octets[place + 1 :]
        return self.lines_before(offset, LONGEST) if length < LONGEST else (begin, octets)

    def starts_before(self, offset: int, lines: int) -> list[int]:
        """Starts of up to `lines` lines that lie before `offset`, ascending."""
        starts: list[int] = []
        first = self.start
        end = max(first, offset - 1)  # a line break right before `offset` ends the last line and opens none
        while end > first and len(starts) < lines:
            begin = max(first, end - _BLOCK)
            block = self.read(begin, end - begin)
            if len(block) < end - begin:
                return []
            at = len(block)
            while len(starts) < lines and (at := block.rfind(b"\n", 0, at)) >= 0:
                starts.append(begin + at + 1)
            end = begin
            if end > first and len(starts) < lines and (starts[-1] if starts else offset) - end > LONGEST:
                starts.append(end)
        if end == first and offset > first and len(starts) < lines:
            starts.append(first)
        return starts[::-1]
