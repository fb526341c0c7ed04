"""Which parameters are proposed after which failing check, and when two runs differ."""

from __future__ import annotations

from typing import Any

import pytest

from engine.campaign.models import Parameters
from engine.campaign.parameters import flatten
from engine.policy.compare import compare
from engine.policy.proposals import STOP_STRINGS, propose
from tests.policy.histories import (
    FEWER_RUNAWAYS,
    GOOD,
    LONG,
    MORE_RUNAWAYS,
    RUNAWAY,
    campaign,
    run,
    verdict,
)

REJECTED = GOOD | {"instruction_acceptance": (300, 200)}
BAD_PAIRS = GOOD | {"pair_acceptance": (190, 150)}
WORDY = GOOD | {"median_tokens": (150, 120)}
STOPS = {"response.stop": list(STOP_STRINGS)}

TABLE: list[tuple[dict[str, tuple[int, int]], dict[str, Any], dict[str, Any]]] = [
    (RUNAWAY, {}, STOPS),
    (RUNAWAY | {"token_limit_rate": (100, 50)}, {}, STOPS),
    (RUNAWAY, {"response": {"stop": ["\nQ:"]}}, {"response.temperature": 0.35}),
    (LONG, {}, {"response.max_tokens": 100}),
    (LONG, {"response": {"max_tokens": 81}}, {"response.max_tokens": 105}),
    (LONG, {"response": {"stop": ["\nQ:"]}}, {"response.max_tokens": 100}),
    (REJECTED, {}, {"instruction.temperature": 0.6}),
    (REJECTED, {"instruction": {"temperature": 0.25}}, {"instruction.temperature": 0.2}),
    (REJECTED, {"instruction": {"temperature": 0.1}}, {}),
    (BAD_PAIRS, {}, {"response.temperature": 0.35}),
    (WORDY, {}, {"response.temperature": 0.35}),
    (WORDY, {"response": {"temperature": 0.02}}, {}),
    (REJECTED | {"runaway_rate": (100, 30)}, {}, STOPS | {"instruction.temperature": 0.6}),
    (GOOD, {}, {}),
]


@pytest.mark.parametrize(("counts", "base", "changed"), TABLE)
def test_each_failing_check_has_its_remedy(
    counts: dict[str, tuple[int, int]], base: dict[str, Any], changed: dict[str, Any]
) -> None:
    before = Parameters.model_validate(base)
    after, why = propose(campaign(), [run("pilot", counts, parameters=before)])
    old, new = flatten(before), flatten(after)
    assert {key: new[key] for key in new if new[key] != old[key]} == changed | {"seed": 43}
    assert set(why) == set(changed) | {"seed"}


def test_what_is_not_proven_is_worked_on_where_nothing_fails() -> None:
    after, why = propose(campaign(), [run("pilot", GOOD | {"token_limit_rate": (30, 1)}, kept=300, target=300)])
    assert after.response.max_tokens == 100
    assert "is not proven (1 of 30)" in why["response.max_tokens"]


def test_parameters_that_were_never_known_are_the_campaigns() -> None:
    foreign = run("pilot", RUNAWAY, imported=True, parameters_known=False, parameters=Parameters(seed=7))
    after, _ = propose(campaign(parameters={"seed": 50}), [foreign])
    assert after.seed == 51


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (RUNAWAY, FEWER_RUNAWAYS, "better"),
        (RUNAWAY, MORE_RUNAWAYS, "worse"),
        (RUNAWAY, RUNAWAY, "not distinguishable"),
        (RUNAWAY, FEWER_RUNAWAYS | {"token_limit_rate": (190, 60)}, "not distinguishable"),
        ({}, RUNAWAY, "not known"),
    ],
)
def test_better_and_worse_need_proof(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], change: str
) -> None:
    assert compare(verdict(before, 100, ended=True), verdict(after, 100, ended=True)).change == change


def test_nine_of_43_to_five_is_no_proof_and_to_two_is() -> None:
    pilot = verdict({"runaway_rate": (43, 9)}, 43, ended=True)
    assert compare(pilot, verdict({"runaway_rate": (43, 5)}, 43, ended=True)).change == "not distinguishable"
    proven = compare(pilot, verdict({"runaway_rate": (43, 2)}, 43, ended=True))
    assert proven.change == "better"
    assert proven.sentence == "runaway better"
