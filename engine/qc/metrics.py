"""Metrics over records: what each one counts, over what, and which way is better.

A metric looks at one record at a time: its sample is None when the record is not among those it is measured on, else
0 or 1 for rates and acceptances, occurrences for counts, a size for medians. A metric without samples is not known.
Those `IN_ORDER` ask what stood before a record: they are sampled in item order, by `engine.qc.diversity`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.campaign.grading import GateConfig, QcConfig
from engine.errors import ConfigurationError
from engine.qc.detectors import DROPPED_DUPLICATES, Record

MetricKind = Literal["rate", "acceptance", "count", "median"]
Grades = Mapping[str, int | None]
"""Per detector kind: how often it strikes, None when it cannot judge the record."""

Samples = tuple[int | None, ...]
"""One record's samples, in the order of `METRICS`, those of custom detectors after them."""

DROPPED_OUTCOMES = frozenset({"malformed", "meta"}) | DROPPED_DUPLICATES
MEASURED_BY = {
    "runaway": "runaway_rate",
    "token_limit": "token_limit_rate",
    "delimiter": "delimiter_leakage",
    "duplicate": "duplicate_rate",
    "repetition": "response_repetition_rate",
}
"""The detectors that metrics are made of, and which."""

MOST_TOKENS = 2**53
"""Whole numbers up to here are exact as floats."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`kind`: rate (share, less is better), acceptance (share, more is better), count (sum), median.

    `over` says in words what it is measured on.
    """

    name: str
    kind: MetricKind
    title: str
    unit: str
    lower_is_better: bool
    over: str


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
    ("response_repetition_rate", "rate", "repetition", "%", True, "generated responses"),
    ("exact_duplicate_rate", "rate", "exact dupl.", "%", True, "kept pairs"),
    ("near_duplicate_rate", "rate", "near dupl.", "%", True, "kept pairs"),
    ("verb_diversity", "acceptance", "verb diversity", "%", False, "kept instructions"),
)

METRICS: dict[str, Metric] = {row[0]: Metric(*row) for row in _ROWS}
POSITIONS = {name: position for position, name in enumerate(METRICS)}
"""Where a built-in metric's sample stands among a record's."""
KEPT, MEDIAN, PAIR_GOOD = POSITIONS["examples"], POSITIONS["median_tokens"], POSITIONS["pair_acceptance"]
IN_ORDER = ("exact_duplicate_rate", "near_duplicate_rate", "verb_diversity")
"""They stand next to each other among the samples, which are None until the record's turn comes."""

_RATE = "_rate"


def rate_of(detector: str) -> str:
    """The name of the metric that a custom detector measures."""
    return detector + _RATE


def metric_of(name: str) -> Metric | None:
    """The metric that a check or a column names, None when there can be no such one.

    A rate that is not built in is taken for that of a custom detector, without asking whether a campaign has it: that
    `check_names` does, and the gate's verdict on a run.
    """
    known = METRICS.get(name)
    if known is not None or not name.endswith(_RATE) or name == _RATE:
        return known
    return Metric(name, "rate", name.removesuffix(_RATE).replace("_", " "), "%", True, "what its detector judges")


def title_of(name: str) -> str:
    """The short title of a metric, its name where there is no such one."""
    metric = metric_of(name)
    return metric.title if metric is not None else name


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
        grades["repetition"] if generated else None,
        None,
        None,
        None,
    )


def _yielded(verdict: dict[str, Any]) -> bool | None:
    confident = verdict.get("confident")
    return verdict["good"] and confident if isinstance(confident, bool) else None


def known_metrics(qc: QcConfig | None) -> list[str]:
    """Names of the metrics that there are: those built in, then those of the custom detectors of `qc`."""
    return [*METRICS, *(rate_of(name) for name in (qc.custom if qc is not None else ()))]


def check_names(gate: GateConfig, qc: QcConfig | None = None) -> None:
    """`ConfigurationError` when a check of `gate` is on none of `known_metrics`."""
    known = known_metrics(qc)
    unknown = [name for name in gate.checks if name not in known]
    if unknown:
        raise ConfigurationError(
            f"gate.checks: there is no metric {unknown[0]!r}",
            where=f"gate.checks.{unknown[0]}",
            remedy=f"use one of: {', '.join(known)}",
        )
