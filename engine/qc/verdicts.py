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
class DetectorEvidence:
    """What speaks for and against a detector that the gate measures with.

    Of the records that `detector` (`markers-v2`) flags, `flagged` in all, the pair critic judged `judged` on the very
    text that is flagged, and found `good` of them good; of those it does not flag, `rest_good` of `rest_judged`.
    `marked_true` and `marked_false` flags were looked at by a person; `lower` and `upper` are exact bounds (two-sided,
    95 %) of its precision from them, None without marks. `suspect` says why it may be wrong, empty when nothing does;
    `doubted`: the critic or people's marks speak against it, and not only a share that hardly moves.
    """

    kind: str
    detector: str
    metrics: tuple[str, ...]
    flagged: int = 0
    judged: int = 0
    good: int = 0
    rest_judged: int = 0
    rest_good: int = 0
    marked_true: int = 0
    marked_false: int = 0
    lower: float | None = None
    upper: float | None = None
    suspect: str = ""
    doubted: bool = False

    @property
    def marked(self) -> int:
        return self.marked_true + self.marked_false

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "detector": self.detector,
            "metrics": list(self.metrics),
            "flagged": self.flagged,
            "critic": {
                "flagged": {"judged": self.judged, "good": self.good},
                "rest": {"judged": self.rest_judged, "good": self.rest_good},
            },
            "marks": {
                "true": self.marked_true,
                "false": self.marked_false,
                "precision": self.marked_true / self.marked if self.marked else None,
                "lower": self.lower,
                "upper": self.upper,
            },
            "suspect": self.suspect or None,
            "doubted": self.doubted,
        }


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """One check of the gate on one run.

    `value` is the metric over all records so far (None: not known); `n` and `failures` are what the rule judged:
    samples in item order up to the first item that has not finished. `lower` and `upper` are exact one-sided bounds
    (Clopper-Pearson, at the gate's confidence) of the failure rate, for display; they decide nothing. `evidence` is
    the E of the one rule for passing, `threshold` what it must reach, `evidence_fail` and `threshold_fail` the same
    for failing; all four are None where the rule does not apply (`= 0`, or a gate without confidence).
    `reachable`: can it still pass by `extend_to`? With `by_list` the samples are instruction lists, and `failures` the
    sum of their shares of failing items; there are no exact bounds then. `forecast` is the chance that it passes by
    `extend_to` if things go on as they did: a forecast, which proves nothing; None where none can be made. Its
    custom detector failed on `errors` of the items: as long as there are any it does not pass.
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
    forecast: float | None = None
    errors: int = 0

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
            "errors": self.errors,
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
            "forecast": self.forecast,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """`pass` when all checks do, `fail` when one does. `reachable` is false when some check can't pass any more.

    `forecast` is the chance that all checks pass by `extend_to` if things go on as they did, taking the checks for
    independent; None where it cannot be told. `detectors` are those that judge by a rule of thumb.
    """

    verdict: Verdict
    checks: tuple[CheckVerdict, ...]
    confidence: float | None
    reachable: bool
    sentence: str
    forecast: float | None = None
    detectors: tuple[DetectorEvidence, ...] = ()

    def detector_of(self, metric: str) -> DetectorEvidence | None:
        """The detector that `metric` is measured by, where that judges by a rule of thumb."""
        return next((found for found in self.detectors if metric in found.metrics), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "confidence": self.confidence,
            "reachable": self.reachable,
            "sentence": self.sentence,
            "forecast": self.forecast,
            "detectors": [detector.to_json() for detector in self.detectors],
            "checks": [check.to_json() for check in self.checks],
        }
