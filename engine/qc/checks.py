"""What one check of a gate counts: samples in item order, and those of them that fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.campaign.grading import GateConfig, Limit
from engine.qc.metrics import Metric


def failure_test(metric: Metric, limit: Limit) -> Callable[[int], int]:
    """How many failures one sample of `metric` is under `limit`: for counts the occurrences, otherwise 0 or 1."""
    value = limit.value
    if metric.kind == "count":
        return lambda sample: sample
    if metric.kind == "median":
        return {
            "<": lambda sample: int(sample >= value),
            "<=": lambda sample: int(sample > value),
            ">": lambda sample: int(sample <= value),
            ">=": lambda sample: int(sample < value),
            "=": lambda sample: int(sample != value),
        }[limit.op]
    wanted = limit.op in (">", ">=") or (limit.op == "=" and value > 0)
    return (lambda sample: int(not sample)) if wanted else int


def judged_by_list(gate: GateConfig, metric: Metric | None, limit: Limit) -> bool:
    """Whether this check takes lists for samples: rates do, what only the whole run settles does not."""
    if gate.group_by != "list" or gate.confidence is None or metric is None:
        return False
    return metric.kind != "count" and limit.op != "="


@dataclass(slots=True)
class CheckCounts:
    """What one check of the gate has judged so far: samples, and how many of them failed.

    With `by_list` a list is one sample, once the next one has begun: it fails by the share of its items that do.
    """

    position: int
    failed: Callable[[int], int]
    by_list: bool = False
    n: int = 0
    failures: float = 0
    _list: int = -1
    _list_n: int = 0
    _list_failures: int = 0

    def add(self, value: int, list_number: int) -> None:
        if not self.by_list:
            self.n += 1
            self.failures += self.failed(value)
            return
        if self._list_n and list_number != self._list:
            self.n += 1
            self.failures += self._list_failures / self._list_n
            self._list_n = self._list_failures = 0
        self._list = list_number
        self._list_n += 1
        self._list_failures += self.failed(value)
