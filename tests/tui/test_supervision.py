"""Stalls, awaited restarts, held memory, copies, who did what, and the countdown of an idle machine on the screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from engine.errors import RefusedError
from engine.snapshot import IdleCountdown, RunSnapshot, Snapshot
from tests.tui import pictures
from tests.tui.driving import opened
from tui import formatting
from tui.actions import BY_ID
from tui.cells import Cell, plain
from tui.panels.arrange import PARTS, Drawn, draw
from tui.panels.states import process_look
from tui.screens.confirm import StopScreen
from tui.screens.dialog import NoticeScreen
from tui.view import View

SIZES = [(80, 24), (60, 16), (140, 40)]
LEAST = (60, 16)
HOLDER = "pid 4711 (VLLM::EngineCor) on GPU 0 with 122.0 GiB"
ENDED = "2027-01-15T08:12:00Z"
FAILED_COPY = "rclone: no route to host"


def of(*runs: RunSnapshot, **changes: Any) -> Snapshot:
    return pictures.snapshot(pictures.campaign(pictures.run(), *runs, **{"next": pictures.WAIT, **changes}))


def stalled(**changes: Any) -> Snapshot:
    return of(pictures.live_run(stalled=pictures.STALL, **changes))


def idling(idle: IdleCountdown | None, **changes: Any) -> Snapshot:
    ended = pictures.live_run(state="succeeded", ended=ENDED)
    return of(ended, **{"next": pictures.ITERATE, "idle": idle, **changes})


def view_of(picture: Snapshot, **changes: Any) -> View:
    return replace(View(snapshot=picture, campaign="stage1", now=pictures.NOW), **changes)


def drawn(picture: Snapshot, size: tuple[int, int]) -> Drawn:
    """The dashboard, once it is sure that it fits."""
    found = draw(view_of(picture), ("2027-01-15 08:12:01,000 INFO kept 61 of 100",) * 9, *size)
    lines = [line for part in PARTS for line in getattr(found, part)]
    assert len(lines) <= size[1]
    assert max(cell_len("".join(cell.shown for cell in line)) for line in lines) <= size[0]
    return found


def text_of(picture: Snapshot, size: tuple[int, int]) -> str:
    found = drawn(picture, size)
    return "\n".join(plain(getattr(found, part)) for part in PARTS)


def local(stamp: str) -> str:
    return formatting.clock(stamp)


# --- what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_stall_shows_at_its_stage_and_as_a_sentence_in_the_facts(size: tuple[int, int]) -> None:
    found = drawn(stalled(), size)
    assert "iteration-1 ⚠ stalled 12:41" in plain(found.stages)
    assert "running" not in plain(found.stages)
    assert "⚠ stalled while generating: nothing finished for" in plain(found.facts)
    assert "iter-1 ⚠" in plain(found.table)
    assert "s stop" in plain(found.footer)
    assert "Next" in plain(found.next)
    if size != LEAST:
        assert "log silent for 9 min; GPU at 0 %; last item at" in " ".join(plain(found.facts).split())


def test_a_run_that_is_taken_down_for_its_stall_is_stopping() -> None:
    assert process_look(pictures.live_run(state="stopping", stalled=pictures.STALL))[1] == "stopping"
    assert process_look(pictures.live_run(state="starting", stalled=pictures.STALL))[1] == "stalled"
    assert process_look(pictures.live_run())[1] == "running"


@pytest.mark.parametrize("size", SIZES)
def test_an_awaited_restart_says_when_and_why(size: tuple[int, int]) -> None:
    waits = pictures.live_run(
        state="queued", ended=ENDED, pid=None, reason=f"{pictures.STALL}; restart 1 of 2 at 08:13:40 UTC"
    )
    found = drawn(of(waits), size)
    assert "iteration-1 ○ queued" in plain(found.stages)
    assert "○ restart 1 of 2 at 08:13:40 UTC (s calls it off) · stall" in plain(found.facts)
    assert "s stop" in plain(found.footer)
    assert BY_ID["restart"].possible(view_of(of(waits))), "whoever does not want to wait starts it now"


async def test_stopping_a_run_that_awaits_its_restart_says_what_is_called_off() -> None:
    waits = pictures.live_run(state="queued", ended=ENDED, reason="stalled; restart 1 of 2 at 08:13:40 UTC")
    service = pictures.FakeService(of(waits))
    async with opened(service) as screen:
        await screen.press("s")
        assert isinstance(screen.app.screen, StopScreen)
        assert "the restart that it awaits is called off" in screen.dialog().text
        await screen.press("y")
        await screen.until(lambda: service.calls == [("stop", "stage1/iteration-1", False)])


@pytest.mark.parametrize("size", SIZES)
def test_memory_that_is_held_is_named_with_its_holder(size: tuple[int, int]) -> None:
    generic = "GPU memory is not back at its level before launch"
    held = pictures.live_run(
        state="stopped", ended=ENDED, gpu_held=True, gpu_held_by=(HOLDER,), warnings=(generic, "two lines passed over")
    )
    found = drawn(of(held), size)
    stage = (
        "stopped, GPU memory still held by pid 4711 (VLLM::EngineCor)" if size[0] > 80 else "stopped, GPU still held"
    )
    assert f"iteration-1 ■ {stage}" in plain(found.stages)
    facts = " ".join(plain(found.facts).split())
    assert "⚠ stopped, GPU memory still held by pid 4711" in facts
    assert generic not in facts, "it is said already, and better"
    assert "two lines passed over" in facts if size != LEAST else "+1 more" in facts
    unknown = of(replace(held, gpu_held_by=(), warnings=(generic,)))
    assert generic in plain(drawn(unknown, size).facts)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_copied_away_and_what_could_not_be_is_in_the_facts(size: tuple[int, int]) -> None:
    fine = pictures.live_run(synced="2027-01-15T08:08:00Z", actions=(pictures.LAUNCHED,))
    if size != LEAST:
        assert "copied away 4 min ago" in plain(drawn(of(fine), size).facts)
    failing = replace(fine, sync_error=FAILED_COPY)
    assert f"⚠ sync failed: {FAILED_COPY}" in plain(drawn(of(failing), size).facts)
    assert "sync" not in text_of(of(fine), size)


def test_how_long_ago_a_copy_was_made_is_coarse_and_needs_a_clock() -> None:
    stamp = "2027-01-15T08:12:30Z"
    assert formatting.ago(stamp, pictures.NOW) == "just now"
    assert formatting.ago(stamp, pictures.NOW + 7200) == "2 h ago"
    assert formatting.ago(stamp, pictures.NOW - 900) == "just now", "another machine's clock may be ahead"
    assert formatting.ago(stamp, 0.0) == f"at {local(stamp)}"
    assert formatting.ago("yesterday", pictures.NOW) == "at --:--"


@pytest.mark.parametrize("height", range(16, 60, 3))
@pytest.mark.parametrize("width", [60, 76, 80, 110])
def test_all_of_it_at_once_fits_any_size(width: int, height: int) -> None:
    worst = pictures.live_run(
        stalled=pictures.STALL,
        keeper_alive=False,
        warnings=("one " * 60, "two"),
        sync_error=FAILED_COPY,
        synced=ENDED,
        actions=(pictures.LAUNCHED, pictures.NOTICED, pictures.ASKED),
    )
    for idle in (None, pictures.idle("counting")):
        text = text_of(of(worst, idle=idle), (width, height))
        assert "⚠ stalled" in text
        assert ("keeps the machine" in text) == (idle is not None)


def test_nothing_of_it_takes_a_line_where_nothing_happened() -> None:
    """A campaign without any of this looks as it always did."""
    plainly = drawn(of(pictures.live_run()), (80, 24))
    assert "⚠" not in text_of(of(pictures.live_run()), (80, 24))
    assert len(plainly.stages) == 1
    assert len(plainly.facts) == 5


# --- who did what --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES[::2])
@pytest.mark.parametrize("coming", [pictures.WAIT, pictures.ITERATE])
def test_the_latest_action_is_in_the_facts(size: tuple[int, int], coming: Any) -> None:
    acted = pictures.live_run(actions=(pictures.LAUNCHED, pictures.NOTICED, pictures.ASKED))
    facts = plain(drawn(of(acted, next=coming), size).facts)
    assert f"{local(pictures.ASKED.time)} ann@pod-9 asked to stop it – not taken yet" in facts
    assert "launched" not in facts
    assert ("watchdog noticed that it stalled" in facts) == (size[0] > 80)
    taken = replace(acted, actions=(*acted.actions[:2], replace(pictures.ASKED, pending=False)))
    assert "not taken yet" not in plain(drawn(of(taken, next=coming), size).facts)


# --- an idle machine -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("broken", [False, True], ids=["well", "broken file"])
def test_the_countdown_is_in_sight_with_its_command_and_the_key_that_cancels_it(
    size: tuple[int, int], broken: bool
) -> None:
    changes: dict[str, Any] = (
        {"campaign": None, "budget": None, "next": None, "state": "broken", "error": "unknown key 'x'"}
        if broken
        else {}
    )
    text = text_of(idling(pictures.idle("counting"), **changes), size)
    assert "⚠ idle 5:50 · in 14:10 runs: runpod" in text
    assert "i keeps the machine" in text
    assert "i keep machine" in text.splitlines()[-1]
    if size[0] >= 80:
        assert "runpodctl stop pod x7k2q9" in text


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("idle", "said"),
    [
        (pictures.idle("cancelled", author="ann@pod-9"), "ann@pod-9 keeps the machine"),
        (pictures.idle("running"), "runpodctl stop pod x7k2q9 is being run"),
        (pictures.idle("done"), "runpodctl stop pod x7k2q9 was run"),
        (pictures.idle("failed", detail="exit code 3"), "⚠ idle: runpodctl stop pod x7k2q9 failed: exit code 3"),
    ],
)
def test_what_came_of_the_countdown_is_one_dim_line(size: tuple[int, int], idle: IdleCountdown, said: str) -> None:
    found = drawn(idling(idle), size)
    _, line, *_ = found.stages
    assert said in plain([line])
    assert line[-1].role == "dim"
    assert "keep machine" not in plain(found.footer)
    assert not BY_ID["cancel_idle"].possible(view_of(idling(idle)))


def test_a_countdown_with_damaged_times_is_shown_all_the_same() -> None:
    text = text_of(idling(pictures.idle("counting", since="x", due="y")), (80, 24))
    assert "⚠ idle · about to run: runpodctl" in text


async def test_the_countdown_ticks_without_a_new_picture() -> None:
    service = pictures.FakeService(idling(pictures.idle("counting")))
    async with opened(service) as screen:
        assert "in 14:10 runs" in screen.painted
        screen.app._clock = lambda: pictures.NOW + 5
        await screen.until(lambda: "idle 5:55 · in 14:05 runs" in screen.painted)
        screen.app._clock = lambda: pictures.NOW + 5000
        await screen.until(lambda: "in 0:00 runs" in screen.painted)


async def test_while_nothing_ticks_the_picture_is_not_drawn_every_second() -> None:
    service = pictures.FakeService(idling(None))
    async with opened(service) as screen:
        before = screen.app.view
        screen.app._clock = lambda: pictures.NOW + 5
        screen.app.renew()
        assert screen.app.view is before
        screen.app._clock = lambda: pictures.NOW + 65
        screen.app.renew()
        assert screen.app.view.now > before.now


async def test_i_keeps_the_machine_without_a_question() -> None:
    service = pictures.FakeService(idling(pictures.idle("counting")))
    service.cancel_may_end.clear()
    async with opened(service) as screen:
        await screen.press("i")
        await screen.until(lambda: service.calls == [("cancel_idle", "stage1")])
        assert screen.app.screen is screen.dashboard
        await screen.press("i")
        assert any("asked for already" in note.message for note in screen.app._notifications)
        service.snapshot = idling(pictures.idle("cancelled", author="kim@pod-7"))
        service.cancel_may_end.set()
        await screen.until(lambda: any("the machine is kept" in note.message for note in screen.app._notifications))
        await screen.until(lambda: "kim@pod-7 keeps the machine" in screen.painted)
        await screen.press("i")
        assert any("kim@pod-7 cancelled it" in note.message for note in screen.app._notifications)
        assert service.calls == [("cancel_idle", "stage1")]


async def test_the_line_itself_can_be_clicked() -> None:
    service = pictures.FakeService(idling(pictures.idle("counting")))
    async with opened(service) as screen:
        place = plain(drawn(service.snapshot, (80, 24)).stages).splitlines()[1].index("keeps the machine")
        await screen.pilot.click("#stages", offset=(place, 1))
        await screen.until(lambda: service.calls == [("cancel_idle", "stage1")])


async def test_the_machine_is_kept_while_another_call_is_under_way() -> None:
    """A stop that waits for GPU memory must not be in the way of what has a deadline."""
    service = pictures.FakeService(
        idling(pictures.idle("counting"), runs=(pictures.run(state="stopped", gpu_held=True),))
    )
    service.stop_may_end.clear()
    async with opened(service) as screen:
        await screen.press("s", "y", "escape")
        await screen.until(lambda: screen.app.view.busy)
        await screen.press("i")
        await screen.until(lambda: ("cancel_idle", "stage1") in service.calls)
        service.stop_may_end.set()
        await screen.until(lambda: not screen.app.operations.calls.busy)


async def test_a_cancel_that_comes_too_late_says_so() -> None:
    service = pictures.FakeService(idling(pictures.idle("counting")))
    service.refuse = RefusedError("too late to cancel: `runpodctl stop pod x7k2q9` is being run", remedy="be quick")
    async with opened(service) as screen:
        await screen.press("i")
        await screen.until(lambda: isinstance(screen.app.screen, NoticeScreen))
        assert "too late to cancel" in screen.dialog().text
        assert "be quick" in screen.dialog().text


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (of(pictures.live_run()), "nothing counts down"),
        (idling(pictures.idle("running")), "is being run"),
        (idling(pictures.idle("done")), "was run"),
        (pictures.snapshot(), "no campaign"),
    ],
)
def test_where_nothing_counts_down_the_key_says_why_not(picture: Snapshot, why: str) -> None:
    assert why in (BY_ID["cancel_idle"].refusal(view_of(picture)) or "")


# --- never by colour alone -----------------------------------------------------------------------------------------


def test_every_state_has_its_own_sign_or_word() -> None:
    states = ("queued", "starting", "running", "stopping", "succeeded", "failed", "stopped", "lost")
    runs = [pictures.run(state=state) for state in states]
    runs += [pictures.live_run(stalled=pictures.STALL), pictures.run(state="stopped", gpu_held=True)]
    looks = {process_look(run)[:2] for run in runs}
    assert len(looks) == len(runs)
    assert all(sign.strip() and word.strip() for sign, word in looks)
    assert Cell(process_look(runs[-2])[0]).text == "⚠"
