"""A log is read around byte offsets, whatever its size and whatever is in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def test_a_huge_sparse_log_opens_at_its_end(tmp_path: Path) -> None:
    """10 GB on paper: only what is shown is read."""
    path = tmp_path / "run.log"
    with path.open("wb") as stream:
        stream.truncate(10_000_000_000)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nthe last line\n")
    assert LogFile(path).last(1)[0].text == "the last line"


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
