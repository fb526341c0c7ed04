"""The next action in words: the rule, its numbers, its command, and what would change its mind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.campaign.models import Parameters
from engine.campaign.parameters import assign
from engine.cli import run as command_line
from engine.errors import ConfigurationError
from engine.policy.actions import NextAction
from engine.report.next import next_text, number_lines
from engine.service import Service
from tests.report.places import add_run, records, write_campaign

ACTION = NextAction(
    "iterate",
    "pilot: gate fail: runaway 22 of 42",
    run="iteration-1",
    argv=("pilothouse", "launch", "c", "--run", "iteration-1", "--set", "response.max_tokens=100"),
    changes={"response.max_tokens": (80, 100)},
    why={"response.max_tokens": "token limit fails (22 of 42) in pilot"},
    cost_usd=1.9,
    duration_s=750.0,
    basis="as pilot: 0.4 examples/s",
    rule="gate-fails",
    numbers={"runaway_rate.n": 42, "runaway_rate.failures": 22, "tries": 1, "tries_allowed": 3},
    unless="an extension that changes its verdict",
)


def test_everything_behind_an_action_is_told() -> None:
    assert next_text(ACTION).splitlines() == [
        "iterate: pilot: gate fail: runaway 22 of 42",
        "  changes  response.max_tokens: 80 → 100, token limit fails (22 of 42) in pilot",
        "  rule     gate-fails",
        "  numbers  runaway: 42 judged, 22 failed",
        "  numbers  tries 1, tries allowed 3",
        "  unless   an extension that changes its verdict",
        "  forecast $1.90, 12:30 (as pilot: 0.4 examples/s)",
        "  $ pilothouse launch c --run iteration-1 --set response.max_tokens=100",
    ]


def test_numbers_of_a_check_stand_on_its_line_and_a_forecast_is_the_gates() -> None:
    numbers = {"median_tokens.clean_to_pass": 4, "median_tokens.forecast": 0.5, "extend_to": 300, "forecast": 0.137}
    assert number_lines(numbers) == ["median tokens: 4 more clean pass", "extend to 300, forecast to pass 14%"]
    assert number_lines({"forecast": None}) == []


# --- with values of one's own --------------------------------------------------------------------------------------

PROPOSED = replace(ACTION, parameters=assign(Parameters(), ["response.max_tokens=100"]))


def test_edited_values_take_the_place_of_the_proposed_ones_everywhere() -> None:
    edited = PROPOSED.edited(["response.max_tokens=90", "response.temperature=0.25"])
    assert edited.parameters == assign(Parameters(), ["response.max_tokens=90", "response.temperature=0.25"])
    lines = next_text(edited).splitlines()
    assert "  changes  response.max_tokens: 80 → 90, --set, in place of 100" in lines
    assert "  changes  response.temperature: 0.4 → 0.25, --set, in place of 0.4" in lines
    assert lines[-1] == (
        "  $ pilothouse launch c --run iteration-1 --set response.max_tokens=90 --set response.temperature=0.25"
    )
    assert edited.to_json()["argv"] == list(edited.argv or ())


def test_a_value_that_is_set_back_to_what_it_was_is_no_change() -> None:
    edited = PROPOSED.edited(["response.max_tokens=80"])
    assert (edited.changes, edited.why) == ({}, {})
    with pytest.raises(ConfigurationError, match="is not a parameter"):
        PROPOSED.edited(["response.warmth=1"])


def test_what_is_told_before_it_is_done_is_what_would_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_campaign(tmp_path, runaway="markers-v2")
    add_run(tmp_path, "pilot", records(120, runaway=60))
    monkeypatch.chdir(tmp_path)
    action = Service(tmp_path).look("c").next
    assert action is not None
    assert action.kind == "iterate"
    assert action.argv is not None
    own = "response.max_tokens=90"
    assert command_line(["next", "c", "--do", "--set", own]) == 4, "there is no terminal to ask on"
    printed = capsys.readouterr()
    command = next(line for line in printed.out.splitlines() if line.startswith("  $ "))
    assert command.endswith(f" --set {own}")
    assert "response.max_tokens: 80 → 90" in printed.out
    assert f"would ask: {command.removeprefix('  $ ')}, forecast cost" in printed.err
    assert (tmp_path / "artifacts" / "c" / "iteration-1").exists() is False
