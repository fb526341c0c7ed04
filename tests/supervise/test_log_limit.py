"""run.log stays within its limit on disk, its newest lines stay, and whoever writes it never waits."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.journal.events import LogTrimmed
from engine.supervise import log_limit
from engine.supervise.log_limit import BLOCK_BYTES, LogLimit
from tests.supervise.conftest import Runs
from tests.waiting import wait_until

LIMIT = 1_000_000


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * BLOCK_BYTES


def grown(path: Path, lines: int) -> None:
    with path.open("ab") as log:
        for number in range(lines):
            log.write(b"line %08d %s\n" % (number, b"x" * 86))


def test_over_its_limit_the_oldest_octets_go_and_the_newest_half_stays(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    limit = LogLimit(log, LIMIT)
    assert limit.tend() is None, "there is no log yet"
    grown(log, 9_000)
    assert limit.tend() is None, "under its limit nothing happens"
    grown(log, 3_000)
    before = log.read_bytes()
    trimmed = limit.tend()
    assert trimmed is not None
    if not trimmed.punched:
        pytest.skip("this file system has no holes")
    after = log.read_bytes()
    assert len(after) == len(before)
    assert after[trimmed.start :] == before[trimmed.start :]
    assert not after[: trimmed.start].strip(b"\0")
    assert len(before) - trimmed.start >= LIMIT // 2
    assert on_disk(log) < 0.6 * LIMIT
    assert limit.tend() is None
    grown(log, 8_000)
    again = limit.tend()
    assert again is not None
    assert again.start > trimmed.start


def test_where_there_are_no_holes_the_log_grows_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, start: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(log_limit, "punch_hole", refuse)
    log = tmp_path / "run.log"
    limit = LogLimit(log, LIMIT)
    grown(log, 15_000)
    content = log.read_bytes()
    trimmed = limit.tend()
    assert trimmed is not None
    assert (trimmed.punched, trimmed.start) == (False, 0)
    assert limit.tend() is None
    assert log.read_bytes() == content


def test_a_generator_that_floods_its_log_is_capped_while_it_writes(runs: Runs) -> None:
    run = runs.python(
        """
        import os, time
        line = b"x" * 1023 + b"\\n"
        for _ in range(20):
            os.write(1, line * 512)
            time.sleep(0.05)
        os.write(1, b"the last line\\n")
        """,
        supervision={"log_limit_mb": 2},
    )
    run.start()
    assert run.end().state == "succeeded"
    trims = [event for event in run.events("log_trimmed") if isinstance(event, LogTrimmed)]
    if not trims[0].punched:
        pytest.skip("this file system has no holes")
    assert run.files.log.stat().st_size == 20 * 512 * 1024 + len(b"the last line\n")
    assert on_disk(run.files.log) < 4_000_000
    assert run.files.log.read_bytes().endswith(b"x\nthe last line\n")
    wait_until(lambda: run.alive() == [], what="the keeper's end")
