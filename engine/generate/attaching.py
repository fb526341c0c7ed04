"""Waiting for a kept engine to answer."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.errors import RunFailedError
from engine.files import RunFiles
from engine.generate.progress import log
from engine.journal.engine_record import EngineRecord, read_engine

POLL_S = 0.2
LOOK_S = 1.0
"""More than that between two looks is a gap in which this process was held up, and its engine's keeper, too."""

LAST_WORD_S = 3.0
"""The keeper of an engine that has ended says why within moments; later nobody will."""

SILENT_S = 60.0
"""The engine's keeper beats every other second: after so long without one nobody looks after the engine any more."""


@dataclass(slots=True)
class AttachedEngine:
    """A kept engine that answers: its files, and what `engine.json` said of it."""

    files: RunFiles
    record: EngineRecord
    _deaf_since: float | None = field(default=None, init=False)

    def gone(self) -> str | None:
        """Why it will not answer any more; None while it may. To be asked when it does not answer."""
        name, record = self.files.folder.name, read_engine(self.files)
        if record is not None and record.state == "ended":
            return f"the engine {name} has ended: {record.reason or 'it does not say why'}"
        if _is_listening(self.record.socket):
            self._deaf_since = None
            return None
        now = time.monotonic()
        if self._deaf_since is None:
            self._deaf_since = now
        if now - self._deaf_since < LAST_WORD_S:
            return None
        return f"the engine {name} has ended, and its keeper does not say why: nothing listens at its socket any more"


def _is_listening(path: str) -> bool:
    """Whether a process holds the socket open for connections: the kernel refuses them once there is none."""
    with socket.socket(socket.AF_UNIX) as trial:
        trial.setblocking(False)
        try:
            trial.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (OSError, ValueError):
            return True  # it is there, and busy, or what is wrong is on this side
    return True


def await_engine(files: RunFiles, stopped: Callable[[], bool]) -> AttachedEngine | None:
    """The engine whose files are `files`, once it answers; None when `stopped` says so before.

    Raises `RunFailedError` when it ended, or was left by its keeper, without ever answering.
    """
    name = files.folder.name
    said, silence = "", Silence(files)
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
        if silence.seconds() > SILENT_S:
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


class Silence:
    """For how long the journal of an engine's keeper has stayed as it was, or away, while one looked: no wall clock
    that jumps and no suspended machine makes it longer."""

    def __init__(self, files: RunFiles) -> None:
        self._journal = files.keeper_journal
        self._mark, self._looked, self._silent_s = self._now(), time.monotonic(), 0.0

    def seconds(self) -> float:
        """Look again."""
        mark, now = self._now(), time.monotonic()
        self._silent_s = self._silent_s + min(now - self._looked, LOOK_S) if mark == self._mark else 0.0
        self._mark, self._looked = mark, now
        return self._silent_s

    def _now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._journal)
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns
