"""One table of actions feeds keys, footer, help, palette and documentation."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.tui import pictures
from tests.tui.driving import opened
from tui.actions import ACTIONS, BY_ID, Scope, footer_actions, in_scope, key_table
from tui.app import PilothouseApp
from tui.cells import plain, width_of
from tui.panels.arrange import PARTS, draw
from tui.panels.footer import footer_lines
from tui.screens.compare import CompareScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.copy import CopyScreen
from tui.screens.dashboard import DashboardScreen
from tui.screens.edit import EditScreen
from tui.screens.events import EventsScreen
from tui.screens.help import SECTIONS, HelpScreen
from tui.screens.log import LogScreen
from tui.screens.metrics import MetricsScreen
from tui.screens.parameters import ParametersScreen
from tui.screens.processes import ProcessesScreen
from tui.screens.samples import SamplesScreen
from tui.view import View
from tui.widgets.prompt import Prompt

LIVE = View(snapshot=pictures.seed_story(), campaign="stage1", now=pictures.NOW)
ENDED = View(snapshot=pictures.snapshot(pictures.campaign(pictures.run())), campaign="stage1")
NOTHING = View(snapshot=pictures.snapshot())


SCREENS: list[tuple[Scope, type]] = [
    ("dashboard", DashboardScreen),
    ("log", LogScreen),
    ("metrics", MetricsScreen),
    ("parameters", ParametersScreen),
    ("events", EventsScreen),
    ("processes", ProcessesScreen),
    ("compare", CompareScreen),
    ("samples", SamplesScreen),
    ("form", EditScreen),
]
DIALOGS: list[tuple[Scope, type]] = [("question", ConfirmScreen), ("copy", CopyScreen), ("prompt", Prompt)]
"""Where keys end in something else than a screen's `do_…` method."""

ESCAPES = {("log", "escape"): ["clear_log", "close"]}
"""The one key that means two things, one after the other, as the table says of it."""

WAYS_BACK = {"close", "quit", "leave_samples", "leave_prompt", "leave_form"}


def performed(screen: type) -> dict[str, list[str]]:
    """Every key of a screen or widget, with what it performs of the table; what is inherited, too."""
    found: dict[str, list[str]] = {}
    for bindings in (vars(base).get("BINDINGS", ()) for base in screen.__mro__):
        for binding in bindings:
            name = re.fullmatch(r"perform\('(\w+)'\)", getattr(binding, "action", ""))
            for key in binding.key.split(",") if name else ():
                if name[1] not in found.setdefault(key, []):
                    found[key].append(name[1])
    return found


@pytest.mark.parametrize("scope", [scope for scope, _ in (*SCREENS, *DIALOGS)])
def test_no_key_means_two_things_on_one_screen(scope: Scope) -> None:
    keys = [key for action in in_scope(scope) for key in action.key.split(",") if key]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(("scope", "screen"), [*SCREENS, *DIALOGS])
def test_what_is_bound_to_a_screen_is_what_the_table_says(scope: Scope, screen: type) -> None:
    """Nothing beside it but the key that opened a page, which closes it, too."""
    wanted = {key: [action.id] for action in in_scope(scope) for key in action.key.split(",") if key}
    wanted = {key: names for key, names in wanted.items() if names != ["command_palette"]}
    also = {BY_ID[scope].key: ["close"]} if scope in ("log", "metrics", "events", "compare") else {}
    found = performed(screen)
    for (place, key), names in ESCAPES.items():
        if place == scope:
            assert found.pop(key) == names
            wanted.pop(key)
    assert found == {**wanted, **also}


@pytest.mark.parametrize(("scope", "screen"), SCREENS)
def test_every_action_can_be_done(scope: Scope, screen: type) -> None:
    for action in in_scope(scope):
        assert callable(getattr(screen, f"do_{action.id}"))


def test_what_is_asked_for_in_a_log_is_done_by_its_screen() -> None:
    for action in in_scope("prompt"):
        assert callable(getattr(LogScreen, f"do_{action.id}"))


def test_the_palettes_key_is_that_of_the_table() -> None:
    assert BY_ID["command_palette"].key == PilothouseApp.COMMAND_PALETTE_BINDING


def test_every_action_belongs_to_a_screen_and_has_a_section_in_the_help() -> None:
    reached = {action.id for scope, _ in (*SCREENS, *DIALOGS) for action in in_scope(scope)}
    assert reached == set(BY_ID)
    assert {scope for action in ACTIONS for scope in action.scopes} <= {scope for scope, _ in SECTIONS}


@pytest.mark.parametrize("scope", [*(scope for scope, _ in SCREENS), "prompt"])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_footer_names_keys_of_its_screen_and_always_the_way_back(scope: Scope, width: int) -> None:
    (line,) = footer_lines(LIVE, width, scope)
    assert {cell.action for cell in line} <= {action.id for action in in_scope(scope)}
    assert {cell.action for cell in line} & WAYS_BACK
    assert width_of(line) <= width
    for action in {BY_ID[cell.action] for cell in line if cell.action}:
        assert f" {action.shown} {action.name} " in plain((line,)) + " "


def test_whatever_can_be_clicked_on_the_dashboard_is_an_action_of_it() -> None:
    acted = pictures.live_run(actions=(pictures.LAUNCHED, pictures.ASKED), stalled=pictures.STALL)
    picture = pictures.snapshot(pictures.campaign(pictures.run(), acted, idle=pictures.idle("counting")))
    drawn = draw(View(snapshot=picture, campaign="stage1", now=pictures.NOW), (), 120, 40)
    cells = [cell for part in PARTS for line in getattr(drawn, part) for cell in line if cell.action]
    assert {"events", "cancel_idle"} <= {cell.action for cell in cells}
    assert all(cell.action in {action.id for action in in_scope("dashboard")} for cell in cells)


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
