"""The traced evidence is the gate's own, sample by sample, whatever order the records were written in."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.qc.gate import judge
from engine.qc.tally import RunTally
from engine.qc.trace import CheckTrace, in_item_order, thinned, trace

DELIMITER = "###END###"
LIMITS = {"runaway_rate": "< 5%", "pair_acceptance": ">= 50%", "median_tokens": "< 40", "delimiter_leakage": "= 0"}


def gate(**changes: Any) -> GateConfig:
    return GateConfig.model_validate({"checks": LIMITS} | changes)


def record(index: int, *, runaway: bool, good: bool = True) -> dict[str, Any]:
    raw = "yes\nInstruction: more" if runaway else "yes"
    critic = {"good": good, "confident": True, "label": "A" if good else "B", "margin": 2.0}
    return {
        "index": index,
        "list": index // 4,
        "outcome": "kept" if good else "pair_rejected",
        "kept": good,
        "instruction": f"do {index}",
        "response": "yes",
        "raw_response": raw,
        "response_tokens": 3,
        "finish_reason": "stop",
        "pair_critic": critic,
    }


def records(seed: int, n: int, share: float = 0.2) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [record(index, runaway=rng.random() < share, good=rng.random() < 0.9) for index in range(n)]


def tally(config: GateConfig) -> RunTally:
    return RunTally(QcConfig(), config, DELIMITER)


def traced(found: list[dict[str, Any]], config: GateConfig) -> dict[str, CheckTrace]:
    verdict = judge(config, PolicyConfig(), tally(config), ended=False, target=100, bounds=False)
    return {one.metric: one for one in trace(in_item_order(found), tally(config), verdict)}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(1, 80), grouped=st.booleans(), share=st.sampled_from([0.0, 0.03, 0.5])
)
def test_each_point_is_what_the_gate_says_of_the_records_so_far(seed: int, n: int, grouped: bool, share: float) -> None:
    config, found = gate(group_by="list" if grouped else "item"), records(seed, n, share)
    drawn = traced(found, config)
    so_far = tally(config)
    seen: dict[str, int] = {}
    for one in found:
        so_far.add(one)
        for check in judge(config, PolicyConfig(), so_far, ended=False, target=100, bounds=False).checks:
            if check.metric not in drawn or check.n == seen.get(check.metric, 0):
                continue
            seen[check.metric] = check.n
            point = drawn[check.metric].points[check.n - 1]
            assert (point.n, point.failures, point.verdict) == (check.n, check.failures, check.verdict)
            assert check.evidence is not None
            assert check.evidence_fail is not None
            assert abs(10**point.log_pass - check.evidence) <= 1e-9 * check.evidence
            assert abs(10**point.log_fail - check.evidence_fail) <= 1e-9 * check.evidence_fail
            assert (drawn[check.metric].threshold_pass, drawn[check.metric].threshold_fail) == (
                check.threshold,
                check.threshold_fail,
            )
    assert {name: len(one.points) for name, one in drawn.items()} == {name: seen.get(name, 0) for name in drawn}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60))
def test_the_order_of_completion_changes_nothing(seed: int, n: int) -> None:
    found = records(seed, n)
    scrambled = random.Random(seed).sample(found, n)
    scrambled.insert(n // 2, scrambled[0])  # written twice, as after a crash
    scrambled.insert(n // 3, {"index": 0, "outcome": 7})  # garbage
    assert list(in_item_order(scrambled)) == found
    assert traced(scrambled, gate()) == traced(found, gate())


def test_what_stands_behind_a_hole_is_not_traced() -> None:
    found = records(1, 30)
    assert list(in_item_order(found[:10] + found[11:])) == found[:10]


def test_only_checks_that_the_rule_decides_are_traced() -> None:
    assert list(traced(records(1, 5), gate())) == ["runaway_rate", "pair_acceptance", "median_tokens"]
    assert traced(records(1, 5), gate(confidence="none")) == {}


def test_it_says_where_a_threshold_was_first_reached() -> None:
    clean = [record(index, runaway=False) for index in range(150)]
    (passing,) = traced(clean, gate(checks={"runaway_rate": "< 5%"})).values()
    assert (passing.passes_at, passing.fails_at) == (100, None)
    broken = [record(index, runaway=index % 2 == 0) for index in range(60)]
    (failing,) = traced(broken, gate(checks={"runaway_rate": "< 5%"})).values()
    assert failing.passes_at is None
    assert failing.fails_at is not None
    assert failing.points[failing.fails_at - 1].verdict == "fail"
    assert failing.points[failing.fails_at - 2].verdict == "undecided"


def test_a_long_trace_is_thinned_and_keeps_what_decided_it() -> None:
    found = [record(index, runaway=index >= 700) for index in range(1000)]
    (one,) = traced(found, gate(checks={"runaway_rate": "< 5%"})).values()
    points = thinned(one, 50)
    assert len(points) <= 50
    assert points[0] == one.points[0]
    assert points[-1] == one.points[-1]
    assert {one.passes_at, one.fails_at} <= {point.n for point in points}
    assert [point.n for point in points] == sorted({point.n for point in points})
    gaps = [after.n - before.n for before, after in itertools.pairwise(points)]
    assert max(gaps) <= 1000 / 40
    assert thinned(one, 1000) == one.points
