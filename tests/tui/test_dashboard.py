"""What the dashboard shows, at three sizes, and how it follows what happens."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.errors import PilothouseError
from tests.tui import pictures
from tests.tui.driving import opened
from tui.cells import plain
from tui.panels.arrange import PARTS, draw
from tui.screens.log import LogScreen
from tui.screens.picker import PickerScreen
from tui.view import View
from tui.widgets.cell_lines import CellLines

SIZES = [(80, 24), (120, 40), (200, 50)]


def story(size: tuple[int, int], **changes: object) -> str:
    view = View(snapshot=pictures.seed_story(**changes), campaign="stage1", now=pictures.NOW)
    drawn = draw(view, ("18:17:12 INFO  kept 61 of 100",), *size)
    return "\n".join("".join(cell.shown for cell in line) for part in PARTS for line in getattr(drawn, part))


@pytest.mark.parametrize("size", SIZES)
def test_all_that_matters_is_in_sight(size: tuple[int, int]) -> None:
    text = story(size)
    for words in (
        "stage1 · ",
        "Qwen2.5-32B · vLLM",
        "pod-7 · GPU0 H200",
        "pilot ✗ fail ▸ iteration-1 ● running 12:41 ▸ scale ○ pending",
        "20.9 %",
        "1.6 % △",
        "Gate ◐ UNDECIDED",
        "$4.20 of $300",
        "$3.00/h",
        "left $294.70",
        "committed $1.10",
        "wait  iteration-1 goes on",
        "run.log · following",
        "kept 61 of 100",
        "l log",
        "? help",
        "q quit",
    ):
        assert words in text
    assert max(cell_len(line) for line in text.splitlines()) <= size[0]
    assert len(text.splitlines()) <= size[1]


@pytest.mark.parametrize("size", SIZES)
def test_a_next_action_shows_reason_command_and_forecast(size: tuple[int, int]) -> None:
    text = story(size, next=pictures.ITERATE)
    assert "⏎ iterate" in text
    assert "$ pilothouse launch stage1 --run iteration-2" in text
    assert "≈ $1.90, 38:00" in text
    assert "iteration-2 ○ next" in text


@pytest.mark.parametrize("width", [60, 75, 76, 80, 109, 110, 133])
def test_no_size_from_the_least_on_is_exceeded(width: int) -> None:
    for action, height in itertools.product((pictures.WAIT, pictures.ITERATE), range(16, 60, 3)):
        lines = story((width, height), next=action).split("\n")
        assert len(lines) <= height
        assert max(cell_len(line) for line in lines) <= width


def test_wider_shows_more_runs_and_higher_more_parameters() -> None:
    later = [pictures.live_run(f"iteration-{number}", state="succeeded") for number in range(2, 7)]
    many = pictures.snapshot(pictures.campaign(pictures.run(), *later))
    view = View(snapshot=many, campaign="stage1")
    narrow, wide = draw(view, (), 80, 24).table, draw(view, (), 200, 50).table

    def heads(line: tuple[object, ...]) -> str:
        return "".join(cell.text for cell in line)  # type: ignore[attr-defined]

    assert "pilot" in heads(narrow[0])
    assert "iter-6" in heads(narrow[0])
    assert "iter-3" not in heads(narrow[0])
    assert "iter-3" in heads(wide[0])
    assert len(wide) > len(narrow)


def test_arrows_point_in_the_metrics_own_sense() -> None:
    lines = story((120, 40)).splitlines()
    by_label = {line.strip().split("  ")[0]: line for line in lines}
    assert {"▲", "△"} & {*by_label["runaway rate"]}
    assert {"▼", "▽"} & {*by_label["instruction acceptance"]}
    assert not {"▲", "△"} & {*by_label["delimiter leakage"]}


def test_a_campaigns_warnings_and_a_lost_keeper_are_in_sight() -> None:
    orphan = pictures.live_run(keeper_alive=False)
    told = pictures.campaign(pictures.run(), orphan, warnings=("policy: review is not acted on",), next=pictures.WAIT)
    drawn = draw(View(snapshot=pictures.snapshot(told), campaign="stage1", now=pictures.NOW), (), 80, 24)
    assert "⚠ policy: review is not acted on" in plain(drawn.next)
    assert "⚠ its keeper is gone" in plain(drawn.facts)


async def test_ctrl_c_explains_and_quits_nothing() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        await screen.press("ctrl+c")
        assert any("q quits" in note.message for note in screen.app._notifications)


async def test_arrow_keys_select_a_run_and_evidence_and_panels_follow() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        assert "evidence · iter-1" in screen.text
        await screen.press("left")
        assert "evidence · pilot" in screen.text
        assert "Gate ✗ FAIL" in screen.text
        await screen.press("right")
        assert "evidence · iter-1" in screen.text
        assert screen.app.view.run is None, "back on the live run it follows again"


async def test_a_new_picture_repaints_only_what_differs() -> None:
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service) as screen:
        parts = {part: screen.dashboard.query_one(f"#{part}", CellLines).lines for part in PARTS}
        counts = replace(pictures.live_run().counts, kept=62)
        service.snapshot = pictures.snapshot(
            pictures.campaign(pictures.run(), pictures.live_run(counts=counts), next=pictures.WAIT)
        )
        await screen.until(lambda: "62 of 100" in screen.text)
        after = {part: screen.dashboard.query_one(f"#{part}", CellLines).lines for part in PARTS}
        assert {part for part in PARTS if parts[part] != after[part]} == {"table", "facts"}
        assert "62 of 100" in screen.painted


async def test_resizing_redraws_and_loses_nothing() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        await screen.press("left")
        await screen.pilot.resize_terminal(120, 40)
        await screen.until(lambda: "instruction acceptance" in screen.painted)
        assert "evidence · pilot" in screen.painted
        await screen.pilot.resize_terminal(50, 12)
        await screen.until(lambda: "too small" in screen.painted)
        assert "runs go on" in screen.painted
        await screen.pilot.resize_terminal(80, 24)
        await screen.until(lambda: "inst. accept" in screen.painted)


async def test_stale_data_is_labelled_with_its_age_and_its_cause() -> None:
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service) as screen:
        service.poll_error = PilothouseError("the disk is gone")
        await screen.until(lambda: screen.app.feed.problem)
        screen.app.feed.fresh_at -= 12
        await screen.until(lambda: "⚠ 12 s old" in screen.text)
        assert "the disk is gone" in screen.text
        service.poll_error = None
        await screen.until(lambda: "s old" not in screen.text)


async def test_an_unexpected_error_while_polling_does_not_end_the_screen() -> None:
    service = pictures.FakeService(pictures.seed_story())
    service.poll_error = ValueError("broken")
    async with opened(service) as screen:
        await screen.until(lambda: "ValueError: broken" in screen.text)


async def test_without_campaigns_it_says_what_to_do_and_notices_a_new_one() -> None:
    service = pictures.FakeService(pictures.snapshot())
    async with opened(service) as screen:
        await screen.until(lambda: "pilothouse demo" in screen.text)
        assert "pilothouse import" in screen.text
        service.snapshot = pictures.seed_story()
        await screen.until(lambda: "iteration-1 ● running" in screen.text)


async def test_a_campaign_without_runs_offers_the_pilot() -> None:
    action = replace(pictures.ITERATE, kind="launch", run="pilot", changes={}, reason="the pilot comes first")
    async with opened(pictures.FakeService(pictures.snapshot(pictures.campaign(next=action)))) as screen:
        assert "pilot ○ next" in screen.text
        assert "⏎ launch  the pilot comes first" in screen.text


async def test_a_broken_campaign_file_shows_its_message_and_reloads_when_mended() -> None:
    error = "unknown key 'respones'\n  where: configs/stage1.yaml:12\n  to do: did you mean 'response'?"
    broken = pictures.campaign(campaign=None, budget=None, next=None, state="broken", error=error)
    service = pictures.FakeService(pictures.snapshot(broken))
    async with opened(service) as screen:
        assert "unknown key 'respones'" in screen.text
        assert "did you mean 'response'?" in screen.text
        service.snapshot = pictures.seed_story()
        await screen.until(lambda: "runaway" in screen.text)


async def test_several_campaigns_are_chosen_from_the_running_one_first() -> None:
    idle = pictures.campaign(name="demo", state="empty")
    both = pictures.snapshot(idle, pictures.campaign(pictures.run(), pictures.live_run()))
    async with opened(pictures.FakeService(both)) as screen:
        await screen.until(lambda: isinstance(screen.app.screen, PickerScreen))
        await screen.press("enter")
        assert screen.app.view.campaign == "stage1"
        await screen.press("a", "up", "enter")
        assert screen.app.view.campaign == "demo"


async def test_quitting_ends_the_screen_and_asks_nothing_of_the_service() -> None:
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service) as screen:
        await screen.press("q")
        assert not screen.app.is_running or screen.app._exit
    assert service.calls == []


async def test_help_opens_scrolls_and_closes() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        await screen.press("question_mark")
        assert "Do the next action" in screen.dialog().text
        await screen.press("pagedown", "down", "up", "escape")
        assert screen.app.screen is screen.dashboard


async def test_compare_shows_every_parameter_that_differs() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        await screen.press("c")
        text = screen.app.screen.query_one("#body", CellLines).text
        assert "response.temperature             0.4 → 0.3" in text
        assert "1 of 61: not yet proven, 79 more clean" in text
        await screen.press("left")
        assert "Evidence · pilot" in screen.app.screen.query_one("#body", CellLines).text
        await screen.press("escape")
        assert screen.app.screen is screen.dashboard


async def test_without_colours_every_state_is_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        assert screen.app.no_color
        assert "pilot ✗ fail" in screen.painted
        assert "UNDECIDED" in screen.painted


async def test_keys_of_the_footer_can_be_clicked() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        place = screen.dashboard.query_one("#footer", CellLines).text.index("? help")
        await screen.pilot.click("#footer", offset=(place, 0))
        assert "Do the next action" in screen.dialog().text


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_a_broken_file_hides_no_run_that_lives(size: tuple[int, int]) -> None:
    """Somebody's editor half-saved the campaign: what is wrong is said, and the live run can still be stopped."""
    service = pictures.FakeService(pictures.seed_story())
    async with opened(service, size) as screen:
        whole = service.snapshot.campaigns[0]
        broken = replace(
            whole, state="broken", campaign=None, budget=None, next=None, error="unknown key 'x'\n  where: a.yaml:3"
        )
        service.snapshot = replace(service.snapshot, campaigns=(broken,))
        await screen.until(lambda: "cannot be used" in screen.text)
        lines = screen.text.splitlines()
        assert "cannot be used" in lines[1]
        assert "unknown key 'x'" in screen.painted
        assert "a.yaml:3" in screen.painted
        assert "61 of 100" in screen.painted
        assert "$0.63" in screen.painted
        assert "Next" not in screen.text
        assert "iteration-1 ● running" in screen.text
        assert "runaway" in screen.painted
        await screen.press("s")
        assert screen.dialog()


