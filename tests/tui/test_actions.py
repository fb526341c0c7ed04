"""One table of actions feeds keys, footer, help, palette and documentation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tui import pictures
from tests.tui.driving import opened
from tui.actions import ACTIONS, BY_ID, Scope, footer_actions, in_scope, key_table
from tui.cells import plain
from tui.panels.footer import footer_lines
from tui.screens.base import bindings
from tui.screens.dashboard import DashboardScreen
from tui.screens.help import HelpScreen
from tui.screens.log import LogScreen
from tui.screens.samples import SamplesScreen
from tui.view import View

LIVE = View(snapshot=pictures.seed_story(), campaign="stage1", now=pictures.NOW)
ENDED = View(snapshot=pictures.snapshot(pictures.campaign(pictures.run())), campaign="stage1")
NOTHING = View(snapshot=pictures.snapshot())


@pytest.mark.parametrize("scope", ["dashboard", "log", "samples"])
def test_no_key_means_two_things_on_one_screen(scope: Scope) -> None:
    keys = [key for action in in_scope(scope) for key in action.key.split(",")]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("scope", "screen"), [("dashboard", DashboardScreen), ("log", LogScreen), ("samples", SamplesScreen)]
)
def test_every_action_is_bound_and_can_be_done(scope: Scope, screen: type) -> None:
    bound = {binding.id for binding in bindings(scope)} | {f"{scope}.command_palette"}
    for action in in_scope(scope):
        assert f"{scope}.{action.id}" in bound
        assert callable(getattr(screen, f"do_{action.id}"))


def test_help_and_documentation_name_every_action() -> None:
    text = plain(HelpScreen().text_lines(200))
    table = key_table()
    for action in ACTIONS:
        assert action.help in text
        assert f"`{action.shown}`" in table


def test_the_footer_shows_only_what_is_possible_now() -> None:
    assert "stop" in plain(footer_lines(LIVE, 80))
    assert "stop" not in plain(footer_lines(ENDED, 80))
    assert "next" in plain(footer_lines(ENDED, 80))
    assert {action.id for action in footer_actions("dashboard", NOTHING)} == {"help", "command_palette", "quit"}


def test_a_narrow_footer_keeps_help_and_quit() -> None:
    text = plain(footer_lines(LIVE, 40))
    assert "help" in text
    assert "quit" in text
    assert len(text) <= 40


def test_nothing_can_be_started_or_stopped_while_a_call_is_under_way() -> None:
    busy = replace(LIVE, busy="stop iteration-1")
    for name in ("stop", "restart", "extend"):
        assert not BY_ID[name].possible(replace(busy, run="pilot"))


def test_a_finished_run_is_extended_or_begun_anew_and_not_resumed() -> None:
    assert not BY_ID["restart"].possible(ENDED)
    assert BY_ID["restart_fresh"].possible(ENDED)
    assert BY_ID["extend"].possible(ENDED)


def test_a_stopped_run_that_still_holds_the_gpu_can_be_stopped_again() -> None:
    held = pictures.snapshot(pictures.campaign(pictures.run(state="stopped", gpu_held=True)))
    assert BY_ID["stop"].possible(View(snapshot=held, campaign="stage1"))


def test_imported_runs_are_neither_restarted_nor_extended() -> None:
    imported = View(snapshot=pictures.snapshot(pictures.campaign(pictures.run(imported=True))), campaign="stage1")
    assert not BY_ID["extend"].possible(imported)
    assert not BY_ID["restart_fresh"].possible(imported)


async def test_the_palette_offers_the_actions_that_are_possible() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        titles = [command.title for command in screen.app.get_system_commands(screen.app.screen)]
        assert "stop: the selected run" in titles
        assert "extend: the selected run" not in titles
        assert "Theme" in titles


async def test_the_palette_offers_what_can_be_done_on_the_screen_in_sight() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        await screen.press("f")
        titles = [command.title for command in screen.app.get_system_commands(screen.app.screen)]
        assert "false alarm" in titles
        assert "stop: the selected run" not in titles
