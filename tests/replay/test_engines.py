"""The kept engine as its files tell it: its start, since when it is idle, when it stops; what a run's start takes."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.models import Campaign, ModelConfig
from engine.campaign.spec import RunSpec, create_spec
from engine.figures import EngineFigures
from engine.files import RunFiles
from engine.journal.clock import boot_id
from engine.journal.events import (
    EngineReady,
    EngineUse,
    Event,
    GeneratorStarted,
    Heartbeat,
    KeeperStarted,
    LoadProgress,
    PhaseEntered,
    RunEnded,
    Stopping,
    dump_event,
)
from engine.journal.writer import JournalWriter
from engine.replay.engines import ASSUMED_START_S, ATTACH_S, attached_to, engine_snapshot, start_of_a_run_s
from engine.replay.run import RunReplay
from engine.snapshot import EngineSnapshot
from engine.supervise.identity import own_identity
from engine.supervise.liveness import KeeperRecord, write_keeper

MODEL = ModelConfig(path="/models/7B", backend="vllm", options={"max_model_len": 2048})
SPEC = RunSpec.model_validate(
    {"campaign": "c", "run": "engine-1", "kind": "engine", "model": MODEL, "engine": {"idle_stop_minutes": 20}}
)
CAMPAIGN = Campaign(name="c", model=MODEL)
READY = EngineReady(address="/s", model="/models/7B", seconds=41.5, time="2026-01-01T10:00:00Z")


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    """An engine that was just started, by this very process."""
    found = RunFiles(tmp_path / "artifacts" / "c" / "engine-1")
    found.folder.mkdir(parents=True)
    create_spec(found, SPEC)
    me = own_identity()
    write_keeper(found, KeeperRecord(run="c/engine-1", run_id=SPEC.run_id, attempt=1, keeper=me, generator=me))
    journal(found, KeeperStarted(keeper=me), GeneratorStarted(process=me, argv=["vllm"]))
    return found


def journal(files: RunFiles, *events: Event) -> None:
    with JournalWriter(files.keeper_journal) as writer:
        for event in events:
            writer.append(dump_event(event))


def look(files: RunFiles, config: Campaign | None = CAMPAIGN, attached: tuple[str, ...] = ()) -> EngineSnapshot:
    replay = RunReplay(files, SPEC)
    replay.refresh()
    return engine_snapshot(replay, config, attached)


def used(in_use: bool, minute: int) -> EngineUse:
    return EngineUse(in_use=in_use, time=f"2026-01-01T10:{minute:02d}:00Z")


def idle(engine: EngineSnapshot) -> tuple[bool, str | None, str | None]:
    return engine.in_use, engine.idle_since, engine.stops_at


def test_an_engine_that_starts_is_not_idle_and_shows_how_far_it_is(files: RunFiles) -> None:
    starting = look(files)
    assert (starting.state, starting.live, starting.ready, starting.start_s) == ("starting", True, None, None)
    assert idle(starting) == (False, None, None)
    with JournalWriter(files.generator_journal) as writer:
        writer.append(dump_event(PhaseEntered(phase="loading", time="2026-01-01T09:59:00Z")))
    assert look(files).loading == "loading"
    journal(files, LoadProgress(stage="weights", share=0.4))
    assert look(files).loading == "weights 40%"


def test_it_is_idle_from_its_first_answer_until_it_is_used(files: RunFiles) -> None:
    journal(files, LoadProgress(stage="weights", share=1.0), READY)
    ready = look(files)
    assert (ready.state, ready.ready, ready.start_s, ready.loading) == ("running", READY.time, 41.5, "")
    assert idle(ready) == (False, "2026-01-01T10:00:00Z", "2026-01-01T10:20:00Z")
    journal(files, used(True, 5))
    assert idle(look(files)) == (True, None, None)
    journal(files, used(False, 50))
    assert idle(look(files)) == (False, "2026-01-01T10:50:00Z", "2026-01-01T11:10:00Z")
    journal(files, used(False, 55))
    assert idle(look(files))[1] == "2026-01-01T10:55:00Z", "a keeper that took over counts anew"


def test_figures_of_an_engine_that_falls_silent_are_not_shown_any_longer(files: RunFiles) -> None:
    beat = Heartbeat(boot_id="b", monotonic=1.0, devices=[], engine=EngineFigures(running=3))
    journal(files, READY, beat)
    assert look(files).figures == EngineFigures(running=3)
    journal(files, beat.model_copy(update={"engine": None}))
    assert look(files).figures is None


@pytest.mark.parametrize("last", [used(True, 5), used(False, 5)])
def test_an_engine_that_has_ended_is_neither_used_nor_idle(files: RunFiles, last: EngineUse) -> None:
    journal(files, READY, last, Stopping(step="SIGINT"))
    assert look(files).state == "stopping"
    journal(files, RunEnded(state="stopped", reason="idle", time="2026-01-01T11:00:00Z"))
    ended = look(files)
    assert (ended.state, ended.live, ended.reason, ended.ended) == ("stopped", False, "idle", "2026-01-01T11:00:00Z")
    assert idle(ended) == (False, None, None)
    assert (ended.ready, ended.start_s) == (READY.time, 41.5), "what its start took stays known"


def test_a_start_that_took_no_time_that_is_one_is_not_believed(files: RunFiles) -> None:
    with files.keeper_journal.open("a") as stream:
        stream.write('{"v":1,"event":"engine_ready","address":"/s","model":"m","seconds":Infinity}\n')
    assert look(files).start_s is None


def test_an_engine_whose_keeper_died_is_paid_for_until_its_last_line(files: RunFiles) -> None:
    beat = Heartbeat(boot_id=boot_id(), monotonic=100.0, devices=["GPU-1"], time="2026-01-01T10:00:00Z")
    journal(files, READY, beat.model_copy(update={"monotonic": 70.0, "time": "2026-01-01T09:59:30Z"}), beat)
    files.log.write_text("the last word\n")
    last_word = datetime.fromisoformat("2026-01-01T10:20:00+00:00").timestamp()
    os.utime(files.log, (last_word, last_word))
    watched = look(files).active_s
    gone = own_identity().model_copy(update={"start_ticks": 1})
    write_keeper(files, KeeperRecord(run="c/engine-1", run_id=SPEC.run_id, attempt=1, keeper=gone, generator=gone))
    assert (watched, look(files).active_s) == (30.0, 30.0 + 1200.0)


@pytest.mark.parametrize("time", ["", "yesterday", "9999-12-31T23:59", "2026-13-01T00:00:00Z"])
def test_a_time_that_is_none_has_no_end(files: RunFiles, time: str) -> None:
    journal(files, READY.model_copy(update={"time": time}))
    assert idle(look(files)) == (False, None, None)


@pytest.mark.parametrize(
    ("model", "fits"),
    [
        (MODEL, True),
        (MODEL.model_copy(update={"path": "/models/32B"}), False),
        (MODEL.model_copy(update={"options": {"max_model_len": 4096}}), False),
    ],
)
def test_it_fits_while_the_campaign_asks_for_what_it_serves(files: RunFiles, model: ModelConfig, fits: bool) -> None:
    assert look(files, Campaign(name="c", model=model)).fits is fits


def test_an_engine_of_a_campaign_that_cannot_be_read_is_shown_as_it_is(files: RunFiles) -> None:
    journal(files, READY)
    shown = look(files, None, ("pilot",))
    assert (shown.fits, shown.state, shown.attached, shown.model) == (True, "running", ("pilot",), "/models/7B")


def test_live_runs_that_name_it_are_attached(files: RunFiles) -> None:
    replay = RunReplay(files, SPEC)
    replay.refresh()
    run = replay.snapshot()
    runs = [
        replace(run, name="pilot", state="running", engine="engine-1"),
        replace(run, name="iteration-1", state="succeeded", engine="engine-1"),
        replace(run, name="iteration-2", state="starting", engine="engine-2"),
        replace(run, name="iteration-3", state="running", engine=""),
        replace(run, name="iteration-4", state="starting", engine="engine-1"),
    ]
    assert attached_to("engine-1", runs) == ("pilot", "iteration-4")


# --- what a run's start takes ----------------------------------------------------------------------------------------

WARM = CAMPAIGN.model_copy(update={"engine": CAMPAIGN.engine.model_copy(update={"keep_warm": True})})


def engine(files: RunFiles, **fields: Any) -> EngineSnapshot:
    journal(files, READY)
    return replace(look(files), **fields)


def test_without_a_kept_engine_nothing_is_known_of_the_models_own_start() -> None:
    assert start_of_a_run_s(CAMPAIGN, None, [40.0]) is None


@pytest.mark.parametrize("config", [CAMPAIGN, WARM])
def test_a_run_that_finds_its_engine_ready_starts_at_once(files: RunFiles, config: Campaign) -> None:
    assert start_of_a_run_s(config, engine(files), [40.0]) == ATTACH_S


@pytest.mark.parametrize(("measured", "seconds"), [([], ASSUMED_START_S), ([40.0], 40.0), ([300.0, 25.0], 25.0)])
@pytest.mark.parametrize("config", [CAMPAIGN, WARM])
def test_a_run_waits_for_an_engine_that_starts_as_long_as_the_last_one_took(
    files: RunFiles, config: Campaign, measured: list[float], seconds: float
) -> None:
    assert start_of_a_run_s(config, engine(files, ready=None, state="starting"), measured) == seconds + ATTACH_S
    assert start_of_a_run_s(WARM, None, measured) == seconds + ATTACH_S


@pytest.mark.parametrize("fields", [{"state": "stopped"}, {"state": "lost"}, {"fits": False}])
def test_an_engine_that_is_down_or_serves_something_else_is_no_help(files: RunFiles, fields: dict[str, Any]) -> None:
    found = engine(files, **fields)
    assert start_of_a_run_s(CAMPAIGN, found, [40.0]) is None
    assert start_of_a_run_s(WARM, found, [40.0]) == 40.0 + ATTACH_S
