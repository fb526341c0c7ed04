"""When to try a server again that does not serve, and when it counts as lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_RETRY_AFTER_S = 60.0
"""A server that asks for more patience than that is asked again all the same."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling delays with jitter, so that many clients do not come back at the same moment. Seconds."""

    first_s: float = 0.25
    longest_s: float = 10.0
    jitter: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Before the next try after so many failures in a row (at least one); from half of it to the whole."""
        whole = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return whole * (0.5 + 0.5 * self.jitter())


class Pacing:
    """Trouble that concerns the whole server: it cannot be reached, or turns requests away. Times are monotonic.

    `down`: the last thing heard of it is that it cannot be reached; one request at a time finds out whether it is back.
    """

    def __init__(self, retry_for_s: float, backoff: Backoff) -> None:
        self._retry_for_s, self._backoff = retry_for_s, backoff
        self._since: float | None = None
        self._failures = 0
        self.paused_until_s = 0.0
        self.down = False

    def served(self) -> None:
        """The server answered a request, be it with an error that is about the request."""
        self._since, self._failures, self.down = None, 0, False

    def forget(self) -> None:
        """Nothing is asked of the server any more: what was wrong with it says nothing about later."""
        self.served()
        self.paused_until_s = 0.0

    def trouble(self, now_s: float, *, down: bool, retry_after_s: float | None = None) -> None:
        """A request was not served. Many that fail together count once; the server's own wish is respected."""
        if self._since is None:
            self._since = now_s
        self.down = self.down or down
        asked = min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
        delay = 0.0
        if now_s >= self.paused_until_s:
            self._failures += 1
            delay = self._backoff.delay(self._failures)
        pause, left = max(delay, asked), self._since + self._retry_for_s - now_s
        self.paused_until_s = max(self.paused_until_s, now_s + (min(pause, left) if left > 0 else pause))

    def lost(self, now_s: float) -> bool:
        """Whether nothing has been served for as long as one waits, counted from the first trouble."""
        return self._since is not None and now_s - self._since >= self._retry_for_s
