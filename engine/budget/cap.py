"""What an attempt may cost from its start on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cap:
    """`left` US dollars, None for as many as it takes, from the moment `began` (seconds of CLOCK_MONOTONIC) on."""

    began: float
    left: float | None

    def is_spent(self, now: float, usd_per_second: float) -> bool:
        return self.left is not None and usd_per_second > 0 and (now - self.began) * usd_per_second >= self.left


def all_are_spent(caps: Iterable[Cap], now: float, usd_per_second: float) -> bool:
    """Whether nobody's cap allows what several pay for together: an engine, and the runs that use it. A run that was
    started within a limit that has been raised keeps its engine up."""
    return all(cap.is_spent(now, usd_per_second) for cap in caps)
