"""Pictures of the whole screen, compared with those that somebody has looked at and found right.

`make snapshots` takes them anew; what has changed is seen in the report that a failure writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.report.events import RunEvent, RunEvents
from engine.snapshot import Snapshot
from tests.tui import pictures
from tests.tui.driving import Screen
from tests.tui.test_metrics_page import SERIES
from tests.tui.test_processes_page import LIVING
from tests.tui.test_questions import REVIEW
from tui.app import PilothouseApp

ITERATION = "stage1/iteration-1"
ENDED = "2027-01-15T08:12:00Z"
LOG = """\
2027-01-15 08:00:03,120 INFO loading Qwen/Qwen2.5-32B
2027-01-15 08:01:27,004 INFO PHASE 1: INSTRUCTION GENERATION
2027-01-15 08:05:40,719 WARNING 3 lists were shorter than asked for
2027-01-15 08:06:02,530 INFO PHASE 2: RESPONSE GENERATION
2027-01-15 08:09:12,001 ERROR request 17 failed: connection reset by peer; tried again
2027-01-15 08:10:30,250 INFO kept 41 of 100 from 103 candidates, acceptance: instructions 73.8%, pairs 91.0%
2027-01-15 08:12:01,000 INFO kept 61 of 100 from 154 candidates, acceptance: instructions 74.0%, pairs 91.2%
"""
HAPPENED = RunEvents(
    (
        RunEvent("2027-01-15T08:00:00Z", 1, "kim@pod-7", "launched it"),
        RunEvent("2027-01-15T08:00:01Z", 1, "keeper", "started the generator, pid 4711"),
        RunEvent("2027-01-15T08:01:27Z", 1, "generator", "the model is loaded, which took 1:24", "good"),
        RunEvent("2027-01-15T08:11:00Z", 1, "watchdog", f"noticed that it has {pictures.STALL}", "warn"),
        RunEvent("2027-01-15T08:12:30Z", 1, "ann@pod-9", "asked to stop it", "warn", pending=True),
    )
)


def live() -> Snapshot:
    """All that can be in sight of a run that goes on well."""
    run = pictures.live_run(gpus=(pictures.gpu(),), figures=pictures.FIGURES)
    return replace(
        pictures.snapshot(pictures.campaign(pictures.run(), run, next=pictures.WAIT)), devices=(run.gpus[0].uuid,)
    )


def finished() -> Snapshot:
    """Two runs have ended, the next one is proposed."""
    ended = pictures.live_run(state="succeeded", ended=ENDED)
    return pictures.snapshot(pictures.campaign(pictures.run(), ended, next=pictures.EDITABLE))


def troubled() -> Snapshot:
    """Whatever can be wrong at once, over a kept engine and an idle machine."""
    stalled = pictures.live_run(
        stalled=pictures.STALL,
        actions=(pictures.LAUNCHED, pictures.NOTICED, pictures.ASKED),
        gate=replace(pictures.LIVE_GATE, detectors=(pictures.SUSPECT,)),
        gradings=(pictures.GRADED,),
        warnings=("2 unreadable line(s) in records.jsonl were passed over",),
    )
    held = pictures.run(gpu_held=True, gpu_held_by=("pid 4711 (VLLM::EngineCor) on GPU 0 with 122.0 GiB",))
    campaign = pictures.campaign(held, stalled, next=pictures.WAIT, engine=pictures.engine())
    return replace(pictures.snapshot(replace(campaign, idle=pictures.idle("counting"))), devices=(pictures.gpu().uuid,))


def reviewed() -> Snapshot:
    ended = pictures.live_run(state="succeeded", ended=ENDED)
    return pictures.snapshot(pictures.campaign(pictures.run(), ended, next=REVIEW))


def broken() -> Snapshot:
    error = "unknown key 'temprature' in parameters.response; did you mean 'temperature'?"
    error = f"configs/stage1.yaml:14: {error}\nto do: correct the key"
    return pictures.snapshot(
        pictures.campaign(pictures.run(), campaign=None, budget=None, next=None, state="broken", error=error)
    )


def several() -> Snapshot:
    """Campaigns in every state."""
    there = pictures.campaign(pictures.run(), pictures.live_run(), next=pictures.WAIT)
    states = ("empty", "waiting", "done", "blocked", "broken")
    others = (pictures.campaign(name=f"stage{number}", state=state) for number, state in enumerate(states, 2))
    return pictures.snapshot(there, *others)


@dataclass(frozen=True, slots=True)
class Shot:
    """What stands on the screen of that size once `keys` were pressed and `awaited` is there."""

    story: Callable[[], Snapshot]
    keys: str = ""
    awaited: str = "kept 61 of 100"
    size: tuple[int, int] = (80, 24)
    theme: str | None = None
    plain: bool = False
    campaign: str | None = "stage1"


SHOTS = {
    "live": Shot(live),
    "live-wide": Shot(live, size=(120, 40)),
    "live-widest": Shot(live, size=(200, 50)),
    "live-least": Shot(live, awaited="iteration-1", size=(60, 16)),
    "live-no-colour": Shot(live, plain=True),
    "live-ansi": Shot(live, theme="ansi-dark"),
    "finished": Shot(finished),
    "finished-wide": Shot(finished, size=(120, 40)),
    "troubled": Shot(troubled, awaited="stalled"),
    "troubled-wide": Shot(troubled, size=(120, 40)),
    "empty": Shot(pictures.snapshot, awaited="q quit"),
    "broken": Shot(broken, awaited="temprature"),
    "too-small": Shot(live, awaited="too small", size=(59, 15)),
    "picker": Shot(several, awaited="Choose a campaign", campaign=None),
    "log": Shot(live, "l", "● follows"),
    "log-search": Shot(live, "l slash k e p t enter", "▸08:10:30"),
    "metrics": Shot(live, "m", "exact 95"),
    "metrics-wide": Shot(live, "m", "exact 95", (120, 40)),
    "parameters": Shot(live, "l 3", "response.max_tokens"),
    "events": Shot(live, "h", "not taken yet"),
    "processes": Shot(live, "l 5", "not proven"),
    "samples": Shot(live, "f", "#3"),
    "compare": Shot(finished, "c", "Changed", (120, 40)),
    "form": Shot(finished, "enter e", "forecast: about"),
    "launch": Shot(finished, "enter", "no (n)"),
    "stop": Shot(live, "s", "no (n)"),
    "stop-least": Shot(live, "s", "no (n)", (60, 16)),
    "review": Shot(reviewed, "enter", "close (esc)"),
    "help": Shot(live, "question_mark", "Dashboard"),
}


@pytest.fixture(autouse=True)
def one_place_and_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same clock and colours everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    for variable in ("NO_COLOR", "TMUX", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM"):
        monkeypatch.delenv(variable, raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def service_of(shot: Shot, root: Path) -> pictures.FakeService:
    service = pictures.FakeService(shot.story(), root)
    log = root / "artifacts" / ITERATION / "run.log"
    log.parent.mkdir(parents=True)
    log.write_text(LOG)
    service.series[ITERATION] = SERIES
    service.happened[ITERATION] = HAPPENED
    service.living[ITERATION] = LIVING
    service.records = [pictures.sample(index) for index in (3, 8, 12)]
    return service


@pytest.mark.parametrize("name", SHOTS)
def test_the_screen_looks_as_it_did(
    name: str, snap_compare: Callable[..., bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = SHOTS[name]
    if shot.plain:
        monkeypatch.setenv("NO_COLOR", "1")
    service = service_of(shot, tmp_path)
    app = PilothouseApp(service, shot.campaign, last_theme=shot.theme, clock=lambda: pictures.NOW)

    async def come_to_rest(pilot: Pilot[int]) -> None:
        screen = Screen(app, pilot, service)
        await screen.until(lambda: app.view.snapshot is not None, "the first snapshot")
        for key in shot.keys.split():
            await screen.press(key)
        await screen.until(lambda: shot.awaited in screen.painted, shot.awaited)

    assert snap_compare(app, terminal_size=shot.size, run_before=come_to_rest)
