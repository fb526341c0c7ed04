"""A log is read around byte offsets, whatever its size and whatever is in it."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.logs.sparse import HUGE, huge, punch
from tui.logfile import MAX_LINE, LogFile


def written(folder: Path, content: bytes) -> LogFile:
    path = folder / "run.log"
    path.write_bytes(content)
    return LogFile(path)


LINES = st.lists(st.text(alphabet="abcé ", max_size=30), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(LINES, st.booleans(), st.integers(1, 12))
def test_walking_backwards_and_forwards_sees_every_line_once(
    tmp_path: Path, lines: list[str], torn: bool, step: int
) -> None:
    content = "".join(f"{line}\n" for line in lines) + ("torn" if torn else "")
    file = written(tmp_path, content.encode())
    expected = [*lines, *(["torn"] if torn else [])]

    forwards, offset = [], 0
    while found := file.following(offset, step):
        forwards += [line.text for line in found]
        offset = found[-1].end
    assert forwards == expected

    backwards, offset = [], len(content.encode())
    while found := file.preceding(offset, step):
        backwards = [line.text for line in found] + backwards
        offset = found[0].start
    assert backwards == expected


def test_a_line_longer_than_a_block_is_one_line(tmp_path: Path) -> None:
    file = written(tmp_path, b"first\n" + b"x" * 100_000 + b"\nlast\n")
    found = file.last(3)
    assert [line.text[:5] for line in found] == ["first", "xxxxx", "last"]
    assert len(found[1].text) <= MAX_LINE
    assert file.following(found[1].start, 2) == found[1:]


def test_a_file_without_line_breaks_does_not_stall(tmp_path: Path) -> None:
    file = written(tmp_path, b"x" * 5_000_000)
    assert file.last(10)
    assert file.following(0, 2)[0].text.startswith("xxx")


def test_fifty_gigabytes_that_are_mostly_a_hole_open_at_once(tmp_path: Path) -> None:
    """Only what is there is read, and the line that lost its beginning is not shown."""
    path = tmp_path / "run.log"
    huge(path, b"st of a line\nfirst\nsecond\nlast\n")
    file = LogFile(path)
    first = HUGE + len(b"st of a line\n")
    tracemalloc.start()
    began = time.perf_counter()
    assert [line.text for line in file.last(1000)] == ["first", "second", "last"]
    assert [line.text for line in file.following(0, 1000)] == ["first", "second", "last"]
    assert [line.text for line in file.following(HUGE // 2, 2)] == ["first", "second"]
    assert file.start() == file.following(0, 1)[0].start == first
    assert file.preceding(first, 5) == file.preceding(HUGE // 2, 5) == []
    assert [line.text for line in file.preceding(first + len(b"first\n"), 5)] == ["first"]
    assert time.perf_counter() - began < 0.5
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("given_back", [4096, 200_000])
def test_a_trimmed_log_is_walked_from_its_end_to_its_first_whole_line_and_back(tmp_path: Path, given_back: int) -> None:
    content = b"".join(b"line %05d of a chatty program\n" % number for number in range(10_000))
    file = written(tmp_path, content)
    begin = punch(file.path, given_back)
    expected = content[begin:].decode().splitlines()[1:]
    offset, backwards = len(content), []
    while found := file.preceding(offset, 700):
        backwards = [line.text for line in found] + backwards
        offset = found[0].start
    assert backwards == expected
    assert [line.text for line in file.following(0, 100_000)] == expected
    assert offset == file.start()


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "none.log")
    assert file.size() is None
    assert file.last(5) == []
    assert file.following(0, 5) == []


@pytest.mark.parametrize("sequence", [b"\x1b]0;owned\x07", b"\x1b[2J", b"\x9b2J", b"\xe2\x80\xae", b"\x00"])
def test_nothing_but_text_comes_out(tmp_path: Path, sequence: bytes) -> None:
    text = written(tmp_path, b"before " + sequence + b"after\n").last(1)[0].text
    assert text.startswith("before ")
    assert text.endswith("after")
    assert text.replace("\ufffd", "").isprintable()


def test_a_progress_bar_shows_its_last_state(tmp_path: Path) -> None:
    assert written(tmp_path, b" 10%\r 50%\r100%\n").last(1)[0].text == "100%"


def test_new_lines_are_counted(tmp_path: Path) -> None:
    file = written(tmp_path, b"a\nb\nc\n")
    assert file.newlines(2, 6) == 2


def test_a_name_that_no_file_can_have_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("a\0b", "\ud800"):
        file = LogFile(tmp_path / name)
        assert file.size() is None
        assert file.last(3) == []
