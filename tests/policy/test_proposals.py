"""What is proposed after which failing check, from which run, and what is never proposed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.campaign.models import Parameters
from engine.campaign.parameters import difference, flatten
from engine.campaign.policy import BOUNDS
from engine.policy.history import PastRun
from engine.policy.moves import RULES, STOP_STRINGS
from engine.policy.proposals import propose
from engine.qc.metrics import METRICS
from tests.policy.histories import (
    FEWER_RUNAWAYS,
    GOOD,
    LONG,
    MORE_RUNAWAYS,
    RUNAWAY,
    campaign,
    run,
)

REJECTED = GOOD | {"instruction_acceptance": (300, 200)}
MOST_REJECTED = GOOD | {"instruction_acceptance": (300, 260)}
BAD_PAIRS = GOOD | {"pair_acceptance": (190, 150)}
WORDY = GOOD | {"median_tokens": (150, 120)}
LEAKY = GOOD | {"delimiter_leakage": (150, 3)}
STOPS = {"response.stop": list(STOP_STRINGS)}

TABLE: list[tuple[dict[str, tuple[int, int]], dict[str, Any], dict[str, Any]]] = [
    (RUNAWAY, {}, STOPS),
    (RUNAWAY | {"token_limit_rate": (100, 50)}, {}, STOPS),
    (RUNAWAY, {"response": {"stop": ["\nQ:"]}}, {"response.stop": ["\nQ:", *(s for s in STOP_STRINGS if s != "\nQ:")]}),
    (RUNAWAY, {"response": {"stop": list(STOP_STRINGS)}}, {"response.temperature": 0.35}),
    (LONG, {}, {"response.max_tokens": 100}),
    (LONG, {"response": {"max_tokens": 81}}, {"response.max_tokens": 105}),
    (LONG, {"response": {"stop": ["\nQ:"]}}, {"response.max_tokens": 100}),
    (LONG, {"response": {"max_tokens": 512}}, {"response.temperature": 0.35}),
    (REJECTED, {}, {"instruction.temperature": 0.6}),
    (REJECTED, {"instruction": {"temperature": 0.25}}, {"instruction.temperature": 0.2}),
    (BAD_PAIRS, {}, {"response.temperature": 0.35}),
    (WORDY, {}, {"response.temperature": 0.35}),
    (LEAKY, {}, {"response.stop": ["###END###"]}),
    (REJECTED | {"runaway_rate": (100, 30)}, {}, STOPS),
    (GOOD, {}, {}),
]


def changed(before: Parameters, after: Parameters) -> dict[str, Any]:
    """What differs but for the seed: name and new value."""
    return {name: new for name, (_, new) in difference(before, after).items() if name != "seed"}


@pytest.mark.parametrize(("counts", "base", "expected"), TABLE)
def test_one_hypothesis_for_the_check_that_stands_in_the_way(
    counts: dict[str, tuple[int, int]], base: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = Parameters.model_validate(base)
    proposal = propose(campaign(), [run("pilot", counts, parameters=before)])
    assert proposal is not None
    assert changed(before, proposal.parameters) == expected
    assert proposal.parameters.seed == 43
    assert set(proposal.why) == set(expected) | {"seed"}
    assert all(proposal.why.values())


def test_what_is_not_proven_is_worked_on_where_nothing_fails() -> None:
    proposal = propose(campaign(), [run("pilot", GOOD | {"token_limit_rate": (30, 1)}, kept=300, target=300)])
    assert proposal is not None
    assert proposal.parameters.response.max_tokens == 100
    assert "is not proven (1 of 30)" in proposal.why["response.max_tokens"]


def test_parameters_that_were_never_known_are_the_campaigns() -> None:
    foreign = run("pilot", RUNAWAY, imported=True, parameters_known=False, parameters=Parameters(seed=7))
    proposal = propose(campaign(parameters={"seed": 50}), [foreign])
    assert proposal is not None
    assert proposal.parameters.seed == 51


def with_response(**values: Any) -> Parameters:
    return Parameters.model_validate({"response": values})


STOPPED = list(STOP_STRINGS)
COOL = run("pilot", RUNAWAY, parameters=with_response(stop=STOPPED))


def cooler(name: str, counts: dict[str, tuple[int, int]], temperature: float, seed: int, parent: str) -> PastRun:
    parameters = with_response(stop=STOPPED, temperature=temperature).model_copy(update={"seed": seed})
    return run(name, counts, parameters=parameters, parent=parent)


def test_a_move_that_was_proven_worse_is_not_made_again_and_the_best_run_is_gone_back_to() -> None:
    history = [COOL, cooler("iteration-1", MORE_RUNAWAYS, 0.35, 43, "pilot")]
    proposal = propose(campaign(), history)
    assert proposal is not None
    assert proposal.base == "pilot"
    assert changed(COOL.parameters, proposal.parameters) == {"response.repetition_penalty": 1.15}
    assert proposal.parameters.seed == 44, "a seed that no run had, although the pilot's is gone back to"
    assert proposal.passed_over == ("response.temperature was proven worse in iteration-1",)


def test_a_move_that_was_proven_better_is_made_further() -> None:
    proposal = propose(campaign(), [COOL, cooler("iteration-1", FEWER_RUNAWAYS, 0.35, 43, "pilot")])
    assert proposal is not None
    assert proposal.base == "iteration-1"
    assert proposal.parameters.response.temperature == 0.3


def test_what_showed_nothing_gives_way_to_what_was_not_tried() -> None:
    proposal = propose(campaign(), [COOL, cooler("iteration-1", RUNAWAY, 0.35, 43, "pilot")])
    assert proposal is not None
    assert changed(COOL.parameters, proposal.parameters) == {
        "response.temperature": 0.35,
        "response.repetition_penalty": 1.15,
    }


def test_a_move_is_blamed_for_the_check_it_was_made_for_even_where_another_got_better() -> None:
    pilot = run("pilot", REJECTED | {"token_limit_rate": (100, 40)})
    worse = MOST_REJECTED | {"token_limit_rate": (190, 1)}
    parameters = Parameters.model_validate({"seed": 43, "instruction": {"temperature": 0.6}})
    proposal = propose(campaign(), [pilot, run("iteration-1", worse, parameters=parameters, parent="pilot")])
    assert proposal is not None
    assert proposal.parameters.instruction.temperature == 0.8, "0.7 were the pilot's parameters again"


def test_low_acceptance_undoes_what_was_tightened_and_nothing_else() -> None:
    tightened = {"temperature": 0.5, "repetition_penalty": 1.2}
    parameters = Parameters.model_validate({"seed": 43, "instruction": tightened, "response": {"stop": STOPPED}})
    history = [run("pilot", RUNAWAY), run("iteration-1", REJECTED, parameters=parameters, parent="pilot")]
    proposal = propose(campaign(), history)
    assert proposal is not None
    assert changed(parameters, proposal.parameters) == {
        "instruction.temperature": 0.7,
        "instruction.repetition_penalty": 1.1,
    }
    assert "undo the tightening of instruction sampling" in proposal.why["instruction.temperature"]


def test_nothing_is_proposed_once_every_move_was_proven_worse() -> None:
    tight = campaign(policy={"bounds": {"instruction.temperature": [0.7, 0.7]}})
    assert propose(tight, [run("pilot", REJECTED)]) is None


def test_proposals_stay_within_the_campaigns_bounds() -> None:
    bounded = campaign(policy={"bounds": {"response.max_tokens": [16, 90]}})
    first = propose(bounded, [run("pilot", LONG)])
    assert first is not None
    assert first.parameters.response.max_tokens == 90
    second = propose(bounded, [run("pilot", LONG, parameters=with_response(max_tokens=90))])
    assert second is not None
    assert second.parameters.response.max_tokens == 90


FAILING = st.dictionaries(st.sampled_from(sorted(GOOD)), st.integers(60, 95), min_size=1)


@given(failing=FAILING, outcomes=st.lists(st.sampled_from([GOOD, RUNAWAY, MORE_RUNAWAYS, LONG, REJECTED]), max_size=6))
def test_the_ruler_is_never_loosened_and_no_parameters_are_proposed_twice(
    failing: dict[str, int], outcomes: list[dict[str, tuple[int, int]]]
) -> None:
    asked = campaign()
    history = [run("pilot", GOOD | {name: (100, count) for name, count in failing.items()})]
    for number, counts in enumerate(outcomes, start=1):
        proposal = propose(asked, history)
        if proposal is None:
            break
        known = [flatten(past.parameters) | {"seed": 0} for past in history]
        if proposal.metric is not None:
            assert flatten(proposal.parameters) | {"seed": 0} not in known
        assert proposal.parameters.seed not in {past.parameters.seed for past in history}
        assert proposal.parameters.critic == asked.parameters.critic, "the critic's threshold is part of the ruler"
        for name, (least, most) in BOUNDS.items():
            assert least <= flatten(proposal.parameters)[name] <= most
        parent = next((past for past in history if past.name == proposal.base), None)
        history.append(
            run(f"iteration-{number}", counts, parameters=proposal.parameters, parent=parent and parent.name)
        )


def test_every_builtin_metric_has_rules_of_its_own() -> None:
    assert set(METRICS) <= set(RULES)


def test_no_value_outside_the_bounds_is_proposed_wherever_the_run_stands() -> None:
    tight = campaign(policy={"bounds": {"response.temperature": [0.1, 0.3]}})
    stopped = with_response(stop=STOPPED, temperature=0.8)
    proposal = propose(tight, [run("pilot", RUNAWAY, parameters=stopped)])
    assert proposal is not None
    assert proposal.parameters.response.temperature == 0.3
    undone = Parameters.model_validate({"seed": 43, "instruction": {"temperature": 0.3}})
    bounded = campaign(policy={"bounds": {"instruction.temperature": [0.2, 0.6]}})
    proposal = propose(bounded, [run("pilot", RUNAWAY), run("iteration-1", REJECTED, parameters=undone)])
    assert proposal is not None
    assert proposal.parameters.instruction.temperature == 0.6


@pytest.mark.parametrize(
    "bounds", [{"response.max_tokens": [16, 1e6]}, {"response.top_p": [0.5, 1.5]}, {"seed": [1, 2]}]
)
def test_bounds_that_no_run_can_have_are_refused(bounds: dict[str, list[float]]) -> None:
    with pytest.raises(ValidationError):
        campaign(policy={"bounds": bounds})
