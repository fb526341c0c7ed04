"""The gate: limits on metrics, judged by one rule at any moment, live or finished, extended or graded again.

Nothing latches: a verdict is a function of the samples before the first hole, and of nothing that was said before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from engine.campaign.grading import GateConfig, Limit
from engine.campaign.policy import PolicyConfig
from engine.qc import forecast, sentences
from engine.qc.checks import judged_by_list
from engine.qc.metrics import METRICS, MetricKind, metric_of
from engine.qc.rule import Rule, bounded_exp, rule_for
from engine.qc.statistics import lower_bound, upper_bound
from engine.qc.tally import RunTally
from engine.qc.verdicts import CheckVerdict, GateVerdict, Needs, Verdict

_DECIDED = Needs(None, None)
_NO_ERRORS: Mapping[str, int] = {}
MOST_CANDIDATES = 4
"""Candidates that a target allows for each of its pairs, where a campaign does not say."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a check is judged in. `kept` are the pairs kept among the judged items, `target` those wanted.

    `ended`: the run takes no more samples as it stands. `bounds`: whether to work out the bounds that are shown.
    """

    confidence: float | None
    tries: int
    checks: int
    extend_to: int
    target: int
    kept: int
    ended: bool
    bounds: bool = True

    def horizon(self, n: int, *, by_list: bool = False) -> int:
        """How many samples a check that has `n` can have by `extend_to`; of lists, if they go on as fruitful as now."""
        if by_list and self.kept:
            return math.ceil(n * max(self.extend_to, self.target) / self.kept)
        least = max(self.extend_to, self.target, n + max(0, self.extend_to - self.kept))
        if not self.kept:
            return least
        fruitful = math.ceil(n * max(self.extend_to, self.target) / self.kept)
        return max(least, min(fruitful, MOST_CANDIDATES * max(self.extend_to, self.target)))


def judge(
    gate: GateConfig, policy: PolicyConfig, tally: RunTally, *, ended: bool, target: int, bounds: bool = True
) -> GateVerdict:
    """The gate's verdict on what `tally` holds. The tally must have been made with the same `gate`.

    `ended`: no attempt of the run goes on. `bounds=False` leaves the displayed bounds out, for a caller that only
    decides: the forecasts and what is to be thought of the detectors stay out with them.
    """
    counts = {metric: tally.check_counts(metric) for metric in gate.checks}
    verdict = judge_figures(
        gate,
        policy,
        tally.metrics(),
        counts,
        kept=tally.judged_kept,
        ended=ended,
        target=target,
        bounds=bounds,
        errors=tally.check_errors(),
    )
    return replace(verdict, detectors=tally.detector_counts()) if bounds else verdict


def judge_figures(
    gate: GateConfig,
    policy: PolicyConfig,
    values: Mapping[str, float | None],
    counts: Mapping[str, tuple[int, float]],
    *,
    kept: int,
    ended: bool,
    target: int,
    bounds: bool = True,
    errors: Mapping[str, int] = _NO_ERRORS,
) -> GateVerdict:
    """As `judge`, on figures: metric values, (n, failures) per check, and on how many items its detector failed. What
    is missing is not known; a metric that is neither built in nor among `values` does not exist."""
    setting = Setting(
        confidence=gate.confidence,
        tries=policy.max_retries + 1,
        checks=len(gate.checks),
        extend_to=policy.extend_to,
        target=target,
        kept=kept,
        ended=ended,
        bounds=bounds,
    )
    checks = tuple(
        judge_check(
            metric,
            limit,
            values.get(metric),
            n=n,
            failures=failures,
            setting=setting,
            by_list=judged_by_list(gate, metric_of(metric), limit),
            exists=metric in METRICS or metric in values,
            errors=errors.get(metric, 0),
        )
        for metric, limit in gate.checks.items()
        for n, failures in (counts.get(metric, (0, 0)),)
    )
    verdict = _overall([check.verdict for check in checks], ended)
    return GateVerdict(
        verdict=verdict,
        checks=checks,
        confidence=gate.confidence,
        reachable=all(check.reachable for check in checks),
        sentence=sentences.gate_sentence(verdict, checks, gate.confidence, policy.extend_to),
        forecast=_gate_forecast(checks) if bounds and verdict == "undecided" else None,
    )


def _gate_forecast(checks: Iterable[CheckVerdict]) -> float | None:
    """Over the checks that more samples decide: what has passed is taken to stay so, what only the end settles to
    hold."""
    open_checks = [check for check in checks if check.verdict == "undecided"]
    if not all(check.n and not check.errors for check in open_checks):
        return None
    return forecast.together(check.forecast for check in open_checks if check.needs.failures_to_fail is not None)


def _overall(verdicts: list[Verdict], ended: bool) -> Verdict:
    if not verdicts:
        return "pass" if ended else "undecided"
    if "fail" in verdicts:
        return "fail"
    return "pass" if all(verdict == "pass" for verdict in verdicts) else "undecided"


@dataclass(slots=True)
class _Outcome:
    """Not frozen, and the check is put together only once below: a generator asks at every item that is judged."""

    verdict: Verdict
    reachable: bool
    needs: Needs = _DECIDED
    evidence: float | None = None
    threshold: float | None = None
    evidence_fail: float | None = None
    threshold_fail: float | None = None
    forecast: float | None = None


def judge_check(
    metric: str,
    limit: Limit,
    value: float | None,
    *,
    n: int,
    failures: float,
    setting: Setting,
    by_list: bool = False,
    exists: bool = True,
    errors: int = 0,
) -> CheckVerdict:
    """One check on plain numbers: `failures` among `n` samples (for counts, occurrences in `n` samples).

    With `errors`, items that its detector failed on and nobody judged, it does not pass, whatever the others are: a
    detector may fail on just those that it would flag.
    """
    known = metric_of(metric) if exists else None
    if known is None:
        outcome = _Outcome("undecided", reachable=False)
    elif setting.confidence is None:
        outcome = _plain(limit, value)
    else:
        tau = failure_limit(known.kind, limit)
        if known.kind != "count" and tau is not None and 0 < tau < 1:
            outcome = _by_the_rule(tau, n, failures, setting, by_list=by_list)
        else:
            outcome = _at_the_end(known.kind, limit, (n, failures), value, setting)
    if errors and outcome.verdict != "fail":
        outcome.verdict, outcome.forecast = "undecided", None
    bounded = setting.bounds and n > 0 and known is not None and known.kind != "count" and not by_list
    confidence = setting.confidence if bounded else None
    sentence = sentences.check_sentence(
        sentences.Standing(
            metric, value, outcome.verdict, n, failures, outcome.needs, outcome.reachable, by_list, errors
        ),
        known.kind if known is not None else None,
        limit,
        plain=setting.confidence is None,
        ended=setting.ended,
        extend_to=setting.extend_to,
    )
    return CheckVerdict(
        metric=metric,
        op=limit.op,
        limit=limit.value,
        percent=limit.percent,
        value=value,
        verdict=outcome.verdict,
        n=n,
        failures=failures,
        lower=None if confidence is None else lower_bound(failures, n, confidence),
        upper=None if confidence is None else upper_bound(failures, n, confidence),
        evidence=outcome.evidence,
        threshold=outcome.threshold,
        evidence_fail=outcome.evidence_fail,
        threshold_fail=outcome.threshold_fail,
        needs=outcome.needs,
        reachable=outcome.reachable,
        sentence=sentence,
        by_list=by_list,
        forecast=outcome.forecast,
        errors=errors,
    )


def failure_limit(kind: MetricKind, limit: Limit) -> float | None:
    """τ of the check as "failure rate < τ"; None where a check is not about a rate (`= 30`)."""
    if limit.op == "=":
        return 0.0 if limit.value == 0 and kind != "median" else None
    if kind == "median":
        return 0.5
    return limit.value if limit.op in ("<", "<=") else 1.0 - limit.value


def _by_the_rule(tau: float, n: int, failures: float, setting: Setting, *, by_list: bool) -> _Outcome:
    rule = rule_for(tau, confidence=setting.confidence or 0.0, tries=setting.tries, checks=setting.checks)
    verdict, to_pass, needs, evidence, evidence_fail = _evidence(rule, failures, n)
    horizon = setting.horizon(n, by_list=by_list)
    return _Outcome(
        verdict=verdict,
        reachable=n + to_pass <= horizon,
        needs=needs,
        evidence=evidence,
        threshold=rule.pass_threshold,
        evidence_fail=evidence_fail,
        threshold_fail=rule.fail_threshold,
        forecast=forecast.chance_to_pass(rule, failures, n, horizon)
        if setting.bounds and verdict == "undecided"
        else None,
    )


@lru_cache(maxsize=4096)
def _evidence(rule: Rule, failures: float, n: int) -> tuple[Verdict, int, Needs, float, float]:
    """Verdict, clean samples that it lacks to pass, needs, and E for passing and failing. Remembered, since most of a
    gate's checks stand where they stood when the next item is judged, and all of them when nothing is new."""
    log_fail, to_pass = rule.log_fail(failures, n), rule.clean_to_pass(failures, n)
    verdict: Verdict = "undecided"
    if to_pass == 0:
        verdict = "pass"
    elif log_fail >= math.log(rule.fail_threshold):
        verdict = "fail"
    needs = Needs(to_pass, rule.failures_to_fail(failures, n)) if verdict == "undecided" else _DECIDED
    return verdict, to_pass, needs, bounded_exp(rule.log_pass(failures, n)), bounded_exp(log_fail)


