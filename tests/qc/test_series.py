"""The series of a metric is what the gate judged, sample by sample, with exact bounds around it."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.qc.gate import judge
from engine.qc.series import CheckSeries, MetricSeries
from engine.qc.statistics import median_rank
from engine.qc.tally import RunTally
from engine.qc.verdicts import GateVerdict

LIMITS = {"runaway_rate": "< 5%", "pair_acceptance": ">= 50%", "median_tokens": "< 40", "delimiter_leakage": "= 0"}
MOST = 400


def gate(**changes: Any) -> GateConfig:
    return GateConfig.model_validate({"checks": LIMITS} | changes)


def record(
    index: int, *, runaway: bool = False, good: bool = True, tokens: int = 3, leak: bool = False
) -> dict[str, Any]:
    raw = "yes\nInstruction: more" if runaway else "yes"
    return {
        "index": index,
        "list": index // 4,
        "outcome": "kept" if good else "pair_rejected",
        "kept": good,
        "instruction": f"do {index}",
        "response": "yes ###END###" if leak else "yes",
        "raw_response": raw,
        "response_tokens": tokens,
        "finish_reason": "stop",
        "pair_critic": {"good": good, "confident": True, "label": "A", "margin": 2.0},
    }


def grown(
    found: list[dict[str, Any]], config: GateConfig, *, ended: bool = True, most: int = MOST
) -> tuple[dict[str, CheckSeries], GateVerdict]:
    tally = RunTally(QcConfig(), config, "###END###")
    series = MetricSeries(tally, config)
    for one in found:
        series.add(one)
    verdict = judge(config, PolicyConfig(), tally, ended=ended, target=len(found))
    return {one.metric: one for one in series.series(verdict, most)}, verdict


SOME = st.lists(
    st.builds(dict, runaway=st.booleans(), good=st.booleans(), tokens=st.integers(0, 80), leak=st.booleans()),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(made=SOME)
def test_the_last_point_is_what_the_gate_says(made: list[dict[str, Any]]) -> None:
    records = [record(index, **each) for index, each in enumerate(made)]
    found, verdict = grown(records, gate())
    for check in verdict.checks:
        if not check.n:
            assert check.metric not in found
            continue
        last = found[check.metric].points[-1]
        assert (last.n, last.failures) == (check.n, check.failures)
        assert check.value is not None
        assert last.value == pytest.approx(check.value)
        if check.metric == "runaway_rate":
            assert (last.lower, last.upper) == (check.lower, check.upper)
        elif check.metric == "pair_acceptance":
            assert check.lower is not None
            assert check.upper is not None
            assert (last.lower, last.upper) == (1 - check.upper, 1 - check.lower)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 80), min_size=1, max_size=60))
def test_a_median_runs_with_the_bounds_of_the_sign_test(sizes: list[int]) -> None:
    """Below the limit exactly where the share at it or above is proven, by Clopper and Pearson, to be under a half."""
    found, _ = grown([record(index, tokens=size) for index, size in enumerate(sizes)], gate())
    for point in found["median_tokens"].points:
        seen = sorted(sizes[: point.n])
        assert point.value == statistics.median(seen)
        over = sum(size >= 40 for size in seen)
        assert point.failures == over
        proven = stats.binomtest(over, point.n, 0.5, alternative="less").pvalue <= 0.05
        assert (point.upper is not None and point.upper < 40) == proven
        assert point.lower is None or point.lower <= point.value


def test_the_rank_of_a_medians_bound_is_exact() -> None:
    for n in (1, 4, 5, 7, 8, 40, 100, 999, 5000):
        for confidence in (0.9, 0.95, 0.99):
            rank = median_rank(n, confidence)
            assert rank == 0 or stats.binom.cdf(rank - 1, n, 0.5) <= 1 - confidence + 1e-9
            assert stats.binom.cdf(rank, n, 0.5) > 1 - confidence - 1e-9


def test_it_is_told_from_how_many_samples_on_the_verdict_stands() -> None:
    clean, _ = grown([record(index) for index in range(130)], gate())
    assert clean["runaway_rate"].decided_at == 100
    assert clean["delimiter_leakage"].decided_at is None, "only the end settles it"
    failing = [record(index, runaway=20 <= index < 40) for index in range(60)]
    at = grown(failing, gate())[0]["runaway_rate"].decided_at
    assert at is not None
    verdicts = [grown(failing[:n], gate(), ended=False)[1].checks[0].verdict for n in (at - 1, at, 60)]
    assert verdicts == ["undecided", "fail", "fail"]
    leaking, _ = grown([record(index, leak=index == 7) for index in range(20)], gate())
    assert leaking["delimiter_leakage"].decided_at == 8
    undecided, _ = grown([record(index) for index in range(30)], gate(), ended=False)
    assert undecided["runaway_rate"].decided_at is None


def test_a_verdict_that_was_lost_again_counts_from_where_it_came_back() -> None:
    """Nothing latches: 100 clean ones pass, two failures undo it, more clean ones bring it back."""
    records = [record(index, runaway=index in (100, 101)) for index in range(300)]
    found, verdict = grown(records, gate(checks={"runaway_rate": "< 5%"}))
    assert verdict.verdict == "pass"
    at = found["runaway_rate"].decided_at
    assert at is not None
    assert at > 102
    _, before = grown(records[: at - 1], gate(checks={"runaway_rate": "< 5%"}), ended=False)
    _, there = grown(records[:at], gate(checks={"runaway_rate": "< 5%"}), ended=False)
    assert (before.verdict, there.verdict) == ("undecided", "pass")


def test_a_long_series_is_thinned_and_keeps_where_it_was_decided() -> None:
    found, _ = grown([record(index) for index in range(3000)], gate(), most=50)
    points = found["runaway_rate"].points
    assert len(points) == 50
    assert {points[0].n, points[-1].n} == {1, 3000}
    assert 100 in [point.n for point in points]


def test_lists_as_samples_and_plain_comparisons_have_no_bounds() -> None:
    records = [record(index, tokens=index) for index in range(40)]
    by_list, verdict = grown(records, gate(group_by="list"))
    assert by_list["runaway_rate"].points[-1].n == next(c.n for c in verdict.checks if c.metric == "runaway_rate") == 9
    plain, _ = grown(records, gate(confidence="none"))
    for found in (by_list, plain):
        assert all(point.upper is None for one in found.values() for point in one.points)
    assert by_list["median_tokens"].points[-1].value == statistics.median(range(36 + 1))
    assert plain["runaway_rate"].decided_at is None
