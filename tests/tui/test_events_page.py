"""The events page: what is wrong with a run in full, what happened to it, and who did what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from engine.errors import PilothouseError
from engine.report.events import RunEvent, RunEvents
from engine.snapshot import LoggedAction, RunSnapshot, Snapshot
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.cells import Line, plain
from tui.panels.events import event_lines
from tui.screens.events import EventsScreen

SIZES = [(60, 16), (80, 24), (120, 40), (200, 50)]
ITERATION = "stage1/iteration-1"


def of(run: RunSnapshot, **changes: Any) -> Snapshot:
    return pictures.snapshot(pictures.campaign(pictures.run(), run, **{"next": pictures.WAIT, **changes}))


def happened(*events: RunEvent, left_out: int = 0) -> RunEvents:
    return RunEvents(events, left_out)


def many(n: int) -> RunEvents:
    events = [
        RunEvent(f"2027-01-15T08:{i // 60:02d}:{i % 60:02d}Z", 1, "keeper", f"thing {i} happened") for i in range(n)
    ]
    return happened(*events)


def flat(screen: Screen) -> str:
    return " ".join(screen.painted.split())


@pytest.mark.parametrize("size", SIZES)
async def test_h_opens_the_events_with_the_newest_in_sight(size: tuple[int, int]) -> None:
    service = pictures.FakeService(of(pictures.live_run()))
    service.happened[ITERATION] = many(120)
    async with opened(service, size) as screen:
        await screen.press("h")
        assert isinstance(screen.app.screen, EventsScreen)
        await screen.until(lambda: "thing 119 happened" in screen.painted, "the newest event")
        assert "▸4 events◂" in screen.painted.splitlines()[0]
        assert "esc q back" in screen.painted.splitlines()[-1]
        await screen.press("home")
        await screen.until(lambda: "all events; times are" in screen.painted, "the oldest event")
        assert "thing 0 happened" in screen.painted
        await screen.press("h")
        assert screen.app.screen is screen.dashboard


async def test_it_stays_at_its_end_until_it_is_scrolled_up() -> None:
    service = pictures.FakeService(of(pictures.live_run()))
    service.happened[ITERATION] = many(50)
    async with opened(service) as screen:
        await screen.press("h")
        await screen.until(lambda: "thing 49 " in screen.painted)
        service.happened[ITERATION] = many(52)
        await screen.until(lambda: "thing 51 " in screen.painted, "the newest, without a key")
        await screen.press("pageup")
        service.happened[ITERATION] = many(60)
        looks = len(service.looks)
        page = screen.app.screen
        assert isinstance(page, EventsScreen)
        page.wake()
        await screen.until(lambda: len(service.looks) > looks and page.found == many(60))
        assert "thing 59 " not in screen.painted


def test_attempts_and_days_are_set_apart_and_nothing_is_wider_than_the_page() -> None:
    events = happened(
        RunEvent("2027-01-14T12:00:00Z", 1, "kim@pod-7", "launched it"),
        RunEvent("2027-01-15T12:00:00Z", 1, "keeper", "failed: exit code 3", "bad"),
        RunEvent("2027-01-15T12:00:01Z", 2, "someone@a-host-with-a-very-long-name", "word " * 30 + "the end"),
        RunEvent("once", 2, "ann@pod-9", "asked to stop it", "warn", pending=True),
        left_out=7,
    )
    for width in (58, 78, 118, 198):
        text = plain(event_lines(events, width))
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert "the newest 4 of 11 events" in text
        heads = [line for line in text.splitlines()[1:] if not line.startswith("  ")]
        assert [line.strip(" ─") for line in heads] == [
            "attempt 1 · 2027-01-14",
            "2027-01-15",
            "attempt 2 · 2027-01-15",
            "time not known",
        ]
        assert "the end" in " ".join(text.split())
        assert "✗ failed: exit code 3" in text
        assert "not taken yet" in text
    assert "…" in next(line for line in plain(event_lines(events, 78)).splitlines() if "someone@" in line)


async def test_what_is_wrong_stands_on_top_in_full() -> None:
    """Also what a low window has no line for."""
    long = "the disk is full " * 12 + "to the brim"
    run = pictures.live_run(stalled=pictures.STALL, warnings=(long,), actions=(pictures.LAUNCHED,))
    async with opened(pictures.FakeService(of(run)), (60, 16)) as screen:
        assert "+1 more" in screen.painted
        await screen.press("h")
        await screen.until(lambda: "launched it" in screen.painted, "the end of the page")
        await screen.press("home")
        await screen.until(lambda: "last item at 08:02:41 UTC" in flat(screen))
        assert "to the brim" in flat(screen)


async def test_a_request_is_shown_until_it_is_taken_and_the_page_goes_along_with_the_run_beside() -> None:
    service = pictures.FakeService(of(pictures.live_run(actions=(pictures.LAUNCHED, pictures.ASKED))))
    async with opened(service) as screen:
        await screen.press("h")
        await screen.until(lambda: "not taken yet" in screen.painted)
        taken = replace(pictures.ASKED, pending=False)
        service.snapshot = of(pictures.live_run(actions=(pictures.LAUNCHED, taken)))
        await screen.until(lambda: "not taken yet" not in screen.painted)
        assert "asked to stop it" in screen.painted
        await screen.press("left")
        await screen.until(lambda: "nothing has happened to it yet" in screen.painted)
        assert screen.painted.startswith(" pilot ")
        assert screen.app.view.selected is not None
        assert screen.app.view.selected.name == "pilot"
        await screen.press("question_mark")
        assert screen.dialog().text.startswith("A run's pages")


async def test_untrusted_words_cannot_reach_the_terminal() -> None:
    service = pictures.FakeService(of(pictures.live_run()))
    hostile = "\x1b]52;c;aGk=\x07\x1b[2J[bold]\u202eall[/]"
    service.happened[ITERATION] = happened(RunEvent("2027-01-15T08:00:00Z", 1, hostile, hostile, "bad"))
    async with opened(service) as screen:
        await screen.press("h")
        await screen.until(lambda: "[bold]all[/]" in screen.painted)
        assert not {"\x1b", "\x07", "\u202e"} & set(screen.painted)


async def test_journals_that_cannot_be_read_are_told_with_what_to_do() -> None:
    service = pictures.FakeService(of(pictures.live_run(actions=(LoggedAction("x", "kim", "did it"),))))
    service.look_error = PilothouseError("permission denied", where="keeper.jsonl", remedy="make it readable")
    async with opened(service) as screen:
        await screen.press("h")
        await screen.until(lambda: "permission denied" in screen.painted)
        assert "where: keeper.jsonl" in screen.painted
        assert "to do: make it readable" in screen.painted
        service.look_error = None
        screen.app.screen.wake()  # type: ignore[attr-defined]
        await screen.until(lambda: "did it" in screen.painted, "the page once they can be read")


async def test_nothing_is_looked_at_any_more_once_the_page_is_closed() -> None:
    service = pictures.FakeService(of(pictures.live_run()))
    async with opened(service) as screen:
        assert service.looks == []
        await screen.press("h")
        await screen.until(lambda: service.looks)
        watch = screen.app.screen._watch  # type: ignore[attr-defined]
        await screen.press("escape")
        await screen.until(lambda: watch.ended, "the end of its thread")


async def test_as_time_goes_on_nothing_is_laid_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = []

    def counted(found: RunEvents | None, width: int) -> tuple[Line, ...]:
        laid_out.append(found)
        return event_lines(found, width)

    monkeypatch.setattr("tui.screens.events.event_lines", counted)
    service = pictures.FakeService(of(pictures.live_run()))
    service.happened[ITERATION] = many(50)
    async with opened(service) as screen:
        await screen.press("h")
        await screen.until(lambda: "thing 49 " in screen.painted)
        page, before = screen.app.screen, len(laid_out)
        assert isinstance(page, EventsScreen)
        warned = of(pictures.live_run(warnings=("the disk is full",)))
        for number in range(5):
            page.show_view(replace(screen.app.view, snapshot=warned, now=pictures.NOW + number))
        assert len(laid_out) == before
        await screen.press("home")
        assert "the disk is full" in screen.painted, "what is wrong is still said"
        service.happened[ITERATION] = many(51)
        await screen.until(lambda: many(51) in laid_out)
