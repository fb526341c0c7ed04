"""Idle watchers of a test: found by their command line, and killed after it."""

from __future__ import annotations

import signal
from pathlib import Path

from engine.journal.events import ProcessIdentity
from engine.supervise.identity import identity_of, is_alive, signal_process
from tests.waiting import wait_until


def watchers(root: Path) -> list[ProcessIdentity]:
    """Every living idle watcher of the workspace `root`."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"engine.supervise.idle_watch" in arguments and str(root).encode() in arguments:
            identity = identity_of(int(process.name))
            if identity is not None and is_alive(identity):
                found.append(identity)
    return found


def bury_watchers(root: Path) -> None:
    """Kill them all; one that is just being started, too."""

    def none_left() -> bool:
        left = watchers(root)
        for identity in left:
            signal_process(identity, signal.SIGKILL)
        return not left

    wait_until(none_left, what="the end of the idle watchers")
