"""Whole numbers as a histogram: their quantiles without keeping each."""

from __future__ import annotations

from collections import Counter


class Sizes:
    """Whole numbers seen so far, as a histogram: median and quantiles without keeping each."""

    def __init__(self) -> None:
        self.histogram: Counter[int] = Counter()
        self.n = 0
        self.total = 0

    def add(self, value: int) -> None:
        self.histogram[value] += 1
        self.n += 1
        self.total += value

    def quantile(self, share: float) -> float | None:
        """Linear interpolation between order statistics (numpy's default); None without values."""
        if not self.n:
            return None
        position = share * (self.n - 1)
        low = int(position)
        high = min(low + 1, self.n - 1)
        seen, below = 0, None
        for value in sorted(self.histogram):
            seen += self.histogram[value]
            if below is None and seen > low:
                below = value
            if below is not None and seen > high:
                return below + (value - below) * (position - low)
        raise IndexError(high)

    def summary(self) -> dict[str, float | None]:
        """`median mean min max p95`, all None without values."""
        if not self.n:
            return dict.fromkeys(("median", "mean", "min", "max", "p95"))
        return {
            "median": self.quantile(0.5),
            "mean": self.total / self.n,
            "min": min(self.histogram),
            "max": max(self.histogram),
            "p95": self.quantile(0.95),
        }
