"""Waiting for a kept engine to answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import RunFailedError
from engine.files import RunFiles
from engine.generate.progress import log
from engine.journal.engine_record import EngineRecord, read_engine

POLL_S = 0.2
SILENT_S = 60.0
"""The engine's keeper beats every other second: after so long without one nobody looks after the engine any more."""


@dataclass(frozen=True, slots=True)
class AttachedEngine:
    """A kept engine that answers: its files, and what `engine.json` said of it."""

    files: RunFiles
    record: EngineRecord

    def gone(self) -> str | None:
        """Why it will not answer any more; None while it may."""
        record = read_engine(self.files)
        if record is None or record.state != "ended":
            return None
        return f"the engine {self.files.folder.name} has ended: {record.reason or 'it does not say why'}"


def await_engine(files: RunFiles, stopped: Callable[[], bool]) -> AttachedEngine | None:
    """The engine whose files are `files`, once it answers; None when `stopped` says so before.

    Raises `RunFailedError` when it ended, or was left by its keeper, without ever answering.
    """
    name = files.folder.name
    said = ""
    while not stopped():
        record = read_engine(files)
        if record is not None and record.state == "ready":
            return AttachedEngine(files, record)
        if record is not None and record.state == "ended":
            raise RunFailedError(
                f"the engine {name} ended before it answered: {record.reason or 'it does not say why'}",
                where=str(files.log),
                remedy="mend the cause, then restart the run, which starts another engine",
            )
        if _silent_s(files) > SILENT_S:
            raise RunFailedError(
                f"the engine {name} has no keeper any more",
                where=str(files.keeper_journal),
                remedy="see `pilothouse engine status`, then restart the run",
            )
        progress = record.progress if record is not None else ""
        if progress != said:
            said = progress
            log.info("waiting for the engine %s: %s", name, progress)
        time.sleep(POLL_S)
    return None


def _silent_s(files: RunFiles) -> float:
    try:
        return abs(time.time() - os.stat(files.keeper_journal).st_mtime)
    except OSError:
        return 0.0
