"""Questions: what a person has to look at, values of one's own, a stop at once, the command to copy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.errors import RefusedError
from engine.policy.actions import NextAction
from tests.tui import pictures
from tests.tui.driving import opened
from tui.actions import BY_ID
from tui.screens.compare import CompareScreen
from tui.screens.confirm import ConfirmScreen, ReviewScreen, StopScreen
from tui.screens.dialog import NoticeScreen
from tui.screens.edit import EditScreen
from tui.screens.samples import SamplesScreen

REVIEW = NextAction(
    "review",
    "iteration-1: gate undecided; all 3 tries are spent; look at the samples",
    run="iteration-1",
    rule="tries-are-spent",
    numbers={"tries": 3, "tries_allowed": 3},
    unless="a higher policy.max_retries",
)


def reviewing(action: NextAction = REVIEW) -> pictures.FakeService:
    run = pictures.live_run(state="succeeded", ended="2027-01-15T08:20:00Z")
    return pictures.FakeService(pictures.snapshot(pictures.campaign(pictures.run(), run, next=action)))


async def test_a_review_says_why_and_starts_nothing() -> None:
    service = reviewing()
    async with opened(service) as screen:
        assert "⏎ n next" in screen.text
        await screen.press("enter")
        assert isinstance(screen.app.screen, ReviewScreen)
        text = screen.dialog().text
        assert "review iteration-1" in text
        assert "all 3 tries are spent" in text
        assert "rule: tries-are-spent" in text
        assert "unless: a higher policy.max_retries" in text
        await screen.press("enter")
        assert screen.app.screen is screen.dashboard
        assert service.calls == []


@pytest.mark.parametrize(
    ("keys", "opens"),
    [(("f",), SamplesScreen), (("right", "enter"), SamplesScreen), (("c",), CompareScreen), (("v",), EditScreen)],
)
async def test_from_a_review_one_gets_to_what_answers_it(keys: tuple[str, ...], opens: type) -> None:
    async with opened(reviewing()) as screen:
        await screen.press("enter", *keys)
        await screen.until(lambda: isinstance(screen.app.screen, opens), opens.__name__)


async def test_values_of_ones_own_start_the_next_iteration_after_a_yes() -> None:
    """Also where the policy proposes none."""
    service = reviewing()
    async with opened(service, (100, 40)) as screen:
        await screen.press("v")
        await screen.until(lambda: isinstance(screen.app.screen, EditScreen), "the form")
        assert "launch iteration-2" in screen.painted
        changed = next(line for line in screen.painted.splitlines() if "response.temperature" in line)
        assert changed.split()[-3:] == ["0.4", "0.3", "listed"], "the last value, the one to start with, and why"
        form = screen.app.screen
        assert isinstance(form, EditScreen)
        row = next(row for row in form.rows if row.parameter == "response.temperature")
        row.field.value = "0.11"
        await screen.until(lambda: service.planned[-1] == ("response.temperature=0.11",), "its forecast")
        await screen.until(lambda: "response.temperature=0.11" in form.text and "forecast" in form.text)
        await screen.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, ConfirmScreen), "the question")
        assert "--run iteration-2 --set response.temperature=0.11" in screen.dialog().text
        assert not [call for call in service.calls if call[0] == "launch"]
        await screen.press("y")
        launched = ("launch", "stage1", "iteration-2", "response.temperature=0.11")
        await screen.until(lambda: service.calls == [launched], "the launch")


async def test_where_the_policy_proposes_a_run_its_values_are_those_to_edit() -> None:
    proposed = replace(pictures.ITERATE, parameters=pictures.ITERATION)
    async with opened(reviewing(proposed)) as screen:
        await screen.press("v")
        assert isinstance(screen.app.screen, EditScreen)
        assert "launch iteration-2" in screen.painted


async def test_a_launch_that_is_refused_says_so_instead_of_a_form() -> None:
    service = reviewing()
    service.launch_error = RefusedError("the model is not there", remedy="download it")
    async with opened(service) as screen:
        await screen.press("v")
        await screen.until(lambda: isinstance(screen.app.screen, NoticeScreen), "the notice")
        assert "the model is not there" in screen.dialog().text
        assert "download it" in screen.dialog().text


async def test_a_form_that_comes_late_opens_once_and_only_where_it_was_asked_for() -> None:
    service = reviewing()
    service.plan_may_end.clear()
    async with opened(service) as screen:
        await screen.press("v", "v")
        assert any("working out" in note.message for note in screen.app._notifications)
        await screen.press("c")
        assert isinstance(screen.app.screen, CompareScreen)
        service.plan_may_end.set()
        await screen.until(lambda: screen.app.operations._asker is None, "the answer")
        assert isinstance(screen.app.screen, CompareScreen), "nothing opens over what was turned to meanwhile"
        await screen.press("escape", "v")
        await screen.until(lambda: isinstance(screen.app.screen, EditScreen), "the form")
        assert sum(isinstance(one, EditScreen) for one in screen.app.screen_stack) == 1


async def test_a_key_too_many_empties_no_field() -> None:
    proposed = replace(pictures.ITERATE, parameters=pictures.ITERATION)
    async with opened(reviewing(proposed)) as screen:
        await screen.press("v", "v")
        form = screen.app.screen
        assert isinstance(form, EditScreen)
        assert "100" in form.rows[0].typed


# --- stopping ------------------------------------------------------------------------------------------------------


async def test_the_stop_says_what_it_spares() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        await screen.press("s")
        assert "spent so far: $" in screen.dialog().text
        assert "the rest is forecast at about $" in screen.dialog().text


async def test_a_stop_now_waits_for_nothing() -> None:
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service) as screen:
        await screen.press("s", "K")
        await screen.until(lambda: "verified: stage1/iteration-1 is stopped" in screen.dialog().text)
        assert service.calls == [("stop", "stage1/iteration-1", True)]


async def test_a_stop_under_way_can_be_hurried_once() -> None:
    service = pictures.FakeService(pictures.seed_story())
    service.stop_may_end.clear()
    async with opened(service) as screen:
        await screen.press("s", "y")
        await screen.until(lambda: "now (K)" in screen.dialog().text and service.calls, "the offer")
        await screen.press("K", "K")
        asked: list[tuple[Any, ...]] = [("stop", "stage1/iteration-1", False), ("stop", "stage1/iteration-1", True)]
        await screen.until(lambda: service.calls == asked, "both requests")
        assert "now (K)" not in screen.dialog().text
        assert isinstance(screen.app.screen, StopScreen)
        service.stop_may_end.set()
        await screen.until(lambda: "verified: stage1/iteration-1 is stopped" in screen.dialog().text)
        await screen.until(lambda: not screen.app.operations._hurrying.busy)
        assert service.calls == asked


async def test_a_stop_of_ones_own_is_told_once() -> None:
    service = pictures.FakeService(pictures.seed_story())
    service.stop_may_end.clear()
    async with opened(service, notices=True) as screen:
        await screen.press("s", "y")
        await screen.until(lambda: service.calls, "the stop")
        stopped = pictures.live_run(state="stopped", ended="2027-01-15T08:20:00Z")
        service.snapshot = pictures.snapshot(pictures.campaign(pictures.run(), stopped))
        await screen.until(lambda: screen.app.view.runs[-1].state == "stopped", "the news")
        assert not screen.app._notifications
        service.stop_may_end.set()
        await screen.until(lambda: "verified: stage1/iteration-1 is stopped" in screen.dialog().text)


async def test_news_of_a_run_outlast_the_next_key() -> None:
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service, notices=True) as screen:
        failed = pictures.live_run(
            state="failed", ended="2027-01-15T08:20:00Z", reason="exit code 7: boom", exit_code=7
        )
        service.snapshot = pictures.snapshot(pictures.campaign(pictures.run(), failed))

        def news() -> list[str]:
            return [note.message for note in screen.app._notifications if "iteration-1 failed" in note.message]

        await screen.until(news, "the news")
        assert news() == ["stage1/iteration-1 failed: exit code 7: boom"], "the code once"
        await screen.press("s", "a", "y", "escape")
        assert news()


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(60, 16), (80, 24)])
async def test_every_choice_is_in_sight_however_narrow_the_window_is(size: tuple[int, int]) -> None:
    async with opened(reviewing(), size) as screen:
        await screen.press("enter")
        for choice in ("▸ close (esc) ◂", "samples (f)", "metrics (m)", "compare (c)", "own values (v)"):
            assert choice in screen.painted
        await screen.press("left")
        assert "▸ own values (v) ◂" in screen.painted
        assert "╰" in screen.painted
    async with opened(pictures.FakeService(pictures.seed_story()), size) as screen:
        await screen.press("s")
        for choice in ("▸ no (n) ◂", "stop it (y)", "now (K)", "copy (c)"):
            assert choice in screen.painted
        assert "╰" in screen.painted


async def test_the_command_in_a_question_can_be_copied() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        await screen.press("s", "c")
        assert screen.app.clipboard == "pilothouse stop stage1/iteration-1"
        assert isinstance(screen.app.screen, StopScreen), "copying answers nothing"


def test_the_keys_of_questions_come_from_the_table() -> None:
    bound = {binding.key for binding in ConfirmScreen.BINDINGS if not isinstance(binding, tuple)}
    for name in ("yes", "no", "edit", "stop_now", "copy_shown", "take_choice", "choice_before", "choice_after"):
        assert BY_ID[name].key in bound
