"""The log screen: follows, pauses, and reads only what it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.logs.sparse import append, huge, punch
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.screens.log import LogScreen
from tui.widgets.log_view import LogView


@asynccontextmanager
async def reading(log: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Screen, LogView]]:
    story = pictures.seed_story()
    campaign = story.campaigns[0]
    runs = tuple(replace(run, log=str(log)) for run in campaign.runs)
    service = pictures.FakeService(replace(story, campaigns=(replace(campaign, runs=runs),)))
    async with opened(service, size) as screen:
        await screen.press("l")
        assert isinstance(screen.app.screen, LogScreen)
        view = screen.app.screen.view
        await screen.until(lambda: view.text)
        yield screen, view


def write(log: Path, first: int, last: int) -> None:
    with log.open("a") as stream:
        stream.writelines(f"line {number}\n" for number in range(first, last))


async def test_it_follows_the_end(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 1000)
    async with reading(log) as (screen, view):
        assert view.text.endswith("line 999")
        write(log, 1000, 1010)
        await screen.until(lambda: view.text.endswith("line 1009"))
        assert "● follows" in screen.painted


async def test_scrolling_up_pauses_and_counts_what_arrives(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 1000)
    async with reading(log) as (screen, view):
        await screen.press("up")
        before = view.text
        assert before.strip().endswith("line 998")
        write(log, 1000, 1005)
        await screen.until(lambda: "5 new lines" in screen.painted)
        assert view.text == before, "what one reads stands still"
        await screen.press("G")
        assert view.text.endswith("line 1004")
        assert "● follows" in screen.painted


async def test_start_end_and_pages(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 1000)
    async with reading(log) as (screen, view):
        await screen.press("g")
        assert view.text.startswith(" line 0\n")
        assert "paused" in screen.painted
        await screen.press("pagedown")
        assert view.text.startswith(" line 20\n")
        await screen.press("pageup")
        assert view.text.startswith(" line 0\n")
        await screen.press("down", "j", "k")
        assert view.text.startswith(" line 1\n")
        await screen.press("end", "space")
        assert not view.following
        await screen.press("f")
        assert view.following


async def test_scrolling_down_to_the_end_follows_again(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 100)
    async with reading(log) as (screen, view):
        await screen.press("up", "up", "down", "down", "down")
        assert view.following


async def test_long_lines_can_be_read_to_their_end(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("start " + "x" * 100 + " finish\n")
    async with reading(log) as (screen, _view):
        assert "finish" not in screen.painted
        await screen.press("right", "right")
        assert "finish" in screen.painted
        await screen.press("left", "left")
        assert "start" in screen.painted


async def test_a_log_that_was_cut_short_is_read_anew(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 1000)
    async with reading(log) as (screen, view):
        await screen.press("up")
        log.write_text("fresh\n")
        await screen.until(lambda: "fresh" in view.text)


async def test_a_missing_log_says_so_and_appears_when_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    async with reading(log) as (screen, view):
        assert "there is no such file yet" in view.text
        write(log, 0, 3)
        await screen.until(lambda: "line 2" in view.text)


async def test_resizing_keeps_the_place(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 1000)
    async with reading(log) as (screen, view):
        await screen.press("g", "pagedown")
        await screen.pilot.resize_terminal(120, 40)
        await screen.until(lambda: view.size.height > 30)
        assert view.text.startswith(" line 20\n")


async def test_escape_goes_back_to_the_dashboard(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 3)
    async with reading(log) as (screen, _):
        await screen.press("escape")
        assert screen.app.screen is screen.dashboard


async def test_a_log_of_a_run_that_ended_is_not_followed(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 3)
    async with reading(log) as (screen, _):
        await screen.until(lambda: "● follows" in screen.painted)
        story = screen.service.snapshot.campaigns[0]
        ended = replace(story.runs[1], state="succeeded")
        screen.service.snapshot = replace(
            screen.service.snapshot, campaigns=(replace(story, runs=(story.runs[0], ended)),)
        )
        await screen.until(lambda: "the end" in screen.painted)
        assert "follows" not in screen.painted.splitlines()[0]


async def test_dates_stand_in_the_title_and_long_stamped_lines_can_be_read_to_their_end(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("2026-11-23 20:31:24,361 ERROR   start " + "x" * 70 + " finish\n")
    async with reading(log) as (screen, view):
        assert view.text.startswith(" 20:31:24 ERROR start")
        await screen.until(lambda: "2026-11-23" in screen.painted)
        await screen.press("right", "right")
        assert "finish" in screen.painted


async def test_a_trimmed_log_begins_where_it_still_is_and_says_that_it_is_trimmed(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    huge(log, b"st of a line\n" + b"".join(b"line %d\n" % number for number in range(1000)))
    async with reading(log) as (screen, view):
        assert view.text.endswith("line 999")
        await screen.until(lambda: "run.log · its newest 8.9 kB" in screen.painted)
        await screen.press("g")
        assert view.text.startswith(" line 0\n")
        assert view.position < 0.1, "a share of what there is, not of 50 GB"
        await screen.press("up", "pageup")
        assert view.text.startswith(" line 0\n")
        await screen.press("pagedown")
        assert view.text.startswith(" line 20\n")


async def test_a_log_trimmed_behind_the_reader_goes_on_at_its_new_beginning(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    write(log, 0, 10_000)
    async with reading(log) as (screen, view):
        await screen.press("g")
        before = view.text
        begin = punch(log, 50_000)
        append(log, b"one more\n")
        await screen.until(lambda: "1 new line" in screen.painted)
        assert view.text == before, "what one reads stands still"
        await screen.press("down", "up")
        left = log.read_bytes()[begin:].decode().splitlines()[1]
        assert view.text.startswith(f" {left}\n")
        assert view.position < 0.1
        await screen.press("up", "pageup")
        assert view.text.startswith(f" {left}\n")
