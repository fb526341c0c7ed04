"""Being asked to stop: SIGINT and SIGTERM become wake-ups of whoever waits, from the first moment on."""

from __future__ import annotations

import signal
from queue import SimpleQueue
from types import FrameType
from typing import Any


class StopRequests:
    """Counts the signals. The first asks for a graceful end, a second one to drop what is in flight."""

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""
        self._wakeups: list[SimpleQueue[Any]] = []

    @property
    def requested(self) -> bool:
        return self.count > 0

    @property
    def at_once(self) -> bool:
        return self.count > 1

    def install(self) -> None:
        """Take over SIGINT and SIGTERM. Call it in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def wake(self, queue: SimpleQueue[Any]) -> None:
        """Put None into `queue` at every request, beginning with those that came before."""
        self._wakeups.append(queue)
        if self.requested:
            queue.put(None)

    def ask(self, reason: str) -> None:
        """What a signal does; `SimpleQueue.put` may be called from a signal handler."""
        self.count += 1
        self.reason = self.reason or reason
        for queue in self._wakeups:
            queue.put(None)

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.ask(signal.Signals(number).name)
