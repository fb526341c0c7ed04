"""The gate's promise, put to the test: how often does a bad generator pass, and a good one?

10,000 campaigns a row, seeded. A campaign is three tries of up to 300 judged samples each, looked at after every
sample, so that a pass at any look counts. What the rule says of plain numbers is `engine.qc.rule`; that tally and gate
say the same of records that come in any order is checked on the side.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.campaign.grading import GateConfig, Limit, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.qc.gate import judge
from engine.qc.rule import Rule, rule_for
from engine.qc.statistics import upper_bound
from engine.qc.tally import RunTally

CAMPAIGNS, TRIES, SAMPLES = 10_000, 3, 300
CHECKS, CONFIDENCE = 6, 0.95
IN_FLIGHT, LONG = 64, 4
"""Items generated at once, and how many times as long a failing one takes (80 tokens against 20)."""
LIST_ITEMS, LISTS = 6, 300
"""Responses of one instruction list, about; lists in a try of the rows about them, 2,000 campaigns each."""

Outcomes = NDArray[np.bool_]
Row = tuple[str, str, str]


def gate_promise() -> list[Row]:
    """False passes and power, by the rule and by what it replaces; with dependence, and against scrambled order."""
    draw = np.random.default_rng(5)
    rows: list[Row] = []
    for text, tau in (('"< 5 %"', 0.05), ('"< 10 %"', 0.10), ('"≥ 50 %"', 0.50)):
        bad = _ever(_passes(_independent(draw, tau), rule_at(tau)))
        rows.append((f"{text}: a generator at the limit ever passes, 3 tries", _percent(bad), "≤ 5 %"))
    at_limit, rule = _independent(draw, 0.05), rule_at(0.05)
    rows += [
        ("the same by the plain rate, looked at once at 100", _percent(_ever(_plainly(at_limit))), ""),
        ("the same by exact bounds, looked at after every sample", _percent(_ever(_by_bounds(at_limit))), ""),
        ("the same in order of completion", _percent(_ever(_passes(_as_completed(draw, at_limit), rule))), ""),
    ]
    for share in (0.01, 0.02, 0.03):
        one = _passes(_independent(draw, share), rule)[:, :1]
        rows.append((f'"< 5 %": a true {share:.0%} passes within 300 samples, one try', _percent(_ever(one)), ""))
    failed = _fails(_independent(draw, 0.05), rule)[:, :1]
    rows.append(('"< 5 %": a generator at the limit is called failed, one try', _percent(_ever(failed)), "≤ 5 %"))
    for correlation in (0.05, 0.1, 0.2):
        lists = _in_lists(draw, 0.05, correlation, LISTS)
        alone, grouped = _ever(_passes(lists, rule)), _ever(_passes_by_list(lists, rule))
        text = f"correlation {correlation:g} within a list, {LISTS} lists a try: ever passes, by item / by list"
        rows.append((text, f"{_percent(alone)} / {_percent(grouped)}", "≤ 5 % by list"))
    good = _passes_by_list(_in_lists(draw, 0.01, 0.1, LISTS), rule)[:, :1]
    rows.append((f"the same, by list: a true 1% passes within {LISTS} lists, one try", _percent(_ever(good)), ""))
    agreed, looks = _agreement(random.Random(7))
    rows.append(("looks at real tallies, scrambled, that say what the rule says", f"{agreed:,} of {looks:,}", "all"))
    return rows


def rule_at(tau: float) -> Rule:
    return rule_for(tau, confidence=CONFIDENCE, tries=TRIES, checks=CHECKS)


# --- samples: [campaign, try, sample], true where it failed ----------------------------------------------------------


def _independent(draw: np.random.Generator, share: float) -> Outcomes:
    return draw.random((CAMPAIGNS, TRIES, SAMPLES)) < share


def _in_lists(draw: np.random.Generator, share: float, correlation: float, count: int) -> Outcomes:
    """Lists of `LIST_ITEMS` whose own shares of failures are beta distributed: so their items are correlated."""
    spread = (1.0 - correlation) / correlation
    lists = draw.beta(share * spread, (1.0 - share) * spread, (CAMPAIGNS // 5, TRIES, count))
    failed: Outcomes = draw.random((CAMPAIGNS // 5, TRIES, count * LIST_ITEMS)) < np.repeat(lists, LIST_ITEMS, axis=2)
    return failed


def _as_completed(draw: np.random.Generator, failed: Outcomes) -> Outcomes:
    """The samples in the order in which they finish, `IN_FLIGHT` at a time, failing ones `LONG` times later."""
    takes = draw.exponential(np.where(failed, float(LONG), 1.0))
    begun = np.repeat(np.arange(-(-SAMPLES // IN_FLIGHT)), IN_FLIGHT)[:SAMPLES] * 2.0
    order = np.argsort(begun + takes, axis=2)
    return np.take_along_axis(failed, order, axis=2)


# --- what a rule says of them at every look --------------------------------------------------------------------------


def _counted(failed: Outcomes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return failed.cumsum(axis=2), np.arange(1, failed.shape[2] + 1)


def _passes(failed: Outcomes, rule: Rule) -> Outcomes:
    failures, n = _counted(failed)
    passed: Outcomes = failures * rule.on_failure + (n - failures) * rule.on_clean >= np.log(rule.pass_threshold)
    return passed


def _fails(failed: Outcomes, rule: Rule) -> Outcomes:
    failures, n = _counted(failed)
    logs = [
        failures * bad + (n - failures) * good
        for bad, good in zip(rule.fail_on_failure, rule.fail_on_clean, strict=True)
    ]
    found: Outcomes = np.logaddexp.reduce(logs, axis=0) - np.log(len(logs)) >= np.log(rule.fail_threshold)
    return found


def _passes_by_list(failed: Outcomes, rule: Rule) -> Outcomes:
    """Each list is one sample, failed by the share of its items that failed."""
    shares = failed.reshape(*failed.shape[:2], -1, LIST_ITEMS).mean(axis=3)
    failures, n = shares.cumsum(axis=2), np.arange(1, shares.shape[2] + 1)
    passed: Outcomes = failures * rule.on_failure + (n - failures) * rule.on_clean >= np.log(rule.pass_threshold)
    return passed


def _plainly(failed: Outcomes) -> Outcomes:
    found: Outcomes = failed[:, :, :100].mean(axis=2, keepdims=True) < 0.05
    return found


def _by_bounds(failed: Outcomes) -> Outcomes:
    """Exact one-sided bounds: for each number of failures, the least number of samples that brings them below 5 %."""
    most = np.array([_most_failures(n) for n in range(1, SAMPLES + 1)])
    failures, _ = _counted(failed)
    found: Outcomes = failures <= most
    return found


def _most_failures(n: int) -> int:
    failures = -1
    while failures + 1 <= n and upper_bound(failures + 1, n, CONFIDENCE) < 0.05:
        failures += 1
    return failures


def _ever(said: Outcomes) -> float:
    """The share of campaigns in which it was said at any look of any try."""
    return float(said.any(axis=(1, 2)).mean())


def _percent(share: float) -> str:
    return f"{share:.1%}"


# --- the same through the tally --------------------------------------------------------------------------------------


def _agreement(draw: random.Random, runs: int = 40) -> tuple[int, int]:
    """Looks at which the gate says of records in scrambled order what the rule says of the items before the hole."""
    gate = GateConfig(checks={"token_limit_rate": Limit(op="<", value=0.05, percent=True)})
    policy = PolicyConfig(max_retries=TRIES - 1)
    rule = rule_for(0.05, confidence=CONFIDENCE, tries=TRIES, checks=1)
    agreed = looks = 0
    for _ in range(runs):
        failed = [draw.random() < 0.03 for _ in range(SAMPLES)]
        order = sorted(range(SAMPLES), key=lambda index: index // IN_FLIGHT + draw.expovariate(1.0))
        tally, done = RunTally(QcConfig(), gate, "###END###"), set[int]()
        for index in order:
            tally.add(_record(index, failed=failed[index]))
            done.add(index)
            n = next(hole for hole in range(SAMPLES + 1) if hole not in done)
            failures = sum(failed[:n])
            expected = "pass" if rule.passes(failures, n) else "fail" if rule.fails(failures, n) else "undecided"
            said = judge(gate, policy, tally, ended=False, target=SAMPLES, bounds=False).verdict
            agreed += said == expected
            looks += 1
    return agreed, looks


def _record(index: int, *, failed: bool) -> dict[str, Any]:
    ending = "length" if failed else "stop"
    return {"index": index, "outcome": "kept", "kept": True, "response": "yes", "raw_response": "yes"} | {
        "finish_reason": ending,
        "response_tokens": 4,
    }
