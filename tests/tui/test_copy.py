"""What can be copied, by which key, and that it stands there in full for those whose terminal takes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui import pictures
from tests.tui.driving import opened
from tui.actions import in_scope
from tui.copying import LARGEST, Copyable, copyables, return_command
from tui.screens.copy import CopyScreen
from tui.view import View

ROOT = Path("/home/kim/work here")
STORY = pictures.seed_story(next=pictures.ITERATE)
VIEW = View(snapshot=STORY, campaign="stage1", run="pilot")
FOLDER = f"{ROOT}/artifacts/stage1/pilot"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("n", "pilothouse launch stage1 --run iteration-2"),
        ("i", "stage1/pilot"),
        ("f", FOLDER),
        ("l", f"{FOLDER}/run.log"),
        ("p", f"{FOLDER}/pilot_data.jsonl"),
        ("r", "cd '/home/kim/work here' && pilothouse"),
        ("g", "stage1/pilot: FAIL: runaway 9 of 43, limit < 5%; token limit 24 of 46, limit < 10%"),
        ("1", "stage1/pilot runaway rate 20.9 % (limit < 5 %): fail, 9 of 43: proven too high (limit < 5%)"),
        ("5", "stage1/pilot instruction acceptance 77.6 % (limit ≥ 50 %): pass, 26 of 116 rejected: proven ≥ 50%"),
    ],
)
async def test_each_key_copies_its_text_and_shows_it(key: str, text: str) -> None:
    async with opened(pictures.FakeService(STORY, ROOT), (120, 40)) as screen:
        await screen.press("left", "y", key)
        assert screen.app.clipboard == text
        assert text in [line.rstrip() for line in screen.painted.splitlines()]
        await screen.press("escape")
        assert screen.app.screen is screen.dashboard


async def test_the_comparison_is_copied_as_markdown() -> None:
    async with opened(pictures.FakeService(STORY, ROOT)) as screen:
        await screen.press("y", "c")
        header, rule, *rows = screen.app.clipboard.splitlines()
        assert header == "| metric | target | pilot | iteration-1 ● |"
        assert rule.startswith("| --- |")
        assert any(row.startswith("| runaway | < 5 % |") for row in rows)


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_a_row_is_chosen_with_the_arrows_and_stays_in_sight(size: tuple[int, int]) -> None:
    async with opened(pictures.FakeService(STORY, ROOT), size) as screen:
        await screen.press("y")
        assert "▸ n  next command" in screen.painted
        await screen.press("up")
        assert "▸ 6  pair accept" in screen.painted
        await screen.press("enter")
        assert "pair acceptance 91.2 %" in screen.app.clipboard
        assert "Sent to the clipboard: pair accept" in screen.painted


async def test_a_row_can_be_clicked() -> None:
    async with opened(pictures.FakeService(STORY, ROOT)) as screen:
        await screen.press("y")
        await screen.pilot.click("CopyScreen #text", offset=(8, 3))
        assert screen.app.clipboard == "stage1/iteration-1"


async def test_in_tmux_it_says_what_tmux_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    async with opened(pictures.FakeService(STORY, ROOT)) as screen:
        await screen.press("y", "i")
        assert "set -g set-clipboard on" in screen.painted


async def test_what_no_clipboard_takes_is_shown_and_not_sent() -> None:
    async with opened(pictures.FakeService(STORY, ROOT)) as screen:
        screen.app.push_screen(CopyScreen((Copyable("copy_run", "run", "x" * (LARGEST + 1)),)))
        await screen.press("i")
        assert screen.app.clipboard == ""
        assert "Too long for the clipboard" in screen.painted
        assert "x" * 79 in screen.painted


async def test_without_a_campaign_there_is_nothing_to_copy() -> None:
    async with opened(pictures.FakeService(pictures.snapshot())) as screen:
        await screen.press("y")
        assert screen.app.screen is screen.dashboard
        assert any("no campaign is open" in note.message for note in screen.app._notifications)


def test_what_is_copied_can_be_pasted_into_a_shell_without_surprise() -> None:
    hostile = pictures.run(
        log="artifacts/a\x1b[201~\rrm -rf b\n.log", gate=pictures.gate("fail", "fail\x1b]52;c;eA==\x07")
    )
    view = View(snapshot=pictures.snapshot(pictures.campaign(hostile)), campaign="stage1")
    for item in copyables(view, Path("/w/a\x1b[2Jb")):
        assert item.text.replace("\n", "").isprintable()


def test_every_item_has_a_row_in_the_table_of_actions() -> None:
    rows = {action.id for action in in_scope("copy")}
    assert {item.action for item in copyables(VIEW, ROOT)} <= rows


def test_the_way_back_names_the_folder_wherever_one_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert return_command(Path()) == f"cd {tmp_path} && pilothouse"
