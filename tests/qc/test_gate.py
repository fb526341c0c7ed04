"""The gate's one rule: against a direct transcription, against the numbers it was chosen for, and in its properties."""

from __future__ import annotations

import json
import math
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.campaign.grading import GateConfig, Limit, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.errors import ConfigurationError
from engine.qc.gate import Setting, judge, judge_check, judge_figures
from engine.qc.metrics import check_names
from engine.qc.rule import rule_for
from engine.qc.tally import RunTally
from engine.qc.verdicts import CheckVerdict

DEFAULTS = Setting(confidence=0.95, tries=3, checks=6, extend_to=300, target=100, kept=0, ended=False)
UNDER_5 = Limit.parse("< 5%")


def check(limit: str, k: int, n: int, metric: str = "runaway_rate", **setting: Any) -> CheckVerdict:
    values = {name: getattr(DEFAULTS, name) for name in DEFAULTS.__slots__} | setting
    return judge_check(metric, Limit.parse(limit), k / n if n else None, n=n, failures=k, setting=Setting(**values))


def naive(tau: float, k: int, n: int, tries: int = 3, checks: int = 6) -> str:
    """The rule as the design writes it, multiplied out."""
    t = Decimal(str(tau))
    p1 = Decimal("0.7") * t if tau >= 0.2 else t / 5
    alpha = Decimal("0.05")

    def evidence(p: Decimal) -> Decimal:
        return (p / t) ** k * ((1 - p) / (1 - t)) ** (n - k)

    if evidence(p1) >= tries / alpha:
        return "pass"
    if sum(evidence(t + (1 - t) * Decimal(step)) for step in ("0.05", "0.1", "0.2", "0.4")) / 4 >= checks / alpha:
        return "fail"
    return "undecided"


