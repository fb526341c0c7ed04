"""How often something that keeps failing is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

FIRST_S = 2.0
MOST_S = 60.0


class Patience:
    """Allows a try at once, the next after `FIRST_S` seconds, then after twice as long each time, up to `MOST_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[Hashable, tuple[float, float]] = {}

    def may_try(self, what: Hashable) -> bool:
        """Whether `what` may be tried now; counts as a try."""
        now = self._clock()
        due, pause = self._next.get(what, (now, FIRST_S))
        if now < due:
            return False
        self._next[what] = (now + pause, min(2 * pause, MOST_S))
        return True
