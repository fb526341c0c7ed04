"""What grading says, as plain immutable values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, slots=True)
class Needs:
    """How many further samples in a row would decide a check; None where no number of them would, or it is decided."""

    clean_to_pass: int | None
    failures_to_fail: int | None


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """One check of the gate on one run.

    `value` is the metric over all records so far (None: not known); `n` and `failures` are what the rule judged:
    samples in item order up to the first item that has not finished. `lower` and `upper` are exact one-sided bounds
    (Clopper-Pearson, at the gate's confidence) of the failure rate, for display; they decide nothing. `evidence` is
    the E of the one rule for passing, `threshold` what it must reach, `evidence_fail` and `threshold_fail` the same
    for failing; all four are None where the rule does not apply (`= 0`, or a gate without confidence).
    `reachable`: can it still pass by `extend_to`? With `by_list` the samples are instruction lists, and `failures` the
    sum of their shares of failing items; there are no exact bounds then.
    """

    metric: str
    op: str
    limit: float
    percent: bool
    value: float | None
    verdict: Verdict
    n: int
    failures: float
    lower: float | None
    upper: float | None
    evidence: float | None
    threshold: float | None
    evidence_fail: float | None
    threshold_fail: float | None
    needs: Needs
    reachable: bool
    sentence: str
    by_list: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "value": self.value,
            "limit": self.limit,
            "op": self.op,
            "verdict": self.verdict,
            "n": self.n,
            "failures": round(self.failures, 3),
            "by_list": self.by_list,
            "lower": self.lower,
            "upper": self.upper,
            "evidence": self.evidence,
            "threshold": self.threshold,
            "evidence_fail": self.evidence_fail,
            "threshold_fail": self.threshold_fail,
            "needs": {
                "clean_to_pass": self.needs.clean_to_pass,
                "failures_to_fail": self.needs.failures_to_fail,
            },
            "reachable": self.reachable,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """`pass` when all checks do, `fail` when one does. `reachable` is false when some check can't pass any more."""

    verdict: Verdict
    checks: tuple[CheckVerdict, ...]
    confidence: float | None
    reachable: bool
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "confidence": self.confidence,
            "reachable": self.reachable,
            "sentence": self.sentence,
            "checks": [check.to_json() for check in self.checks],
        }