def _plain(limit: Limit, value: float | None) -> _Outcome:
    if value is None:
        return _Outcome("undecided", reachable=True)
    holds = limit.holds(value)
    return _Outcome("pass" if holds else "fail", reachable=True)


def _at_the_end(
    kind: MetricKind, limit: Limit, counts: tuple[int, float], value: float | None, setting: Setting
) -> _Outcome:
    """Checks that only the whole run settles: `= 0`, counts, and limits outside what a rate can be.

    A limit from above is broken for good by the first occurrence too many, a count from below reached for good;
    everything else waits for the end. `counts` are samples and failures among them.
    """
    n, failures = counts
    none_allowed = kind != "median" and limit.value == 0 and limit.op in ("=", "<=", "<")
    present = failures if kind == "count" or none_allowed else value
    if n == 0 or present is None:
        return _Outcome("undecided", reachable=True)
    holds = limit.holds(present)
    from_above = none_allowed or (kind == "count" and limit.op in ("<", "<="))
    from_below = kind == "count" and limit.op in (">", ">=")
    if not holds and (setting.ended or from_above):
        return _Outcome("fail", reachable=False)
    if holds and (setting.ended or from_below):
        return _Outcome("pass", reachable=True)
    if not from_above:
        return _Outcome("undecided", reachable=True)
    spare = math.ceil(limit.value) if limit.op == "<" else math.floor(limit.value) + 1
    none_yet = none_allowed and failures == 0 and setting.bounds
    return _Outcome(
        "undecided",
        reachable=True,
        needs=Needs(None, spare - round(failures)),
        forecast=forecast.chance_of_none(n, setting.horizon(n)) if none_yet else None,
    )
