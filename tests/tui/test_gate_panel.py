"""What the dashboard says of the gate beside its verdict: suspicion, forecast, marks, and what an early end saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tui import pictures
from tests.tui.driving import opened
from tui.cells import plain
from tui.panels.arrange import draw
from tui.panels.gate import gate_lines, precision_text
from tui.screens.samples import SamplesScreen
from tui.view import View

MARKED = pictures.detector(marked_true=7, marked_false=3, lower=0.348, upper=0.933)


def view(gate: Any = pictures.LIVE_GATE, **changes: Any) -> View:
    run = pictures.live_run(gate=gate, **changes)
    return View(snapshot=pictures.snapshot(pictures.campaign(pictures.run(), run)), campaign="stage1", now=pictures.NOW)


def told(gate: Any = pictures.LIVE_GATE, width: int = 60, rows: int = 8, **changes: Any) -> str:
    return plain(gate_lines(view(gate, **changes), width, rows))


def test_a_suspect_detector_stands_first_and_its_reason_with_it() -> None:
    gate = replace(pictures.LIVE_GATE, detectors=(pictures.SUSPECT,))
    lines = told(gate).splitlines()
    assert lines[1] == " ⚠ detector suspect: runaway, f shows ten"
    assert "why suspect: the pair critic accepts 20 of 22 flagged" in told(gate)
    assert told(gate, 26, 2).splitlines()[1] == " ⚠ suspect: runaway (f)"
    assert "suspect" not in told(replace(gate, detectors=(pictures.detector(),)))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16)])
def test_a_suspicion_is_in_sight_at_every_size(size: tuple[int, int]) -> None:
    gate = replace(pictures.LIVE_GATE, detectors=(pictures.SUSPECT,))
    text = plain(draw(view(gate), (), *size).facts)
    assert "suspect" in text
    assert "runaway needs 79" in text, "the verdict's sentence still stands there"


def test_an_undecided_gate_has_a_forecast_that_is_worded_as_one() -> None:
    gate = replace(pictures.LIVE_GATE, forecast=0.14)
    assert "forecast: 14 % likely to pass by 300" in told(gate)
    assert "forecast: <1 % likely" in told(replace(gate, forecast=0.0001))
    assert "forecast: >99 % likely" in told(replace(gate, forecast=1.0))
    assert "forecast" not in told()
    assert "forecast" not in told(replace(gate, verdict="pass"))


def test_marks_tell_how_often_a_detector_is_right() -> None:
    assert precision_text(MARKED) == "markers-v2 right in 7 of 10 marked, 35–93 %"
    assert precision_text(MARKED) in told(replace(pictures.LIVE_GATE, detectors=(MARKED,)))
    assert precision_text(pictures.detector()) == ""


def test_a_run_that_was_graded_again_says_by_whom_and_what_changed() -> None:
    text = " ".join(told(gradings=(pictures.GRADED,)).split())
    assert "graded again by kim@pod-7: qc.runaway length-v1 → markers-v2" in text
    assert "graded again" not in told()


def test_the_verdicts_sentence_goes_before_what_is_shown_as_room_allows() -> None:
    gate = replace(pictures.LIVE_GATE, forecast=0.14, detectors=(MARKED,))
    assert "13 of 88" in told(gate, 40, 2)
    assert "forecast" not in told(gate, 40, 2)
    assert "forecast" in told(gate, 40, 4)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_an_early_end_says_what_it_saved(size: tuple[int, int]) -> None:
    reason = "its gate ended it early: fail: runaway 9 of 43, limit < 5%"
    for saved, words in ((1.1, True), (None, False)):
        run = pictures.run(saved_usd=saved, reason=reason)
        picture = View(snapshot=pictures.snapshot(pictures.campaign(run)), campaign="stage1", now=pictures.NOW)
        assert ("saved about $1.10" in plain(draw(picture, (), *size).facts)) is words


def test_what_would_change_the_policys_mind_stands_where_there_is_room() -> None:
    story = pictures.snapshot(pictures.campaign(pictures.run(), next=pictures.EDITABLE))
    picture = View(snapshot=story, campaign="stage1", now=pictures.NOW)
    assert "unless 75 more clean samples" in plain(draw(picture, (), 120, 40).next)
    small = plain(draw(picture, (), 80, 20).next)
    assert "unless" not in small
    assert "$ pilothouse launch stage1 --run iteration-2" in small


async def test_the_suspicion_can_be_clicked() -> None:
    gate = replace(pictures.LIVE_GATE, detectors=(pictures.SUSPECT,))
    story = pictures.snapshot(pictures.campaign(pictures.run(), pictures.live_run(gate=gate)))
    async with opened(pictures.FakeService(story)) as screen:
        line = next(y for y, text in enumerate(screen.dashboard.query_one("#facts").text.splitlines()) if "⚠" in text)  # type: ignore[attr-defined]
        await screen.pilot.click("#facts", offset=(4, line))
        await screen.until(lambda: isinstance(screen.app.screen, SamplesScreen))
