"""A run's records: read off the event loop, what is flagged marked in them, right or a false alarm by one key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import NotFoundError, RefusedError
from engine.marks import OtherDetectorError
from engine.report.samples import Samples, Wanted
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.cells import plain
from tui.panels.marked_text import marked_rows
from tui.panels.sample import Shown, sample_lines
from tui.panels.sample_filters import filter_line
from tui.sample_operations import LONGEST_COPY, MOST
from tui.screens.samples import SamplesScreen


def flagged(*indices: int, **run: object) -> pictures.FakeService:
    """A pilot of which the records `indices` are flagged by the first detector of its gate."""
    run = {"gate": replace(pictures.PILOT_GATE, detectors=(pictures.detector(flagged=len(indices)),)), **run}
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
            "stage1/pilot · samples",
            "1 of 2 · #3",
            "all 2  kept 2  rejected 0  ▸ runaway 2 ◂",
            "markers-v2 flags 2 of",
            "#3 kept",
            "runaway: – not marked",
            "Question 3?",
            "instruction: no verdict in this record",
            "pair:        good, confident: margin 2.31 nats, 1.00 wanted",
            "length after 80 tokens",
            "runaway · token limit as a whole",
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
        await screen.until(lambda: "length-v1 flags 2 of 2 records" in samples.text)
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


async def test_the_next_unmarked_ones_come_when_those_that_were_read_are_marked() -> None:
    service = flagged(*range(MOST + 2))
    async with looking(service) as (screen, samples):
        await screen.until(lambda: f"1 of {MOST + 2}" in screen.painted)
        service.marks = {("runaway", index): True for index in range(MOST - 1)}
        service.records = [pictures.sample(index) for index in range(2 * MOST + 1)]
        await screen.press("m")
        await screen.until(lambda: f"only unmarked 1 of {MOST + 2}" in screen.painted)
        for _ in range(MOST):
            samples.do_mark_right()
        await screen.until(lambda: "1 of 2" in screen.painted, "those behind the first hundred")


async def test_another_filter_is_one_key_away() -> None:
    service = flagged(3)
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        await screen.press("right")
        await screen.until(lambda: "▸ token limit 1 ◂" in samples.text and samples.sample is not None)
        assert "token limit as a whole" in samples.text
        assert "token limit: – not marked" in samples.text
        await screen.press("tab")
        await screen.until(lambda: "None of 1 records is flagged delimiter" in samples.text)
        await screen.press("left", "left", "left")
        await screen.until(lambda: "None of 1 records is rejected" in samples.text)
        assert service.read[-1] == Wanted(kept=False)
        await screen.press("shift+tab")
        await screen.until(lambda: "▸ kept 1 ◂" in samples.text)
        await screen.press("left")
        await screen.until(lambda: "▸ all 1 ◂" in samples.text)
        assert "1 records, 1 kept · flagged by" in samples.text


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
    service.records = [pictures.sample(index, flags={"repetition": index == 3}) for index in (3, 7)]
    service.detectors["repetition"] = "ngram-v1"
    async with looking(service) as (screen, samples):
        await screen.until(lambda: service.read == [Wanted(flag="repetition")])
        await screen.until(lambda: "ngram-v1 flags 1 of 2 records" in samples.text)
        assert "all 2 " in samples.text, "the same records are counted above"
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
        await screen.until(lambda: "There are no records: the run is succeeded" in samples.text)
        service.records = [pictures.sample(1, flags={}, spans={})]
        await screen.press("t", "n", "p", "r")
        await screen.until(lambda: "no detector flags any" in samples.text)
        assert "not flagged" in samples.text
        await screen.press("t")
        assert service.calls == []
        await screen.press("right", "right", "right")
        await screen.until(lambda: "None of 1 records is flagged runaway" in samples.text)
        assert "← and → turn to other filters" in samples.text


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
        assert "▸ all" in samples.text, "nothing of the gate flags anything: all records"
        await screen.until(lambda: "3 more records since: r reads again" in samples.text)
        await screen.press("n")
        service.records.insert(0, pictures.sample(2))
        await screen.press("r")
        await screen.until(lambda: "3 of 3 · #6" in screen.painted)
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
    lines = marked_rows(text, [(10, len(text), "runaway")], 24)
    assert plain(lines).splitlines() == [
        "An answer. ⏎",
        "⟦Instruction: one that",
        "goes on for longer than",
        "a line has room⟧",
    ]
    assert all(cell.underline for line in lines[1:] for cell in line)


def test_text_without_blanks_is_broken_and_nothing_of_it_is_lost() -> None:
    lines = marked_rows("x" * 30 + "漢" * 10, [(5, 8, "x")], 16)
    assert plain(lines).replace("\n", "") == "xxxxx⟦xxx⟧" + "x" * 22 + "漢" * 10


def test_several_spans_are_each_marked_and_impossible_ones_are_passed_over() -> None:
    assert (
        plain(marked_rows("a b c", [(4, 5, "x"), (0, 1, "x"), (0, 1, "x"), (9, 12, "y"), (3, 2, "y")], 20))
        == "⟦a⟧ b ⟦c⟧"
    )


def test_a_completion_of_which_nothing_was_cut_is_shown_once() -> None:
    raw = pictures.sample(1).record["raw_response"]
    lines, first = sample_lines(Shown(pictures.sample(1, record={"response": raw}), ("runaway",)), 78)
    assert plain(lines).count("Answer 1.") == 1
    assert "⟦" in plain(lines[first : first + 1])


@pytest.mark.parametrize("width", [60, 80])
def test_the_chosen_filter_is_in_sight_however_many_there_are(width: int) -> None:
    filters = [Wanted(), *(Wanted(flag=f"detector_{number}") for number in range(12))]
    flagged = {f"detector_{number}": 1_000 + number for number in range(12)}
    read = Samples("c/pilot", Wanted(), {}, [], 0, 15_000, flagged=flagged)
    for number in range(12):
        text = plain([filter_line(filters, filters[number + 1], read, width)])
        assert f"▸ detector {number} {1_000 + number:,} ◂" in text
        assert "← → filter" in text
        assert f"▸ detector {number} ◂" in plain([filter_line(filters, filters[number + 1], None, width)])
    assert plain([filter_line(filters, filters[0], read, width)]).startswith(" ▸ all 15,000 ◂  detector 0 1,000")


def test_what_several_detectors_flag_is_marked_for_each() -> None:
    rows = marked_rows("one two three four", [(4, 13, "runaway"), (8, 18, "repetition")], 80)
    assert plain(rows) == "one ⟦runaway│ two ⟧⟦runaway, repetition│ three⟧ ⟦repetition│ four⟧"


async def test_every_flag_of_a_record_is_marked_in_its_text_whatever_the_filter() -> None:
    service = flagged(3)
    both = {"runaway": [("raw_response", 0, 6)], "blue": [("response", 0, 6)], "twice": [("raw_response", 7, 8)]}
    service.records = [pictures.sample(3, flags=dict.fromkeys(both, True), spans=both)]
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        assert "⟦Answer⟧ 3." in samples.text
        assert "⟦runaway│ Answer⟧ ⟦twice│ 3⟧." in samples.text
        await screen.press("left")
        await screen.until(lambda: "▸ rejected 0 ◂" in samples.text)
        await screen.press("left")
        await screen.until(lambda: "▸ kept 1 ◂" in samples.text and samples.sample is not None)
        assert "⟦runaway│ Answer⟧ ⟦twice│ 3⟧." in samples.text


async def test_among_all_records_a_mark_is_that_of_the_flag_that_is_named_and_unmarked_ones_can_be_asked_for() -> None:
    service = flagged(3, 7, gate=pictures.PILOT_GATE)
    service.records.insert(0, pictures.sample(1, flags={"runaway": False}, spans={}))
    async with looking(service) as (screen, samples):
        await screen.until(lambda: "1 of 3 · #1" in screen.painted)
        await screen.press("x")
        assert "#1 kept" in samples.text, "nothing is flagged in it, so nothing is marked and it stays"
        await screen.press("n", "x")
        await screen.until(lambda: service.marks == {("runaway", 3): False})
        assert "#7 kept" in samples.text
        await screen.press("m")
        await screen.until(lambda: "only unmarked 1 of 1 · #7" in screen.painted)
        await screen.press("t")
        await screen.until(lambda: "Nothing that is flagged (all) is unmarked: m shows all." in samples.text)


CRITICS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    (
        {"pair_critic": {"good": False, "confident": False, "margin": 0.2}},
        ("pair:        bad, unsure: margin 0.20 nats, 1.00 wanted", "instruction: no verdict in this record"),
    ),
    ({"pair_critic": {"good": True}}, ("pair:        good, no margin in this record",)),
    ({"pair_critic": {"good": True, "margin": float("nan")}}, ("good, no margin in this record",)),
    ({"pair_critic": "good"}, ("this record holds no critic's verdict, and no margin",)),
    ({"pair_critic": None}, ("this record holds no critic's verdict, and no margin",)),
]


@pytest.mark.parametrize(("record", "words"), CRITICS)
def test_critics_are_told_with_their_margins_and_what_is_lacking_plainly(
    record: dict[str, Any], words: tuple[str, ...]
) -> None:
    lines, _ = sample_lines(Shown(pictures.sample(1, record=record), ("runaway",), threshold=1.0), 78)
    for each in words:
        assert each in plain(lines)


async def test_the_threshold_is_the_runs_own_and_left_out_where_its_parameters_are_not_known() -> None:
    for known in (True, False):
        async with looking(flagged(3, parameters_known=known)) as (screen, samples):
            await screen.until(lambda samples=samples: "margin 2.31 nats" in samples.text)
            assert ("1.00 wanted" in samples.text) is known


async def test_going_on_reads_more_around_the_record_in_sight_and_back_again() -> None:
    service = flagged(*range(0, 5 * MOST, 2), gate=pictures.PILOT_GATE)
    async with looking(service) as (screen, samples):
        total = len(service.records)
        await screen.until(lambda: f"1 of {total} · #0" in screen.painted)
        for number in range(10, total, 10):
            for _ in range(10):
                samples.do_next_sample()
            await screen.until(lambda number=number: shown_number(samples) == 2 * number)
        await screen.press(*["n"] * 12)
        assert len(service.read) <= total // (MOST // 4), "many steps to a read"
        await screen.until(lambda: f"{total} of {total} · #{2 * total - 2}" in screen.painted)
        for number in range(total - 11, 0, -10):
            for _ in range(10):
                samples.do_previous_sample()
            await screen.until(lambda number=number: shown_number(samples) == 2 * number)
        await screen.press(*["p"] * 12)
        await screen.until(lambda: f"1 of {total} · #0" in screen.painted)


async def test_a_person_who_is_faster_than_the_reading_waits_at_the_end_of_what_was_read() -> None:
    service = flagged(*range(3 * MOST), gate=pictures.PILOT_GATE)
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        service.read_may_end.clear()
        for _ in range(MOST - 1):
            samples.do_next_sample()
        assert len(service.read) == 2, "read ahead once"
        assert shown_number(samples) == MOST - 1
        assert "reading" not in screen.painted
        samples.do_next_sample()
        await screen.pilot.pause()
        assert shown_number(samples) == MOST - 1
        service.read_may_end.set()
        await screen.until(lambda: shown_number(samples) == MOST)
        await screen.press("p")
        assert shown_number(samples) == MOST - 1


def shown_number(samples: SamplesScreen) -> int | None:
    return samples.sample.index if samples.sample is not None else None


async def test_a_record_is_gone_to_by_its_number() -> None:
    service = flagged(*range(0, 5 * MOST, 2), gate=pictures.PILOT_GATE)
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        for key, number, place in (("number_sign", 400, 201), ("colon", 3, 3), ("number_sign", 9_999, 250)):
            await screen.press(key)
            assert "go to a record" in screen.dialog().text
            await screen.press("ctrl+u", *str(number), "enter")
            await screen.until(lambda place=place: f"{place} of 250" in screen.painted)
        assert samples.sample is not None
        assert samples.sample.index == 498


async def test_a_number_that_the_filter_leaves_out_is_said_to_be_left_out() -> None:
    service = flagged(2, 4, 6)
    async with opened(service, notices=True) as screen:
        await screen.press("f")
        await screen.until(lambda: "1 of 3" in screen.painted)
        await screen.press("number_sign", "ctrl+u", "5", "enter")
        await screen.until(lambda: "3 of 3 · #6" in screen.painted)
        await screen.until(lambda: "#5 is not among these" in screen.painted)


async def test_a_record_is_copied_as_json_and_one_that_is_too_long_is_named_by_its_line() -> None:
    service = flagged(3, 7, folder="artifacts/stage1/pilot")
    service.records[1] = pictures.sample(7, line=42, record={"response": "漢" * (LONGEST_COPY // 3)})
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        await screen.press("y")
        assert json.loads(screen.app.clipboard) == service.records[0].record
        await screen.press("n", "y")
        assert json.loads(screen.app.clipboard) == service.records[0].record
        assert "artifacts/stage1/pilot/records.jsonl:42" in screen.dialog().text


async def test_a_program_of_its_own_that_writes_no_records_is_told_from_a_run_that_has_none_yet() -> None:
    service = flagged(rules=(("generator.kind", "command"),))
    async with looking(service) as (screen, samples):
        await screen.until(lambda: "a program of its own" in samples.text)
        assert "pilothouse import" in samples.text
    live = pictures.live_run(counts=replace(pictures.live_run().counts, records=0))
    async with looking(pictures.FakeService(pictures.snapshot(pictures.campaign(live)))) as (screen, samples):
        await screen.until(lambda: "There are no records yet: the run has finished no item. r reads" in samples.text)


async def test_what_a_terminal_could_obey_is_copied_as_an_escape_of_json() -> None:
    service = flagged(3)
    service.records = [pictures.sample(3, record={"response": "\x9b2J\u202e\x7f\ud800 漢"})]
    async with looking(service) as (screen, samples):
        await screen.until(lambda: samples.sample is not None)
        await screen.press("y")
        assert not set("\x9b\u202e\x7f\ud800") & set(screen.app.clipboard)
        assert "漢" in screen.app.clipboard
        assert json.loads(screen.app.clipboard) == service.records[0].record


async def test_after_the_last_one_was_marked_it_says_that_it_was_the_last() -> None:
    async with opened(flagged(3, 7), notices=True) as screen:
        await screen.press("f")
        await screen.until(lambda: "1 of 2" in screen.painted)
        await screen.press("t")
        await screen.until(lambda: "2 of 2" in screen.painted)
        assert "it was the last" not in screen.painted
        await screen.press("x")
        await screen.until(lambda: "marked: it was the last" in screen.painted)


async def test_records_that_cannot_be_read_are_told_with_the_place() -> None:
    service = flagged(3)
    service.read_error = NotFoundError("it is torn", where="spec.json:3", remedy="mend it")
    async with looking(service) as (screen, samples):
        await screen.until(lambda: "where: spec.json:3" in samples.text)
        assert "to do: mend it" in samples.text
