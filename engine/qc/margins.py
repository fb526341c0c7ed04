"""The spread of the critics' margins, in memory that does not grow with the run and whatever order they come in."""

from __future__ import annotations

import math
from collections import Counter

EXACT = 4096
"""Up to so many values each is kept, and the median exact."""
ACCURACY = 0.005
LEAST, MOST = 1e-6, 1e15
"""Sizes in nats that are told apart: less counts as nothing, more is nonsense, infinite ones too."""

_STEP = math.log((1 + ACCURACY) / (1 - ACCURACY))
_GRAIN = 1 << 40


class Spread:
    """Number, mean, median, least and most of the values added; the same in whatever order they were.

    Over `EXACT` values the median is that of a DDSketch (Masson et al. 2019, VLDB 12): within 0.5 % of the true one,
    from counts in logarithmic classes, of which there are under 5,000 a sign. The mean is then exact to 10⁻¹² nats.
    """

    def __init__(self) -> None:
        self._values: list[float] = []
        self._classes: Counter[int] = Counter()
        self._poured = 0
        self._grains = 0
        self._least, self._most = math.inf, -math.inf

    def add(self, value: float) -> None:
        """Take in `value`, in nats; one that cannot be a margin is passed over."""
        if -MOST <= value <= MOST:
            self._values.append(value)
            if len(self._values) > EXACT:
                self._pour()

    def _pour(self) -> None:
        """Put the values kept so far into their classes."""
        values = self._values
        if values:
            self._classes.update([_class_of(value) for value in values])
            self._grains += sum([int(value * _GRAIN) for value in values])
            self._least, self._most = min(self._least, *values), max(self._most, *values)
            self._poured += len(values)
            self._values = []

    def summary(self) -> dict[str, float | None]:
        """`n mean median min max`, all but n None without values."""
        if self._poured:
            self._pour()
            n, mean, median = self._poured, self._grains / self._poured / _GRAIN, self._median()
            return {"n": n, "mean": mean, "median": median, "min": self._least, "max": self._most}
        if not self._values:
            return {"n": 0, "mean": None, "median": None, "min": None, "max": None}
        ordered = sorted(self._values)
        n = len(ordered)
        median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
        return {"n": n, "mean": math.fsum(ordered) / n, "median": median, "min": ordered[0], "max": ordered[-1]}

    def _median(self) -> float:
        below, above = self._ranked((self._poured - 1) // 2), self._ranked(self._poured // 2)
        return min(max((below + above) / 2, self._least), self._most)

    def _ranked(self, rank: int) -> float:
        seen = 0
        for number in sorted(self._classes):
            seen += self._classes[number]
            if seen > rank:
                return _middle_of(number)
        raise IndexError(rank)


_NOTHING = math.floor(math.log(LEAST) / _STEP)


def _class_of(value: float) -> int:
    """The class of `value`: 0 for next to nothing, its sign that of `value`, its size growing with the logarithm."""
    if value > LEAST:
        return math.ceil(math.log(value) / _STEP) - _NOTHING
    return _NOTHING - math.ceil(math.log(-value) / _STEP) if value < -LEAST else 0


def _middle_of(number: int) -> float:
    """The value that is within `ACCURACY` of all those of a class."""
    if number == 0:
        return 0.0
    upper = math.exp((abs(number) + _NOTHING) * _STEP)
    return math.copysign(upper * (1 - ACCURACY), number)
