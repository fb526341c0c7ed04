"""A gate's metrics over a run's samples: the value so far, and how far off the truth can be."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from engine.campaign.grading import GateConfig, Limit
from engine.qc.checks import judged_by_list
from engine.qc.detectors import Record
from engine.qc.metrics import MetricKind, is_kept, metric_of, token_count
from engine.qc.sizes import Sizes
from engine.qc.statistics import lower_bound, median_rank, upper_bound
from engine.qc.tally import RunTally
from engine.qc.trace import rules_of, spaced
from engine.qc.verdicts import CheckVerdict, GateVerdict

Test = Callable[[float, int], bool]
"""Whether so many failures among so many samples decide a check."""


class Judged(NamedTuple):
    """After `n` samples, `failures` of them failed: the metric's `value` over these, and its exact one-sided bounds at
    the gate's confidence (None where there are none: counts, lists, plain comparison, too few samples)."""

    n: int
    failures: float
    value: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class CheckSeries:
    """One check's metric over the samples that were judged, in item order; `points` are evenly spaced, the first and
    the last among them. The present verdict has stood since `decided_at` samples; None where nothing has decided it, or
    only the end of the run did."""

    metric: str
    points: tuple[Judged, ...]
    decided_at: int | None


class MetricSeries:
    """Grows with a run's records, each of which has to be added when its turn comes (see `ItemOrder`).

    `tally` is an empty one by the detectors and limits of `gate`; it is filled. Only numbers are kept: eight octets a
    sample and check, and the sizes behind a median.
    """

    def __init__(self, tally: RunTally, gate: GateConfig) -> None:
        self._tally = tally
        self._checks = [_Growing(name, limit, gate) for name, limit in gate.checks.items()]

    def add(self, record: Record) -> None:
        self._tally.add(record)
        for check in self._checks:
            check.grow(record, *self._tally.check_counts(check.metric))

    def series(self, verdict: GateVerdict, most: int) -> tuple[CheckSeries, ...]:
        """Of each check that has samples, at most `most` points; bounds are worked out at these alone. `verdict` is the
        gate's on the same records, and says what decided a check."""
        rules, found = rules_of(verdict), []
        for check in self._checks:
            judged = next((one for one in verdict.checks if one.metric == check.metric), None)
            if judged is None or not check.failures:
                continue
            rule = rules.get(check.metric)
            test = (rule.passes if judged.verdict == "pass" else rule.fails) if rule is not None else None
            found.append(check.series(judged, verdict.confidence, test, most))
        return tuple(found)


class _Growing:
    """One check: failures among the first n samples, and, of a median, the sizes behind them."""

    def __init__(self, metric: str, limit: Limit, gate: GateConfig) -> None:
        known = metric_of(metric)
        self.metric, self._limit = metric, limit
        self._kind: MetricKind | None = known.kind if known is not None else None
        self._by_list = judged_by_list(gate, known, limit)
        self._wanted = limit.op in (">", ">=") or (limit.op == "=" and limit.value > 0)
        self.failures = array("d")
        self._sizes = array("q")
        self._sizes_at = array("q")

    def grow(self, record: Record, n: int, failures: float) -> None:
        """`record` was judged, and so many samples of this check there are now."""
        if self._kind == "median":
            size = token_count(record.get("response_tokens")) if is_kept(record) else None
            if size is not None and (self._by_list or n > len(self.failures)):
                self._sizes.append(size)
        if n > len(self.failures):
            self.failures.append(failures)
            self._sizes_at.append(len(self._sizes))

    def series(self, check: CheckVerdict, confidence: float | None, test: Test | None, most: int) -> CheckSeries:
        decided = self._decided_at(check, test)
        places = spaced(len(self.failures), most, () if decided is None else (decided - 1,))
        bounded = confidence if not self._by_list and self._kind != "count" else None
        points = self._medians(places, bounded) if self._kind == "median" else self._shares(places, bounded)
        return CheckSeries(self.metric, tuple(points), decided)

    def _shares(self, places: list[int], confidence: float | None) -> Iterator[Judged]:
        """Rates in the metric's own sense, and counts."""
        for place in places:
            n, failures = place + 1, self.failures[place]
            if self._kind == "count":
                yield Judged(n, failures, failures, None, None)
                continue
            lower = upper = None
            if confidence is not None:
                lower = lower_bound(int(failures), n, confidence)
                upper = upper_bound(int(failures), n, confidence)
            rate = failures / n
            if not self._wanted:
                yield Judged(n, failures, rate, lower, upper)
            elif lower is None or upper is None:
                yield Judged(n, failures, 1.0 - rate, None, None)
            else:
                yield Judged(n, failures, 1.0 - rate, 1.0 - upper, 1.0 - lower)

    def _medians(self, places: list[int], confidence: float | None) -> Iterator[Judged]:
        """Their bounds are those of the sign test: below the limit exactly where the share at it or above is proven to
        be less than a half."""
        sizes, taken = Sizes(), 0
        for place in places:
            until = self._sizes_at[place]
            for size in self._sizes[taken:until]:
                sizes.add(size)
            taken = until
            n, median = place + 1, sizes.quantile(0.5)
            rank = median_rank(n, confidence) if confidence is not None else 0
            bounds = (_ranked(sizes, rank), _ranked(sizes, sizes.n + 1 - rank)) if rank else (None, None)
            yield Judged(n, self.failures[place], median if median is not None else 0.0, *bounds)

    def _decided_at(self, check: CheckVerdict, test: Test | None) -> int | None:
        """From how many samples on the verdict has stood, by the rule's `test`, or by a limit on a count."""
        test = test or self._settled(check)
        if test is None or check.verdict == "undecided" or check.errors:
            return None
        n = len(self.failures)
        while n and test(self.failures[n - 1], n):
            n -= 1
        return n + 1 if n < len(self.failures) else None

    def _settled(self, check: CheckVerdict) -> Test | None:
        """What settles a count before the run's end: one too many, or as many as are wanted; None where only that
        does."""
        if self._kind != "count" or (check.verdict == "pass" and check.op not in (">", ">=")):
            return None
        return lambda failures, _: self._limit.holds(failures) == (check.verdict == "pass")


def _ranked(sizes: Sizes, rank: int) -> float:
    """The `rank`-th smallest, counted from 1."""
    values = sorted(sizes.histogram)
    seen = list(accumulate(sizes.histogram[value] for value in values))
    return float(values[bisect_left(seen, rank)])
