"""How many files and sockets this process may have open at a time: each request to a server holds one."""

from __future__ import annotations

import contextlib
import os
import resource
import sys

KEPT_FREE = 128
"""For everything but requests: records, artifacts, libraries that are imported late."""


def raise_limit() -> None:
    """Take all that this process may have: many machines begin with 1024, and a wide device gets more requests."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # what there is has to do
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sockets_left() -> int:
    """How many requests may be in flight beside all that is open; at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, soft - len(os.listdir("/proc/self/fd")) - KEPT_FREE)
