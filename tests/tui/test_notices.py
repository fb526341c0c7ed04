"""What is told of what happens: each thing once, nothing of what was already so, and nothing a terminal could obey."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from engine.budget.money import Budget
from engine.errors import PilothouseError
from engine.snapshot import Snapshot
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.app import PilothouseApp
from tui.notices import MOST_TOLD, Notice, coalesced, events_between, remembered, terminal_notification
from tui.settings import Settings

LIVE = pictures.seed_story()
EMPTY = pictures.snapshot()
PASSED = pictures.gate("pass", "pass: all 6 checks proven at 95%")


def story(engine: object = None, budget: Budget = pictures.BUDGET, idle: object = None, **run: object) -> Snapshot:
    """One campaign with the live iteration, changed."""
    return pictures.snapshot(
        pictures.campaign(
            pictures.run(), pictures.live_run(**run), engine=engine, next=pictures.WAIT, budget=budget, idle=idle
        )
    )


def ended(state: str = "succeeded", **changes: object) -> Snapshot:
    return story(state=state, phase=None, pid=None, ended="2027-01-15T08:12:41Z", **changes)


def spent(usd: float, committed: float = 0.0) -> Budget:
    return replace(pictures.BUDGET, spent_usd=usd, committed_usd=committed)


def told(*pictures_: Snapshot) -> list[str]:
    """Everything that is told while these pictures come one after the other."""
    seen, texts = pictures_[0], []
    for picture in pictures_[1:]:
        texts += [notice.text for notice in events_between(seen, picture)]
        seen = remembered(seen, picture)
    return texts


@pytest.mark.parametrize(
    ("after", "severity", "text"),
    [
        (ended(exit_code=0, gate=PASSED), "information", "stage1/iteration-1: done; gate pass: all 6 checks"),
        (ended(exit_code=0), "warning", "stage1/iteration-1: done; gate undecided: runaway needs 79 more clean; token"),
        (
            ended(exit_code=0, reason="its gate ended it early: fail: runaway", saved_usd=1.1),
            "warning",
            "stage1/iteration-1: its gate ended it early: fail: runaway; saved about $1.10",
        ),
        (ended("failed", exit_code=3, reason="no memory"), "error", "stage1/iteration-1 failed with exit 3: no memory"),
        (ended("lost", reason="its keeper died"), "error", "stage1/iteration-1 is lost: its keeper died"),
        (ended("stopped", reason="asked to"), "warning", "stage1/iteration-1 is stopped: asked to"),
        (story(stalled=pictures.STALL), "warning", "stage1/iteration-1: stalled while generating"),
        (
            ended("queued", reason="stalled; restart 2 of 3 at 08:13"),
            "warning",
            "stage1/iteration-1: stalled; restart 2 of 3",
        ),
        (
            story(idle=pictures.idle("counting")),
            "warning",
            "stage1: the machine is idle; at ",
        ),
        (story(budget=spent(240.0)), "warning", "stage1: $240.00 of $300.00 spent or committed, past 80%"),
        (story(budget=spent(240.0, 60.0)), "error", "stage1: the budget of $300.00 is spent or committed"),
        (story(engine=pictures.engine()), "information", "stage1/engine-1 is ready"),
    ],
)  # fmt: skip
def test_what_a_person_waits_for_is_told(after: Snapshot, severity: str, text: str) -> None:
    (notice,) = events_between(LIVE, after)
    assert notice.text.startswith(text)
    assert notice.severity == severity


def test_memory_that_stays_held_is_told_beside_the_end() -> None:
    held = ended("stopped", gpu_held=True, gpu_held_by=("pid 812 (python) on GPU 0",))
    assert told(LIVE, ended("stopped"), held) == [
        "stage1/iteration-1 is stopped",
        "stage1/iteration-1: stopped, GPU memory still held by pid 812 (python) on GPU 0",
    ]


def test_an_engine_is_told_when_it_becomes_ready_and_when_it_dies() -> None:
    dead = pictures.engine(state="failed", ready=None, ended="2027-01-15T08:12:41Z", reason="out of memory")
    course = told(story(engine=pictures.starting()), story(engine=pictures.engine()), story(engine=dead))
    assert course == ["stage1/engine-1 is ready", "stage1/engine-1 is failed: out of memory"]


@pytest.mark.parametrize(
    "picture",
    [LIVE, ended(), ended("lost"), story(stalled=pictures.STALL), story(budget=spent(299.0)), story(pictures.engine())],
)
def test_what_is_already_so_is_not_told(picture: Snapshot) -> None:
    assert told(picture, picture) == []
    assert told(EMPTY, picture) == []


def test_a_run_that_began_and_ended_between_two_looks_is_told_and_an_imported_one_is_not() -> None:
    before = pictures.snapshot(pictures.campaign())
    assert told(before, pictures.snapshot(pictures.campaign(pictures.run(gate=PASSED)))) == [
        "stage1/pilot: done; gate pass: all 6 checks proven at 95%"
    ]
    assert told(before, pictures.snapshot(pictures.campaign(pictures.run(imported=True)))) == []


@pytest.mark.parametrize(
    "away", [EMPTY, pictures.snapshot(pictures.campaign()), pictures.snapshot(pictures.campaign(budget=None))]
)
def test_what_is_out_of_sight_for_a_while_is_no_news_when_it_comes_back(away: Snapshot) -> None:
    everything = ended(engine=pictures.engine(), budget=spent(299.0), idle=pictures.idle("counting"))
    assert told(everything, away, everything) == []
    assert told(LIVE, away, ended()) == told(LIVE, ended())


def test_a_forecast_that_wavers_at_the_limit_warns_once_and_a_new_limit_again() -> None:
    below, above = story(budget=spent(230.0, 9.0)), story(budget=spent(230.0, 11.0))
    assert len(told(below, above, below, above, below)) == 1
    raised = replace(spent(330.0), limit_usd=400.0)
    assert len(told(below, above, story(budget=replace(raised, spent_usd=241.0)), story(budget=raised))) == 2


def test_an_attempt_that_ends_again_is_told_again() -> None:
    again = {"attempt": 2}
    course = told(LIVE, ended("failed"), story(**again), ended("failed", **again))
    assert len(course) == 2


def test_many_at_once_are_one_with_the_gravest_first() -> None:
    notices = [Notice("a"), Notice("b", "warning"), Notice("c", "error"), *[Notice("d")] * MOST_TOLD]
    one = coalesced(notices)
    assert one.severity == "error"
    assert one.text.splitlines() == ["c", "b", "a", "d", "and 3 more"]


# --- on the screen and beside it ---------------------------------------------------------------------------------


async def test_an_end_is_told_once_on_the_screen_also_after_a_poll_that_failed() -> None:
    service = pictures.FakeService(LIVE)
    async with opened(service, notices=True) as screen:
        assert not screen.app._notifications
        service.snapshot = ended("lost", reason="its keeper died")
        screen.app.feed.refresh()
        await screen.until(lambda: "is lost: its keeper died" in screen.painted, "the toast")
        service.poll_error = PilothouseError("the disk is away")
        screen.app.feed.refresh()
        await screen.until(lambda: screen.app.feed.problem, "the failed poll")
        service.poll_error = None
        service.snapshot = replace(service.snapshot, devices=())
        screen.app.feed.refresh()
        await screen.until(lambda: screen.app.view.snapshot == service.snapshot, "the next picture")
        assert len(screen.app._notifications) == 1


@pytest.mark.parametrize(
    ("channels", "toast", "bell", "osc9"),
    [((), 0, 0, 0), (("screen",), 1, 0, 0), (("bell",), 0, 1, 0), (("screen", "osc9"), 1, 0, 1)],
)
async def test_it_is_told_in_the_ways_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, channels: tuple[str, ...], toast: int, bell: int, osc9: int
) -> None:
    rung: list[str] = []
    sent: list[str] = []
    monkeypatch.setattr(PilothouseApp, "bell", lambda app: rung.append("bell"))
    monkeypatch.setattr(PilothouseApp, "write_to_terminal", lambda app, sequence: sent.append(sequence))
    service = pictures.FakeService(LIVE)
    app = PilothouseApp(service, settings=Settings.model_validate({"notify": channels}))
    async with app.run_test() as pilot:
        screen = Screen(app, pilot, service)
        await screen.until(lambda: app.view.snapshot is not None)
        service.snapshot = ended("lost")
        app.feed.refresh()
        await screen.until(lambda: app.view.snapshot == service.snapshot)
        assert (len(app._notifications), len(rung), len(sent)) == (toast, bell, osc9)


def test_a_notification_of_the_terminal_is_one_sequence_whatever_the_text_holds() -> None:
    hostile = "4;1;50\x07\x1b]52;c;aGk=\x07\x9b31m\u202ex\ny" + "z" * 500
    sequence = terminal_notification(hostile, tmux=False)
    assert sequence.startswith("\x1b]9;Pilothouse: ")
    assert sequence.endswith("\x07")
    inside = sequence[len("\x1b]9;") : -1]
    assert inside.isprintable()
    assert ";" not in inside
    assert len(inside) < 200


def test_tmux_hands_on_what_is_wrapped() -> None:
    wrapped = terminal_notification("pilot is lost", tmux=True)
    assert wrapped == "\x1bPtmux;\x1b\x1b]9;Pilothouse: pilot is lost\x07\x1b\\"


def test_pictures_of_a_whole_campaign_tell_each_thing_once() -> None:
    course = [
        story(engine=pictures.starting()),
        story(engine=pictures.engine()),
        story(engine=pictures.engine(), stalled=pictures.STALL),
        story(engine=pictures.engine()),
        ended("succeeded", engine=pictures.idling(), gate=PASSED),
    ]
    assert [len(events_between(before, after)) for before, after in pairwise(course)] == [1, 1, 0, 1]
