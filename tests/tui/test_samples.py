"""Flagged samples: read off the event loop, the flagged span marked, right or a false alarm by one key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from engine.errors import NotFoundError, RefusedError
from engine.marks import OtherDetectorError
from engine.report.samples import Wanted
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.cells import plain
from tui.panels.sample import kind_line, marked_rows, sample_lines
from tui.sample_operations import MOST
from tui.screens.samples import SamplesScreen


def flagged(*indices: int, **run: object) -> pictures.FakeService:
    """A pilot of which the records `indices` are flagged."""
    service = pictures.FakeService(pictures.snapshot(pictures.campaign(pictures.run(**run))))
    service.records = [pictures.sample(index) for index in indices]
    return service


@asynccontextmanager
async def looking(
    service: pictures.FakeService, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Screen, SamplesScreen]]:
    async with opened(service, size) as screen:
        await screen.press("f")
        samples = screen.app.screen
        assert isinstance(samples, SamplesScreen)
        yield screen, samples


async def test_it_shows_what_is_flagged_with_the_span_and_what_is_known_of_the_record() -> None:
    async with looking(flagged(3, 7)) as (screen, samples):
        await screen.until(lambda: "#3" in samples.text)
        for words in (
            "stage1/pilot · flagged samples",
            "1 of 2",
            "▸ runaway ◂",
            "markers-v2 flags 2 of 2 records",
            "#3 kept",
            "– not marked",
            "Question 3?",
            "pair: good, 2.31 nats",
            "length after 80 tokens · also flagged token limit",
            "⟦Instruction: and the next one?⟧",
            "t right",
            "x false alarm",
            "esc q back",
        ):
            assert words in screen.painted, words


async def test_marks_are_written_shown_and_go_on_to_the_next() -> None:
    service = flagged(3, 7, 9)
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        await screen.press("t")
        assert "#7 kept" in samples.text
        await screen.until(lambda: service.calls == [("mark", "stage1/pilot", "runaway", {3: True})])
        await screen.press("x")
        assert "#9 kept" in samples.text
        await screen.until(lambda: service.marks == {("runaway", 3): True, ("runaway", 7): False})
        await screen.press("up")
        assert "✗ false alarm" in screen.painted
        await screen.press("p")
        assert "✓ right" in screen.painted
        await screen.press("p", "t")
        assert "#7 kept" in samples.text, "the first has none before it"


async def test_marks_that_gather_while_one_is_written_go_together_and_in_order() -> None:
    service = flagged(3, 7, 9)
    service.mark_may_end.clear()
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        await screen.press("t")
        await screen.until(lambda: len(service.calls) == 1)
        await screen.press("t", "x", "p", "x")
        service.mark_may_end.set()
        await screen.until(lambda: len(service.calls) == 2)
        assert service.calls[1] == ("mark", "stage1/pilot", "runaway", {7: False, 9: False})


async def test_a_mark_that_cannot_be_written_is_taken_back_and_said() -> None:
    service = flagged(3, 7)
    service.refuse = RefusedError("the disk is full")
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        await screen.press("t")
        await screen.until(lambda: "not marked: the disk is full" in samples.text)
        await screen.press("p")
        assert "– not marked" in screen.painted
        assert "✓ right" not in screen.painted


async def test_a_flag_of_a_detector_that_no_longer_judges_is_not_marked_and_read_anew() -> None:
    service = flagged(3, 7, gate=replace(pictures.PILOT_GATE, detectors=(pictures.detector(detector="length-v1"),)))
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        assert "markers-v2 flags 2 of 2 records" in samples.text, "name and count are those of what was read"
        assert "judged by length-v1 now: r reads again" in samples.text
        service.refuse = OtherDetectorError("the run is judged by length-v1 now")
        service.detectors["runaway"] = "length-v1"
        service.records = [pictures.sample(7), pictures.sample(9)]
        await screen.press("t")
        await screen.until(lambda: "not marked: the run is judged by length-v1 now" in samples.text)
        await screen.until(lambda: "#7 kept" in samples.text)
        await screen.until(lambda: "length-v1 flags 22 of" in samples.text)
        assert "✓ right" not in screen.painted
        assert service.marked_of == ["markers-v2"]
        service.refuse = None
        await screen.press("t")
        await screen.until(lambda: service.marked_of == ["markers-v2", "length-v1"])


async def test_only_unmarked_ones_can_be_gone_through_until_none_is_left() -> None:
    service = flagged(3, 7, 9)
    service.marks["runaway", 3] = True
    async with looking(service) as (screen, samples):
        await screen.until(lambda: "✓ right" in screen.painted)
        await screen.press("m")
        await screen.until(lambda: "#7 kept" in samples.text)
        assert "only unmarked 1 of 2" in screen.painted
        await screen.press("t")
        assert "#9 kept" in samples.text
        assert "1 of 1" in screen.painted
        await screen.press("x")
        await screen.until(lambda: "Nothing that is flagged runaway is unmarked" in samples.text)
        await screen.press("m")
        await screen.until(lambda: "1 of 3" in screen.painted)


async def test_more_than_fit_are_counted_and_the_next_ones_come_when_those_are_marked() -> None:
    service = flagged(*range(MOST + 2))
    async with looking(service) as (screen, samples):
        await screen.until(lambda: f"1 of {MOST}, the first of {MOST + 2}" in screen.painted)
        service.marks = {("runaway", index): True for index in range(MOST - 1)}
        service.records = [pictures.sample(index) for index in range(2 * MOST + 1)]
        await screen.press("m")
        await screen.until(lambda: f"the first of {MOST + 2}" in screen.painted)
        for _ in range(MOST):
            samples.do_mark_right()
        await screen.until(lambda: "1 of 2" in screen.painted, "those behind the first hundred")


async def test_another_detector_is_one_key_away() -> None:
    service = flagged(3)
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        await screen.press("right")
        await screen.until(lambda: "▸ token limit ◂" in samples.text and samples.sample is not None)
        assert "flagged token limit as a whole" in samples.text
        await screen.press("left", "left")
        await screen.until(lambda: "None of 1 records is flagged repetition" in samples.text)
        assert service.read[-1] == Wanted(flag="repetition")


async def test_a_suspect_detector_comes_first_with_its_reason_and_its_precision() -> None:
    suspect = replace(
        pictures.SUSPECT,
        kind="repetition",
        detector="ngram-v1",
        marked_true=7,
        marked_false=3,
        lower=0.348,
        upper=0.933,
    )
    gate = replace(pictures.PILOT_GATE, detectors=(pictures.detector(), suspect))
    service = flagged(3, gate=gate, counts=replace(pictures.run().counts, records=116))
    service.detectors["repetition"] = "ngram-v1"
    async with looking(service) as (screen, samples):
        await screen.until(lambda: service.read == [Wanted(flag="repetition")])
        await screen.until(lambda: "ngram-v1 flags 22 of 116 records" in samples.text)
        assert "right in 7 of 10 marked, 35–93 %" in samples.text
        assert "⚠ suspect: the pair critic accepts 20 of 22 flagged" in samples.text


async def test_a_mark_that_the_picture_has_taken_in_moves_the_precision() -> None:
    service = flagged(3, gate=replace(pictures.PILOT_GATE, detectors=(pictures.detector(),)))
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        assert "right in" not in samples.text
        marked = pictures.detector(marked_true=1, lower=0.025, upper=1.0)
        run = pictures.run(gate=replace(pictures.PILOT_GATE, detectors=(marked,)))
        service.snapshot = pictures.snapshot(pictures.campaign(run))
        await screen.press("t")
        await screen.until(lambda: "right in 1 of 1 marked, 2–100 %" in samples.text)


async def test_reading_does_not_hold_up_the_screen_and_the_last_wish_counts() -> None:
    service = flagged(3)
    service.read_may_end.clear()
    async with looking(service) as (screen, samples):
        assert "reading the records" in samples.text
        await screen.press("right", "right", "left", "t")
        assert service.calls == [], "there is nothing to mark yet"
        service.read_may_end.set()
        await screen.until(lambda: samples.sample is not None)
        assert service.read == [Wanted(flag="runaway"), Wanted(flag="token_limit")]
        await screen.press("q")
        assert screen.app.screen is screen.dashboard


async def test_leaving_while_it_reads_is_possible() -> None:
    service = flagged(3)
    service.read_may_end.clear()
    async with looking(service) as (screen, _):
        await screen.press("escape")
        assert screen.app.screen is screen.dashboard
        service.read_may_end.set()
        await screen.press("f")
        await screen.until(lambda: "#3" in screen.painted)


async def test_without_records_or_flags_it_says_so() -> None:
    service = flagged()
    async with looking(service) as (screen, samples):
        await screen.until(lambda: "There are no records yet" in samples.text)
        service.records = [pictures.sample(1, flags={}, spans={})]
        await screen.press("t", "n", "p", "r")
        await screen.until(lambda: "None of 1 records is flagged runaway" in samples.text)
        assert service.calls == []


async def test_a_run_that_cannot_be_read_says_why_and_what_to_do() -> None:
    service = flagged()
    service.read_error = NotFoundError("there is no run stage1/pilot", remedy="look at its folder")
    async with looking(service) as (screen, samples):
        await screen.until(lambda: "there is no run stage1/pilot" in samples.text)
        assert "to do: look at its folder" in samples.text
        service.read_error = ZeroDivisionError("oops")
        await screen.press("r")
        await screen.until(lambda: "ZeroDivisionError: oops" in samples.text)


async def test_of_a_live_run_it_says_how_much_came_since_and_keeps_its_place() -> None:
    counts = replace(pictures.live_run().counts, records=5)
    service = pictures.FakeService(
        pictures.snapshot(pictures.campaign(pictures.run(), pictures.live_run(counts=counts)))
    )
    service.records = [pictures.sample(index) for index in (4, 6)]
    async with looking(service) as (screen, samples):
        await screen.until(lambda: "3 more records since: r reads again" in samples.text)
        await screen.press("n")
        service.records.insert(0, pictures.sample(2))
        await screen.press("r")
        await screen.until(lambda: "3 of 3" in screen.painted)
        assert "#6 kept" in samples.text


@pytest.mark.parametrize("size", [(60, 16), (80, 24)])
async def test_a_long_sample_begins_where_its_flagged_span_is_and_scrolls(size: tuple[int, int]) -> None:
    raw = "".join(f"line {number}\n" for number in range(80)) + "flagged here\n" + "more\n" * 40
    start = raw.index("flagged")
    service = flagged()
    service.records = [
        pictures.sample(1, record={"raw_response": raw}, spans={"runaway": [("raw_response", start, start + 7)]})
    ]
    async with looking(service, size) as (screen, _):
        await screen.until(lambda: "⟦flagged⟧" in screen.painted)
        await screen.press("pageup", "pageup", "pageup", "pageup", "pageup", "pageup", "pageup", "pageup")
        await screen.until(lambda: "Question 1?" in screen.painted)
        assert "⟦flagged⟧" not in screen.painted


def test_a_span_keeps_its_brackets_over_line_breaks_and_wraps() -> None:
    text = "An answer.\n\nInstruction: one that goes on for longer than a line has room"
    lines = marked_rows(text, [(10, len(text))], 24)
    assert plain(lines).splitlines() == [
        "An answer. ⏎",
        "⟦Instruction: one that",
        "goes on for longer than",
        "a line has room⟧",
    ]
    assert all(cell.underline for line in lines[1:] for cell in line)


def test_text_without_blanks_is_broken_and_nothing_of_it_is_lost() -> None:
    lines = marked_rows("x" * 30 + "漢" * 10, [(5, 8)], 16)
    assert plain(lines).replace("\n", "") == "xxxxx⟦xxx⟧" + "x" * 22 + "漢" * 10


def test_several_spans_are_each_marked_and_impossible_ones_are_passed_over() -> None:
    assert plain(marked_rows("a b c", [(4, 5), (0, 1), (0, 1), (9, 12), (3, 2)], 20)) == "⟦a⟧ b ⟦c⟧"


def test_a_completion_of_which_nothing_was_cut_is_shown_once() -> None:
    raw = pictures.sample(1).record["raw_response"]
    lines, first = sample_lines(pictures.sample(1, record={"response": raw}), "runaway", None, 78)
    assert plain(lines).count("Answer 1.") == 1
    assert "⟦" in plain(lines[first : first + 1])


def test_the_chosen_detector_is_in_sight_however_many_there_are() -> None:
    kinds = tuple(f"detector_{number}" for number in range(12))
    for chosen in kinds:
        assert f"▸ {chosen.replace('_', ' ')} ◂" in plain([kind_line(kinds, chosen, 60)])
