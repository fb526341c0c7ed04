"""Keeps `run.log` within its limit on disk without touching whoever writes it.

The generator holds the file itself, opened to append, so that no pipe can break and nothing can make it wait. Its
oldest octets are given back to the disk by punching a hole (fallocate(2), FALLOC_FL_PUNCH_HOLE): the file keeps its
length and every octet its offset, the newest lines stay, and what was given back reads as zeros. A file system that
has no holes (NFS before 4.2, some FUSE) keeps the whole log; that is said once.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from engine.journal.events import LogTrimmed

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own


def punch_hole(descriptor: int, start: int, length: int) -> None:
    """Give the octets from `start` back to the disk. Raises `OSError`: EOPNOTSUPP where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    call = libc.fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if call(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class LogLimit:
    """Keeps the file at `path` to about `limit_bytes` on disk; half of it stays after a trim."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._possible = True

    def tend(self) -> LogTrimmed | None:
        """Trim the log if it is over its limit; what was done, or that it cannot be done (once)."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        if not self._possible or status.st_blocks * BLOCK_BYTES <= self._limit:
            return None
        block = max(status.st_blksize, 1)
        start = (status.st_size - self._limit // 2) // block * block
        if start <= 0:
            return None
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                punch_hole(descriptor, 0, start)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOSPC):
                return None
            self._possible = False
            return LogTrimmed(start=0, punched=False)
        return LogTrimmed(start=start, punched=True)
