"""The parameters page: what differs from the run before it first, then all that is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.snapshot import RunSnapshot
from tests.tui import pictures
from tests.tui.driving import opened
from tui.cells import plain, width_of
from tui.panels.changes import parameters_lines
from tui.view import View

PROMPTS = (("instructions", "a" * 64), ("response", "b" * 64))
RULES = (("model.path", "Qwen/Qwen2.5-32B"), ("qc.runaway", "length-v1"), ("gate.runaway_rate", "< 5%"))
PILOT = pictures.run(prompts=PROMPTS, rules=RULES)
ITERATION = pictures.live_run(
    prompts=(PROMPTS[0], ("response", "c" * 64)),
    rules=(RULES[0], ("qc.runaway", "markers\x1b[2J-v2"), RULES[2]),
)


def text_of(run: RunSnapshot, *runs: RunSnapshot, width: int = 78) -> str:
    view = View(snapshot=pictures.snapshot(pictures.campaign(*runs)), campaign="stage1", now=pictures.NOW)
    lines = parameters_lines(run, view, width)
    assert max(map(width_of, lines)) <= width
    return plain(lines)


@pytest.mark.parametrize("width", [58, 78, 118, 198])
def test_what_differs_stands_first_with_a_sign_and_both_values(width: int) -> None:
    text = text_of(ITERATION, PILOT, ITERATION, width=width)
    differing, same = text.split("Parameters · the same")
    assert "Differs · pilot → iteration-1 · it began from it" in differing
    for name, values in (
        ("seed", "42 → 43"),
        ("response.temperature", "0.4 → 0.3"),
        ("prompt response", "bbbbbbbb → cccccccc"),
        ("qc.runaway", "length-v1 → markers-v2"),
    ):
        (row,) = [line for line in differing.splitlines() if values in line]
        assert row.startswith(f" ≠ {name} ")
        assert name not in [line.strip().split("  ")[0] for line in same.splitlines()]
    for name in ("instruction.temperature", "response.stop", "prompt instructions", "gate.runaway_rate"):
        assert name in same
    assert "< 5 %" in same
    assert "≠" not in same


def test_the_first_run_has_none_beside_it_and_shows_all_of_its_own() -> None:
    text = text_of(PILOT, PILOT, ITERATION)
    assert "pilot is the first run" in text
    assert "≠" not in text
    assert "the same" not in text
    assert "response.max_tokens" in text


def test_an_imported_run_whose_parameters_nobody_knows_says_so() -> None:
    foreign = replace(PILOT, imported=True, parameters_known=False, prompts=(), rules=RULES[2:])
    text = text_of(ITERATION, foreign, ITERATION)
    assert "the parameters of pilot are not known" in text
    assert "nothing that is known of both differs" in text
    assert "response.temperature" in text
    assert "response.temperature" not in text_of(foreign, foreign, ITERATION)


def test_a_run_that_was_judged_on_nothing_is_compared_with_the_one_before_it() -> None:
    none = replace(PILOT.gate, checks=())
    orphan = replace(ITERATION, parent=None)
    text = text_of(orphan, replace(PILOT, gate=none), orphan)
    assert "Differs · pilot → iteration-1 · the one before it" in text


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40), (200, 50)])
async def test_3_opens_it_and_it_follows_the_run_beside(size: tuple[int, int]) -> None:
    picture: Any = pictures.snapshot(pictures.campaign(PILOT, ITERATION, next=pictures.WAIT))
    async with opened(pictures.FakeService(picture), size) as screen:
        await screen.press("m", "3")
        await screen.until(lambda: "≠ seed" in screen.painted)
        assert "▸3 parameters◂" in screen.painted.splitlines()[0]
        await screen.press("left")
        await screen.until(lambda: "pilot is the first run" in screen.painted)
        await screen.press("right")
        await screen.until(lambda: "≠ seed" in screen.painted)
        await screen.press("escape")
        assert screen.app.screen is screen.dashboard


def test_a_limit_is_written_as_elsewhere_and_what_is_none_as_it_is() -> None:
    rules = (("gate.pair_acceptance", ">= 50%"), ("gate.median_tokens", "< 40"), ("gate.confidence", "0.95"))
    run = replace(PILOT, rules=rules)
    rows = [line.split() for line in text_of(run, run).splitlines()[-3:]]
    assert rows == [
        ["gate.pair_acceptance", "≥", "50", "%"],
        ["gate.median_tokens", "<", "40"],
        ["gate.confidence", "0.95"],
    ]


def test_a_long_name_goes_on_after_its_dot() -> None:
    lines = [line.rstrip() for line in text_of(PILOT, PILOT, width=58).splitlines()]
    place = next(number for number, line in enumerate(lines) if line.lstrip().startswith("instruction. "))
    assert lines[place + 1] == "   repetition_penalty"
