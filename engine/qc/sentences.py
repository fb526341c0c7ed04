"""Verdicts in words, short enough for a table cell and plain enough for a tired person."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from engine.campaign.grading import Limit
from engine.qc.metrics import MetricKind, metric_of
from engine.qc.verdicts import CheckVerdict, Needs, Verdict

MOST_CLAUSES = 2
"""How many open checks the gate's own sentence names."""

_MEDIAN_FAILURES = {"<": "at {} or more", "<=": "over {}", ">": "at {} or fewer", ">=": "under {}", "=": "not {}"}


class Standing(NamedTuple):
    """How a check stands, in the words of `CheckVerdict`, before there is a sentence about it."""

    metric: str
    value: float | None
    verdict: Verdict
    n: int
    failures: float
    needs: Needs
    reachable: bool
    by_list: bool
    errors: int


def check_sentence(
    check: Standing, kind: MetricKind | None, limit: Limit, *, plain: bool, ended: bool, extend_to: int
) -> str:
    """Why a check stands where it stands: "0 of 30: not yet proven, 70 more clean". `kind` None: no such metric."""
    if kind is None:
        return _no_metric(check)
    if plain:
        shown = "not known" if check.value is None else format_value(check.value, limit)
        failed = f"; {_detector_failed(check)}" if check.errors else ""
        return f"{shown} against {limit} (plain comparison, no proof){failed}"
    if check.n == 0 and check.errors:
        return _detector_failed(check)
    if check.n == 0:
        return _without_samples(check, kind, limit, ended)
    seen, proof = evidence_words(kind, limit, check), needs_proof(kind, limit)
    if check.verdict == "undecided":
        return f"{seen}: {_open(check, extend_to)}"
    if check.verdict == "fail":
        return f"{seen}: {_too_much(limit, proof)}"
    return f"{seen}: proven {limit}" if proof else f"{seen}: holds ({limit})"


def _no_metric(check: Standing | CheckVerdict) -> str:
    return f"there is no metric {check.metric!r}"


def _detector_failed(check: Standing) -> str:
    return f"its detector failed on {check.errors} record{'' if check.errors == 1 else 's'}"


def _too_much(limit: Limit, proof: bool) -> str:
    if limit.op == "=":
        return f"not allowed (limit {limit})"
    direction = "low" if limit.op in (">", ">=") else "high"
    return f"{'proven ' if proof else ''}too {direction} (limit {limit})"


def _open(check: Standing, extend_to: int) -> str:
    if not check.reachable:
        return f"cannot pass by {extend_to}"
    if check.errors:
        return _detector_failed(check)
    if check.needs.clean_to_pass is None:
        return "holds so far, decided at the end" if check.needs.failures_to_fail else "decided at the end"
    return f"not yet proven, {check.needs.clean_to_pass} more clean{_lists(check)}"


def needs_proof(kind: MetricKind, limit: Limit) -> bool:
    """Whether the rule (not the plain count at the end) decides such a check."""
    return kind != "count" and limit.op != "="


def _lists(check: Standing | CheckVerdict) -> str:
    return " lists" if check.by_list else ""


def evidence_words(kind: MetricKind, limit: Limit, check: Standing | CheckVerdict) -> str:
    """What was seen: "9 of 43", "26 of 116 rejected", "12 of 43 at 40 or more", "2 in 43", "1.3 of 21 lists"."""
    n, failures = f"{check.n}{_lists(check)}", f"{round(check.failures, 1):g}" if check.by_list else check.failures
    if kind == "count":
        return f"{failures} in {n}"
    if kind == "median":
        return f"{failures} of {n} {_MEDIAN_FAILURES[limit.op].format(f'{limit.value:g}')}"
    return f"{failures} of {n} rejected" if kind == "acceptance" else f"{failures} of {n}"


def format_value(value: float, limit: Limit) -> str:
    """20.9%, 0 or 32.5, as the limit is written."""
    return f"{value * 100:.1f}%" if limit.percent else f"{value:.4g}"


def _without_samples(check: Standing, kind: MetricKind, limit: Limit, ended: bool) -> str:
    if check.value is not None and kind != "count":
        return f"{format_value(check.value, limit)} as reported, without samples that could prove it"
    if check.needs.clean_to_pass is None or ended:
        return "no samples" if ended else "no samples yet"
    return f"no samples yet, {check.needs.clean_to_pass} clean {'lists' if check.by_list else 'ones'} prove it"


def gate_sentence(verdict: Verdict, checks: Sequence[CheckVerdict], confidence: float | None, extend_to: int) -> str:
    """The gate in one line: the verdict, and what it hangs on."""
    if not checks:
        return f"{verdict}: the gate has no checks"
    how = "(plain comparison, no proof)" if confidence is None else f"at {confidence * 100:g}%"
    if verdict == "pass":
        return f"pass: all {len(checks)} checks hold {how}" if confidence is None else _all_proven(checks, how)
    standing = [check for check in checks if check.verdict == verdict]
    if verdict == "undecided" and not any(check.n or check.value is not None or check.errors for check in standing):
        return "undecided: no samples" if len(standing) == len(checks) else f"undecided: {_titles(standing)} not known"
    shown = sorted(standing, key=_urgency)[:MOST_CLAUSES] if verdict == "undecided" else standing
    words = [_clause(check, confidence, extend_to) for check in shown]
    if len(shown) < len(standing):
        words.append(f"{len(standing) - len(shown)} more open")
    text = f"{verdict}: {'; '.join(words)}"
    return f"{text} {how}" if confidence is None else text


def _urgency(check: CheckVerdict) -> tuple[bool, int]:
    """What more samples cannot mend comes first, then what lacks most."""
    return check.reachable and not check.errors, -(check.needs.clean_to_pass or 0)


def _titles(checks: Sequence[CheckVerdict]) -> str:
    metrics = [None if check.sentence == _no_metric(check) else metric_of(check.metric) for check in checks]
    return ", ".join(
        check.metric if metric is None else metric.title for check, metric in zip(checks, metrics, strict=True)
    )


def _all_proven(checks: Sequence[CheckVerdict], how: str) -> str:
    return f"pass: all {len(checks)} checks proven {how}" if len(checks) > 1 else f"pass: its check is proven {how}"


def _clause(check: CheckVerdict, confidence: float | None, extend_to: int) -> str:
    metric = metric_of(check.metric)
    if metric is None or check.sentence == _no_metric(check):
        return check.sentence
    limit = _limit(check.op, check.limit, check.percent)
    if confidence is None:
        shown = "not known" if check.value is None else format_value(check.value, limit)
        return f"{metric.title} {check.sentence}" if check.errors else f"{metric.title} {shown}, limit {limit}"
    seen = evidence_words(metric.kind, limit, check)
    if check.verdict == "fail":
        return f"{metric.title} {seen}, limit {limit}"
    if not check.reachable:
        return f"{metric.title} cannot pass by {extend_to} ({seen})"
    if check.n == 0:
        return f"{metric.title}: {check.sentence}"
    if check.errors or check.needs.clean_to_pass is None:
        return f"{metric.title} {check.sentence}"
    return f"{metric.title} needs {check.needs.clean_to_pass} more clean{_lists(check)}"


@lru_cache(maxsize=256)
def _limit(op: str, value: float, percent: bool) -> Limit:
    return Limit(op=op, value=value, percent=percent)
