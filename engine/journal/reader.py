"""Reads JSON lines from where it stopped last, and never the same line twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json

CHUNK_BYTES = 1 << 20


class JournalReader:
    """Continues from a byte offset; leaves a line without its line break for the next time.

    `offset` is the byte after the last line consumed, `lines` how many lines were consumed, `garbage` how many of
    them were not JSON objects (and were skipped).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.lines = 0
        self.garbage = 0

    def read_new(self) -> Iterator[dict[str, Any]]:
        """Yield every object of a whole line that was appended since the last call. A missing file has none."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            if os.fstat(descriptor).st_size <= self.offset:
                return
            position, rest = self.offset, b""
            while chunk := os.pread(descriptor, CHUNK_BYTES, position):
                position += len(chunk)
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    self.offset += len(line) + 1
                    self.lines += 1
                    value = _parsed(line)
                    if value is not None:
                        yield value
                    elif line.strip():
                        self.garbage += 1
        finally:
            os.close(descriptor)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = from_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
