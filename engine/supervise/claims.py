"""One run per GPU: a flock on a host-local file, which says who holds the GPU, or left memory on it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import RefusedError
from engine.files import make_private_folder
from engine.journal.events import ProcessIdentity, utc_now
from engine.logs.sanitise import sanitise
from engine.supervise.identity import here, is_alive


def claim_folder() -> Path:
    """Where this host keeps its claims: never on a shared file system, only for this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "pilothouse" if runtime else Path(tempfile.gettempdir()) / f"pilothouse-{os.getuid()}"
    make_private_folder(folder)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid():
        raise RefusedError(
            "the folder for GPU claims belongs to somebody else", where=str(folder), remedy="set XDG_RUNTIME_DIR"
        )
    folder.chmod(0o700)
    return folder


class GpuClaim:
    """One GPU held for one run; with `shared` beside other runs that share it, too.

    The lock goes with the keeper's life. The file's text outlasts it, so that a GPU whose generator still lives after
    its keeper was killed is not given away, nor one whose memory never came back. `left` is what the last run left on
    it, see `leave`, or None.
    """

    def __init__(self, uuid: str, run_id: str, run: str, folder: Path | None = None, *, shared: bool = False) -> None:
        """Claim the GPU; `RefusedError` naming the holder when another run has it."""
        self.uuid = uuid
        self._run_id = run_id
        self._run = run
        self.path = (folder or claim_folder()) / f"{uuid}.lock"
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            locked = True
        except OSError:
            locked = False
        holder = self._holder()
        others = holder.get("run_id") != run_id and not (shared and holder.get("shared"))
        if not locked or (others and _generator_lives(holder)):
            os.close(self._descriptor)
            raise RefusedError(
                f"GPU {uuid} is held by {_named(holder)}",
                where=str(self.path),
                remedy="wait for that run to end or stop it, or name another GPU in CUDA_VISIBLE_DEVICES",
            )
        self._shared = shared
        self.left: dict[str, Any] | None = holder if "held_since" in holder and _this_boot(holder) else None

    def note(self, generator: ProcessIdentity | None) -> None:
        """Write who holds the GPU."""
        self._write(
            {
                "run": self._run,
                "run_id": self._run_id,
                "since": utc_now(),
                "shared": self._shared,
                "generator": generator.model_dump() if generator else None,
            }
        )

    def release(self) -> None:
        """Let go of it, free for the next; a text that another run, which shares the GPU, has written stays."""
        with contextlib.suppress(OSError):
            if self._holder().get("run_id") == self._run_id:
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def drop(self) -> None:
        """Let go of the lock alone: what the file says stays."""
        os.close(self._descriptor)

    def leave(self, memory_before: int, held_by: Sequence[str]) -> None:
        """Let go of it with memory that did not come back to `memory_before` bytes: the next run must look first."""
        self._write(
            {
                "run": self._run,
                "run_id": self._run_id,
                "held_since": utc_now(),
                "boot_id": here().boot_id,
                "memory_before": memory_before,
                "held_by": list(held_by),
            }
        )
        os.close(self._descriptor)

    def give_back(self) -> None:
        """Let go of it as it was found: what the last run left on it stays said."""
        if self.left is None:
            self.release()
        else:
            self.drop()

    def _write(self, text: dict[str, Any]) -> None:
        """Replace the text. Where it cannot be written (a full disk) the lock alone has to do: no run ends for that."""
        with contextlib.suppress(OSError):
            data = json.dumps(text).encode()
            os.pwrite(self._descriptor, data, 0)
            os.ftruncate(self._descriptor, len(data))

    def _holder(self) -> dict[str, Any]:
        try:
            value = json.loads(os.pread(self._descriptor, 65_536, 0))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def _named(holder: dict[str, Any]) -> str:
    return sanitise(str(holder.get("run") or "another run"), 200)


def _this_boot(holder: dict[str, Any]) -> bool:
    return holder.get("boot_id") == here().boot_id


def _generator_lives(holder: dict[str, Any]) -> bool:
    try:
        return is_alive(ProcessIdentity.model_validate(holder.get("generator"))) is True
    except ValidationError:
        return False
