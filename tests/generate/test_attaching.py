"""Waiting for a kept engine, and noticing that one is gone."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from engine.errors import RunFailedError
from engine.files import RunFiles
from engine.generate import attaching
from engine.generate.attaching import AttachedEngine, await_engine
from engine.generate.backends.server.backend import ServerBackend
from engine.generate.backends.server.options import ServerOptions
from engine.journal.engine_record import EngineRecord, write_engine
from tests.waiting import wait_until


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFiles:
    """An engine that starts, and whose keeper has written its journal."""
    monkeypatch.setattr(attaching, "POLL_S", 0.01)
    files = RunFiles(tmp_path / "engine-1")
    files.folder.mkdir()
    files.keeper_journal.write_text("{}\n")
    write_engine(files, EngineRecord(socket=str(tmp_path / "s"), model="m"))
    return files


def test_a_clock_that_jumps_and_a_machine_that_was_suspended_fail_nothing(engine: RunFiles) -> None:
    os.utime(engine.keeper_journal, (0, 0))
    ready = EngineRecord(state="ready", socket="/s", model="m")
    threading.Timer(0.3, lambda: write_engine(engine, ready)).start()
    found = await_engine(engine, lambda: False)
    assert found is not None
    assert found.record == ready


@pytest.mark.parametrize("gone", [False, True], ids=["still", "away"])
def test_an_engine_without_a_keeper_is_not_waited_for(
    engine: RunFiles, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "SILENT_S", 0.2)
    if gone:
        engine.engine.unlink()
        engine.keeper_journal.unlink()
        engine.folder.rmdir()
    deadline = time.monotonic() + 10
    with pytest.raises(RunFailedError, match="has no keeper any more"):
        await_engine(engine, lambda: time.monotonic() > deadline)


def test_an_engine_at_whose_socket_nothing_listens_is_gone(engine: RunFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "LAST_WORD_S", 0.1)
    path = str(engine.folder.parent / "s")
    record = EngineRecord(state="ready", socket=path, model="m")
    write_engine(engine, record)
    attached = AttachedEngine(engine, record)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        assert attached.gone() is None
    assert attached.gone() is None, "its keeper may say why"
    assert "nothing listens" in wait_until(attached.gone, what="the end of waiting for a last word")
    write_engine(engine, record.model_copy(update={"state": "ended", "reason": "killed by SIGKILL"}))
    assert attached.gone() == "the engine engine-1 has ended: killed by SIGKILL"


def test_opening_a_backend_on_an_engine_that_is_gone_fails_at_once_with_the_reason(tmp_path: Path) -> None:
    options = ServerOptions(socket=str(tmp_path / "s"), retry_for_s=30)
    before = time.monotonic()
    with pytest.raises(RunFailedError, match="the engine engine-1 has ended: exit code 1"):
        ServerBackend(options, _NoTokenizer(), gone=lambda: "the engine engine-1 has ended: exit code 1")
    assert time.monotonic() - before < 10


class _NoTokenizer:
    def count(self, text: str) -> int:
        return len(text)

    def token_ids(self, text: str, *, special: bool) -> list[int]:
        return [ord(text.strip()[0])]
