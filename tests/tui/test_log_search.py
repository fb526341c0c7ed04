"""Searching and filtering a log on the screen: the process that looks for lines is the real one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from textual import events

from tests.logs.sparse import append, huge
from tests.tui.driving import Screen
from tests.tui.test_log_screen import reading, write
from tui.screens.log import LogScreen
from tui.widgets.log_view import LogView

TRACEBACK = "2026-11-25 08:00:00,000 ERROR   it failed\nTraceback (most recent call last):\n  File x\nValueError: no\n"


def log_of(folder: Path, *, lines: int = 300, marked: dict[int, str] | None = None) -> Path:
    """`line 0` and on, with other lines in the place of some."""
    log = folder / "run.log"
    log.write_text("".join(f"{(marked or {}).get(number, f'line {number}')}\n" for number in range(lines)))
    return log


def found(view: LogView) -> str | None:
    """The line that has the sign of one that was found."""
    return next((line[1:] for line in view.text.splitlines() if line.startswith("▸")), None)


def lifted_out(view: LogView) -> list[str]:
    return [cell.text for line in view.lines for cell in line if cell.role == "hit"]


async def ask(screen: Screen, key: str, text: str) -> None:
    await screen.press(key, *({" ": "space"}.get(character, character) for character in text), "enter")


async def test_a_search_goes_from_match_to_match_both_ways_and_says_where_it_goes_round(tmp_path: Path) -> None:
    log = log_of(tmp_path, marked=dict.fromkeys((50, 100, 250), "a Needle"))
    async with reading(log) as (screen, view):
        await screen.press("g")
        starts = []
        for keys in (("slash", *"needle", "enter"), ("n",), ("n",)):
            before = view.finder.hit
            await screen.press(*keys)
            await screen.until(lambda before=before: view.finder.hit not in (None, before))
            starts.append(view.finder.hit.start)
            assert found(view) == "a Needle"
        octets = log.read_bytes()
        assert starts == [place for place in range(len(octets)) if octets.startswith(b"a Needle", place)]
        assert "again" not in screen.painted
        await screen.press("n")
        await screen.until(lambda: "from the start again" in screen.painted)
        assert view.finder.hit.start == starts[0]
        await screen.press("N")
        await screen.until(lambda: "from the end again" in screen.painted)
        assert view.finder.hit.start == starts[2]
        await screen.press("N")
        await screen.until(lambda: view.finder.hit.start == starts[1])
        assert "again" not in screen.painted


async def test_a_search_can_begin_towards_the_start(tmp_path: Path) -> None:
    log = log_of(tmp_path, marked=dict.fromkeys((50, 100, 250), "a needle"))
    async with reading(log) as (screen, view):
        await ask(screen, "backslash", "needle")
        await screen.until(lambda: found(view))
        octets = log.read_bytes()
        assert view.finder.hit.start == octets.rindex(b"a needle")
        assert not view.following, "the line that was found stays in sight"
        await screen.press("n")
        await screen.until(lambda: view.finder.hit.start < octets.rindex(b"a needle"))


async def test_matches_in_sight_are_lifted_out_by_more_than_colour(tmp_path: Path) -> None:
    log = log_of(tmp_path, lines=10, marked={3: "one Foo two foo"})
    async with reading(log) as (screen, view):
        await ask(screen, "slash", "foo")
        await screen.until(lambda: lifted_out(view) == ["Foo", "foo"])
        assert all(cell.underline for line in view.lines for cell in line if cell.role == "hit")
        assert found(view) == "one Foo two foo"
        await ask(screen, "slash", "Foo")
        await screen.until(lambda: lifted_out(view) == ["Foo"])
        await screen.press("escape")
        await screen.until(lambda: lifted_out(view) == [])
        assert found(view) is None
        assert isinstance(screen.app.screen, LogScreen)


async def test_no_match_is_said_and_a_search_for_nothing_repeats_the_last(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    async with reading(log) as (screen, view):
        await ask(screen, "slash", "zebra")
        await screen.until(lambda: "/zebra/ · no match" in screen.painted)
        write(log, 0, 1)
        append(log, b"a zebra\n")
        await screen.until(lambda: "a zebra" in view.text)
        await ask(screen, "slash", "")
        await screen.until(lambda: found(view) == "a zebra")


async def test_a_wrong_expression_is_told_in_place_and_can_be_taken_as_text(tmp_path: Path) -> None:
    log = log_of(tmp_path, marked={7: "[ERROR (7]"})
    async with reading(log) as (screen, view):
        await screen.press("slash", *"r", "space", "(")
        assert "✗ missing ), unterminated subpattern (at 3)" in screen.painted
        await screen.press("enter")
        assert screen.app.screen.prompt.display, "what cannot be looked for stays to be mended"
        await screen.press("tab")
        assert "✗" not in screen.painted
        assert "text:" in screen.painted
        await screen.press("enter")
        await screen.until(lambda: found(view) == "[ERROR (7]")


async def test_escape_leaves_the_prompt_then_the_search_then_the_filter_then_the_page(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    async with reading(log) as (screen, view):
        await ask(screen, "ampersand", "line 1")
        await ask(screen, "slash", "line 12")
        await screen.until(lambda: found(view))
        await screen.press("slash", "x", "escape")
        assert not screen.app.screen.prompt.display
        assert view.finder.search is not None
        await screen.press("escape")
        assert view.finder.search is None
        assert view.reading.filter
        await screen.press("escape")
        assert not view.reading.filter
        await screen.press("escape")
        assert screen.app.screen is screen.dashboard


async def test_keys_of_the_page_are_letters_while_the_prompt_asks(tmp_path: Path) -> None:
    async with reading(log_of(tmp_path)) as (screen, _):
        await screen.press("slash", *"qlgG2?", "slash", "ampersand")
        assert isinstance(screen.app.screen, LogScreen)
        assert screen.app.screen.prompt.field.value == "qlgG2?/&"


async def test_what_arrives_in_one_piece_over_a_slow_line_is_typed_into_the_prompt(tmp_path: Path) -> None:
    async with reading(log_of(tmp_path)) as (screen, view):
        for character in "/line 77":
            key = {"/": "slash", " ": "space"}.get(character, character)
            screen.app.post_message(events.Key(key, character))
        screen.app.post_message(events.Key("enter", "\r"))
        await screen.until(lambda: found(view) == "line 77")


async def test_the_first_error_is_gone_to_then_the_next_and_round(tmp_path: Path) -> None:
    marked = {
        100: "2026-11-25 08:00:00,000 ERROR   one",
        101: "Traceback (most recent call last):",
        200: "OSError: two",
    }
    log = log_of(tmp_path, marked={**marked, 10: "2026-11-25 08:00:00,000 INFO    no error: 0 Errors"})
    async with reading(log) as (screen, view):
        seen = []
        for _ in range(4):
            before = view.finder.hit
            await screen.press("E")
            await screen.until(lambda before=before: view.finder.hit not in (None, before))
            seen.append(view.finder.hit.text)
        assert seen == [*marked.values(), marked[100]]
        assert "from the start again" in screen.painted
        await screen.press("N")
        await screen.until(lambda: view.finder.hit.text == marked[200])


async def test_a_log_without_errors_says_so(tmp_path: Path) -> None:
    async with reading(log_of(tmp_path)) as (screen, _):
        await screen.press("E")
        await screen.until(lambda: "there are none" in screen.painted)


async def test_levels_leave_out_what_is_better_and_say_how_many_there_are(tmp_path: Path) -> None:
    log = log_of(tmp_path, marked={5: "2026-11-25 08:00:00,000 WARNING hm", 150: TRACEBACK.rstrip()})
    async with reading(log) as (screen, view):
        await screen.press("L")
        await screen.until(lambda: "only warnings and worse · 4 lines" in screen.painted)
        assert "line" not in view.text
        assert view.text.split("\n")[0].endswith("WARNING hm")
        await screen.press("L")
        await screen.until(lambda: "only errors · 3 lines" in screen.painted)
        assert "esc shows all" in screen.painted
        assert "hm" not in view.text
        await screen.press("L")
        await screen.until(lambda: view.text.endswith("line 299"))
        assert "only" not in screen.painted


async def test_a_filter_follows_what_is_written_and_keeps_the_place_when_it_ends(tmp_path: Path) -> None:
    log = log_of(tmp_path, lines=1000)
    async with reading(log) as (screen, view):
        await ask(screen, "ampersand", "7$")
        await screen.until(lambda: view.text.endswith("line 997"))
        assert view.text.splitlines()[0] == " line 807"
        write(log, 1000, 1009)
        await screen.until(lambda: view.text.endswith("line 1007"))
        await screen.until(lambda: "only /7$/ · 101 lines" in screen.painted)
        await screen.press("g")
        await screen.until(lambda: view.text.startswith(" line 7\n line 17\n"))
        await screen.press("pagedown", "down")
        await screen.until(lambda: view.text.startswith(" line 207\n"))
        await screen.press("up")
        await screen.until(lambda: view.text.startswith(" line 197\n"))
        await screen.press("escape")
        await screen.until(lambda: view.text.startswith(" line 197\n line 198\n"))


async def test_a_search_in_a_filter_finds_only_what_is_shown(tmp_path: Path) -> None:
    log = log_of(tmp_path, lines=1000)
    async with reading(log) as (screen, view):
        await screen.press("g")
        await ask(screen, "ampersand", "7$")
        await screen.until(lambda: view.text.startswith(" line 7\n line 17\n"))
        await ask(screen, "slash", "line 50")
        await screen.until(lambda: found(view) == "line 507")
        await screen.until(lambda: "line 497" in view.text and "line 517" in view.text)
        await screen.until(lambda: "line 507" in lifted_out(view), "both are lifted out")


async def test_a_filter_that_nothing_fits_says_so(tmp_path: Path) -> None:
    async with reading(log_of(tmp_path)) as (screen, view):
        await ask(screen, "ampersand", "zebra")
        await screen.until(lambda: "no line fits the filter" in view.text)
        assert "only /zebra/ · 0 lines" in screen.painted


@pytest.mark.parametrize("key", ["slash", "ampersand"])
async def test_an_expression_that_would_match_for_years_is_given_up_and_the_screen_goes_on(
    tmp_path: Path, key: str
) -> None:
    log = log_of(tmp_path, marked={150: "a" * 60 + "!"})
    async with reading(log) as (screen, view):
        await screen.press("g")
        await ask(screen, key, "(a+)+$")
        await screen.press("down")
        assert view.text.splitlines()[0] in (" line 1", " looking for lines that fit …"), "keys are taken meanwhile"
        await screen.until(lambda: "/(a+)+$/ takes too long" in screen.painted)
        await screen.until(lambda: "line 3" in view.text)
        await ask(screen, "slash", "line 299")
        await screen.until(lambda: found(view) == "line 299")


async def test_a_search_that_takes_its_time_says_how_far_it_is_and_can_be_stopped(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(b"first\n")
    os.truncate(log, 10_000_000_000)
    append(log, b"\nlast\n")
    async with reading(log) as (screen, view):
        await screen.press("g")
        assert view.text.startswith(" first\n")
        await ask(screen, "slash", "zebra")
        await screen.until(lambda: "searching 0 %, esc stops" in screen.painted)
        await screen.press("escape")
        assert "stopped" in screen.painted
        await ask(screen, "backslash", "last")
        await screen.until(lambda: found(view) == "last")


async def test_ten_gigabytes_are_opened_searched_and_filtered_at_once(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    huge(log, b"st of a line\n" + b"".join(b"line %d\n" % number for number in range(1000)) + b"OSError: gone\n")
    began = time.monotonic()
    async with reading(log) as (screen, view):
        assert view.text.endswith("OSError: gone")
        await screen.press("g", "E")
        await screen.until(lambda: found(view) == "OSError: gone")
        await ask(screen, "ampersand", "line 1..$")
        await screen.until(lambda: "line 198" in view.text)
        await screen.until(lambda: "100 lines" in screen.painted)
    assert time.monotonic() - began < 8


async def test_the_process_that_looks_ends_with_the_page(tmp_path: Path) -> None:
    async with reading(log_of(tmp_path)) as (screen, view):
        await ask(screen, "slash", "line 5")
        await screen.until(lambda: found(view))
        process = view._searcher._process
        assert process is not None
        await screen.press("q")
        await screen.until(lambda: process.poll() is not None)


async def test_the_place_search_filter_and_look_survive_another_page(tmp_path: Path) -> None:
    log = log_of(tmp_path, lines=1000, marked={500: "line 500 " + "x" * 200 + " end"})
    async with reading(log) as (screen, view):
        await screen.press("g", "w", "t")
        await ask(screen, "ampersand", "0")
        await ask(screen, "slash", "line 500")
        await screen.until(lambda: found(view) and "line 510" in view.text)
        before, place = view.text, view.place
        await screen.press("3")
        await screen.until(lambda: not isinstance(screen.app.screen, LogScreen))
        await screen.press("1")
        await screen.until(lambda: isinstance(screen.app.screen, LogScreen))
        again = screen.app.screen.view
        await screen.until(lambda: again.text == before)
        assert again.place == place
        await screen.press("q", "l")
        await screen.until(lambda: isinstance(screen.app.screen, LogScreen))
        await screen.until(lambda: screen.app.screen.view.text == before)


async def test_wrapped_lines_can_be_read_to_their_end_row_by_row(tmp_path: Path) -> None:
    log = log_of(tmp_path, lines=100, marked={50: "start " + "x" * 1900 + " finish"})
    async with reading(log) as (screen, view):
        await ask(screen, "slash", "start")
        await screen.until(lambda: found(view))
        await screen.press("w")
        assert found(view) == "start " + "x" * 73
        assert "finish" not in screen.painted
        for _ in range(25):
            await screen.press("down")
        assert "finish" in screen.painted
        assert "line 51" in screen.painted
        await screen.press("w")
        assert "finish" not in screen.painted


async def test_stamps_are_shown_as_time_of_day_as_written_or_not_at_all(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("2026-11-25 08:01:02,345 INFO    loading\nWARNING 11-25 08:01:03 [core.py:33] slow\n")
    async with reading(log) as (screen, view):
        assert view.text.splitlines()[:2] == [" 08:01:02 loading", " 08:01:03 WARNING [core.py:33] slow"]
        await screen.press("t")
        assert view.text.splitlines()[0] == " 2026-11-25 08:01:02,345 INFO    loading"
        await screen.press("t")
        assert view.text.splitlines()[:2] == [" loading", " WARNING [core.py:33] slow"]
        await screen.press("t")
        assert view.text.splitlines()[0] == " 08:01:02 loading"


async def test_copying_takes_the_line_that_was_found_or_those_in_sight(tmp_path: Path) -> None:
    log = log_of(tmp_path, marked={50: "a needle " + "x" * 100})
    async with reading(log) as (screen, view):
        await screen.press("g", "y")
        assert screen.app.clipboard == "\n".join(f"line {number}" for number in range(21))
        await ask(screen, "slash", "needle")
        await screen.until(lambda: found(view))
        await screen.press("y")
        assert screen.app.clipboard == "a needle " + "x" * 100
        await screen.press("G", "y")
        assert screen.app.clipboard.endswith("line 299")


async def test_a_log_that_is_replaced_by_another_is_read_anew(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    async with reading(log) as (screen, view):
        await ask(screen, "ampersand", "0$")
        await screen.until(lambda: "30 lines" in screen.painted)
        other = tmp_path / "other"
        other.write_text("".join(f"other {number}\n" for number in range(1000)))
        other.replace(log)
        await screen.until(lambda: view.text.endswith("other 990"))
        await screen.until(lambda: "100 lines" in screen.painted)


async def test_hostile_lines_and_expressions_stay_text(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(b"\x1b]0;owned\x07[@click=app.quit]x[/] \x9b2J\xff\n" * 3 + b"\x00\x01" * 200_000)
    async with reading(log) as (screen, view):
        await ask(screen, "slash", "[[]@click")
        await screen.until(lambda: lifted_out(view) == ["[@click"] * 3)
        assert all(character.isprintable() or character == "\n" for character in screen.painted)
