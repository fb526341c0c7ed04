"""Reads a growing log from its end and then from where it stopped, with bounded memory and sanitised lines."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.errors import ConfigurationError
from engine.logs.holes import hole_end, log_start
from engine.logs.sanitise import LINE_LIMIT, sanitise_bytes

BLOCK_BYTES = 1 << 16
LINE_BYTES = 1 << 16  # of one line, no more is kept
LOOK_BACK_BYTES = 64 << 20  # so far `last` looks back for line breaks
DEFAULT_LINES = 1000
POLL_S = 0.25


class LogTail:
    """The end of the file at `path`, which another process appends to.

    Lines come out sanitised, at most `line_limit` characters each. `restarts` counts how often the file was found
    truncated or replaced, upon which it is read from its new beginning. What was given back to the disk is passed
    over (`engine.logs.holes`). A missing file is an empty one.
    """

    def __init__(self, path: Path, *, line_limit: int = LINE_LIMIT) -> None:
        self.path = path
        self.offset = 0
        self.restarts = 0
        self._line_limit = line_limit
        self._inode: tuple[int, int] | None = None
        self._rest = b""

    @property
    def partial(self) -> str:
        """The last line so far, while its line break has not come: a progress bar, say."""
        return sanitise_bytes(self._rest, self._line_limit)

    def last(self, lines: int = DEFAULT_LINES) -> list[str]:
        """The last `lines` whole lines of the file as it stands, oldest first; `read_new` goes on from there."""
        self._rest, self.offset, self._inode = b"", 0, None
        descriptor = self._open()
        if descriptor is None:
            return []
        try:
            self.offset = _start_of_last(descriptor, lines)
            return self._read(descriptor, lines)
        finally:
            os.close(descriptor)

    def read_new(self, lines: int = DEFAULT_LINES) -> list[str]:
        """Whole lines that were appended since; of more than `lines`, the newest."""
        descriptor = self._open()
        if descriptor is None:
            return []
        try:
            return self._read(descriptor, lines)
        finally:
            os.close(descriptor)

    def _open(self) -> int | None:
        """Open the file and notice whether it is another, or shorter, than the one that was read last."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        status = os.fstat(descriptor)
        inode = (status.st_dev, status.st_ino)
        if self._inode not in (None, inode) or status.st_size < self.offset:
            self.offset, self._rest = 0, b""
            self.restarts += 1
        self._inode = inode
        return descriptor

    def _read(self, descriptor: int, lines: int) -> list[str]:
        newest: deque[bytes] = deque(maxlen=max(lines, 0))
        if self.offset < hole_end(descriptor):  # it was punched up to behind the place that had been reached
            self.offset, self._rest = log_start(descriptor), b""
        while block := os.pread(descriptor, BLOCK_BYTES, self.offset):
            self.offset += len(block)
            whole = block.split(b"\n")
            whole[0] = _joined(self._rest, whole[0])
            self._rest = _joined(b"", whole.pop()) if len(whole) > 1 else whole.pop()
            newest.extend(whole)
        return [sanitise_bytes(line, self._line_limit) for line in newest]


def _joined(rest: bytes, more: bytes) -> bytes:
    """A line so far and what came after, bounded: what was overwritten by a carriage return goes, then what is too
    long. The last carriage return is kept, since a line break may follow it."""
    line = rest + more
    if len(line) > LINE_BYTES // 2:
        line = line[line.rfind(b"\r", 0, -1) + 1 :]
    return line[:LINE_BYTES]


def _start_of_last(descriptor: int, lines: int) -> int:
    """Offset of the first of the last `lines` whole lines; line breaks are counted in blocks from the end."""
    size = position = os.fstat(descriptor).st_size
    beginning = min(log_start(descriptor), size)
    wanted = lines + 1  # the line break before the first of them, beside their own
    while position > beginning and size - position < LOOK_BACK_BYTES:
        start = max(position - BLOCK_BYTES, beginning)
        block = os.pread(descriptor, position - start, start)
        found = block.count(b"\n")
        if found >= wanted:
            at = len(block)
            for _ in range(wanted):
                at = block.rfind(b"\n", 0, at)
            return start + at + 1
        wanted -= found
        position = start
    return position


def follow(
    path: Path,
    *,
    lines: int = 10,
    stop: Callable[[], bool] = lambda: False,
    keep: Callable[[str], bool] | None = None,
    poll_s: float = POLL_S,
) -> Iterator[str]:
    """The last `lines` lines and then each new one, as `logs -f` shows them.

    Ends once `stop` says so and all that was written by then has been given, an unfinished last line included.
    `keep` filters, see `matching`; the last `lines` are counted before it.
    """
    tail = LogTail(path)
    kept = keep or _any_line
    found = tail.last(lines)
    while True:
        yield from filter(kept, found)
        ending = stop()  # asked before the last read, so that nothing written before the end is missed
        found = tail.read_new(lines=1_000_000)
        if ending:
            yield from filter(kept, [*found, *([tail.partial] if tail.partial else [])])
            return
        if not found:
            time.sleep(poll_s)


def matching(pattern: str | None) -> Callable[[str], bool]:
    """A filter for `--grep`: lines in which the regular expression `pattern` is found; all when it is None.

    Raises `ConfigurationError` for what is not a regular expression.
    """
    if pattern is None:
        return _any_line
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(
            f"--grep {pattern!r} is not a regular expression: {error}",
            remedy="escape the characters . ^ $ * + ? { } [ ] \\ | ( ) with a backslash to search for them as they are",
        ) from error
    return lambda line: expression.search(line) is not None


def _any_line(_: str) -> bool:
    return True
