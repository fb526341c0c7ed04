"""The next action's dialog tells its rule; its values can be edited before anything starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from textual.widgets import Input

from engine.errors import RefusedError
from engine.policy.actions import NextAction
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.screens.confirm import ConfirmScreen
from tui.screens.edit import EditScreen, as_typed, edited_command


def offering(action: NextAction = pictures.EDITABLE) -> pictures.FakeService:
    return pictures.FakeService(pictures.snapshot(pictures.campaign(pictures.run(), next=action)))


@asynccontextmanager
async def editing(
    service: pictures.FakeService, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Screen, EditScreen]]:
    async with opened(service, size) as screen:
        await screen.press("enter", "e")
        form = screen.app.screen
        assert isinstance(form, EditScreen)
        yield screen, form


async def go_to(screen: Screen, form: EditScreen, name: str) -> None:
    for row in form.rows:
        if row.parameter == name:
            return
        await screen.press("down")
    raise AssertionError(name)


async def test_the_dialog_shows_rule_numbers_and_what_would_change_its_mind() -> None:
    async with opened(offering(), (120, 40)) as screen:
        await screen.press("enter")
        text = screen.dialog().text
        assert "rule: gate-not-proven" in text
        assert "token limit: 88 judged, 13 failed" in text
        assert "forecast to pass 14%" in text
        assert "unless: 75 more clean samples" in text
        assert text.index("--set response.max_tokens=140") < text.index("rule:"), "what is done comes before why"


async def test_every_parameter_has_its_line_the_changed_ones_first() -> None:
    async with editing(offering()) as (screen, form):
        names = [row.parameter for row in form.rows]
        assert names[:3] == ["response.max_tokens", "response.temperature", "seed"]
        assert len(names) == 10
        line = next(line for line in screen.painted.splitlines() if "response.max_tokens" in line)
        assert line.split() == ["▸", "response.max_tokens", "100", "140", "token", "limit", "failed"]
        assert "critic.confidence_threshold" in screen.painted
        assert "--set response.max_tokens=140" in form.text
        assert "esc back, starts nothing" in screen.painted


async def test_an_edited_value_is_in_the_command_and_alone_in_what_is_started() -> None:
    service = offering()
    async with editing(service) as (screen, form):
        await screen.press("1", "2", "0")
        await go_to(screen, form, "instruction.top_p")
        await screen.press("0", ".", "8")
        assert form.assignments == ("response.max_tokens=120", "instruction.top_p=0.8")
        assert "max_tokens=140" not in form.text
        await screen.until(lambda: "about $1.20, 20:34" in form.text)
        assert service.calls == []
        await screen.press("enter")
        question = screen.dialog().text
        assert isinstance(screen.app.screen, ConfirmScreen)
        assert "response.max_tokens  140 → 120" in question
        assert "--set response.max_tokens=120 --set" in question.replace("\n", " ")
        assert "about $1.20" in question
        assert service.calls == []
        await screen.press("y")
        await screen.until(
            lambda: service.calls == [("do_next", "stage1", "response.max_tokens=120", "instruction.top_p=0.8")]
        )
        await screen.until(lambda: screen.app.screen is screen.dashboard)


async def test_no_is_the_default_and_goes_back_to_the_form_with_what_was_typed() -> None:
    service = offering()
    async with editing(service) as (screen, form):
        await screen.press("9", "9")
        await screen.until(lambda: "about $0.99" in form.text)
        await screen.press("enter", "enter")
        assert screen.app.screen is form
        assert form.assignments == ("response.max_tokens=99",)
        await screen.press("escape")
        assert screen.app.screen is screen.dashboard
        assert service.calls == []


async def test_what_is_wrong_stands_under_its_field_and_nothing_can_be_started() -> None:
    service = offering()
    async with editing(service) as (screen, form):
        await screen.press("-")
        lines = screen.painted.splitlines()
        place = next(number for number, line in enumerate(lines) if "response.max_tokens" in line)
        assert lines[place].startswith("✗")
        assert "valid integer" in lines[place + 1]
        await screen.press("down", "enter")
        assert screen.app.screen is form
        assert form.rows[0].field.has_focus, "back to what is to be mended"
        await screen.press("ctrl+u")
        assert "valid integer" in screen.painted, "an empty field is no number either"
        await screen.press("1", "4", "0")
        assert "valid integer" not in screen.painted
        assert form.assignments == (), "the proposed value is no edit"


async def test_a_plan_that_comes_between_a_key_and_its_word_finds_the_value_that_stands_there() -> None:
    service = offering()
    async with editing(service) as (screen, form):
        await screen.until(lambda: "about $" in form.text)
        form.rows[0].field.value = "abc"  # the word that it changed is still to come
        form.planned((), None, None)
        assert form.assignments == ("response.max_tokens=abc",)
        assert "mend what is marked ✗" in form.text
        assert "valid integer" in form.text
        form.submitted(Input.Submitted(form.rows[0].field, "abc"))
        assert screen.app.screen is form
        assert service.planned == [()], "what cannot be used is not asked for"
        form.rows[0].field.value = "120"
        form.planned((), None, None)
        assert "valid integer" not in form.text
        await screen.until(lambda: "about $1.20" in form.text)


async def test_what_the_service_refuses_is_said_with_its_remedy_and_not_started() -> None:
    service = offering()
    service.launch_error = RefusedError("scaling with other parameters is refused", remedy="launch an iteration first")
    async with editing(service) as (screen, form):
        await screen.until(lambda: "refused: scaling with other parameters" in form.text)
        assert "to do: launch an iteration first" in form.text
        await screen.press("enter")
        assert screen.app.screen is form


async def test_the_service_is_asked_off_the_event_loop_and_for_the_newest_values_only() -> None:
    service = offering()
    service.plan_may_end.clear()
    async with editing(service) as (screen, form):
        await screen.press("1", "2", "3")
        assert "working out what it takes" in form.text
        await screen.press("enter")
        assert screen.app.screen is form, "nothing is confirmed before its forecast is known"
        service.plan_may_end.set()
        await screen.until(lambda: "about $1.23" in form.text)
        assert service.planned == [(), ("response.max_tokens=123",)]


async def test_an_action_that_changed_meanwhile_is_not_started() -> None:
    service = offering()
    async with editing(service) as (screen, form):
        await screen.press("9")
        await screen.until(lambda: "about $0.09" in form.text)
        await screen.press("enter")
        other = replace(pictures.EDITABLE, argv=("pilothouse", "launch", "stage1", "--run", "scale"))
        service.snapshot = pictures.snapshot(pictures.campaign(pictures.run(), next=other))
        await screen.until(lambda: screen.app.view.next == other)
        await screen.press("y")
        assert screen.app.screen is form
        assert service.calls == []


@pytest.mark.parametrize(
    "action", [replace(pictures.EDITABLE, kind="extend"), replace(pictures.EDITABLE, parameters=None)]
)
async def test_an_extension_has_no_values_to_edit(action: NextAction) -> None:
    async with opened(offering(action)) as screen:
        await screen.press("enter")
        assert "edit (e)" not in screen.dialog().text
        await screen.press("e")
        assert isinstance(screen.app.screen, ConfirmScreen)


@pytest.mark.parametrize("size", [(60, 16), (80, 24)])
async def test_on_a_small_terminal_the_field_in_hand_is_in_sight(size: tuple[int, int]) -> None:
    async with editing(offering(), size) as (screen, form):
        await screen.press("up")
        assert form.rows[-1].field.has_focus
        await screen.until(lambda: "critic.confidence_threshold" in screen.painted)
        assert "launch, asks first" in screen.painted


async def test_a_control_character_cannot_be_pasted_into_a_field() -> None:
    async with editing(offering()) as (_, form):
        field = form.rows[0].field
        field.insert_text_at_cursor("1\x1b]0;owned\x07")
        assert field.value == "140"


def test_a_list_is_written_as_it_can_be_typed_again() -> None:
    assert as_typed(("\nUser:", "漢")) == '["\\nUser:", "漢"]'
    assert as_typed(["\u202eevil"]) == '["\\u202eevil"]'
    assert as_typed(0.25) == "0.25"


def test_an_edited_value_takes_the_place_of_the_proposed_one_in_the_command() -> None:
    argv = ("pilothouse", "launch", "stage1", "--set", "seed=43", "--set", "response.max_tokens=140")
    command = edited_command(argv, ["response.max_tokens=120", 'response.stop=["\\n"]'])
    assert command == (
        "pilothouse launch stage1 --set seed=43 --set response.max_tokens=120 --set 'response.stop=[\"\\n\"]'"
    )
