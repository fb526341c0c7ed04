"""A run graded by another ruler from the screen, on real files: looking saves nothing, saving wants a reason."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from engine.campaign.spec import read_spec
from engine.gradings import read_gradings
from engine.service import Service
from tests.report.places import add_run, records, write_campaign
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.screens.confirm import ConfirmScreen
from tui.screens.dialog import NoticeScreen
from tui.screens.regrade import ReasonScreen, RegradedScreen, RulerScreen
from tui.screens.samples import SamplesScreen

MARKERS = "qc: {runaway: markers-v2}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pilot of 120 that `length-v1` fails for 20 long answers, and two rulers."""
    write_campaign(tmp_path)
    add_run(tmp_path, "pilot", records(120, long=20, runaway=1))
    rulers = tmp_path / "configs" / "rulers"
    rulers.mkdir()
    (rulers / "markers.yaml").write_text(MARKERS)
    (rulers / "broken.yaml").write_text("qc:\n  runaway: markers-v9\n")
    return tmp_path


def saved(root: Path) -> int:
    return len(read_gradings(Service(root).workspace.run_files("c", "pilot")).saved)


@asynccontextmanager
async def asked(root: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Screen, RulerScreen]]:
    """The question for a ruler, over the pilot's samples."""
    service = cast("pictures.FakeService", Service(root, author="ann@host"))
    service.poll_error = None
    async with opened(service, size) as screen:
        await screen.press("f")
        await screen.until(lambda: "1 of 20" in screen.painted, "the pilot's flagged samples")
        await screen.press("g")
        question = screen.app.screen
        assert isinstance(question, RulerScreen)
        await screen.until(lambda: "markers.yaml" in question.text)
        yield screen, question


async def grade(screen: Screen, question: RulerScreen, ruler: str) -> None:
    await screen.press("ctrl+u", *_keys(ruler), "enter")
    await screen.until(lambda: "grading by" not in question.text, "the grading")


def _keys(text: str) -> list[str]:
    names = {"/": "slash", ".": "full_stop", "_": "underscore", "-": "minus", " ": "space"}
    return [names.get(character, character) for character in text]


def told(screen: Screen) -> str:
    """What a dialog says, its lines joined."""
    return " ".join(screen.dialog().text.split())


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_a_file_of_the_workspace_is_chosen_and_both_verdicts_stand_beside_each_other(
    root: Path, size: tuple[int, int]
) -> None:
    async with asked(root, size) as (screen, question):
        assert question.typed == "configs/rulers/broken.yaml"
        await screen.press("down")
        assert question.typed == "configs/rulers/markers.yaml"
        assert "▸ configs/rulers/markers.yaml" in question.text
        await screen.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, RegradedScreen))
        for words in (
            "qc.runaway length-v1 → markers-v2",
            "✗ fail → ◐ undecided",
            "1 newly flagged, 20 no longer",
            "Nothing is saved.",
        ):
            assert words in told(screen)
        assert "1 newly flagged" in screen.painted, "the outcome is in sight without scrolling"
        assert "runaway, length-v1 → markers-v2: 1 newly flagged, 20 no longer flagged" in told(screen)
        assert "one of the campaign's tries, 2 of 3 left" in told(screen)
        assert "▸ back (n) ◂" in screen.painted
        await screen.press("enter")
        assert screen.app.screen is question
        assert question.typed == "configs/rulers/markers.yaml", "another one can be tried, nothing is lost"
        await screen.press("escape")
        assert isinstance(screen.app.screen, SamplesScreen)
    assert saved(root) == 0


async def test_a_file_whose_name_a_terminal_could_obey_is_not_offered(root: Path) -> None:
    (root / "configs" / "rulers" / "a\x1b[2J\u202e.yaml").write_text(MARKERS)
    async with asked(root) as (screen, question):
        assert question.typed == "configs/rulers/broken.yaml"
        assert "\x1b" not in screen.painted
        assert question.text.count(".yaml") == 2


async def test_a_file_that_cannot_be_used_is_told_in_the_question_and_mended_there(root: Path) -> None:
    async with asked(root) as (screen, question):
        await screen.press("enter")
        await screen.until(lambda: "markers-v9" in question.text)
        for words in ("markers-v9", "broken.yaml:2, qc.runaway", "to do:", "length-v1, markers-v2"):
            assert words in told(screen)
        await grade(screen, question, "elsewhere.yaml")
        assert "to do: check the name" in told(screen)
        assert question.typed == "elsewhere.yaml"
        await screen.press("ctrl+u", "enter")
        assert "no file is named" in question.text
        (root / "own.yaml").write_text(MARKERS)
        await screen.press(*_keys("own.yaml"), "enter")
        await screen.until(lambda: isinstance(screen.app.screen, RegradedScreen))


