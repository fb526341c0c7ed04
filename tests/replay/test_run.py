"""A run's picture is what its files say, however and in whatever order they were read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.spec import RunSpec, create_spec
from engine.files import RunFiles
from engine.journal.events import (
    Event,
    GenerationEnded,
    GeneratorEnded,
    GeneratorStarted,
    KeeperStarted,
    PhaseEntered,
    ProcessIdentity,
    RunEnded,
    Stopping,
    TargetRaised,
    dump_event,
)
from engine.journal.writer import JournalWriter
from engine.replay.course import Course
from engine.replay.run import RunReplay
from engine.snapshot import RunSnapshot
from engine.supervise.identity import own_identity
from engine.supervise.liveness import KeeperRecord, write_keeper

DEAD = ProcessIdentity(host="h", pid_namespace="1", boot_id="gone", pid=1, start_ticks=1)
SPEC = RunSpec(campaign="c", run="pilot", kind="pilot")


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    found = RunFiles(tmp_path / "artifacts" / "c" / "pilot")
    found.folder.mkdir(parents=True)
    create_spec(found, SPEC)
    return found


def journal(path: Path, *events: Event) -> None:
    with JournalWriter(path) as writer:
        for event in events:
            writer.append(dump_event(event))


def keeper(files: RunFiles, *, alive: bool, generator: bool | None = None) -> None:
    """`keeper.json` of a keeper that is this very process, or one that had its pid before."""
    me = own_identity()
    dead = me.model_copy(update={"start_ticks": 1})
    write_keeper(
        files,
        KeeperRecord(
            run="c/pilot",
            run_id="x",
            attempt=1,
            keeper=me if alive else dead,
            generator=None if generator is None else (me if generator else dead),
        ),
    )


def look(files: RunFiles) -> RunSnapshot:
    replay = RunReplay(files, SPEC)
    replay.refresh()
    return replay.snapshot()


def record(index: int, **more: Any) -> dict[str, Any]:
    good = {"good": True, "confident": True, "margin": 2.0}
    return {
        "v": 1,
        "index": index,
        "attempt": 1,
        "outcome": "kept",
        "kept": True,
        "instruction": "a",
        "response": "b",
        "raw_response": " b",
        "finish_reason": "stop",
        "response_tokens": 3,
        "instruction_critic": good,
        "pair_critic": good,
        "time": "2026-01-01T00:00:10Z",
    } | more


def test_states_follow_the_events(files: RunFiles) -> None:
    files.claim(1).touch()
    assert look(files).state == "queued"
    keeper(files, alive=True, generator=True)
    journal(files.keeper_journal, KeeperStarted(keeper=DEAD, author="me"))
    assert look(files).state == "starting"
    journal(files.keeper_journal, GeneratorStarted(process=DEAD, argv=["x"]))
    journal(files.generator_journal, PhaseEntered(phase="loading"))
    assert (look(files).state, look(files).phase) == ("starting", "loading")
    journal(files.generator_journal, PhaseEntered(phase="generating"))
    assert (look(files).state, look(files).phase) == ("running", "generating")
    journal(files.keeper_journal, Stopping(step="SIGINT"))
    assert look(files).state == "stopping"
    journal(files.keeper_journal, GeneratorEnded(exit_code=0), RunEnded(state="stopped", reason="by me", exit_code=0))
    ended = look(files)
    assert (ended.state, ended.reason, ended.exit_code, ended.pid) == ("stopped", "by me", 0, None)


def test_both_dead_without_an_end_is_lost_and_one_alive_is_running(files: RunFiles) -> None:
    journal(files.keeper_journal, KeeperStarted(keeper=DEAD), GeneratorStarted(process=DEAD, argv=["x"]))
    journal(files.generator_journal, PhaseEntered(phase="generating"))
    keeper(files, alive=False, generator=True)
    running = look(files)
    assert running.state == "running"
    assert any("keeper died" in warning for warning in running.warnings)
    keeper(files, alive=False, generator=False)
    assert look(files).state == "lost"


def test_a_claim_that_nobody_followed_is_lost_after_a_while(files: RunFiles) -> None:
    files.claim(1).touch()
    os.utime(files.claim(1), (1, 1))
    assert look(files).state == "lost"


def test_an_old_attempts_words_do_not_end_a_new_one(files: RunFiles) -> None:
    """The two journals are read one after the other: what attempt 1's generator said comes after attempt 2's start."""
    keeper(files, alive=True)
    journal(
        files.keeper_journal,
        KeeperStarted(keeper=DEAD),
        RunEnded(state="stopped", reason="by me"),
        KeeperStarted(keeper=DEAD, attempt=2),
        TargetRaised(examples=200, max_candidates=800, attempt=2),
    )
    journal(
        files.generator_journal,
        PhaseEntered(phase="generating"),
        GenerationEnded(outcome="exhausted", kept=1, candidates=2),
    )
    run = look(files)
    assert (run.attempt, run.state, run.phase, run.counts.target) == (2, "starting", None, 200)


def test_the_generators_first_words_may_come_before_its_keepers(files: RunFiles) -> None:
    course = Course()
    course.apply(PhaseEntered(phase="generating", attempt=1))
    course.apply(KeeperStarted(keeper=DEAD, author="me"))
    assert (course.phase, course.author) == ("generating", "me")


def test_incremental_equals_from_scratch_at_every_step(files: RunFiles) -> None:
    """One viewer watches line by line, another comes late: both have the same picture, metrics and verdicts."""
    keeper(files, alive=True)
    journal(files.keeper_journal, KeeperStarted(keeper=DEAD))
    watching = RunReplay(files, SPEC)
    order = [1, 0, 2, 4, 3, 5]
    for index in order:
        finish = "length" if index % 3 == 0 else "stop"
        journal_record = record(index, finish_reason=finish)
        with JournalWriter(files.records) as writer:
            writer.append(journal_record)
        watching.refresh()
        assert watching.snapshot() == look(files)
    assert look(files).metrics["token_limit_rate"] == pytest.approx(2 / 6)


def test_the_gate_judges_items_before_the_first_hole(files: RunFiles) -> None:
    with JournalWriter(files.records) as writer:
        for index in (0, 1, 3):
            writer.append(record(index, finish_reason="length"))
    run = look(files)
    check = next(check for check in run.gate.checks if check.metric == "token_limit_rate")
    assert (check.n, check.failures) == (2, 2)
    assert run.metrics["token_limit_rate"] == 1.0
    assert run.counts.kept == 3


def test_a_rate_is_not_told_from_a_moment(files: RunFiles) -> None:
    """Two records in the first half second are no rate, while the run is live."""
    keeper(files, alive=True)
    journal(files.keeper_journal, KeeperStarted(keeper=DEAD))
    journal(files.generator_journal, PhaseEntered(phase="generating", time="2026-01-01T00:00:00Z"))
    for index, second in enumerate(("00.4", "00.5")):
        with JournalWriter(files.records) as writer:
            writer.append(record(index, time=f"2026-01-01T00:00:{second}Z"))
    assert look(files).examples_per_second is None
    with JournalWriter(files.records) as writer:
        writer.append(record(2, time="2026-01-01T00:00:06Z"))
    assert look(files).examples_per_second == 0.5


def test_records_put_away_are_forgotten(files: RunFiles) -> None:
    """`restart --fresh` replaces the records: a viewer that watched before does not mix old and new."""
    with JournalWriter(files.records) as writer:
        writer.append(record(0))
        writer.append(record(1))
    watching = RunReplay(files, RunSpec(campaign="c", run="pilot", kind="pilot"))
    watching.refresh()
    assert watching.snapshot().counts.kept == 2
    files.records.rename(files.folder / "old.jsonl")
    with JournalWriter(files.records) as writer:
        writer.append(record(0, attempt=2))
    watching.refresh()
    assert watching.snapshot().counts.kept == 1


def test_a_record_twice_counts_once_and_garbage_is_told(files: RunFiles) -> None:
    with JournalWriter(files.records) as writer:
        writer.append(record(0))
        writer.append(record(0))
    with files.records.open("ab") as stream:
        stream.write(b"\xff\x00 no json\n")
    run = look(files)
    assert run.counts.kept == 1
    assert len(run.warnings) == 2
