"""Metrics over records: what each one counts, over what, and which way is better.

A metric looks at one record at a time: its sample is None when the record is not among those it is measured on, else
0 or 1 for rates and acceptances, occurrences for counts, a size for medians. A metric without samples is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.campaign.grading import GateConfig
from engine.errors import ConfigurationError
from engine.qc.detectors import DROPPED_DUPLICATES, Detector, Record

MetricKind = Literal["rate", "acceptance", "count", "median"]
Grades = Mapping[str, int | None]
"""Per detector kind: how often it strikes, None when it cannot judge the record."""

Samples = tuple[int | None, ...]
"""One record's samples, in the order of `METRICS`."""

DROPPED_OUTCOMES = frozenset({"malformed", "meta"}) | DROPPED_DUPLICATES
MEASURED_BY = ("runaway", "token_limit", "delimiter", "duplicate")
"""The detectors that metrics are made of."""

MOST_TOKENS = 2**53
"""Whole numbers up to here are exact as floats."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`kind`: rate (share, less is better), acceptance (share, more is better), count (sum), median.

    `over` says in words what it is measured on; `position` is its place among a record's samples.
    """

    name: str
    kind: MetricKind
    title: str
    unit: str
    lower_is_better: bool
    over: str
    position: int

    def sample(self, record: Record, grades: Grades) -> int | None:
        return samples_of(record, grades)[self.position]


_ROWS: tuple[tuple[str, MetricKind, str, str, bool, str], ...] = (
    ("examples", "count", "kept", "pairs", False, "all items"),
    ("runaway_rate", "rate", "runaway", "%", True, "generated responses"),
    ("token_limit_rate", "rate", "token limit", "%", True, "generated responses"),
    ("delimiter_leakage", "count", "delimiter", "", True, "kept pairs"),
    ("median_tokens", "median", "median tokens", "tokens", True, "kept pairs"),
    ("instruction_acceptance", "acceptance", "inst. accept", "%", False, "candidate instructions"),
    ("pair_acceptance", "acceptance", "pair accept", "%", False, "generated pairs"),
    ("instruction_yield", "acceptance", "inst. yield", "%", False, "candidate instructions"),
    ("pair_yield", "acceptance", "pair yield", "%", False, "generated pairs"),
    ("duplicate_rate", "rate", "duplicates", "%", True, "parsed lines"),
)

METRICS: dict[str, Metric] = {row[0]: Metric(*row, position) for position, row in enumerate(_ROWS)}
KEPT, MEDIAN = METRICS["examples"].position, METRICS["median_tokens"].position


def metric_of(name: str) -> Metric | None:
    """The metric that a check or a column names; None when there is no such one."""
    return METRICS.get(name)


def is_kept(record: Record) -> bool:
    """A kept pair. A foreign row that says nothing of it is kept when it has a response: such files hold only those."""
    kept = record.get("kept")
    if isinstance(kept, bool):
        return kept
    outcome = record.get("outcome")
    return outcome == "kept" if isinstance(outcome, str) else isinstance(record.get("response"), str)


def is_generated(record: Record) -> bool:
    """A response was generated for this record, and it did not fail."""
    if not (isinstance(record.get("raw_response"), str) or isinstance(record.get("response"), str)):
        return False
    return record.get("outcome") != "failed"


def is_garbage(record: Record) -> bool:
    """No record of ours has an outcome that is no word: such a one counts for nothing, and its item is made anew."""
    outcome = record.get("outcome")
    return outcome is not None and not isinstance(outcome, str)


def critic(record: Record, name: str) -> dict[str, Any] | None:
    """The verdict `instruction_critic` or `pair_critic`; None when that critic was not asked."""
    verdict = record.get(name)
    return verdict if isinstance(verdict, dict) and isinstance(verdict.get("good"), bool) else None


def token_count(value: Any) -> int | None:
    """A number of tokens that can be one; None for anything else, whatever a foreign row holds."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def samples_of(record: Record, grades: Grades) -> Samples:
    """Samples of all metrics in one pass: what each is measured on is said here and nowhere else."""
    kept, generated = is_kept(record), is_generated(record)
    tokens = token_count(record.get("response_tokens")) if kept else None
    instruction, pair = critic(record, "instruction_critic"), critic(record, "pair_critic")
    return (
        int(kept),
        grades["runaway"] if generated else None,
        grades["token_limit"] if generated else None,
        grades["delimiter"] if kept else None,
        tokens,
        None if instruction is None else instruction["good"],
        None if pair is None else pair["good"],
        None if instruction is None else _yielded(instruction),
        None if pair is None else _yielded(pair),
        grades["duplicate"],
    )


def _yielded(verdict: dict[str, Any]) -> bool | None:
    confident = verdict.get("confident")
    return verdict["good"] and confident if isinstance(confident, bool) else None


def grade(record: Record, detectors: Mapping[str, Detector]) -> dict[str, int | None]:
    """How often each of `detectors` strikes on `record`."""
    return {kind: detector.count(record) for kind, detector in detectors.items()}


def check_names(gate: GateConfig) -> None:
    """`ConfigurationError` when a check of `gate` is on a metric that does not exist."""
    unknown = [name for name in gate.checks if name not in METRICS]
    if unknown:
        raise ConfigurationError(
            f"gate.checks: there is no metric {unknown[0]!r}",
            where=f"gate.checks.{unknown[0]}",
            remedy=f"use one of: {', '.join(METRICS)}",
        )
