"""How many requests a server gets at a time: more while that makes it faster, half as many when it is too much."""

from __future__ import annotations

from dataclasses import dataclass

START = 32
START_OF_QUEUES = 128
"""Where to begin with a server that is known to queue whatever it cannot run yet."""

FAST, CAREFUL = 2.0, 1.1
"""Factors of growth: before the server has ever been too busy and up to half of where it was, and beyond that."""

WORTH = 0.05
"""The share of its own size that growth must add in throughput: a doubling is kept when it adds five percent."""

IDLE_SHARE = 0.25
"""A round proves nothing when more than that share of it found the queue empty and places free."""

HOLD_ROUNDS = 5
SHORTEST_ROUND_S = 0.25


@dataclass(slots=True)
class _Round:
    """Requests that finished under one limit. The first `skip` belong to the limit before it."""

    skip: int
    finished: int = 0
    idle: int = 0
    work: float = 0.0
    began_s: float | None = None


class AdaptiveLimit:
    """Between 1 and `most`. Pure: it is told what happened and when, and has no clock.

    Throughput is measured in rounds: as many requests as the limit, twice over (the first lot was started under the
    limit before), while the limit was the bottleneck. After a round the limit grows; if the next round is not faster it
    goes back, and holds for `HOLD_ROUNDS` rounds. A server that is too busy has the limit halved, once for all requests
    that were begun before.
    """

    def __init__(self, most: int, start: int = START) -> None:
        self._most = most
        self._limit = min(start, most)
        self._threshold = most
        self._before: tuple[int, float] | None = None
        self._hold = 0
        self._epoch = 0
        self._finished_since_cut = True
        self._round = _Round(skip=0)

    @property
    def limit(self) -> int:
        return self._limit

    @property
    def epoch(self) -> int:
        """Counts the times it was halved; a request remembers the one it was begun in."""
        return self._epoch

    def finished(self, work: float, now_s: float, *, full: bool) -> None:
        """A request was served. `work` is in any unit that adds up; `full`: the limit kept more from being sent."""
        self._finished_since_cut = True
        current = self._round
        if current.skip > 0:
            current.skip -= 1
            return
        if current.began_s is None:
            current.began_s = now_s
            return
        current.finished += 1
        current.idle += not full
        current.work += work
        seconds = now_s - current.began_s
        if current.finished < self._limit or seconds < SHORTEST_ROUND_S:
            return
        if current.idle > IDLE_SHARE * current.finished:
            self._round = _Round(skip=0)
        else:
            self._judge(current.work / seconds)

    def too_busy(self, epoch: int) -> None:
        """A request that was begun in `epoch` was turned away or not answered in time."""
        if epoch < self._epoch:
            return
        self._epoch += 1
        halved = max(1, self._limit // 2)
        if self._finished_since_cut:
            self._threshold = halved
        self._finished_since_cut = False
        self._before, self._hold = None, 0
        self._set(halved)

    def _judge(self, rate: float) -> None:
        if self._before is not None:
            limit, slower = self._before
            self._before = None
            if rate < slower * (1 + WORTH * (self._limit / limit - 1)):
                self._hold = HOLD_ROUNDS
                self._set(limit)
                return
        if self._limit >= self._most or self._hold > 0:
            self._hold = max(0, self._hold - 1)
            self._round = _Round(skip=0)
            return
        self._before = (self._limit, rate)
        fast = self._limit < self._threshold
        ceiling = self._threshold if fast else self._most
        self._set(min(ceiling, max(self._limit + 1, int(self._limit * (FAST if fast else CAREFUL)))))

    def _set(self, limit: int) -> None:
        self._limit = limit
        self._round = _Round(skip=limit)
