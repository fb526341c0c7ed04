"""The generator as its keeper holds it: started, or adopted from a keeper that died."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.journal.events import ProcessIdentity
from engine.supervise.identity import identity_of, is_alive, pin


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended; both None when nobody saw it."""

    code: int | None = None
    signal: int | None = None

    @property
    def known(self) -> bool:
        return self.code is not None or self.signal is not None

    @property
    def as_code(self) -> int | None:
        """The exit code, or minus the signal's number."""
        return -self.signal if self.signal is not None else self.code


class Generator(Protocol):
    """What the keeper needs of a generator. `pidfd` is readable once it has ended (None: the kernel has none)."""

    identity: ProcessIdentity
    is_child: bool
    pidfd: int | None

    @property
    def is_held(self) -> bool:
        """Whether it is a child that was not collected yet: its pid means what it meant."""

    def ended(self) -> Exit | None:
        """How it ended, None while it runs."""

    def reap(self) -> dict[str, Any] | None:
        """Let go of it once it has ended; resources used by it and the children it waited for, if known."""


class StartedGenerator:
    """A child of this process, leader of its own session and group, stdout and stderr straight into the log.

    It stays a zombie until `reap`, so that the number of its group cannot be reused while others are in it.
    """

    is_child = True

    def __init__(self, argv: list[str], *, folder: Path, log: Path, environment: dict[str, str]) -> None:
        """Start it in `folder`. Raises `OSError` when that cannot be done."""
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._process = subprocess.Popen(
                argv,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(output)
        self._used: dict[str, Any] | None = None
        identity = identity_of(self._process.pid)
        if identity is None:  # pragma: no cover - an unreaped child is always in /proc
            raise OSError("/proc does not show the generator")
        self.identity = identity
        self.pidfd = pin(identity.pid)

    def ended(self) -> Exit | None:
        result = os.waitid(os.P_PID, self.identity.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            return None
        if result.si_code == os.CLD_EXITED:
            return Exit(code=result.si_status)
        return Exit(signal=result.si_status)

    @property
    def is_held(self) -> bool:
        return self._used is None

    def reap(self) -> dict[str, Any] | None:
        if self._used is not None:
            return self._used
        _, status, used = os.wait4(self.identity.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        self._used = {
            "user_s": round(used.ru_utime, 3),
            "system_s": round(used.ru_stime, 3),
            "max_rss_bytes": used.ru_maxrss * 1024,
        }
        return self._used


class AdoptedGenerator:
    """A generator whose keeper died. It is somebody else's child now: its end is seen, its exit code is not."""

    is_child = False
    is_held = False

    def __init__(self, identity: ProcessIdentity) -> None:
        self.identity = identity
        self.pidfd = pin(identity.pid)

    def ended(self) -> Exit | None:
        return None if is_alive(self.identity) else Exit()

    def reap(self) -> dict[str, Any] | None:
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        return None


def reap_orphans(spared: Collection[int]) -> None:
    """Collect ended processes that this child subreaper inherited; those in `spared` are left as they are."""
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN: they are collected when the keeper ends
        return
    for pid in map(int, children):
        if pid not in spared:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue


def has_children() -> bool:
    """Whether any child of this process lives, orphans it inherited included; collects those that have ended.

    The kernel's own word: no process can hide from it between two looks.
    """
    while True:
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is None:
                return True
        except ChildProcessError:
            return False


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
