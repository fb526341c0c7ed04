"""Polls the service on a thread of its own and tells the app what changed.

A plain daemon thread, not a worker: a poll that hangs on a dead network mount must not keep the screen from closing
(the event loop waits for its executor's threads at the end; a daemon thread nobody waits for).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from engine.errors import PilothouseError
from engine.snapshot import Snapshot
from tui.cells import clean
from tui.cockpit import Cockpit
from tui.logfile import LogFile
from tui.messages import LogArrived, SnapshotArrived
from tui.view import STALE_AFTER_S

INTERVAL_S = 0.5
SLOWEST_S = 4.0
REST = 9
"""At least so many times as long as a poll took is nothing polled: with hundreds of runs it may take 0.1 s."""


class Feed:
    """`post` is called from the feed's thread with a message for every change.

    `fresh_at` (monotonic) is when a poll last succeeded, `problem` why the last one did not.
    """

    def __init__(self, service: Cockpit, post: Callable[[Message], object], *, interval_s: float = INTERVAL_S) -> None:
        self._service = service
        self._post = post
        self._interval_s = self._pause_s = interval_s
        self._rest_s = 0.0
        self._wake = threading.Event()
        self._closed = False
        self._watched: tuple[str, int] | None = None
        self._snapshot: Snapshot | None = None
        self._log: tuple[str, tuple[str, ...], int | None] | None = None
        self.fresh_at = time.monotonic()
        self.problem = ""

    def start(self) -> None:
        threading.Thread(target=self._run, name="feed", daemon=True).start()

    def close(self) -> None:
        """Ask the thread to end; does not wait for it."""
        self._closed = True
        self._wake.set()

    def refresh(self) -> None:
        """Poll now instead of at the next tick."""
        self._wake.set()

    def line_pace(self, *, busy: bool) -> None:
        """Poll half as often for every picture that has to wait for the line, and as ever once one does not."""
        self._pause_s = min(max(SLOWEST_S, self._interval_s), self._pause_s * 2) if busy else self._interval_s

    @property
    def late_after_s(self) -> float:
        """The age from which on a picture is older than one that waits for the next poll, however seldom those are."""
        return max(STALE_AFTER_S, 2 * self._pause_s, 2 * self._rest_s)

    def watch_log(self, path: str | None, lines: int) -> None:
        """From now on report the last `lines` lines of the log at `path` (relative to the workspace or absolute)."""
        watched = (path, lines) if path else None
        if watched != self._watched:
            self._watched = watched
            self.refresh()

    def _run(self) -> None:
        while not self._closed:
            begun = time.monotonic()
            self._poll()
            self._read_log()
            self._rest_s = min(REST * (time.monotonic() - begun), SLOWEST_S)
            self._wake.wait(max(self._pause_s, self._rest_s))
            self._wake.clear()

    def _poll(self) -> None:
        try:
            snapshot = self._service.poll()
        except PilothouseError as error:
            self.problem = clean(error.what)
            return
        except Exception as error:  # whatever goes wrong below, the screen goes on and says so
            self.problem = clean(f"{type(error).__name__}: {error}", 200)
            return
        self.fresh_at = time.monotonic()
        self.problem = ""
        if snapshot != self._snapshot:
            self._snapshot = snapshot
            self._tell(SnapshotArrived(snapshot))

    def _read_log(self) -> None:
        watched = self._watched
        if watched is None:
            return
        path, lines = watched
        file = LogFile(Path(self._service.root) / path)
        size = file.size()
        if self._log is not None and self._log[0] == path and self._log[2] == size and len(self._log[1]) >= lines:
            return
        state = (path, tuple(line.text for line in file.last(lines)), size)
        if state != self._log:
            self._log = state
            self._tell(LogArrived(*state))

    def _tell(self, message: Message) -> None:
        if not self._closed:
            self._post(message)