async def test_q_on_the_log_goes_back_and_on_the_dashboard_quits() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        await screen.press("l")
        await screen.until(lambda: isinstance(screen.app.screen, LogScreen))
        await screen.press("q")
        await screen.until(lambda: screen.app.screen is screen.dashboard)
        await screen.press("q")
        await screen.until(lambda: screen.app._exit)


async def test_a_screenshot_lands_where_a_server_has_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        screen.app.keep_screenshot()
        (picture,) = (tmp_path / "pilothouse").glob("*.svg")
        assert "iteration-1" in picture.read_text()


async def test_help_begins_with_the_screen_it_was_asked_for_on_and_q_closes_it() -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        for key, first in (
            ("l", "Log"),
            ("c", "Pages: "),
            ("h", "A run's pages"),
            ("f", "Samples"),
        ):
            await screen.press(key, "question_mark")
            assert screen.dialog().text.startswith(first)
            assert "PgUp" in screen.painted
            await screen.press("q")
            assert screen.app.screen is not screen.dashboard
            assert "q" in screen.app.screen.query_one("#footer", CellLines).text
            await screen.press("q")
            assert screen.app.screen is screen.dashboard
        await screen.press("question_mark")
        assert screen.dialog().text.startswith("Dashboard")


def test_a_narrow_window_shows_another_run_rather_than_the_evidence() -> None:
    three = (pictures.run(), pictures.live_run(state="succeeded"), pictures.live_run("iteration-2"))
    view = View(snapshot=pictures.snapshot(pictures.campaign(*three)), campaign="stage1", now=pictures.NOW)
    narrow, usual = (plain(draw(view, (), width, 24).table) for width in (60, 80))
    assert all(name in narrow for name in ("pilot", "iter-1", "iter-2"))
    assert "evidence" not in narrow
    assert "more (c)" not in narrow
    assert "holds so far\n" in usual
    two = View(snapshot=pictures.seed_story(), campaign="stage1", now=pictures.NOW)
    assert "evidence" in plain(draw(two, (), 60, 24).table)


