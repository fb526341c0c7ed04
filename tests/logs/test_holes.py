"""A log that was trimmed begins behind its hole, for whoever reads it, whatever its size on paper."""

from __future__ import annotations

import errno
import os
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.logs.holes import LEAST_HOLE, hole_end, log_start
from engine.logs.tail import LogTail, follow, matching
from tests.logs.sparse import BLOCK, HUGE, append, huge, punch
from tests.waiting import wait_until

NUMBERED = b"".join(b"line %05d of a log that has grown over its limit\n" % number for number in range(4000))


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def instant_and_small() -> Iterator[None]:
    tracemalloc.start()
    began = time.perf_counter()
    try:
        yield
        assert time.perf_counter() - began < 0.5
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.fixture(params=["told", "not told", "not supported"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One that says where data begins; one that calls all of it data; one that knows no such question."""
    lseek = os.lseek

    def without(descriptor: int, offset: int, whence: int) -> int:
        if whence != os.SEEK_DATA:
            return lseek(descriptor, offset, whence)
        if request.param == "not supported":
            raise OSError(errno.EINVAL, "Invalid argument")
        return offset

    if request.param != "told":
        monkeypatch.setattr(os, "lseek", without)
    return str(request.param)


@pytest.mark.parametrize("given_back", [BLOCK, 10 * BLOCK, 160_000])
def test_a_trimmed_log_begins_with_its_first_whole_line(tmp_path: Path, file_system: str, given_back: int) -> None:
    path = tmp_path / "run.log"
    append(path, NUMBERED)
    begin = punch(path, given_back)
    with opened(path) as descriptor:
        assert hole_end(descriptor) == begin
        assert log_start(descriptor) == NUMBERED.index(b"\n", begin) + 1
    left = NUMBERED[begin:].decode().splitlines()[1:]
    assert LogTail(path).last(100_000) == left
    assert LogTail(path).read_new(100_000) == left
    assert LogTail(path).last(3) == left[-3:]


def test_fifty_gigabytes_of_hole_are_not_read(tmp_path: Path, file_system: str) -> None:
    path = tmp_path / "run.log"
    huge(path, b"st of a line\nINFO one\nERROR two\nINFO three\nunfin")
    with instant_and_small():
        tail = LogTail(path)
        assert tail.last(100_000) == ["INFO one", "ERROR two", "INFO three"]
        assert tail.partial == "unfin"
        assert LogTail(path).read_new() == ["INFO one", "ERROR two", "INFO three"]
        found = follow(path, lines=100_000, stop=lambda: True, keep=matching("ERR|fin"))
        assert list(found) == ["ERROR two", "unfin"]
    append(path, b"ished\n")
    assert tail.read_new() == ["unfinished"]


def test_a_log_that_is_all_hole_is_empty_until_something_comes(tmp_path: Path, file_system: str) -> None:
    path = tmp_path / "run.log"
    path.touch()
    os.truncate(path, HUGE)
    with instant_and_small():
        tail = LogTail(path)
        assert tail.last(10) == []
        assert tail.partial == ""
    append(path, b"one\n")
    assert tail.read_new() == ["one"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    hole=st.integers(LEAST_HOLE, 40 * BLOCK), rest=st.binary(max_size=3 * BLOCK).filter(lambda data: data[:1] != b"\0")
)
def test_zeros_are_passed_over_where_the_file_system_tells_nothing(
    tmp_path: Path, hole: int, rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "lseek", lambda *_: 0)
    path = tmp_path / "run.log"
    path.write_bytes(b"\0" * hole + rest)
    with opened(path) as descriptor:
        assert hole_end(descriptor) == hole


@pytest.mark.parametrize("content", [b"", b"one\ntwo\n", b"\0\0one\ntwo\n", b"one\n" + b"\0" * 10_000 + b"\ntwo\n"])
def test_a_log_without_a_hole_begins_at_its_first_octet(tmp_path: Path, file_system: str, content: bytes) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(content)
    with opened(path) as descriptor:
        assert (hole_end(descriptor), log_start(descriptor)) == (0, 0)


def test_what_is_left_of_one_endless_line_is_shown(tmp_path: Path) -> None:
    """A progress bar that never ends its line has no whole line to begin with."""
    path = tmp_path / "run.log"
    append(path, b"".join(b"\r%07d of 9999999" % number for number in range(200_000)))
    punch(path, 1_000_000)
    tail = LogTail(path)
    assert tail.last(5) == []
    assert tail.partial == "0199999 of 9999999"


def test_a_hole_behind_the_place_that_was_reached_loses_no_line(tmp_path: Path) -> None:
    """Also where the line in which the hole ends had been read in part."""
    path = tmp_path / "run.log"
    middle = 10 * BLOCK + 20
    append(path, NUMBERED[:middle])
    tail = LogTail(path)
    before = tail.last(100_000)
    assert tail.partial
    punch(path, middle)
    append(path, NUMBERED[middle:])
    assert before + tail.read_new(100_000) == NUMBERED.decode().splitlines()
    assert tail.restarts == 0


def test_a_follower_that_fell_behind_goes_on_after_the_hole(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    append(path, b"first\n")
    ended = threading.Event()
    heard: list[str] = []
    listener = threading.Thread(
        target=lambda: [heard.append(line) for line in follow(path, stop=ended.is_set, poll_s=0.01)], daemon=True
    )
    listener.start()
    wait_until(lambda: heard == ["first"], what="the first line")
    other = tmp_path / "other"
    huge(other, b"st of a line\nnewest\n")
    other.replace(path)
    ended.set()
    listener.join(timeout=5)
    assert heard == ["first", "newest"]
