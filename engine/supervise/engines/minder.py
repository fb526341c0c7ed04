"""What the keeper of an engine minds: does it answer, is it used, and has it been idle for too long."""

from __future__ import annotations

import contextlib
import os
import stat
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
from engine.supervise.engines.poller import EnginePoller
from engine.supervise.engines.users import users_of

LONGEST_SOCKET = 100  # octets; the kernel takes 107
SILENT_S = 120.0
"""An engine that answered once, and has not for so long, hangs."""

GAP_S = 30.0
"""Who has not looked for so long was suspended, and its questions with it: that silence is not the engine's."""

USERS_S = 5.0


def socket_of(spec: RunSpec) -> Path:
    """Where the engine listens: in a private folder of this host that outlasts a login, by a path that is short."""
    root = Path(tempfile.gettempdir())
    if len(os.fsencode(root)) > LONGEST_SOCKET // 2:
        root = Path("/tmp")
    return root / f"pilothouse-{os.getuid()}" / f"{spec.run_id[:13]}.sock"


def socket_path(spec: RunSpec) -> Path:
    """`socket_of`, in a folder that is there. Only this user can reach it, and no port can be taken.

    Raises `RefusedError` when the folder is somebody else's.
    """
    path = socket_of(spec)
    folder = make_private_folder(path.parent)
    if not _is_own_folder(folder):
        raise RefusedError(
            "the folder for engine sockets belongs to somebody else",
            where=str(folder),
            remedy="remove it, or set TMPDIR to a folder of your own",
        )
    folder.chmod(0o700)
    return path


def known_socket(files: RunFiles, spec: RunSpec) -> Path:
    """Where an engine listens that an earlier keeper has started, perhaps with another TMPDIR: its record is believed
    if it names what `socket_path` would make there. Raises as that does."""
    record, usual = read_engine(files), socket_of(spec)
    path = Path(record.socket) if record is not None else usual
    with contextlib.suppress(OSError, ValueError):
        if path.parts[-2:] == usual.parts[-2:] and _is_own_folder(path.parent):
            return path
    return socket_path(spec)


def _is_own_folder(folder: Path) -> bool:
    """Whether it is a folder of this user's, and no link to one."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


class EngineMinder:
    """Looks after the engine `spec`, which listens at `socket`; `report` takes events, `began` is the engine's start in
    monotonic seconds."""

    def __init__(
        self, files: RunFiles, spec: RunSpec, report: Callable[[Event], None], *, began: float, socket: Path
    ) -> None:
        self._files, self._spec, self._report, self._began = files, spec, report, began
        self._socket = socket
        known = read_engine(files)
        record = known or EngineRecord(socket="", model=spec.model.path)
        if record.state == "stopping":  # whoever began to look for its users was killed over it
            record = record.model_copy(update={"state": "starting"})
        self._record = record.model_copy(update={"socket": str(socket)})
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
        if self._record.state == "ended":  # the keeper before was killed while it took it down
            return StopOrder(self._record.reason or "it was being taken down")
        latest = self._poller.latest
        if now - self._looked > GAP_S:
            self._listening = now
        self._looked = now
        if self.is_ready and now - max(latest.answered_at or 0.0, self._listening) > SILENT_S:
            return StopOrder(f"the engine has not answered for {SILENT_S:.0f} s", fault=True)
        if latest.answered_at is None:
            return None
        if not self.is_ready:
            seconds = round(now - self._began, 1)  # told first: a keeper that finds `ready` does not tell it again
            self._report(EngineReady(address=self._record.socket, model=self._record.model, seconds=seconds))
            self._write(self._record.model_copy(update={"state": "ready", "progress": ""}))
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
            if self.claim_end():
                self._used_at, self._users_known = now, (now, True)
                return None
            return StopOrder(f"idle: nothing has used it for {minutes:g} min (engine.idle_stop_minutes)")
        return None

    def claim_end(self) -> list[str]:
        """Have no run attach any more, then see who uses it: with nobody it may go, and `ended` is to follow. With
        users, who are returned, all is as it was."""
        before = self._record
        self._write(before.model_copy(update={"state": "stopping"}))
        used = True
        try:
            users = users_of(self._files)
            used = bool(users)
        finally:
            if used:
                self._write(before)
        return users

    def ended(self, reason: str) -> None:
        """Nobody may attach to it any more."""
        self._poller.close()
        if self._record.state != "ended":
            self._write(self._record.model_copy(update={"state": "ended", "reason": reason, "progress": ""}))
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(self._socket.lstat().st_mode):
                self._socket.unlink()

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
            attached = bool(users_of(self._files))
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
