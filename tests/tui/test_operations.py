"""Whatever starts, stops or spends asks first, does exactly what it said, and reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual import events

from engine.errors import RefusedError
from tests.tui import pictures
from tests.tui.driving import opened
from tui.screens.confirm import AmountScreen, ConfirmScreen, StopScreen
from tui.screens.dialog import NoticeScreen

OFFERING = pictures.snapshot(pictures.campaign(pictures.run(), pictures.live_run(state="succeeded", ended=None)))


def stopped(**changes: object) -> pictures.FakeService:
    run = pictures.live_run(state="stopped", ended="2027-01-15T08:20:00Z", **changes)
    return pictures.FakeService(pictures.snapshot(pictures.campaign(pictures.run(), run)))


async def test_enter_shows_command_reason_changes_and_forecast_before_anything_happens() -> None:
    service = pictures.FakeService(OFFERING)
    async with opened(service) as screen:
        await screen.press("enter")
        text = screen.dialog().text
        assert "pilothouse launch stage1 --run iteration-2" in text
        assert "launch iteration-2" in text.splitlines()[0]
        assert "about $1.90, 38:00 (as iteration-1: 0.08 examples/s)" in text
        assert "$294.70 of $300.00 left" in text
        assert "response.max_tokens   100 → 140   token limit failed" in text
        assert service.calls == []


@pytest.mark.parametrize("keys", [("enter",), ("n",), ("escape",), ("right", "left", "enter")])
async def test_the_default_and_everything_but_a_clear_yes_is_no(keys: tuple[str, ...]) -> None:
    service = pictures.FakeService(OFFERING)
    async with opened(service) as screen:
        await screen.press("enter", *keys)
        assert screen.app.screen is screen.dashboard
        assert service.calls == []


@pytest.mark.parametrize("keys", [("y",), ("right", "enter"), ("tab", "enter")])
async def test_yes_does_the_next_action(keys: tuple[str, ...]) -> None:
    service = pictures.FakeService(OFFERING)
    async with opened(service) as screen:
        await screen.press("enter", *keys)
        await screen.until(lambda: service.calls == [("do_next", "stage1")])
        await screen.until(lambda: not screen.app.operations.calls.busy)


async def test_a_reason_that_all_changes_share_stands_once_above_them() -> None:
    shared = replace(pictures.ITERATE, why=dict.fromkeys(pictures.ITERATE.changes, "the campaign lists it"))
    service = pictures.FakeService(pictures.snapshot(pictures.campaign(pictures.run(), next=shared)))
    async with opened(service, (120, 40)) as screen:
        assert screen.text.count("the campaign lists it") == 1
        await screen.press("enter")
        assert screen.dialog().text.count("the campaign lists it") == 1
        assert "changes: the campaign lists it" in screen.dialog().text


async def test_a_dialog_longer_than_the_window_says_that_it_scrolls_and_does() -> None:
    long = replace(pictures.ITERATE, reason="word " * 400 + "the end of it")
    service = pictures.FakeService(pictures.snapshot(pictures.campaign(pictures.run(), next=long)))
    async with opened(service) as screen:
        await screen.press("enter")
        assert "PgUp PgDn scroll" in screen.painted
        assert "no (n)" in screen.painted
        assert "the end of it" not in screen.painted
        await screen.press("pagedown", "pagedown", "pagedown", "down")
        assert "the end of it" in screen.painted
        await screen.press("escape", "s", "escape", "question_mark")
        assert "PgUp PgDn scroll" in screen.painted
        await screen.press("escape")
        service.snapshot = OFFERING
        await screen.until(lambda: screen.app.view.next == pictures.ITERATE)
        await screen.press("enter")
        assert "PgUp" not in screen.painted


async def test_a_next_action_that_changed_while_the_question_stood_is_not_done() -> None:
    service = pictures.FakeService(OFFERING)
    async with opened(service) as screen:
        await screen.press("enter")
        other = replace(pictures.ITERATE, argv=("pilothouse", "launch", "stage1", "--run", "scale"))
        service.snapshot = pictures.snapshot(pictures.campaign(pictures.run(), next=other))
        await screen.until(lambda: screen.app.view.next == other)
        await screen.press("y")
        assert service.calls == []


async def test_enter_with_nothing_to_do_says_why() -> None:
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service) as screen:
        await screen.press("enter")
        assert screen.app.screen is screen.dashboard
        assert any("goes on" in note.message for note in screen.app._notifications)


async def test_a_refusal_is_shown_with_what_where_and_remedy() -> None:
    service = pictures.FakeService(OFFERING)
    service.refuse = RefusedError("this goes over the budget", where="configs/stage1.yaml", remedy="raise limit_usd")
    async with opened(service) as screen:
        await screen.press("enter", "y")
        await screen.until(lambda: isinstance(screen.app.screen, NoticeScreen))
        text = screen.dialog().text
        assert "this goes over the budget" in text
        assert "where: configs/stage1.yaml" in text
        assert "to do: raise limit_usd" in text
        await screen.press("enter")
        assert screen.app.screen is screen.dashboard


async def test_a_defect_in_a_call_is_reported_and_the_screen_goes_on() -> None:
    service = pictures.FakeService(OFFERING)
    service.refuse = ZeroDivisionError("oops")
    async with opened(service) as screen:
        await screen.press("enter", "y")
        await screen.until(lambda: isinstance(screen.app.screen, NoticeScreen))
        assert "ZeroDivisionError: oops" in screen.dialog().text


async def test_stop_shows_its_progress_until_it_is_verified() -> None:
    service = pictures.FakeService(pictures.seed_story())
    service.stop_may_end.clear()
    async with opened(service) as screen:
        await screen.press("s")
        assert "pilothouse stop stage1/iteration-1" in screen.dialog().text
        assert "finishes what is in flight and saves" in screen.dialog().text.replace("\n", " ")
        assert service.calls == []
        await screen.press("y")
        await screen.until(lambda: "SIGINT sent to 3 processes" in screen.dialog().text)
        assert "verified" not in screen.dialog().text
        assert "stop iteration-1 …" in screen.text, "the header says what is under way"
        service.stop_may_end.set()
        await screen.until(lambda: "verified: stage1/iteration-1 is stopped" in screen.dialog().text)
        assert service.calls == [("stop", "stage1/iteration-1", False)]
        await screen.press("enter")
        assert screen.app.screen is screen.dashboard


async def test_leaving_the_stop_dialog_does_not_call_the_stop_off() -> None:
    service = pictures.FakeService(pictures.seed_story())
    service.stop_may_end.clear()
    async with opened(service) as screen:
        await screen.press("s", "y")
        await screen.until(lambda: service.calls)
        await screen.press("escape")
        assert screen.app.screen is screen.dashboard
        service.stop_may_end.set()
        await screen.until(lambda: any("is stopped" in note.message for note in screen.app._notifications))


async def test_stop_defaults_to_no() -> None:
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service) as screen:
        await screen.press("s")
        assert isinstance(screen.app.screen, StopScreen)
        await screen.press("enter")
        assert service.calls == []
        assert screen.app.screen is screen.dashboard


async def test_a_failing_stop_says_what_is_left() -> None:
    service = pictures.FakeService(pictures.seed_story())
    service.refuse = RefusedError("2 processes are left", remedy="look at them with ps")
    async with opened(service) as screen:
        await screen.press("s", "y")
        await screen.until(lambda: "2 processes are left" in screen.dialog().text)
        assert "look at them with ps" in screen.dialog().text


async def test_restart_asks_with_its_forecast_and_resumes() -> None:
    service = stopped()
    async with opened(service) as screen:
        await screen.press("r")
        await screen.until(lambda: isinstance(screen.app.screen, ConfirmScreen))
        assert "about $1.25" in screen.dialog().text
        assert "61 of 100 kept" in screen.dialog().text
        assert "$1.25, 25:09" in screen.dialog().text, "at what the run has cost per second"
        await screen.press("y")
        await screen.until(lambda: service.calls == [("restart", "stage1/iteration-1", False)])


async def test_restart_from_scratch_says_so() -> None:
    service = stopped()
    async with opened(service) as screen:
        await screen.press("R")
        assert "--fresh" in screen.dialog().text
        await screen.press("y")
        await screen.until(lambda: service.calls == [("restart", "stage1/iteration-1", True)])


async def test_extend_asks_how_many_then_with_the_command() -> None:
    service = pictures.FakeService(OFFERING)
    async with opened(service) as screen:
        await screen.press("x")
        assert isinstance(screen.app.screen, AmountScreen)
        await screen.press("backspace", "backspace", "backspace", "5", "enter")
        assert "at least 101" in screen.dialog().text
        await screen.press("backspace", "2", "5", "0", "enter")
        await screen.until(lambda: isinstance(screen.app.screen, ConfirmScreen))
        assert "pilothouse extend stage1/iteration-1 --examples 250" in screen.dialog().text
        await screen.press("y")
        await screen.until(lambda: service.calls == [("extend", "stage1/iteration-1", 250)])


async def test_a_number_that_comes_with_the_key_that_asks_for_it_is_the_number() -> None:
    """Over a slow line they arrive in one packet."""
    service = pictures.FakeService(OFFERING)
    async with opened(service) as screen:
        for key, character in (("x", "x"), ("2", "2"), ("5", "5"), ("0", "0"), ("enter", "\r")):
            screen.app.post_message(events.Key(key, character))
        await screen.until(lambda: isinstance(screen.app.screen, ConfirmScreen), "the question")
        assert "pilothouse extend stage1/iteration-1 --examples 250" in screen.dialog().text


async def test_keys_apply_to_the_selected_run() -> None:
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service) as screen:
        await screen.press("left", "s")
        assert screen.app.screen is screen.dashboard, "the pilot is over: there is nothing to stop"
        assert any("pilot is not going" in note.message for note in screen.app._notifications)
