"""One run's counts, metrics and gate samples, kept up to date record by record.

Records finish in any order, short answers first. Metrics are over all of them; what the gate judges is only the
items from the first one on without a hole, in item order, so that no verdict depends on who finished first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.campaign.grading import GateConfig, Limit, QcConfig
from engine.qc.detectors import Record, resolve_detectors
from engine.qc.metrics import (
    DROPPED_OUTCOMES,
    KEPT,
    MEASURED_BY,
    MEDIAN,
    METRICS,
    Metric,
    Samples,
    is_garbage,
    samples_of,
    token_count,
)

LARGEST_MARGIN = 1e15
"""Margins in nats beyond this are nonsense, infinite ones too; their sums stay finite."""


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


def judged_by_list(gate: GateConfig, metric: Metric, limit: Limit) -> bool:
    """Whether this check takes lists for samples: rates do, what only the whole run settles does not."""
    return gate.group_by == "list" and gate.confidence is not None and metric.kind != "count" and limit.op != "="


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
        below, above = self._ranked(low), self._ranked(min(low + 1, self.n - 1))
        return below + (above - below) * (position - low)

    def _ranked(self, rank: int) -> int:
        seen = 0
        for value in sorted(self.histogram):
            seen += self.histogram[value]
            if seen > rank:
                return value
        raise IndexError(rank)

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


@dataclass(slots=True)
class _CheckCounts:
    """What one check of the gate has judged so far: samples, and how many of them failed.

    With `by_list` a list is one sample, once the next one has begun: it fails by the share of its items that do.
    """

    name: str
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


class RunTally:
    """Adds records one by one, in any order.

    `in_line_order` ignores the records' own `index`: rows of a foreign file, whose numbering means nothing here.
    `repeated` counts records whose index had been seen; they are counted once. Nothing that a record may hold raises:
    values that cannot be what their key says are passed over, and so are garbage records of runs of our own.
    `ConfigurationError` for an unknown detector. A check on a metric that does not exist has no samples.
    """

    def __init__(self, qc: QcConfig, gate: GateConfig, delimiter: str, *, in_line_order: bool = False) -> None:
        self.detectors = resolve_detectors(qc, delimiter)
        self.repeated = 0
        self.gate = gate
        self._in_line_order = in_line_order
        self._graders = tuple((kind, self.detectors[kind].count) for kind in MEASURED_BY)
        self._sums = [0] * len(METRICS)
        self._ns = [0] * len(METRICS)
        self._outcomes: Counter[str] = Counter()
        self._generated_tokens = 0
        self._tokens = Sizes()
        self._margins: tuple[tuple[str, list[float]], ...] = (("instruction_critic", []), ("pair_critic", []))
        self._checks = [
            _CheckCounts(
                name,
                METRICS[name].position,
                failure_test(METRICS[name], limit),
                by_list=judged_by_list(gate, METRICS[name], limit),
            )
            for name, limit in gate.checks.items()
            if name in METRICS
        ]
        self._prefix = 0
        self._prefix_kept = 0
        self._waiting: dict[int, tuple[Samples, int]] = {}
        self._added = 0

    def add(self, record: Record) -> bool:
        """Take in one record; False when its index had been seen before or it is garbage (nothing was counted)."""
        if not self._in_line_order and is_garbage(record):
            return False
        index = record.get("index")
        if self._in_line_order or type(index) is not int or index < 0:
            index = self._added
        if index < self._prefix or index in self._waiting:
            self.repeated += 1
            return False
        self._added += 1
        samples = samples_of(record, {kind: count(record) for kind, count in self._graders})
        sums, ns = self._sums, self._ns
        for position, value in enumerate(samples):
            if value is not None:
                ns[position] += 1
                if value:
                    sums[position] += value
        tokens = samples[MEDIAN]
        if tokens is not None:
            self._tokens.add(tokens)
        self._generated_tokens += token_count(record.get("generated_tokens")) or 0
        outcome = record.get("outcome")
        if isinstance(outcome, str):
            self._outcomes[outcome] += 1
        for name, margins in self._margins:
            verdict = record.get(name)
            if type(verdict) is not dict or type(margin := verdict.get("margin")) is not float:
                continue
            if abs(margin) <= LARGEST_MARGIN:
                margins.append(margin)
        list_number = record.get("list")
        self._place(index, samples, list_number if type(list_number) is int else -1 - index)
        return True

    def _place(self, index: int, samples: Samples, list_number: int) -> None:
        """Judge the record if all before it have been judged, and then those that waited for it."""
        if index != self._prefix:
            self._waiting[index] = samples, list_number
            return
        following: tuple[Samples, int] | None = samples, list_number
        while following is not None:
            samples, list_number = following
            self._prefix += 1
            self._prefix_kept += samples[KEPT] or 0
            for check in self._checks:
                value = samples[check.position]
                if value is not None:
                    check.add(value, list_number)
            following = self._waiting.pop(self._prefix, None) if self._waiting else None

    # --- what the gate judges: the items before the first hole ---------------------------------------------

    def check_counts(self, metric: str) -> tuple[int, float]:
        """(n, failures) of a gate check over the items before the first hole; for counts the occurrences. Where lists
        are the samples, over those that are through, and `failures` is the sum of their shares."""
        return next(((check.n, check.failures) for check in self._checks if check.name == metric), (0, 0))

    @property
    def judged_items(self) -> int:
        """Items before the first hole: index of the first item that has not finished."""
        return self._prefix

    @property
    def judged_kept(self) -> int:
        """Kept pairs among the judged items."""
        return self._prefix_kept

    @property
    def waiting_items(self) -> int:
        """Records that stand behind a hole."""
        return len(self._waiting)

    # --- what is shown ---------------------------------------------------------------------------------------

    def metrics(self) -> dict[str, float | None]:
        """Every metric over all records added; None where it has no samples."""
        values: dict[str, float | None] = {}
        for position, metric in enumerate(METRICS.values()):
            n, total = self._ns[position], self._sums[position]
            if metric.name == "examples":
                values[metric.name] = total
            elif n == 0:
                values[metric.name] = None
            elif metric.kind == "median":
                values[metric.name] = self._tokens.quantile(0.5)
            else:
                values[metric.name] = total if metric.kind == "count" else total / n
        return values

    def counts(self) -> dict[str, int]:
        """Items by what happened to them.

        `instructions_kept` and `pairs_kept` are good and confident; `kept` is what passed every filter. `tokens` are
        generated tokens; `hit_token_limit` and `runaway` count generated responses.
        """
        n = dict(zip(METRICS, self._ns, strict=True))
        total = dict(zip(METRICS, self._sums, strict=True))
        return {
            "parsed": self._outcomes.total(),
            "candidates": n["instruction_acceptance"],
            "instructions_good": total["instruction_acceptance"],
            "instructions_kept": total["instruction_yield"],
            "generated": n["runaway_rate"],
            "pairs_good": total["pair_acceptance"],
            "pairs_kept": total["pair_yield"],
            "kept": total["examples"],
            "dropped": sum(self._outcomes[outcome] for outcome in DROPPED_OUTCOMES),
            "failed": self._outcomes["failed"],
            "records": self._added,
            "tokens": self._generated_tokens,
            "hit_token_limit": total["token_limit_rate"],
            "runaway": total["runaway_rate"],
        }

    def outcomes(self) -> dict[str, int]:
        """How many records ended how, by `outcome`."""
        return dict(self._outcomes)

    def token_statistics(self) -> dict[str, float | None]:
        """`median mean min max p95` of `response_tokens` over kept pairs."""
        return self._tokens.summary()

    def margins(self) -> dict[str, dict[str, float | None]]:
        """`n mean median min max` of the critics' margins in nats, by critic."""
        return {name: _spread(values) for name, values in self._margins}


def _spread(values: list[float]) -> dict[str, Any]:
    if not values:
        return {"n": 0, "mean": None, "median": None, "min": None, "max": None}
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return {
        "n": len(ordered),
        "mean": sum(ordered) / len(ordered),
        "median": median,
        "min": ordered[0],
        "max": ordered[-1],
    }
