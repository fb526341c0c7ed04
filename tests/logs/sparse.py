"""Logs whose oldest octets were given back to the disk, as `run.log` is at its limit."""

from __future__ import annotations

import os
from pathlib import Path

from engine.supervise.log_limit import punch_hole

HUGE = 50_000_000_000
BLOCK = 4096


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def punch(path: Path, octets: int) -> int:
    """Give the first `octets` back, down to whole blocks; how many it were."""
    start = octets // BLOCK * BLOCK
    descriptor = os.open(path, os.O_WRONLY)
    try:
        punch_hole(descriptor, 0, start)
    finally:
        os.close(descriptor)
    return start


def huge(path: Path, data: bytes) -> None:
    """50 GB on paper: `data` is what is left at the end, and the line that it begins with has lost its beginning."""
    path.touch()
    os.truncate(path, HUGE)
    append(path, data)