@pytest.mark.parametrize(("kept", "target"), [(217, 15_000), (1_500, 1_600), (1_500, 1_500), (841, 1_000)])
def test_no_number_of_kept_pairs_is_cut(kept: int, target: int) -> None:
    run = pictures.live_run("scale", counts=replace(pictures.live_run().counts, kept=kept, target=target))
    campaign = pictures.campaign(pictures.run(), run)
    drawn = draw(View(snapshot=pictures.snapshot(campaign), campaign="stage1", now=pictures.NOW), (), 80, 24)
    row = next(line for line in plain(drawn.table).splitlines() if line.startswith(" kept"))
    assert f"{kept:,}" in row
    assert "…" not in row
    shown = plain(drawn.facts)
    assert f"{kept:,} of {target:,}" in shown or f"{kept:,} of 15.0k" in shown
    assert " k…" not in shown
    assert " ke…" not in shown


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_at_its_end_a_run_names_the_file_of_its_pairs(size: tuple[int, int]) -> None:
    counts = replace(pictures.run().counts, kept=100)
    done = pictures.run("scale", counts=counts, reason="completed: kept 100")
    short = pictures.run("scale")
    drawn, without = (
        plain(draw(View(snapshot=pictures.snapshot(pictures.campaign(run)), campaign="stage1"), (), *size).facts)
        for run in (done, short)
    )
    assert "artifacts/stage1/scale/" in drawn
    assert "pilot_data.jsonl" in drawn
    assert "completed" not in drawn
    assert "pilot_data" not in without
    assert "the candidates are" in without


def test_used_hours_stand_with_what_was_spent_and_the_rate_with_what_is_committed() -> None:
    view = View(snapshot=pictures.seed_story(), campaign="stage1", now=pictures.NOW)
    text = plain(draw(view, (), 120, 40).facts)
    assert any("$4.20 of $300" in line and "1.40 h used" in line for line in text.splitlines())
    assert any("committed $1.10" in line and "$3.00/h" in line for line in text.splitlines())


def test_a_log_line_shows_the_time_of_day_and_only_a_level_that_matters() -> None:
    log = (
        "2026-11-23 20:31:24,361 INFO    kept 31 of 600",
        "2026-11-23 20:31:25,361 WARNING the disk is nearly full",
        "a line of its own",
    )
    view = View(snapshot=pictures.seed_story(), campaign="stage1", now=pictures.NOW)
    lines = draw(view, log, 120, 40).log
    text = plain(lines)
    assert " 20:31:24 kept 31 of 600\n 20:31:25 WARNING the disk is nearly full\n a line of its own" in text
    assert any(cell.text == "WARNING " and cell.role == "warn" for line in lines for cell in line)
