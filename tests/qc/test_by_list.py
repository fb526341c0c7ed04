"""A gate that takes instruction lists for its samples: what counts when, what is said, and that it proves no less."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.campaign.grading import GateConfig, Limit, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.qc.gate import judge
from engine.qc.rule import rule_for
from engine.qc.tally import RunTally
from engine.qc.verdicts import CheckVerdict

LIMIT = Limit(op="<", value=0.05, percent=True)
POLICY = PolicyConfig(max_retries=2, extend_to=300)


def record(index: int, list_number: int | None, *, failed: bool = False, kept: bool = True) -> dict[str, Any]:
    """One generated response; one that `failed` has reached the token limit."""
    row: dict[str, Any] = {"index": index, "outcome": "kept" if kept else "pair_rejected", "kept": kept}
    row |= {"response": "yes", "raw_response": "yes", "finish_reason": "length" if failed else "stop"}
    return row if list_number is None else row | {"list": list_number}


def tally(rows: list[dict[str, Any]], **checks: Limit) -> RunTally:
    gate = GateConfig(group_by="list", checks=checks or {"token_limit_rate": LIMIT})
    result = RunTally(QcConfig(), gate, "###END###")
    for row in rows:
        result.add(row)
    return result


def check(counted: RunTally, *, ended: bool = False, target: int = 100) -> CheckVerdict:
    return judge(counted.gate, POLICY, counted, ended=ended, target=target).checks[0]


LISTS = [[False, False, True, False], [True, True], [False], [False, False, False]]
ROWS = [
    record(index, number, failed=failed)
    for index, (number, failed) in enumerate((number, failed) for number, row in enumerate(LISTS) for failed in row)
]


def test_a_list_is_one_sample_that_fails_by_the_share_of_its_items_once_the_next_has_begun() -> None:
    counted = [tally(ROWS[:end]).check_counts("token_limit_rate") for end in range(1, len(ROWS) + 1)]
    assert counted == [(0, 0)] * 4 + [(1, 0.25)] * 2 + [(2, 1.25)] + [(3, 1.25)] * 3


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_the_order_of_completion_changes_nothing(seed: int) -> None:
    rows = list(ROWS)
    random.Random(seed).shuffle(rows)
    assert tally(rows).check_counts("token_limit_rate") == (3, 1.25)


def test_rows_without_a_list_stand_alone() -> None:
    rows = [record(index, None, failed=index == 1) for index in range(4)]
    assert tally(rows).check_counts("token_limit_rate") == (3, 1.0), "the last one could yet go on"


def test_what_is_counted_or_settled_at_the_end_knows_no_lists() -> None:
    counted = tally(ROWS, delimiter_leakage=Limit(op="=", value=0.0, percent=False))
    found = check(counted)
    assert (found.by_list, found.n) == (False, len(ROWS))


@given(shares=st.lists(st.lists(st.booleans(), min_size=1, max_size=8), min_size=1, max_size=60))
@settings(max_examples=80, deadline=None)
def test_the_evidence_is_never_more_than_that_of_a_bet_on_each_lists_share(shares: list[list[bool]]) -> None:
    """The bet's capital, Π (1 + λ(τ − x)), is the e-process that makes the promise hold."""
    tau, p1 = 0.05, 0.01
    stake = (tau - p1) / (tau * (1 - tau))
    items = [(number, failed) for number, row in enumerate(shares) for failed in row]
    rows = [record(index, number, failed=failed) for index, (number, failed) in enumerate(items)]
    n, failures = tally([*rows, record(len(rows), len(shares))]).check_counts("token_limit_rate")
    rule = rule_for(tau, confidence=0.95, tries=3, checks=1)
    capital = sum(math.log1p(stake * (tau - sum(row) / len(row))) for row in shares)
    assert n == len(shares)
    assert rule.log_pass(failures, n) <= capital + 1e-9
    if all(all(row) or not any(row) for row in shares):
        assert rule.log_pass(failures, n) == pytest.approx(capital), "lists that fail as a whole are plain samples"


WORDS = ("red", "green", "blue", "pink", "grey", "black")


def speaking(index: int, draw: random.Random) -> dict[str, Any]:
    """A record whose texts repeat themselves or others, now and then, or that was not kept."""
    said = " ".join(draw.sample(WORDS, 5)) if draw.random() < 0.7 else "no no no no no no no no"
    made = record(index, index // 5, kept=draw.random() < 0.8)
    verb = draw.choice(("Write", "Sort", "Add", "Name"))
    return made | {"response": said, "raw_response": said, "instruction": f"{verb} {index}."}


@pytest.mark.parametrize(
    ("metric", "limit"),
    [
        ("response_repetition_rate", "< 5%"),
        ("exact_duplicate_rate", "< 5%"),
        ("near_duplicate_rate", "< 20%"),
        ("verb_diversity", ">= 2%"),
    ],
)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_repetition_and_diversity_are_gated_by_item_and_by_list(metric: str, limit: str, seed: int) -> None:
    draw = random.Random(seed)
    rows = [speaking(index, draw) for index in range(60)]
    checks = {metric: Limit.parse(limit)}
    items = RunTally(QcConfig(), GateConfig(checks=checks), "###END###")
    counted: list[tuple[int, float]] = [(0, 0)]
    for row in rows:
        items.add(row)
        counted.append(items.check_counts(metric))
    n, failures = counted[-1]
    assert n > 0
    share = failures / n
    assert items.metrics()[metric] == pytest.approx(1 - share if metric == "verb_diversity" else share)
    verdict = judge(items.gate, POLICY, items, ended=True, target=60).checks[0]
    assert (verdict.n, verdict.failures, verdict.by_list) == (n, failures, False)
    assert tally(draw.sample(rows, len(rows)), **checks).check_counts(metric) == tally(rows, **checks).check_counts(
        metric
    )
    shares = []
    for start in range(0, len(rows), 5):
        (n_before, before), (n_after, after) = counted[start], counted[start + 5]
        shares += [(after - before) / (n_after - n_before)] if n_after > n_before else []
    lists, failing = tally(rows, **checks).check_counts(metric)
    assert lists == len(shares) - 1, "the last list could yet go on"
    assert failing == pytest.approx(sum(shares[:-1]))


def test_it_is_said_in_lists_and_no_exact_bounds_are_given() -> None:
    found = check(tally(ROWS), target=3000)
    assert found.sentence.startswith("1.2 of 3 lists: not yet proven, ")
    assert found.sentence.endswith(" more clean lists")
    assert (found.lower, found.upper) == (None, None)
    assert found.to_json() | {"n": 3, "failures": 1.25, "by_list": True} == found.to_json()


def test_a_hundred_clean_lists_pass_where_a_hundred_clean_items_do_not() -> None:
    rows = [record(index, index // 4) for index in range(400)]
    assert check(tally(rows)).verdict == "undecided", "the hundredth list could yet go on"
    assert check(tally([*rows, record(400, 100)])).verdict == "pass"


def test_within_reach_is_what_the_lists_to_come_can_prove() -> None:
    fruitful = tally([record(index, index // 2) for index in range(61)])
    assert check(fruitful).reachable, "two kept pairs a list: 300 pairs take 150 lists"
    lavish = tally([record(index, index // 10) for index in range(61)])
    assert not check(lavish).reachable, "ten kept pairs a list: 300 pairs take 30 lists"
