"""What comes next, for histories from an empty one to a finished scale run."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.budget.money import Budget
from engine.campaign.models import Parameters
from engine.campaign.parameters import assign
from engine.errors import EXIT_REFUSED, RefusedError
from engine.policy.decide import next_action, parameters_for
from engine.policy.history import PastRun, tries_spent
from engine.policy.moves import STOP_STRINGS
from engine.policy.tried import best_so_far
from engine.qc.verdicts import DetectorEvidence
from tests.policy.histories import (
    FEWER_RUNAWAYS,
    GOOD,
    HOPELESS,
    LONG,
    MORE_RUNAWAYS,
    OPEN,
    RICH,
    RUNAWAY,
    campaign,
    run,
)

LISTED = {"iteration-1": {"seed": 43, "response": {"temperature": 0.3}}}
PILOT_FAILS = run("pilot", RUNAWAY)
HOTTER = Parameters.model_validate({"seed": 43, "response": {"temperature": 0.9}})

MIXED = FEWER_RUNAWAYS | {"token_limit_rate": (190, 60)}


def suspected(name: str, counts: dict[str, tuple[int, int]]) -> PastRun:
    """A run whose runaway detector is suspect."""
    found = run(name, counts)
    detector = DetectorEvidence(
        "runaway", "length-v1", ("runaway_rate",), flagged=30, suspect="the critic accepts them", doubted=True
    )
    return replace(found, gate=replace(found.gate, detectors=(detector,)))


TABLE: list[tuple[str, list[PastRun], str, str | None, str]] = [
    ("nothing yet", [], "launch", "pilot", "first-run"),
    ("pilot runs", [run("pilot", OPEN, "running")], "wait", "pilot", "run-is-live"),
    ("pilot is being stopped", [run("pilot", OPEN, "stopping")], "wait", "pilot", "run-is-live"),
    ("pilot passes", [run("pilot", GOOD)], "scale", "scale", "gate-passes"),
    ("pilot undecided", [run("pilot", OPEN)], "extend", "pilot", "could-be-proven"),
    (
        "pilot undecided at extend_to",
        [run("pilot", OPEN, kept=300, target=300)],
        "iterate",
        "iteration-1",
        "gate-not-proven",
    ),
    ("pilot unreachable", [run("pilot", HOPELESS, kept=290)], "iterate", "iteration-1", "gate-not-proven"),
    ("pilot fails", [PILOT_FAILS], "iterate", "iteration-1", "gate-fails"),
    ("better but failing", [PILOT_FAILS, run("iteration-1", FEWER_RUNAWAYS)], "iterate", "iteration-2", "gate-fails"),
    ("no different", [PILOT_FAILS, run("iteration-1", RUNAWAY)], "iterate", "iteration-2", "gate-fails"),
    (
        "out of retries",
        [PILOT_FAILS, run("iteration-1", RUNAWAY), run("iteration-2", FEWER_RUNAWAYS)],
        "review",
        "iteration-2",
        "tries-are-spent",
    ),
    (
        "a run that never generated is no try",
        [PILOT_FAILS, run("iteration-1", {}, "failed", kept=0, candidates=0), run("iteration-2", RUNAWAY)],
        "iterate",
        "iteration-3",
        "gate-fails",
    ),
    ("iteration passes", [PILOT_FAILS, run("iteration-1", GOOD)], "scale", "scale", "gate-passes"),
    ("pilot failed as a process", [run("pilot", OPEN, "failed")], "blocked", "pilot", "run-was-interrupted"),
    ("pilot lost", [run("pilot", GOOD, "lost")], "blocked", "pilot", "run-was-interrupted"),
    ("pilot stopped", [run("pilot", OPEN, "stopped")], "blocked", "pilot", "run-was-interrupted"),
    ("pilot stopped, but proven", [run("pilot", GOOD, "stopped")], "scale", "scale", "gate-passes"),
    ("pilot stopped, proven to fail", [run("pilot", RUNAWAY, "stopped")], "iterate", "iteration-1", "gate-fails"),
    (
        "pilot stopped, out of reach",
        [run("pilot", HOPELESS, "stopped", kept=290)],
        "iterate",
        "iteration-1",
        "gate-not-proven",
    ),
    (
        "passes, but its recipe has changed",
        [run("pilot", GOOD, recipe_stands=False)],
        "iterate",
        "iteration-1",
        "pass-does-not-stand",
    ),
    (
        "an older pass of this recipe is not the newest run",
        [run("pilot", GOOD), run("iteration-1", GOOD, recipe_stands=False)],
        "iterate",
        "iteration-2",
        "pass-does-not-stand",
    ),
    ("scale runs", [run("pilot", GOOD), run("scale", GOOD, "running", target=15_000)], "wait", "scale", "run-is-live"),
    (
        "scale finished",
        [run("pilot", GOOD), run("scale", GOOD, kept=15_000, target=15_000)],
        "done",
        "scale",
        "scale-finished",
    ),
    (
        "scale stopped",
        [run("pilot", GOOD), run("scale", GOOD, "stopped", target=15_000)],
        "blocked",
        "scale",
        "run-was-interrupted",
    ),
    (
        "scale exhausted",
        [run("pilot", GOOD), run("scale", OPEN, target=15_000, exhausted=True)],
        "blocked",
        "scale",
        "scale-is-short",
    ),
    (
        "scale fails its gate",
        [run("pilot", GOOD), run("scale", RUNAWAY, target=15_000)],
        "review",
        "scale",
        "scale-fails",
    ),
    (
        "a new iteration after a failed scale",
        [run("pilot", GOOD), run("scale", RUNAWAY, target=15_000), run("iteration-1", GOOD)],
        "scale",
        "scale-2",
        "gate-passes",
    ),
    ("imported pilot fails", [replace(PILOT_FAILS, imported=True)], "iterate", "iteration-1", "gate-fails"),
    (
        "imported pilot undecided",
        [replace(run("pilot", OPEN), imported=True)],
        "iterate",
        "iteration-1",
        "gate-not-proven",
    ),
    ("imported pilot passes", [replace(run("pilot", GOOD), imported=True)], "scale", "scale", "gate-passes"),
    (
        "imported pilot passes with parameters nobody knows",
        [replace(run("pilot", GOOD), imported=True, parameters_known=False)],
        "iterate",
        "iteration-1",
        "pass-does-not-stand",
    ),
    ("nothing was measured", [run("pilot", {}, kept=0, candidates=0)], "review", "pilot", "nothing-measured"),
    ("worse", [PILOT_FAILS, run("iteration-1", MORE_RUNAWAYS)], "iterate", "iteration-2", "gate-fails"),
    ("mixed", [PILOT_FAILS, run("iteration-1", MIXED)], "iterate", "iteration-2", "gate-fails"),
    (
        "worse, out of retries",
        [PILOT_FAILS, run("iteration-1", RUNAWAY), run("iteration-2", MORE_RUNAWAYS)],
        "review",
        "iteration-2",
        "tries-are-spent",
    ),
    ("undecided, extended, passes", [run("pilot", GOOD, kept=167, target=167)], "scale", "scale", "gate-passes"),
    ("undecided, extended in part", [run("pilot", OPEN, kept=167, target=167)], "extend", "pilot", "could-be-proven"),
    ("ended early by its gate", [run("pilot", RUNAWAY, kept=31)], "iterate", "iteration-1", "gate-fails"),
    ("detector suspect", [suspected("pilot", RUNAWAY)], "review", "pilot", "detector-suspect"),
    (
        "detector suspect, but another check fails, too",
        [suspected("pilot", RUNAWAY | {"token_limit_rate": (100, 40)})],
        "iterate",
        "iteration-1",
        "gate-fails",
    ),
    (
        "an imported run graded again by its rows passes",
        [replace(run("pilot", GOOD, recipe_stands=False, only_ruler_differs=True), imported=True, gradings=1)],
        "iterate",
        "iteration-1",
        "pass-does-not-stand",
    ),
    ("a suspect detector that lets everything pass", [suspected("pilot", GOOD)], "scale", "scale", "gate-passes"),
    (
        "passes by another ruler than the campaign's",
        [run("pilot", GOOD, recipe_stands=False, only_ruler_differs=True)],
        "blocked",
        "pilot",
        "other-ruler",
    ),
    (
        "imported pilot fails, iterations do as well",
        [replace(PILOT_FAILS, imported=True), *(run(f"iteration-{number}", RUNAWAY) for number in (1, 2, 3))],
        "review",
        "iteration-3",
        "tries-are-spent",
    ),
]


@pytest.mark.parametrize(("history", "kind", "name", "rule"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_next_action(history: list[PastRun], kind: str, name: str | None, rule: str) -> None:
    action = next_action(campaign(), history, RICH)
    assert (action.kind, action.run, action.rule) == (kind, name, rule), action.reason
    assert action.reason
    assert action.numbers
    assert action.unless
    assert (action.argv is not None) == (kind in ("launch", "extend", "iterate", "scale"))
    if action.argv:
        assert action.cost_usd is not None
        assert action.duration_s is not None
        assert action.parameters is not None
    json.dumps(action.to_json(), allow_nan=False)


def test_a_comparison_stands_in_the_reason() -> None:
    better = next_action(campaign(), [PILOT_FAILS, run("iteration-1", FEWER_RUNAWAYS)], RICH)
    assert "gate fail" in better.reason
    assert "against pilot: runaway better" in better.reason
    hopeless = next_action(campaign(), [PILOT_FAILS, run("iteration-1", HOPELESS, kept=290)], RICH)
    assert hopeless.kind == "iterate"
    assert "cannot pass by 300" in hopeless.reason
    assert "against pilot: runaway better" in hopeless.reason


def test_worse_says_in_which_check_and_goes_back_to_the_best_parameters_so_far() -> None:
    worse = run("iteration-1", MORE_RUNAWAYS, parameters=HOTTER, parent="pilot")
    action = next_action(campaign(), [PILOT_FAILS, worse], RICH)
    assert "runaway worse" in action.reason
    assert "back to the parameters of pilot, the best so far (runaway proven worse)" in action.reason
    assert action.changes == {"response.stop": ([], list(STOP_STRINGS)), "seed": (42, 44)}
    assert action.numbers["runaway_rate.failures"] == 60
    assert (action.numbers["tries"], action.numbers["tries_allowed"]) == (2, 3)


def test_a_listed_iteration_after_a_worse_one_is_laid_over_the_best_so_far() -> None:
    two = {"iteration-1": {"response": {"temperature": 0.9}}, "iteration-2": {"response": {"max_tokens": 100}}}
    worse = run("iteration-1", MORE_RUNAWAYS, parameters=HOTTER, parent="pilot")
    action = next_action(campaign(iterations=two), [PILOT_FAILS, worse], RICH)
    assert action.run == "iteration-2"
    assert action.changes == {"response.max_tokens": (80, 100), "seed": (42, 44)}
    stacked = next_action(campaign(iterations=two), [PILOT_FAILS, replace(worse, gate=PILOT_FAILS.gate)], RICH)
    assert stacked.parameters is not None
    assert stacked.parameters.response.temperature == 0.9


def test_nothing_distinguishable_is_said() -> None:
    action = next_action(campaign(), [PILOT_FAILS, run("iteration-1", RUNAWAY)], RICH)
    assert "against pilot: no difference is proven" in action.reason


def test_a_forecast_is_shown_and_stops_nothing_unless_the_campaign_says_so() -> None:
    unlikely = run("pilot", GOOD | {"runaway_rate": (100, 3)})
    forecast = unlikely.gate.forecast
    assert forecast is not None
    assert 0.05 < forecast < 0.3
    action = next_action(campaign(), [unlikely], RICH)
    assert action.kind == "extend"
    assert f"forecast: {forecast:.0%} likely to pass by 300" in action.reason
    assert action.numbers["forecast"] == forecast
    strict = campaign(policy={"early_end": {"forecast_below": 0.4}})
    assert next_action(strict, [unlikely], RICH).kind == "iterate"


def test_a_suspect_detector_is_looked_at_before_anything_is_tuned_against_it() -> None:
    action = next_action(campaign(), [suspected("pilot", RUNAWAY)], RICH)
    assert "detector suspect: length-v1: the critic accepts them" in action.reason
    assert "pilothouse samples c/pilot --flag runaway -n 10" in action.reason
    both = next_action(campaign(), [suspected("pilot", RUNAWAY | {"token_limit_rate": (100, 40)})], RICH)
    assert list(both.changes) == ["response.max_tokens", "seed"], "only what a sound detector measures is worked on"


def test_nothing_is_left_to_try_within_the_bounds() -> None:
    bounds = {"instruction.temperature": [0.7, 0.7]}
    rejected = run("pilot", GOOD | {"instruction_acceptance": (300, 200)})
    action = next_action(campaign(policy={"bounds": bounds}), [rejected], RICH)
    assert (action.kind, action.rule) == ("review", "no-move-left")


def test_imported_runs_spend_no_try() -> None:
    imported = replace(PILOT_FAILS, imported=True)
    history = [imported, run("iteration-1", RUNAWAY), run("iteration-2", RUNAWAY)]
    assert next_action(campaign(), history, RICH).kind == "iterate"
    assert next_action(campaign(), [*history, run("iteration-3", RUNAWAY)], RICH).kind == "review"


def test_a_listed_iteration_is_launched_by_name() -> None:
    action = next_action(campaign(iterations=LISTED), [PILOT_FAILS], RICH)
    assert action.argv == ("pilothouse", "launch", "c", "--run", "iteration-1")
    assert action.changes == {"seed": (42, 43), "response.temperature": (0.4, 0.3)}
    assert action.parameters is not None
    assert action.parameters.response.temperature == 0.3
    assert "try 2 of 3" in action.reason
    assert "runaway 30 of 100, limit < 5%" in action.reason


def test_a_proposed_iteration_says_what_it_changes_and_why() -> None:
    action = next_action(campaign(), [PILOT_FAILS], RICH)
    assert action.changes == {"seed": (42, 43), "response.stop": ([], list(STOP_STRINGS))}
    assert "runaway fails (30 of 100) without stop strings in pilot" in action.why["response.stop"]
    assert set(action.why) == set(action.changes)


@pytest.mark.parametrize("counts", [RUNAWAY, LONG])
def test_the_command_as_typed_gives_the_proposed_parameters(counts: dict[str, tuple[int, int]]) -> None:
    pilot = run("pilot", counts)
    action = next_action(campaign(), [pilot], RICH)
    assert action.command is not None
    words = shlex.split(action.command)
    sets = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    assert sets
    assert assign(pilot.parameters, sets) == action.parameters
    start = parameters_for(campaign(), "iteration-1", [pilot])
    assert assign(start.parameters, sets) == action.parameters
    assert start.parent is pilot


def test_an_extension_takes_what_a_clean_rest_would_need() -> None:
    action = next_action(campaign(), [run("pilot", OPEN)], RICH)
    # 40 more clean responses at 60 per 100 pairs
    assert action.examples == 167
    assert action.argv == ("pilothouse", "extend", "c/pilot", "--examples", "167")
    nearly = run("pilot", GOOD | {"runaway_rate": (98, 0)})
    assert next_action(campaign(), [nearly], RICH).examples == 120
    early = run("pilot", GOOD | {"runaway_rate": (30, 0)})
    assert next_action(campaign(), [early], RICH).examples == 300


def test_what_does_not_fit_the_budget_is_blocked_with_the_numbers() -> None:
    poor = Budget(limit_usd=10, spent_usd=9, committed_usd=0, rate_usd_per_hour=0, device_hours=3, warn_at=0.8)
    action = next_action(campaign(), [], poor)
    assert action.kind == "blocked"
    assert action.argv is None
    assert "launch pilot is due" in action.reason
    assert "$2.00" in action.reason
    assert "$1.00 of $10.00" in action.reason


def test_a_broken_run_names_its_remedy_and_starts_nothing() -> None:
    action = next_action(campaign(), [run("pilot", OPEN, "failed", reason="exit code 1")], RICH)
    assert "exit code 1" in action.reason
    assert "pilothouse restart c/pilot" in action.reason
    nothing = next_action(campaign(), [run("pilot", {}, "failed", kept=0, candidates=0)], RICH)
    assert "another --run name" in nothing.reason


def test_a_long_list_of_changes_is_named_not_recited() -> None:
    action = next_action(campaign(), [PILOT_FAILS], RICH)
    assert "; changes response.stop" in action.reason
    assert next(iter(action.changes)) == "response.stop"
    assert list(action.changes)[-1] == "seed"
    assert action.basis


def test_scale_takes_the_passing_parameters_and_its_own_seed() -> None:
    proven = run(
        "iteration-1", GOOD, parameters=Parameters.model_validate({"seed": 43, "response": {"max_tokens": 100}})
    )
    action = next_action(campaign(), [PILOT_FAILS, proven], RICH)
    assert action.parameters == proven.parameters.model_copy(update={"seed": 100})
    assert action.examples == 15_000
    assert action.argv == ("pilothouse", "launch", "c", "--run", "scale")
    assert action.changes == {"seed": (43, 100)}
    assert action.cost_usd == pytest.approx(18.0)
    start = parameters_for(campaign(), "scale", [PILOT_FAILS, proven])
    assert (start.parameters, start.parent) == (action.parameters, proven)


@pytest.mark.parametrize("history", [[], [PILOT_FAILS], [run("pilot", OPEN)], [run("pilot", GOOD, "running")]])
def test_scale_is_refused_without_a_passing_run_behind_it(history: list[PastRun]) -> None:
    with pytest.raises(RefusedError, match="scaling is refused") as error:
        parameters_for(campaign(), "scale", history)
    assert error.value.exit_code == EXIT_REFUSED


def test_a_run_of_a_persons_own_name_starts_from_the_newest_run() -> None:
    start = parameters_for(campaign(), "try-this", [PILOT_FAILS])
    assert (start.parameters.seed, start.parent) == (43, PILOT_FAILS)
    assert start.parameters.model_copy(update={"seed": 42}) == PILOT_FAILS.parameters
    pilot = parameters_for(campaign(), "pilot", [PILOT_FAILS])
    assert (pilot.parameters, pilot.parent) == (Parameters(), None)


def test_the_listed_iterations_go_on_after_the_last_that_ran() -> None:
    three = {"a": {"seed": 1}, "b": {"seed": 2}, "iteration-7": {"seed": 3}}
    history = [PILOT_FAILS, run("b", RUNAWAY)]
    assert next_action(campaign(iterations=three), history, RICH).run == "iteration-7"
    beyond = next_action(campaign(iterations={"a": {"seed": 1}}), [PILOT_FAILS, run("a", RUNAWAY)], RICH)
    assert beyond.run == "iteration-1"


def test_deciding_reads_no_files_and_no_screen() -> None:
    sources = [path.read_text() for path in Path("engine/policy").glob("*.py")]
    assert sources
    for source in sources:
        assert "engine.snapshot" not in source
        assert "open(" not in source


BARREN = {"exhausted": True, "kept": 14, "candidates": 300}


@pytest.mark.parametrize(
    ("more", "kind", "word"),
    [
        (BARREN | {"max_candidates": 400}, "iterate", "its lists hold nothing new any more"),
        ({"exhausted": True, "kept": 80, "candidates": 400}, "extend", "examples"),
        ({"kept": 0, "candidates": 400, "exhausted": True}, "iterate", "it kept nothing"),
        ({"attempt": 2, "examples_per_second": None}, "iterate", "its attempt 2 kept nothing more"),
        ({"attempt": 2, "examples_per_second": 3.0}, "extend", "examples"),
    ],
)
def test_a_run_that_can_give_nothing_more_is_not_extended_in_circles(
    more: dict[str, Any], kind: str, word: str
) -> None:
    action = next_action(campaign(), [run("pilot", OPEN, **more)], RICH)
    assert action.kind == kind, action.reason
    assert word in action.reason


def test_a_run_too_unfruitful_to_be_proven_by_the_most_it_may_have_is_not_extended() -> None:
    early = GOOD | {"runaway_rate": (15, 0)}
    action = next_action(campaign(), [run("pilot", early, exhausted=True, kept=14, candidates=400)], RICH)
    assert action.kind == "iterate"
    assert "at its pace 300 examples would give 42 pairs, too few to prove it" in action.reason


def test_an_extension_of_a_run_without_candidates_left_asks_for_as_many_as_its_pace_needs() -> None:
    """80 of 100 pairs at 60 judged; 40 clean ones more take 54 pairs, and its pace 1.25 examples a pair."""
    action = next_action(campaign(), [run("pilot", OPEN, exhausted=True, kept=80, candidates=400)], RICH)
    assert action.examples == 168


def test_every_chance_to_pass_is_a_try() -> None:
    judged_only = run("pilot", LONG, kept=0, candidates=0)
    assert tries_spent([judged_only]) == 1, "a program of one's own may have no critic and keep nothing"
    assert tries_spent([replace(PILOT_FAILS, fresh_starts=2)]) == 3, "each fresh start draws new samples"
    assert tries_spent([replace(PILOT_FAILS, gradings=1), replace(PILOT_FAILS, imported=True, gradings=1)]) == 3
    assert tries_spent([run("pilot", {}, kept=0, candidates=0)]) == 0


def test_the_best_so_far_does_not_drift_downhill() -> None:
    """Neighbours that cannot be told apart, and a last one that is proven worse than the first."""
    shares = (30, 40, 52)
    history = [run(f"iteration-{n}", GOOD | {"runaway_rate": (100, k)}) for n, k in enumerate(shares, start=1)]
    assert best_so_far(history) is history[1]
    assert best_so_far(history[:2]) is history[1]


def test_a_pilot_after_a_finished_scale_is_gone_on_from() -> None:
    scale = run("scale", GOOD, kept=15_000, target=15_000)
    assert next_action(campaign(), [run("pilot", GOOD), scale], RICH).kind == "done"
    assert next_action(campaign(), [run("pilot", GOOD), scale, run("again", RUNAWAY)], RICH).kind == "iterate"


def test_the_best_runs_broken_ruler_is_looked_at_even_if_the_last_run_failed_for_another_reason() -> None:
    best = suspected("pilot", RUNAWAY)
    last = run("iteration-1", RUNAWAY | {"token_limit_rate": (100, 60)}, parent="pilot")
    action = next_action(campaign(), [best, last], RICH)
    assert (action.kind, action.rule, action.run) == ("review", "detector-suspect", "pilot")


def test_a_detector_of_ones_own_that_fails_is_mended_before_more_is_generated() -> None:
    found = run("pilot", OPEN)
    failing = tuple(replace(check, errors=3 if check.verdict == "undecided" else 0) for check in found.gate.checks)
    action = next_action(campaign(), [replace(found, gate=replace(found.gate, checks=failing))], RICH)
    assert (action.kind, action.rule) == ("review", "detector-fails")
    assert action.numbers == {"runaway_rate.errors": 3}
