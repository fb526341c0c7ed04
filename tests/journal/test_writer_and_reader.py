"""Journals: whole lines only, continued from where one stopped, torn tails repaired."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import Heartbeat, KeeperStarted, ProcessIdentity, dump_event, parse_event
from engine.journal.reader import JournalReader
from engine.journal.writer import JournalWriter, repair_tail

ME = ProcessIdentity(host="h", pid_namespace="1", boot_id="b", pid=7, start_ticks=9)


def test_reader_continues_and_never_rereads(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    reader = JournalReader(path)
    assert list(reader.read_new()) == []
    with JournalWriter(path) as writer:
        writer.append({"n": 1})
        assert list(reader.read_new()) == [{"n": 1}]
        writer.append({"n": 2})
        writer.append({"n": 3})
    assert list(reader.read_new()) == [{"n": 2}, {"n": 3}]
    assert list(reader.read_new()) == []
    assert reader.lines == 3


def test_reader_leaves_a_torn_last_line_for_later(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":')
    reader = JournalReader(path)
    assert list(reader.read_new()) == [{"n": 1}]
    with path.open("ab") as stream:
        stream.write(b"2}\n")
    assert list(reader.read_new()) == [{"n": 2}]


def test_reader_passes_over_garbage_and_counts_it(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'\x00\xff\n[1]\n\n{"n":1}\nnot json\n')
    reader = JournalReader(path)
    assert list(reader.read_new()) == [{"n": 1}]
    assert reader.garbage == 3


@given(cut=st.integers(min_value=0, max_value=60))
def test_repair_keeps_every_whole_line_whatever_the_cut(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Wherever a crash cut the file, what was whole stays and the next line lands on a line of its own."""
    path = tmp_path_factory.mktemp("cut") / "j.jsonl"
    lines = [b'{"n":1}\n', b'{"n":22}\n', b'{"n":333,"text":"a\\nb"}\n']
    data = b"".join(lines)[:cut]
    path.write_bytes(data)
    whole = [json.loads(line) for line in lines if b"".join(lines[: lines.index(line) + 1])[:-1] in data]
    with JournalWriter(path) as writer:
        writer.append({"n": "next"})
    assert list(JournalReader(path).read_new()) == [*whole, {"n": "next"}]


def test_repair_says_how_much_was_dropped(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n":1}\n{"half')
    assert repair_tail(path) == len(b'{"half')
    assert path.read_bytes() == b'{"n":1}\n'
    assert repair_tail(path) == 0
    assert repair_tail(tmp_path / "none") == 0


def _write_past_the_limit(path: Path) -> None:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with JournalWriter(path) as writer:
        for number in range(100):
            try:
                writer.append({"n": number, "text": "x" * 90})
            except OSError:
                os._exit(3)
    os._exit(0)


def test_a_write_that_does_not_fit_leaves_whole_lines(tmp_path: Path) -> None:
    """A full disk in the middle of a line: the error comes through, the file ends in the last whole line."""
    path = tmp_path / "j.jsonl"
    process = multiprocessing.get_context("spawn").Process(target=_write_past_the_limit, args=(path,))
    process.start()
    process.join(30)
    assert process.exitcode == 3
    assert path.read_bytes().endswith(b"\n")
    reader = JournalReader(path)
    numbers = [value["n"] for value in reader.read_new()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 8
    assert reader.garbage == 0


def test_events_survive_the_way_through_a_file() -> None:
    event = KeeperStarted(keeper=ME, adopted=True, author="a@b", attempt=3)
    value = json.loads(json.dumps(dump_event(event)))
    assert list(value)[:4] == ["v", "event", "time", "attempt"]
    assert parse_event(value) == event


@pytest.mark.parametrize("value", [{}, {"v": 99, "event": "heartbeat"}, {"v": 1, "event": "new-kind"}, {"v": 1}])
def test_unknown_events_are_skipped_not_fatal(value: dict[str, object]) -> None:
    assert parse_event(value) is None


def test_a_newer_field_does_not_hide_an_event() -> None:
    value = dump_event(Heartbeat(boot_id="b", monotonic=1.5, devices=["cpu"])) | {"new": 1}
    parsed = parse_event(value)
    assert isinstance(parsed, Heartbeat)
    assert parsed.monotonic == 1.5
