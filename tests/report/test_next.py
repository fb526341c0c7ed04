"""The next action in words: the rule, its numbers, its command, and what would change its mind."""

from __future__ import annotations

from engine.policy.actions import NextAction
from engine.report.next import next_text, number_lines

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