async def test_it_is_saved_for_a_reason_and_a_yes_and_then_judged_by_everywhere(root: Path) -> None:
    async with asked(root) as (screen, _):
        await screen.press("down", "enter")
        await screen.until(lambda: isinstance(screen.app.screen, RegradedScreen))
        await screen.press("y")
        assert isinstance(screen.app.screen, ReasonScreen)
        await screen.press("enter")
        assert "say why" in told(screen)
        await screen.press(*_keys("flags good answers"), "enter")
        assert isinstance(screen.app.screen, ConfirmScreen)
        for words in (
            "From now on the run is judged by it",
            "spends one of the campaign's tries, 2 of 3 left",
            "why: flags good answers",
            "--save --reason 'flags good answers'",
            "▸ no (n) ◂",
        ):
            assert words in told(screen)
        await screen.press("enter")
        assert isinstance(screen.app.screen, RegradedScreen)
        assert saved(root) == 0, "no is what one gets by pressing enter too early"
        await screen.press("y", "enter", "y")
        await screen.until(lambda: "saved: c/pilot is judged by it from now on" in told(screen))
        assert saved(root) == 1
        await screen.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, SamplesScreen))
        samples = cast(SamplesScreen, screen.app.screen)
        await screen.until(lambda: "1 of 1 · #20" in screen.painted, "it was read by the new ruler")
        assert "markers-v2 flags 1 of 120 records" in samples.text
    files = Service(root).workspace.run_files("c", "pilot")
    [grading] = read_gradings(files).saved
    assert (grading.reason, grading.author) == ("flags good answers", "ann@host")
    assert read_spec(files).qc.runaway == "length-v1", "what it was made by stays"


async def test_without_a_try_left_it_is_not_saved_and_says_what_can_be_done(root: Path) -> None:
    write_campaign(root, retries=0)
    async with asked(root) as (screen, _):
        await screen.press("down", "enter")
        await screen.until(lambda: isinstance(screen.app.screen, RegradedScreen))
        await screen.press("y")
        assert isinstance(screen.app.screen, NoticeScreen)
        assert "all 1 of the campaign's tries are spent" in told(screen)
        assert "policy.max_retries" in told(screen)
    assert saved(root) == 0


async def test_a_saving_that_fails_loses_nothing_of_what_was_said(root: Path) -> None:
    async with asked(root) as (screen, _):
        await screen.press("down", "enter")
        await screen.until(lambda: isinstance(screen.app.screen, RegradedScreen))
        await screen.press("y", *_keys("why not"), "enter")
        (root / "configs" / "rulers" / "markers.yaml").unlink()
        await screen.press("y")
        await screen.until(lambda: "to do:" in told(screen))
        assert "markers.yaml" in told(screen)
        await screen.press("escape")
        assert isinstance(screen.app.screen, RegradedScreen)
        (root / "configs" / "rulers" / "markers.yaml").write_text(MARKERS)
        await screen.press("y", "enter", "y")
        await screen.until(lambda: "saved: c/pilot" in told(screen))


async def test_where_the_tries_are_not_known_it_can_still_be_looked_at(root: Path) -> None:
    async with asked(root) as (screen, _):
        (root / "configs" / "c.yaml").write_text("name: [\n")
        await screen.press("down", "enter")
        await screen.until(lambda: isinstance(screen.app.screen, RegradedScreen))
        assert "how many are left is not known" in told(screen)


async def test_leaving_while_it_grades_shows_nothing_later(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    whole = Service.regrade

    def held(self: Service, *arguments: Any, **options: Any) -> Any:
        assert may_end.wait(20)
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Service, "regrade", held)
    async with asked(root) as (screen, question):
        await screen.press("down", "enter", "enter")
        assert "grading by configs/rulers/markers.yaml" in question.text
        await screen.press("escape")
        may_end.set()
        await screen.until(lambda: all(thread.name != "regrade" for thread in threading.enumerate()))
        assert isinstance(screen.app.screen, SamplesScreen)


async def test_the_palette_offers_it(root: Path) -> None:
    async with asked(root) as (screen, _):
        await screen.press("escape")
        titles = [command.title for command in screen.app.get_system_commands(screen.app.screen)]
        assert "regrade" in titles


def fits(screen: Screen) -> bool:
    """Whether all of the dialog's box is on the terminal, with its keys."""
    box = screen.dialog().query_one("#box").region
    return screen.app.screen.region.contains_region(box) and "esc back" in screen.painted


@pytest.mark.parametrize("size", [(60, 16), (80, 24)])
async def test_of_many_rulers_the_chosen_one_is_in_sight(root: Path, size: tuple[int, int]) -> None:
    for number in range(30):
        (root / "configs" / "rulers" / f"number-{number:02d}.yaml").write_text(MARKERS)
    async with asked(root, size) as (screen, question):
        assert fits(screen)
        assert "PgUp PgDn scroll" in screen.painted
        assert "↑ ↓ PgUp" not in screen.painted, "these choose a file"
        await screen.press("up")
        assert question.typed == "configs/rulers/number-29.yaml"
        await screen.until(lambda: "▸ configs/rulers/number-29.yaml" in screen.painted)
        await screen.press("down")
        await screen.until(lambda: "▸ configs/rulers/broken.yaml" in screen.painted)
        await screen.press("pagedown", "pagedown")
        await screen.until(lambda: "number-1" in screen.painted)
        assert fits(screen)


async def test_in_a_low_window_a_refusal_is_in_sight(root: Path) -> None:
    async with asked(root, (60, 16)) as (screen, question):
        await grade(screen, question, "elsewhere.yaml")
        assert "to do: check the name" in told(screen)
        await screen.until(lambda: "to do: check the name" in screen.painted)
        assert fits(screen)
