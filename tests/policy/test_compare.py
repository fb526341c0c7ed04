"""Better and worse are what an interval on the difference proves, and are said against the right run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.campaign.grading import GateConfig
from engine.campaign.policy import PolicyConfig
from engine.policy.compare import compare, partner_of
from engine.qc.gate import judge_figures
from engine.qc.metrics import IN_ORDER
from engine.qc.statistics import difference_interval
from engine.qc.verdicts import DetectorEvidence, GateVerdict
from tests.policy.histories import FEWER_RUNAWAYS, GOOD, LONG, RUNAWAY, run, verdict

OPPOSITE = {"better": "worse", "worse": "better"}
RATES = ("runaway_rate", "token_limit_rate", "median_tokens", "instruction_acceptance", "pair_acceptance")


def judged(counts: dict[str, tuple[int, int]]) -> GateVerdict:
    return verdict(counts, kept=100, ended=True)


def change(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], metric: str = "runaway_rate") -> str:
    found = {check.metric: check.change for check in compare(judged(before), judged(after)).checks}
    return found[metric]


@st.composite
def counts(draw: st.DrawFn) -> dict[str, tuple[int, int]]:
    found = {}
    for metric in (*RATES, "delimiter_leakage"):
        n = draw(st.integers(0, 400))
        found[metric] = (n, draw(st.integers(0, n)))
    return found


@settings(max_examples=60, deadline=None)
@given(before=counts(), after=counts())
def test_the_other_way_round_better_is_worse(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]
) -> None:
    there, back = compare(judged(before), judged(after)), compare(judged(after), judged(before))
    assert back.change == OPPOSITE.get(there.change, there.change)
    for one, other in zip(there.checks, back.checks, strict=True):
        assert other.change == OPPOSITE.get(one.change, one.change)
        assert (other.lower, other.upper) == pytest.approx((-one.upper, -one.lower), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(figures=counts())
def test_a_run_is_neither_better_nor_worse_than_its_equal(figures: dict[str, tuple[int, int]]) -> None:
    comparison = compare(judged(figures), judged(figures))
    assert not any(check.proven for check in comparison.checks)
    assert comparison.change in ("not distinguishable", "not known")
    assert comparison.sentence == "no difference is proven"


@settings(max_examples=60, deadline=None)
@given(before=counts(), after=counts())
def test_what_is_proven_is_what_the_interval_excludes(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]
) -> None:
    for check in compare(judged(before), judged(after)).checks:
        (n, failures), (later_n, later_failures) = before[check.metric], after[check.metric]
        lower, upper = difference_interval((failures, n), (later_failures, later_n), 0.95)
        if check.proven:
            assert (lower > 0) == (check.change == "better")
            assert (upper < 0) == (check.change == "worse")
        elif check.change == "not distinguishable":
            assert lower <= 0 <= upper


def test_fewer_rejections_are_better_too() -> None:
    rejected = GOOD | {"pair_acceptance": (190, 60)}
    assert change(rejected, GOOD, "pair_acceptance") == "better"
    assert change(GOOD, rejected, "pair_acceptance") == "worse"


def test_better_in_one_and_worse_in_another_is_mixed() -> None:
    mixed = compare(judged(RUNAWAY), judged(LONG))
    assert mixed.change == "mixed"
    assert mixed.sentence == "runaway better, token limit worse"
    assert compare(judged(RUNAWAY), judged(GOOD)).change == "better"
    assert compare(judged(GOOD), judged(LONG)).change == "worse"


def test_without_samples_nothing_is_known() -> None:
    nothing = judged({})
    assert compare(nothing, judged(GOOD)).change == "not known"
    assert change(GOOD | {"runaway_rate": (0, 0)}, GOOD) == "not known"


def test_occurrences_prove_nothing_however_many_there_are() -> None:
    """Five of them may stand in one answer."""
    leaks = GOOD | {"delimiter_leakage": (150, 60)}
    assert change(GOOD, leaks, "delimiter_leakage") == "not known"
    assert compare(judged(GOOD), judged(leaks)).change == "not distinguishable"


def test_checks_under_other_limits_or_detectors_are_not_compared() -> None:
    before, after = judged(RUNAWAY), judged(GOOD)
    strict = replace(after, checks=tuple(replace(check, limit=check.limit / 2) for check in after.checks))
    assert compare(before, strict).change == "not known"

    def by(gate: GateVerdict, detector: str) -> GateVerdict:
        return replace(gate, detectors=(DetectorEvidence("runaway", detector, ("runaway_rate",)),))

    assert compare(by(before, "markers-v2"), by(after, "markers-v2")).change == "better"
    assert compare(by(before, "length-v1"), by(after, "markers-v2")).change == "not distinguishable"
    assert compare(by(before, "length-v1"), by(after, "markers-v2")).checks[0].change == "not known"


@pytest.mark.parametrize("metric", IN_ORDER)
def test_what_changes_as_a_run_grows_is_compared_between_runs_of_like_size_only(metric: str) -> None:
    gate = GateConfig.model_validate({"checks": {metric: "> 20%" if metric == "verb_diversity" else "< 20%"}})

    def of(n: int, failures: int) -> GateVerdict:
        return judge_figures(gate, PolicyConfig(), {metric: 0.1}, {metric: (n, failures)}, kept=n, ended=True, target=n)

    small = compare(of(40, 4), of(300, 200))
    assert (small.change, small.checks[0].change, small.checks[0].other_sizes) == ("not known", "not known", True)
    assert compare(of(300, 200), of(40, 4)).change == "not known"
    assert compare(of(269, 20), of(300, 200)).change == "not known"
    assert compare(of(270, 20), of(300, 200)).change == "worse", "10 % fewer are like enough"
    assert compare(of(300, 200), of(270, 20)).change == "better"
    assert not compare(of(0, 0), of(300, 200)).checks[0].other_sizes, "of nothing nothing is known"


def test_the_partner_is_the_run_it_started_from() -> None:
    pilot, first = run("pilot", RUNAWAY), run("iteration-1", FEWER_RUNAWAYS, parent="pilot")
    second = run("iteration-2", GOOD, parent="pilot")
    history = [pilot, first, second]
    assert [partner_of(history, one) for one in history] == [None, pilot, pilot]


def test_without_a_parent_the_partner_is_the_newest_earlier_run_that_was_judged() -> None:
    pilot, failed = run("pilot", RUNAWAY), run("iteration-1", {}, "failed", parent="pilot")
    second = run("iteration-2", GOOD, parent="iteration-1")
    later = run("iteration-3", GOOD, parent="elsewhere")
    history = [pilot, failed, second, later]
    assert partner_of(history, second) is pilot, "its parent left nothing to compare with"
    assert partner_of(history, later) is second
    assert partner_of([second, pilot], pilot) is second
    assert partner_of([pilot], second) is None
