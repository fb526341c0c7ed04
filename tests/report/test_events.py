"""What happened to a run: its journals, merged in order of time, each event in a sentence."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import pytest

from engine.files import RunFiles
from engine.journal.events import (
    AnyEvent,
    Census,
    Event,
    GenerationEnded,
    GenerationStarted,
    GeneratorBeat,
    GeneratorEnded,
    GeneratorStarted,
    Heartbeat,
    KeeperStarted,
    ListGenerated,
    LoadProgress,
    Notified,
    PhaseEntered,
    RequestTaken,
    RestartPlanned,
    RestartSettled,
    RunEnded,
    Stalled,
    Stopping,
    Synced,
    dump_event,
)
from engine.journal.writer import JournalWriter
from engine.report.events import MOST_EVENTS, PASSED_OVER, EventsReader, RunEvents, said_of
from engine.service import Service
from engine.supervise.requests import write_request
from tests.report import places
from tests.report.places import DEAD


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000000Z"


def write(path: Path, *events: Event) -> None:
    with JournalWriter(path) as writer:
        for event in events:
            writer.append(dump_event(event))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    places.write_campaign(tmp_path)
    return tmp_path


@pytest.fixture
def files(root: Path) -> RunFiles:
    """A run that stalled, was restarted by the watchdog, and was stopped by a person."""
    made = places.add_run(root, "pilot", [], ended=False)
    asked = write_request(made, "stop", 2, "ann@pod")
    write(
        made.keeper_journal,
        KeeperStarted(time=at(1), keeper=DEAD, author="kim@pod"),
        Heartbeat(time=at(2), boot_id="b", monotonic=1.0, devices=[]),
        GeneratorStarted(time=at(3), process=DEAD, argv=["x"]),
        Census(time=at(4), processes=[DEAD]),
        LoadProgress(time=at(5), stage="weights", share=0.1),
        LoadProgress(time=at(6), stage="weights", share=0.9),
        LoadProgress(time=at(7), stage="compiling"),
        Stalled(time=at(600), phase="generating", silent_s=500.0, action="restart"),
        Stopping(time=at(601), step="SIGINT", processes=2, reason="stalled"),
        GeneratorEnded(time=at(602), signal=9),
        RunEnded(time=at(603), state="failed", reason="stalled"),
        KeeperStarted(time=at(700), attempt=2, keeper=DEAD, author="watchdog", engine="engine-1"),
        RequestTaken(time=at(800), attempt=2, file=asked, request="stop", author="ann@pod"),
        RunEnded(time=at(801), attempt=2, state="stopped", reason="stopped by ann@pod", gpu_held=True),
    )
    write(
        made.aftermath(1),
        Synced(time=at(604), ok=False, detail="no route to host"),
        RestartPlanned(time=at(605), number=1, most=2, delay_s=60.0, reason="stalled"),
        RestartSettled(time=at(699), started=True),
    )
    write(
        made.generator_journal,
        GenerationStarted(time=at(8), target=100, max_candidates=400, backend="vllm"),
        PhaseEntered(time=at(9), phase="generating"),
        GeneratorBeat(time=at(10), boot_id="b", monotonic=2.0),
        ListGenerated(
            time=at(11), list=0, seed=1, raw="x", finish_reason="s", generated_tokens=1, first_index=0, lines=1
        ),
        GenerationEnded(time=at(800), attempt=2, outcome="stopped", kept=3, candidates=9),
    )
    return made


def read(root: Path, reader: EventsReader) -> RunEvents:
    return reader(Service(root).look_at_run("c/pilot"))


def told(events: RunEvents) -> list[str]:
    return [f"{event.attempt} {event.source}: {event.sentence}" for event in events.events]


def test_all_journals_are_merged_in_order_of_time(root: Path, files: RunFiles) -> None:
    assert told(read(root, EventsReader(files))) == [
        "1 kim@pod: launched it",
        "1 keeper: started the generator: pid 1",
        "1 keeper: weights 90%",
        "1 keeper: compiling",
        "1 generator: began on vllm: 100 pairs from at most 400 candidates",
        "1 generator: generating …",
        "1 watchdog: stalled while generating: nothing finished for 8 min; takes it down to restart it",
        "1 keeper: SIGINT to 2 processes: stalled",
        "1 keeper: the generator ended by SIGKILL",
        "1 keeper: failed: stalled",
        "1 sync: copying away failed: no route to host",
        "1 watchdog: restart 1 of 2 in 1:00: stalled",
        "1 watchdog: restarted it",
        "2 watchdog: started attempt 2, on engine-1",
        "2 ann@pod: asked to stop it",
        "2 generator: stopped; kept 3 of 9 candidates",
        "2 keeper: stopped: stopped by ann@pod; GPU memory still held by somebody",
    ]


def test_what_needs_a_look_is_marked(root: Path, files: RunFiles) -> None:
    tones = {event.sentence.split(":")[0]: event.tone for event in read(root, EventsReader(files)).events}
    assert tones["failed"] == "bad"
    assert tones["copying away failed"] == "warn"
    assert tones["stopped"] == "bad", "its memory is held"
    assert tones["launched it"] == "plain"


def test_what_is_new_comes_along_and_nothing_new_is_the_same_value(root: Path, files: RunFiles) -> None:
    reader = EventsReader(files)
    before = read(root, reader)
    write(files.keeper_journal, Heartbeat(time=at(802), boot_id="b", monotonic=3.0, devices=[]))
    assert read(root, reader) is before
    write(files.aftermath(2), Notified(time=at(803), attempt=2, subject="ended", ok=True))
    assert told(read(root, reader))[-1] == "2 notify: told of this: ended"
    write(files.keeper_journal, LoadProgress(time=at(804), attempt=3, stage="weights", share=0.2))
    assert told(read(root, reader))[-1] == "3 keeper: weights 20%"
    write(files.keeper_journal, LoadProgress(time=at(805), attempt=3, stage="weights", share=0.4))
    assert told(read(root, reader))[-2:] == ["2 notify: told of this: ended", "3 keeper: weights 40%"]


def test_a_run_begun_anew_keeps_what_its_generator_said_before(root: Path, files: RunFiles) -> None:
    reader = EventsReader(files)
    read(root, reader)
    archived = files.archive(2)
    archived.mkdir(parents=True)
    files.generator_journal.rename(archived / files.generator_journal.name)
    write(files.generator_journal, PhaseEntered(time=at(900), attempt=3, phase="loading"))
    sentences = told(read(root, reader))
    assert sentences[-1] == "3 generator: loading …"
    assert "1 generator: generating …" in sentences


def test_requests_and_gradings_stand_among_them(root: Path, files: RunFiles) -> None:
    Service(root, author="lee@pod").regrade(
        "c/pilot", places.write_ruler(root, "qc: {runaway: markers-v2}"), reason="the old one is too strict"
    )
    write(files.keeper_journal, KeeperStarted(time=at(900), attempt=3, keeper=DEAD, author="kim@pod"))
    write_request(files, "stop-now", 3, "ann@pod")
    *_, graded, asked = read(root, EventsReader(files)).events
    assert (asked.source, asked.sentence, asked.pending, asked.attempt) == ("ann@pod", "asked to stop it now", True, 3)
    assert graded.source == "lee@pod"
    assert graded.sentence.startswith("graded it again (the old one is too strict): qc.runaway length-v1 → markers-v2")


def test_only_the_newest_are_kept_and_it_says_how_many_there_were(root: Path) -> None:
    made = places.add_run(root, "pilot", [], ended=False)
    phases = [PhaseEntered(time=at(1), phase="loading") for _ in range(MOST_EVENTS + 5)]
    write(made.generator_journal, *phases)
    write(made.keeper_journal, KeeperStarted(time=at(0), keeper=DEAD), RunEnded(time=at(2), state="lost", reason="x"))
    found = read(root, EventsReader(made))
    assert (len(found.events), found.left_out) == (MOST_EVENTS, 7)
    assert found.events[-1].sentence == "lost: x"


def test_damaged_lines_are_passed_over(root: Path, files: RunFiles) -> None:
    with files.keeper_journal.open("a") as stream:
        stream.write('nonsense\n{"v": 1, "event": "run_ended"}\n{"v": 9}\n' + json.dumps({"event": 3}) + "\n")
    assert len(read(root, EventsReader(files)).events) == 17


def test_every_event_has_a_sentence_or_is_passed_over_on_purpose() -> None:
    def example(kind: Any) -> Event:
        given = {
            "keeper": DEAD, "process": DEAD, "examples": 1, "max_candidates": 1, "argv": [], "file": "", "request": "x",
            "author": "a", "step": "SIGTERM", "state": "lost", "reason": "r", "phase": "loading", "silent_s": 1.0,
            "start": 1, "punched": True, "ok": True, "subject": "ended", "number": 1, "most": 2, "delay_s": 1.0,
            "started": True, "stage": "weights", "address": "", "model": "", "seconds": 1.0, "in_use": True,
            "target": 1, "backend": "b", "outcome": "completed", "kept": 1, "candidates": 1, "processes": 1,
        }  # fmt: skip
        return kind.model_validate({name: given[name] for name in kind.model_fields if name in given})  # type: ignore[no-any-return]

    for kind in typing.get_args(AnyEvent):
        name = kind.model_fields["event"].default
        if name in PASSED_OVER:
            continue
        said = said_of(example(kind))
        assert said is not None, name
        assert said[0], name
        assert said[1], name


def test_only_the_steps_of_a_stop_that_act_are_warned_of() -> None:
    tones = [
        said[2]
        for step in ("SIGINT", "SIGKILL", "verify")
        if (said := said_of(Stopping(time=at(1), step=step, processes=2, reason="asked"))) is not None
    ]
    assert tones == ["warn", "warn", "plain"]