@pytest.mark.parametrize("tau", [0.01, 0.05, 0.1, 0.2, 0.5, 0.9])
def test_the_rule_is_the_designs(tau: float) -> None:
    for n in range(0, 200, 7):
        for k in range(0, n + 1, max(1, n // 13)):
            assert check(f"< {tau * 100:g}%", k, n).verdict == naive(tau, k, n), (k, n)


@pytest.mark.parametrize(("failures", "enough"), [(0, 100), (1, 140), (2, 180)])
def test_under_5_percent_passes_at_the_designs_numbers(failures: int, enough: int) -> None:
    first = next(n for n in range(1, 400) if check("< 5%", failures, n).verdict == "pass")
    assert enough - 2 <= first <= enough
    assert check("< 5%", failures, enough).verdict == "pass"


def test_the_seeds_pilot_fails() -> None:
    assert check("< 5%", 9, 43, ended=True).verdict == "fail"
    limit = check("< 10%", 24, 46, "token_limit_rate", ended=True)
    assert limit.verdict == "fail"
    assert limit.sentence == "24 of 46: proven too high (limit < 10%)"
    assert not limit.reachable


def test_the_seeds_pilot_as_a_gate() -> None:
    verdict = judge_figures(
        GateConfig(),
        PolicyConfig(),
        {"runaway_rate": 9 / 43, "token_limit_rate": 24 / 46, "delimiter_leakage": 0.0, "median_tokens": 32.0},
        {
            "runaway_rate": (43, 9),
            "token_limit_rate": (46, 24),
            "delimiter_leakage": (43, 0),
            "instruction_acceptance": (116, 26),
            "pair_acceptance": (46, 3),
        },
        kept=43,
        ended=True,
        target=100,
    )
    assert verdict.verdict == "fail"
    assert {c.metric: c.verdict for c in verdict.checks} == {
        "runaway_rate": "fail",
        "token_limit_rate": "fail",
        "delimiter_leakage": "pass",
        "median_tokens": "undecided",
        "instruction_acceptance": "pass",
        "pair_acceptance": "pass",
    }
    assert verdict.sentence == "fail: runaway 9 of 43, limit < 5%; token limit 24 of 46, limit < 10%"
    json.dumps(verdict.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("limit", "k", "n", "sentence"),
    [
        ("< 5%", 0, 30, "0 of 30: not yet proven, 70 more clean"),
        ("< 10%", 13, 88, "13 of 88: cannot pass by 300"),
        ("< 5%", 21, 43, "21 of 43: proven too high (limit < 5%)"),
        ("< 5%", 0, 100, "0 of 100: proven < 5%"),
        ("< 5%", 0, 0, "no samples yet, 100 clean ones prove it"),
    ],
)
def test_sentences_say_what_is_missing(limit: str, k: int, n: int, sentence: str) -> None:
    assert check(limit, k, n, kept=n).sentence == sentence


def test_the_gates_sentence_names_what_it_hangs_on() -> None:
    def sentence(ended: bool = False, **counts: tuple[int, int]) -> str:
        clean = {"delimiter_leakage": (80, 0), "median_tokens": (80, 0), "instruction_acceptance": (99, 0)}
        judged = clean | {"runaway_rate": (120, 0), "token_limit_rate": (120, 0), "pair_acceptance": (99, 0)} | counts
        values = {metric: k / n if n else None for metric, (n, k) in judged.items()}
        return judge_figures(GateConfig(), PolicyConfig(), values, judged, kept=80, ended=ended, target=100).sentence

    assert sentence(ended=True) == "pass: all 6 checks proven at 95%"
    assert sentence(ended=True, runaway_rate=(30, 0)) == "undecided: runaway needs 70 more clean"
    assert sentence(runaway_rate=(80, 0), token_limit_rate=(40, 0), pair_acceptance=(1, 0)) == (
        "undecided: runaway needs 20 more clean; pair accept needs 15 more clean; 2 more open"
    )
    assert sentence() == "undecided: delimiter 0 in 80: holds so far, decided at the end"
    assert sentence(ended=True, runaway_rate=(0, 0)) == "undecided: runaway not known"
    empty = judge_figures(GateConfig(), PolicyConfig(), {}, {}, kept=0, ended=False, target=100)
    assert empty.sentence == "undecided: no samples"


@pytest.mark.parametrize(("k", "n", "verdict"), [(26, 116, "pass"), (90, 116, "fail"), (58, 116, "undecided")])
def test_an_acceptance_is_judged_by_its_rejections(k: int, n: int, verdict: str) -> None:
    judged = check(">= 50%", k, n, "instruction_acceptance")
    assert judged.verdict == verdict == naive(0.5, k, n)
    assert judged.sentence.startswith(f"{k} of {n} rejected")


def test_a_median_is_judged_by_the_share_at_or_over_its_limit() -> None:
    judged = check("< 40", 12, 100, "median_tokens")
    assert judged.verdict == naive(0.5, 12, 100) == "pass"
    assert judged.sentence == "12 of 100 at 40 or more: proven < 40"


def test_none_allowed_fails_at_the_first_and_passes_at_the_end() -> None:
    assert check("= 0", 0, 60, "delimiter_leakage").verdict == "undecided"
    assert check("= 0", 0, 60, "delimiter_leakage").needs.failures_to_fail == 1
    assert check("= 0", 1, 60, "delimiter_leakage").verdict == "fail"
    assert check("= 0", 0, 60, "delimiter_leakage", ended=True).verdict == "pass"
    assert check("= 0", 0, 0, "delimiter_leakage", ended=True).verdict == "undecided"
    assert check("= 0", 0, 500).verdict == "undecided"
    assert check("= 0", 1, 500).verdict == "fail"


@pytest.mark.parametrize(
    ("limit", "value", "live", "ended"),
    [
        (">= 100", 43, "undecided", "fail"),
        (">= 100", 100, "pass", "pass"),
        ("<= 200", 150, "undecided", "pass"),
        ("<= 200", 201, "fail", "fail"),
        ("< 200", 200, "fail", "fail"),
        ("= 100", 100, "undecided", "pass"),
        ("= 100", 99, "undecided", "fail"),
    ],
)
def test_a_count_is_settled_by_counting(limit: str, value: int, live: str, ended: str) -> None:
    assert check(limit, value, 400, "examples").verdict == live
    assert check(limit, value, 400, "examples", ended=True).verdict == ended


@pytest.mark.parametrize(
    ("limit", "k", "verdict"),
    [("<= 5%", 0, "pass"), ("< 0%", 0, "fail"), ("<= 0%", 0, "pass"), ("<= 100%", 9, "pass"), ("< 100%", 99, "pass")],
)
def test_odd_limits_have_a_verdict_too(limit: str, k: int, verdict: str) -> None:
    assert check(limit, k, 100, ended=True).verdict == verdict


def test_all_good_is_a_limit_of_no_rejection() -> None:
    def all_accepted(rejected: int, ended: bool) -> str:
        setting = Setting(0.95, tries=3, checks=6, extend_to=300, target=100, kept=50, ended=ended)
        limit = Limit.parse(">= 100%")
        return judge_check(
            "pair_acceptance", limit, 1 - rejected / 50, n=50, failures=rejected, setting=setting
        ).verdict

    assert all_accepted(0, ended=False) == "undecided"
    assert all_accepted(0, ended=True) == "pass"
    assert all_accepted(1, ended=True) == "fail"


def test_what_is_not_known_stays_undecided() -> None:
    gate = GateConfig.model_validate({"checks": {"runaway_rate": "< 5%", "pair_yield": ">= 10%"}})
    for ended in (False, True):
        verdict = judge_figures(gate, PolicyConfig(), {}, {}, kept=0, ended=ended, target=100)
        assert verdict.verdict == "undecided"
        assert [c.value for c in verdict.checks] == [None, None]


def test_a_misspelt_metric_is_refused_and_never_passes() -> None:
    gate = GateConfig.model_validate({"checks": {"runawy_rate": "< 5%"}})
    with pytest.raises(ConfigurationError, match="runawy_rate") as error:
        check_names(gate)
    assert "runaway_rate" in str(error.value)
    verdict = judge(gate, PolicyConfig(), RunTally(QcConfig(), gate, "#"), ended=True, target=10)
    assert verdict.verdict == "undecided"
    assert verdict.checks[0].sentence == "there is no metric 'runawy_rate'"
    assert not verdict.reachable


def test_without_confidence_it_compares_plainly_and_says_so() -> None:
    verdict = check("< 5%", 2, 43, confidence=None)
    assert verdict.verdict == "pass"
    assert "plain comparison" in verdict.sentence
    assert verdict.evidence is None
    assert check("< 5%", 3, 43, confidence=None).verdict == "fail"


def test_a_plain_comparison_never_ends_a_run_early() -> None:
    gate = GateConfig.model_validate({"confidence": "none"})
    verdict = judge_figures(
        gate, PolicyConfig(), {"runaway_rate": 1.0}, {"runaway_rate": (1, 1)}, kept=0, ended=False, target=100
    )
    assert verdict.verdict == "fail"


# --- properties --------------------------------------------------------------------------------------------------

taus = st.floats(0.005, 0.95)


@given(tau=taus, n=st.integers(0, 2000), share=st.floats(0, 1))
def test_never_proven_both_ways(tau: float, n: int, share: float) -> None:
    k = round(share * n)
    rule = rule_for(tau, confidence=0.95, tries=3, checks=6)
    assert not (rule.passes(k, n) and rule.fails(k, n))


ORDER = {"pass": 0, "undecided": 1, "fail": 2}


@given(tau=taus, n=st.integers(1, 600), data=st.data())
def test_one_failure_more_never_helps(tau: float, n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n - 1))
    limit = f"< {tau * 100:.4f}%"
    assert ORDER[check(limit, k, n).verdict] <= ORDER[check(limit, k + 1, n).verdict]


@given(tau=taus, n=st.integers(0, 400), data=st.data())
def test_needs_are_exact(tau: float, n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    rule = rule_for(tau, confidence=0.95, tries=3, checks=6)
    clean, bad = rule.clean_to_pass(k, n), rule.failures_to_fail(k, n)
    assert rule.passes(k, n + clean)
    assert clean == 0 or not rule.passes(k, n + clean - 1)
    assert rule.fails(k + bad, n + bad)
    assert bad == 0 or not rule.fails(k + bad - 1, n + bad - 1)


@given(n=st.integers(0, 320), data=st.data(), kept=st.integers(0, 320))
def test_reachable_means_all_clean_from_here_passes_in_time(n: int, data: st.DataObject, kept: int) -> None:
    k = data.draw(st.integers(0, n))
    judged = check("< 5%", k, n, kept=kept)
    horizon = max(300, 100, n + max(0, 300 - kept), min(math.ceil(n * 300 / kept), 1200) if kept else 0)
    assert judged.reachable == any(check("< 5%", k, later).verdict == "pass" for later in range(n, horizon + 1))


def test_extending_overturns_what_was_undecided_and_nothing_latches() -> None:
    early, later = check("< 5%", 5, 6), check("< 5%", 5, 400)
    assert early.verdict == "fail"
    assert later.verdict == "pass"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_completion_changes_no_verdict(seed: int) -> None:
    rng = random.Random(seed)
    records = [
        {
            "index": index,
            "outcome": "kept",
            "kept": True,
            "raw_response": "x\nInstruction: y" if rng.random() < 0.1 else "x",
            "response": "x",
            "finish_reason": "length" if rng.random() < 0.2 else "stop",
            "response_tokens": rng.randrange(10, 60),
            "pair_critic": {"good": rng.random() < 0.7, "confident": True},
        }
        for index in range(90)
    ]
    gate, policy = GateConfig(), PolicyConfig()
    shuffled = records[:]
    rng.shuffle(shuffled)
    ordered_tally, tally = RunTally(QcConfig(), gate, "###END###"), RunTally(QcConfig(), gate, "###END###")
    by_prefix = [judge(gate, policy, ordered_tally, ended=False, target=100).checks]
    for record in records:
        ordered_tally.add(record)
        by_prefix.append(judge(gate, policy, ordered_tally, ended=False, target=100).checks)
    for record in shuffled:
        tally.add(record)
        judged = judge(gate, policy, tally, ended=False, target=100).checks
        expected = by_prefix[tally.judged_items]
        assert [(c.verdict, c.n, c.failures, c.needs, c.reachable) for c in judged] == [
            (c.verdict, c.n, c.failures, c.needs, c.reachable) for c in expected
        ]
    assert judge(gate, policy, tally, ended=True, target=100) == judge(
        gate, policy, ordered_tally, ended=True, target=100
    )


def ever_passes(rng: random.Random, rate: float, tries: int = 3, until: int = 300) -> bool:
    """A campaign: up to `tries` runs, each looked at after every sample."""
    rule = rule_for(0.05, confidence=0.95, tries=tries, checks=6)
    threshold = math.log(rule.pass_threshold)
    for _ in range(tries):
        log = 0.0
        for _ in range(until):
            log += rule.on_failure if rng.random() < rate else rule.on_clean
            if log >= threshold:
                return True
    return False


def test_a_true_5_percent_generator_rarely_passes_however_often_one_looks() -> None:
    rng = random.Random(20)
    campaigns = 600
    passed = sum(ever_passes(rng, 0.05) for _ in range(campaigns))
    assert passed / campaigns < 0.07


def test_a_true_1_percent_generator_mostly_passes_in_one_try() -> None:
    rng = random.Random(21)
    rule = rule_for(0.05, confidence=0.95, tries=3, checks=6)
    passed = 0
    for _ in range(400):
        k = 0
        for n in range(1, 301):
            k += rng.random() < 0.01
            if rule.passes(k, n):
                passed += 1
                break
    assert 0.89 <= passed / 400 <= 0.98
