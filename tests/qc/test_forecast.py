"""The forecast is scipy's beta-binomial, on the failures that the rule still allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign.grading import GateConfig, Limit
from engine.campaign.policy import PolicyConfig
from engine.qc.forecast import LEAST_SAMPLES, beta_binomial_cdf, chance_of_none, chance_to_pass, together
from engine.qc.gate import judge_figures
from engine.qc.rule import rule_for

RULE = rule_for(0.05, confidence=0.95, tries=3, checks=6)


@pytest.mark.parametrize("trials", [0, 1, 7, 80, 400, 15_000])
@pytest.mark.parametrize(("a", "b"), [(0.5, 20.5), (3.5, 47.5), (30.5, 10.5), (0.5, 0.5)])
def test_the_distribution_is_scipys(trials: int, a: float, b: float) -> None:
    from scipy.stats import betabinom

    for most in {-1, 0, 1, trials // 20, trials // 2, trials - 1, trials, trials + 3}:
        assert beta_binomial_cdf(most, trials, a, b) == pytest.approx(betabinom.cdf(most, trials, a, b), abs=1e-9)


@given(n=st.integers(1, 2000))
def test_most_failures_is_the_last_that_passes(n: int) -> None:
    most = RULE.most_failures(n)
    assert most == -1 or RULE.passes(most, n)
    assert not RULE.passes(most + 1, n)


@given(n=st.integers(LEAST_SAMPLES, 300), data=st.data())
def test_more_failures_are_never_likelier_to_pass(n: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, n - 1))
    now, worse = chance_to_pass(RULE, failures, n, 300), chance_to_pass(RULE, failures + 1, n, 300)
    assert now is not None
    assert worse is not None
    assert 0.0 <= worse <= now <= 1.0
    assert (now == 1.0) == (n == 300 and RULE.passes(failures, n)) or n < 300


def test_too_few_samples_give_no_forecast() -> None:
    assert chance_to_pass(RULE, 0, LEAST_SAMPLES - 1, 300) is None
    assert chance_of_none(LEAST_SAMPLES - 1, 300) is None
    assert together([0.5, None]) is None
    assert together([0.5, 0.5]) == 0.25


def verdict_on(counts: dict[str, tuple[int, int]], *, bounds: bool = True) -> float | None:
    gate = GateConfig(checks={"runaway_rate": Limit.parse("< 5%"), "delimiter_leakage": Limit.parse("= 0")})
    values = {metric: failures / n if n else None for metric, (n, failures) in counts.items()}
    verdict = judge_figures(gate, PolicyConfig(), values, counts, kept=50, ended=False, target=100, bounds=bounds)
    return verdict.forecast


def test_the_gates_forecast_is_that_of_its_open_checks_together() -> None:
    runaway = chance_to_pass(rule_for(0.05, confidence=0.95, tries=3, checks=2), 1, 60, 360)
    leak = chance_of_none(60, 360)
    assert runaway is not None
    assert leak is not None
    assert verdict_on({"runaway_rate": (60, 1), "delimiter_leakage": (60, 0)}) == pytest.approx(runaway * leak)
    assert verdict_on({"runaway_rate": (60, 1), "delimiter_leakage": (60, 1)}) is None, "it fails: nothing is forecast"
    assert verdict_on({"runaway_rate": (60, 1), "delimiter_leakage": (0, 0)}) is None
    assert verdict_on({"runaway_rate": (60, 1), "delimiter_leakage": (60, 0)}, bounds=False) is None
