"""Appends JSON lines to a file that only this process writes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

SYNC_EVERY_SECONDS = 1.0


def repair_tail(path: Path) -> int:
    """Make `path` end in a whole line; return how many bytes of a half-written line were dropped.

    A crash in the middle of a write leaves a last line without its line break. If it is whole JSON all the same it
    gets its line break; otherwise it was never acknowledged, and goes.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        size = os.fstat(descriptor).st_size
        start, tail = size, b""
        while start > 0 and b"\n" not in tail:
            step = min(65_536, start)
            start -= step
            tail = os.pread(descriptor, step, start) + tail
        last = tail[tail.rfind(b"\n") + 1 :]
        if not last:
            return 0
        try:
            json.loads(last)
        except ValueError:
            os.ftruncate(descriptor, size - len(last))
            os.fsync(descriptor)
            return len(last)
        os.pwrite(descriptor, b"\n", size)
        os.fsync(descriptor)
        return 0
    finally:
        os.close(descriptor)


class JournalWriter:
    """Appends one JSON object a line, whole lines only, and syncs at most once a second and at the end.

    Opening repairs a torn tail. A write that fails (full disk) raises `OSError` and leaves the file ending in the
    last whole line, so that what was acknowledged stays readable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repaired_bytes = repair_tail(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._synced = time.monotonic()

    def append(self, value: dict[str, Any], *, sync: bool = False) -> None:
        """Write `value` as one line; with `sync` it is on disk when this returns."""
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        written = 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            if written:
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise
        now = time.monotonic()
        if sync or now - self._synced >= SYNC_EVERY_SECONDS:
            os.fsync(self._descriptor)
            self._synced = now

    def close(self) -> None:
        if self._descriptor >= 0:
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
