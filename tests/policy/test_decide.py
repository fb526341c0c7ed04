"""What comes next, for histories from an empty one to a finished scale run."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from engine.budget.money import Budget
from engine.campaign.models import Parameters
from engine.campaign.parameters import assign
from engine.errors import EXIT_REFUSED, RefusedError
from engine.policy.decide import next_action, parameters_for
from engine.policy.history import PastRun
from engine.policy.proposals import STOP_STRINGS
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

TABLE: list[tuple[str, list[PastRun], str, str | None]] = [
    ("nothing yet", [], "launch", "pilot"),
    ("pilot runs", [run("pilot", OPEN, "running")], "wait", "pilot"),
    ("pilot is being stopped", [run("pilot", OPEN, "stopping")], "wait", "pilot"),
    ("pilot passes", [run("pilot", GOOD)], "scale", "scale"),
    ("pilot undecided", [run("pilot", OPEN)], "extend", "pilot"),
    ("pilot undecided at extend_to", [run("pilot", OPEN, kept=300, target=300)], "iterate", "iteration-1"),
    ("pilot unreachable", [run("pilot", HOPELESS, kept=290)], "iterate", "iteration-1"),
    ("pilot fails", [PILOT_FAILS], "iterate", "iteration-1"),
    ("better but failing", [PILOT_FAILS, run("iteration-1", FEWER_RUNAWAYS)], "iterate", "iteration-2"),
    ("no different", [PILOT_FAILS, run("iteration-1", RUNAWAY)], "iterate", "iteration-2"),
    ("worse", [PILOT_FAILS, run("iteration-1", MORE_RUNAWAYS)], "review", "iteration-1"),
    (
        "out of retries",
        [PILOT_FAILS, run("iteration-1", RUNAWAY), run("iteration-2", FEWER_RUNAWAYS)],
        "review",
        "iteration-2",
    ),
    (
        "a run that never generated is no try",
        [PILOT_FAILS, run("iteration-1", {}, "failed", kept=0, candidates=0), run("iteration-2", RUNAWAY)],
        "iterate",
        "iteration-3",
    ),
    ("iteration passes", [PILOT_FAILS, run("iteration-1", GOOD)], "scale", "scale"),
    ("pilot failed as a process", [run("pilot", OPEN, "failed")], "blocked", "pilot"),
    ("pilot lost", [run("pilot", GOOD, "lost")], "blocked", "pilot"),
    ("pilot stopped", [run("pilot", OPEN, "stopped")], "blocked", "pilot"),
    ("pilot stopped, but proven", [run("pilot", GOOD, "stopped")], "scale", "scale"),
    ("pilot stopped, proven to fail", [run("pilot", RUNAWAY, "stopped")], "iterate", "iteration-1"),
    ("pilot stopped, out of reach", [run("pilot", HOPELESS, "stopped", kept=290)], "iterate", "iteration-1"),
    ("passes, but its recipe has changed", [run("pilot", GOOD, recipe_stands=False)], "iterate", "iteration-1"),
    (
        "an older pass of this recipe is not the newest run",
        [run("pilot", GOOD), run("iteration-1", GOOD, recipe_stands=False)],
        "iterate",
        "iteration-2",
    ),
    ("scale runs", [run("pilot", GOOD), run("scale", GOOD, "running", target=15_000)], "wait", "scale"),
    ("scale finished", [run("pilot", GOOD), run("scale", GOOD, kept=15_000, target=15_000)], "done", "scale"),
    ("scale stopped", [run("pilot", GOOD), run("scale", GOOD, "stopped", target=15_000)], "blocked", "scale"),
    ("scale exhausted", [run("pilot", GOOD), run("scale", OPEN, target=15_000, exhausted=True)], "blocked", "scale"),
    ("scale fails its gate", [run("pilot", GOOD), run("scale", RUNAWAY, target=15_000)], "review", "scale"),
    (
        "a new iteration after a failed scale",
        [run("pilot", GOOD), run("scale", RUNAWAY, target=15_000), run("iteration-1", GOOD)],
        "scale",
        "scale-2",
    ),
    ("imported pilot fails", [replace(PILOT_FAILS, imported=True)], "iterate", "iteration-1"),
    ("imported pilot undecided", [replace(run("pilot", OPEN), imported=True)], "iterate", "iteration-1"),
    ("imported pilot passes", [replace(run("pilot", GOOD), imported=True)], "scale", "scale"),
    (
        "imported pilot passes with parameters nobody knows",
        [replace(run("pilot", GOOD), imported=True, parameters_known=False)],
        "iterate",
        "iteration-1",
    ),
    ("nothing was measured", [run("pilot", {}, kept=0, candidates=0)], "review", "pilot"),
]


@pytest.mark.parametrize(("history", "kind", "name"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_next_action(history: list[PastRun], kind: str, name: str | None) -> None:
    action = next_action(campaign(), history, RICH)
    assert (action.kind, action.run) == (kind, name), action.reason
    assert action.reason
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
    parameters, parent = parameters_for(campaign(), "iteration-1", [pilot])
    assert assign(parameters, sets) == action.parameters
    assert parent == "pilot"


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
    assert parameters_for(campaign(), "scale", [PILOT_FAILS, proven]) == (action.parameters, "iteration-1")


@pytest.mark.parametrize("history", [[], [PILOT_FAILS], [run("pilot", OPEN)], [run("pilot", GOOD, "running")]])
def test_scale_is_refused_without_a_passing_run_behind_it(history: list[PastRun]) -> None:
    with pytest.raises(RefusedError, match="scaling is refused") as error:
        parameters_for(campaign(), "scale", history)
    assert error.value.exit_code == EXIT_REFUSED


def test_a_run_of_a_persons_own_name_starts_from_the_newest_run() -> None:
    parameters, parent = parameters_for(campaign(), "try-this", [PILOT_FAILS])
    assert (parameters.seed, parent) == (43, "pilot")
    assert parameters.model_copy(update={"seed": 42}) == PILOT_FAILS.parameters
    assert parameters_for(campaign(), "pilot", [PILOT_FAILS]) == (Parameters(), None)


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
