"""The tail of a log: from the end, by offset, with bounded memory, whatever the writer does to the file."""

from __future__ import annotations

import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigurationError
from engine.logs.tail import LogTail, follow, matching
from tests.waiting import wait_until


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def test_a_missing_file_is_an_empty_one_until_it_comes(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "run.log")
    assert tail.last(5) == []
    assert tail.read_new() == []
    append(tail.path, b"one\n")
    assert tail.read_new() == ["one"]


@pytest.mark.parametrize("count", [1, 2, 10, 1000, 5000])
def test_the_last_lines_are_those_that_tail_shows(tmp_path: Path, count: int) -> None:
    path = tmp_path / "run.log"
    lines = [f"line {number} " + "x" * (number % 200) for number in range(3000)]
    append(path, ("\n".join(lines) + "\n").encode())
    assert LogTail(path).last(count) == lines[-count:]


def test_a_last_line_without_its_break_is_partial_until_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    append(path, b"one\ntwo\nthr")
    tail = LogTail(path)
    assert tail.last(1) == ["two"]
    assert tail.partial == "thr"
    assert tail.read_new() == []
    append(path, b"ee\nfo")
    assert tail.read_new() == ["three"]
    assert tail.partial == "fo"


@given(
    pieces=st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\x1b", b"")), max_size=8),
)
def test_however_it_is_cut_up_the_lines_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("log") / "run.log"
    path.touch()
    tail = LogTail(path)
    found: list[str] = []
    for piece in pieces:
        append(path, piece)
        found += tail.read_new()
    whole = LogTail(path)
    assert found == whole.last(10_000)
    assert tail.partial == whole.partial


@pytest.mark.parametrize("how", ["truncated", "replaced"])
def test_a_file_that_starts_anew_is_read_from_its_new_beginning(tmp_path: Path, how: str) -> None:
    path = tmp_path / "run.log"
    append(path, b"old line\n" * 10 + b"old rest")
    tail = LogTail(path)
    tail.last(10)
    if how == "truncated":
        path.write_bytes(b"")
    else:
        other = tmp_path / "other"
        other.write_bytes(b"new line\n" * 30)
        other.replace(path)
    append(path, b"new\n")
    assert tail.read_new()[-1] == "new"
    assert tail.restarts == 1
    assert not any("old" in line for line in tail.read_new())


def test_escape_sequences_and_progress_bars_come_out_as_text(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    append(path, b"\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\n\xff\x9b2Jraw\n 1%\r 2%\r")
    tail = LogTail(path)
    assert tail.last(10) == ["red", "100%", "\ufffdraw"]
    assert tail.partial == " 2%"


def test_an_endless_line_is_capped_and_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    append(path, b"before\n" + b"x" * 30_000_000)
    tail = LogTail(path)
    tracemalloc.start()
    began = time.perf_counter()
    assert tail.last(2) == ["before"]
    assert len(tail.partial) == 4096
    append(path, b"y" * 1_000_000 + b"\nafter\n")
    overlong, after = tail.read_new()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - began < 3
    assert (len(overlong), after) == (4096, "after")
    assert peak < 8_000_000


def test_a_progress_bar_without_line_breaks_shows_its_newest_state(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    append(path, b"".join(b"\r%6d of 999999" % number for number in range(200_000)))
    tail = LogTail(path)
    tail.last(5)
    assert tail.partial == "199999 of 999999"
    append(path, b"\r200000 of 999999\r\nnext\n")
    assert tail.read_new() == ["200000 of 999999", "next"]


def test_a_hundred_thousand_lines_between_two_looks_give_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.touch()
    tail = LogTail(path)
    tail.last(10)
    append(path, b"".join(b"line %d of a chatty program that says a lot\n" % number for number in range(100_000)))
    began = time.perf_counter()
    lines = tail.read_new(lines=1000)
    assert time.perf_counter() - began < 1
    assert len(lines) == 1000
    assert lines[-1].startswith("line 99999 ")


def test_following_gives_each_line_once_and_ends_with_all_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    append(path, b"one\ntwo\nthree\n")
    ended = threading.Event()
    heard: list[str] = []
    listener = threading.Thread(
        target=lambda: [heard.append(line) for line in follow(path, lines=2, stop=ended.is_set, poll_s=0.01)],
        daemon=True,
    )
    listener.start()
    wait_until(lambda: heard == ["two", "three"], what="the last two lines")
    append(path, b"four\nfi")
    append(path, b"ve\nlast without a break")
    ended.set()
    listener.join(timeout=5)
    assert heard == ["two", "three", "four", "five", "last without a break"]


def test_grep_filters_and_a_bad_pattern_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    append(path, b"INFO one\nERROR two\nINFO three\n")
    assert list(follow(path, stop=lambda: True, keep=matching("^ERR|three"))) == ["ERROR two", "INFO three"]
    assert list(filter(matching(None), ["a", "b"])) == ["a", "b"]
    with pytest.raises(ConfigurationError, match="not a regular expression"):
        matching("(")
