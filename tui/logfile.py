"""A log read by byte offset: any size opens at once and takes no memory. The file is the buffer.

A line is addressed by the offset of its first byte; the first line is that after the hole where the oldest octets
were given back to the disk. All methods open the file anew, so that a log that was replaced, cut short or trimmed is
seen as it is now; what cannot be read is empty.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from engine.logs.holes import log_start
from engine.logs.sanitise import sanitise_bytes

MAX_LINE = 2000
"""Characters of a line that are shown; the rest of a longer one is skipped."""
_BLOCK = 16_384
_LONGEST = 1 << 20
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
        try:
            return self.path.stat().st_size
        except (OSError, ValueError):  # ValueError: no file can have such a name
            return None

    def start(self) -> int:
        """Offset of the first line: 0, unless the oldest ones were given back to the disk."""
        with _Reader(self.path) as reader:
            return reader.start

    def following(self, offset: int, lines: int) -> list[LogLine]:
        """Up to `lines` lines from the one that starts at `offset`, or from the first one there still is; a torn last
        line counts as one."""
        found: list[LogLine] = []
        with _Reader(self.path) as reader:
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
        with _Reader(self.path) as reader:
            starts = reader.starts_before(offset, lines)
            found = []
            for start, end in pairwise([*starts, offset]):
                found.append(LogLine(start, end, readable(reader.read(start, min(end - start, MAX_LINE * 8)))))
        return found

    def last(self, lines: int) -> list[LogLine]:
        """The last `lines` lines."""
        return self.preceding(self.size() or 0, lines)

    def newlines(self, start: int, end: int) -> int:
        """Line ends between two offsets; looks at no more than a mebibyte."""
        with _Reader(self.path) as reader:
            return reader.read(start, min(max(0, end - start), _LONGEST)).count(b"\n")


class _Reader:
    """One open file; what cannot be opened or read is empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> _Reader:
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
        """The line from `offset`, its line break included; cut where it is longer than `_LONGEST`."""
        octets = b""
        while len(octets) < _LONGEST:
            block = self.read(offset + len(octets), _BLOCK)
            place = block.find(b"\n")
            if place >= 0:
                return octets + block[: place + 1]
            if not block:
                break
            octets += block
        return octets

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
            if end > first and len(starts) < lines and (starts[-1] if starts else offset) - end > _LONGEST:
                starts.append(end)
        if end == first and offset > first and len(starts) < lines:
            starts.append(first)
        return starts[::-1]
