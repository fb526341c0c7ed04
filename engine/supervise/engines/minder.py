"""What the keeper of an engine minds: does it answer, is it used, and has it been idle for too long."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.campaign.spec import RunSpec
from engine.errors import RefusedError
from engine.figures import EngineFigures
from engine.files import RunFiles, make_private_folder
from engine.journal.engine_record import EngineRecord, read_engine, write_engine
from engine.journal.events import EngineReady, EngineUse, Event, LoadProgress
from engine.supervise.ending import StopOrder
from engine.supervise.engines.kept import attached_runs
from engine.supervise.engines.poller import EnginePoller

LONGEST_SOCKET = 100  # octets; the kernel takes 107
SILENT_S = 120.0
"""An engine that answered once, and has not for so long, hangs."""

GAP_S = 30.0
"""Who has not looked for so long was suspended, and its questions with it: that silence is not the engine's."""

USERS_S = 5.0


def socket_path(spec: RunSpec) -> Path:
    """Where the engine listens: a private folder of this host that outlasts a login, with a path that is short enough.

    Only this user can reach it, and no port can be taken. Raises `RefusedError` when the folder is somebody else's.
    """
    root = Path(tempfile.gettempdir())
    if len(os.fsencode(root)) > LONGEST_SOCKET // 2:
        root = Path("/tmp")
    folder = make_private_folder(root / f"pilothouse-{os.getuid()}")
    if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
        raise RefusedError("the folder for engine sockets belongs to somebody else", where=str(folder))
    folder.chmod(0o700)
    return folder / f"{spec.run_id[:13]}.sock"


class EngineMinder:
    """Looks after the engine `spec`; `report` takes events, `began` is the engine's start in monotonic seconds."""

    def __init__(self, files: RunFiles, spec: RunSpec, report: Callable[[Event], None], *, began: float) -> None:
        self._files, self._spec, self._report, self._began = files, spec, report, began
        known = read_engine(files)
        self._record = known or EngineRecord(socket=str(socket_path(spec)), model=spec.model.path)
        self._written: EngineRecord | None = known
        self._poller = EnginePoller(self._record.socket)
        self._in_use: bool | None = None
        self._used_at = self._listening = self._looked = time.monotonic()
        self._users_known = (0.0, False)
        self._generated: float | None = None
        self._write(self._record)

    @property
    def is_ready(self) -> bool:
        return self._record.state == "ready"

    @property
    def figures(self) -> EngineFigures | None:
        return self._poller.latest.figures

    def progressed(self, event: LoadProgress) -> None:
        """The engine's log told how far its start is."""
        if not self.is_ready:
            words = event.stage if event.share is None else f"{event.stage} {event.share:.0%}"
            self._write(self._record.model_copy(update={"progress": words}))

    def tick(self, now: float) -> StopOrder | None:
        """See how it does; an order when it must go."""
        latest = self._poller.latest
        if now - self._looked > GAP_S:
            self._listening = now
        self._looked = now
        if self.is_ready and now - max(latest.answered_at or 0.0, self._listening) > SILENT_S:
            return StopOrder(f"the engine has not answered for {SILENT_S:.0f} s", fault=True)
        if latest.answered_at is None:
            return None
        if not self.is_ready:
            self._write(self._record.model_copy(update={"state": "ready", "progress": ""}))
            seconds = round(now - self._began, 1)
            self._report(EngineReady(address=self._record.socket, model=self._record.model, seconds=seconds))
            self._used_at = now
        used = self._is_used(now)
        if used:
            self._used_at = now
        if used != self._in_use:
            self._in_use = used
            self._write(self._record.model_copy(update={"in_use": used}))
            self._report(EngineUse(in_use=used))
        minutes = self._spec.engine.idle_stop_minutes
        if now - self._used_at >= 60 * minutes:
            return StopOrder(f"idle: nothing has used it for {minutes:g} min (engine.idle_stop_minutes)")
        return None

    def ended(self, reason: str) -> None:
        """Nobody may attach to it any more."""
        self._poller.close()
        if self._record.state != "ended":
            self._write(self._record.model_copy(update={"state": "ended", "reason": reason, "progress": ""}))
            with contextlib.suppress(OSError):
                Path(self._record.socket).unlink(missing_ok=True)

    def _is_used(self, now: float) -> bool:
        """Whether a run is attached, or requests are in flight or have come since the last look."""
        counters = self._poller.latest.counters
        generated, before = counters.generation_tokens if counters is not None else None, self._generated
        grew = generated is not None and before is not None and generated > before
        if generated is not None:  # an engine that once does not tell has not begun anew
            self._generated = generated
        in_flight = counters is not None and bool((counters.running or 0) + (counters.waiting or 0))
        looked, attached = self._users_known
        if now - looked >= USERS_S:
            attached = bool(attached_runs(self._files))
            self._users_known = (now, attached)
        return grew or in_flight or attached

    def _write(self, record: EngineRecord) -> None:
        """Replace engine.json; where that cannot be done now (a full disk) it is done at the next change."""
        self._record = record
        if record == self._written:
            return
        with contextlib.suppress(OSError):
            write_engine(self._files, record)
            self._written = record
