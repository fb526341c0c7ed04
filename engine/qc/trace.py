"""A run's evidence as it grew: what the gate's rule said after each sample that was judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.campaign.grading import Limit
from engine.qc.detectors import Record
from engine.qc.gate import failure_limit
from engine.qc.metrics import is_garbage, metric_of
from engine.qc.rule import Rule, rule_for
from engine.qc.tally import RunTally
from engine.qc.verdicts import GateVerdict, Verdict


class Point(NamedTuple):
    """After `n` samples, `failures` of them failed: log10 of the evidence for passing and for failing."""

    n: int
    failures: float
    log_pass: float
    log_fail: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CheckTrace:
    """One check that the rule decides; the point at `points[i]` is that of i + 1 samples. `threshold_pass` and
    `threshold_fail` are what E itself must reach."""

    metric: str
    threshold_pass: float
    threshold_fail: float
    points: tuple[Point, ...]

    @property
    def passes_at(self) -> int | None:
        """Samples after which the evidence for passing first was enough; None while it never was."""
        needed = math.log10(self.threshold_pass)
        return next((point.n for point in self.points if point.log_pass >= needed), None)

    @property
    def fails_at(self) -> int | None:
        """As `passes_at`, for failing."""
        needed = math.log10(self.threshold_fail)
        return next((point.n for point in self.points if point.log_fail >= needed), None)


def trace(records: Iterable[Record], tally: RunTally, gate: GateVerdict) -> list[CheckTrace]:
    """The evidence, sample by sample, of every check in `gate` that the rule decides, against its thresholds.

    `gate`: a verdict on the run these are the `records` of, in item order up to the first hole (see `in_item_order`);
    `tally`: an empty one by the same detectors and limits, which they fill.
    """
    rules = rules_of(gate)
    points: dict[str, list[Point]] = {name: [] for name in rules}
    for record in records:
        tally.add(record)
        for name, rule in rules.items():
            n, failures = tally.check_counts(name)
            if n > len(points[name]):
                points[name].append(_point(rule, n, failures))
    return [
        CheckTrace(name, rule.pass_threshold, rule.fail_threshold, tuple(points[name])) for name, rule in rules.items()
    ]


def rules_of(gate: GateVerdict) -> dict[str, Rule]:
    """By metric, the rule of each check that has thresholds to reach."""
    found = {}
    for check in gate.checks:
        metric = metric_of(check.metric)
        limit = Limit(op=check.op, value=check.limit, percent=check.percent)
        tau = failure_limit(metric.kind, limit) if metric is not None else None
        if tau is None or gate.confidence is None or check.threshold is None or check.threshold_fail is None:
            continue
        rule = rule_for(tau, confidence=gate.confidence, tries=1, checks=1)
        found[check.metric] = replace(rule, pass_threshold=check.threshold, fail_threshold=check.threshold_fail)
    return found


def _point(rule: Rule, n: int, failures: float) -> Point:
    verdict: Verdict = "pass" if rule.passes(failures, n) else "fail" if rule.fails(failures, n) else "undecided"
    in_tens = math.log(10)
    return Point(n, failures, rule.log_pass(failures, n) / in_tens, rule.log_fail(failures, n) / in_tens, verdict)


class ItemOrder:
    """Puts a run's records into the order in which the gate judges them: by index, each once, up to the first item
    that has not finished.

    Only those are held back that finished before an earlier one did.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Record] = {}
        self._following = self._added = 0

    def add(self, record: Record) -> Iterator[Record]:
        """What is judged now that `record` has come: itself and what waited for it, or nothing yet."""
        if is_garbage(record):
            return
        index = record.get("index")
        if type(index) is not int or index < 0:
            index = self._added
        if index < self._following or index in self._waiting:
            return
        self._added += 1
        self._waiting[index] = record
        while self._following in self._waiting:
            yield self._waiting.pop(self._following)
            self._following += 1


def in_item_order(records: Iterable[Record]) -> Iterator[Record]:
    """All of a run's records as the gate judges them, see `ItemOrder`."""
    order = ItemOrder()
    for record in records:
        yield from order.add(record)


def thinned(trace: CheckTrace, most: int) -> Sequence[Point]:
    """At most `most` (4 or more) points, evenly spaced: the first, the last, and where a threshold was first reached
    are always among them."""
    points = trace.points
    if len(points) <= most:
        return points
    reached = [n - 1 for n in (trace.passes_at, trace.fails_at) if n is not None]
    return [points[place] for place in spaced(len(points), most, reached)]


def spaced(count: int, most: int, wanted: Iterable[int] = ()) -> list[int]:
    """At most `most` places among `count`, evenly spaced: the first, the last and those `wanted` are among them."""
    if count <= most:
        return list(range(count))
    places = {0, count - 1, *wanted}
    between = most - len(places)
    return sorted(places | {round(step * (count - 1) / (between + 1)) for step in range(1, between + 1)})
