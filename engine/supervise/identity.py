"""Which process is meant: told by host, pid namespace, boot, pid and start time, never by the pid alone.

Everything is read from `/proc`. What cannot be proven to be the process that was recorded is never signalled.
"""

from __future__ import annotations

import os
import re
import signal
from functools import cache
from pathlib import Path
from typing import NamedTuple

from engine.journal.clock import boot_id
from engine.journal.events import ProcessIdentity

PROC = Path("/proc")


class ProcessStat(NamedTuple):
    """What `/proc/PID/stat` tells: one-letter `state`, parent, process group, session, threads, start in ticks."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    threads: int
    start_ticks: int

    @property
    def living(self) -> bool:
        """Whether it still runs. A zombie does not, unless only its first thread has ended."""
        return self.state not in "ZX" or (self.state == "Z" and self.threads > 1)


class Here(NamedTuple):
    host: str
    pid_namespace: str
    boot_id: str


def read_stat(pid: int) -> ProcessStat | None:
    """The stat line of `pid`, or None when there is no such process."""
    if pid <= 0:
        return None
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The program's name stands in parentheses and may hold any byte, parentheses and blanks included.
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessStat(
        pid=pid,
        state=fields[0].decode("ascii", "replace"),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
    )


@cache
def here() -> Here:
    """Host, pid namespace and boot that this process lives in."""
    link = os.readlink(PROC / "self/ns/pid")  # pid:[4026531836]
    inode = re.search(r"\d+", link)
    return Here(
        host=os.uname().nodename,
        pid_namespace=inode.group() if inode else link,
        boot_id=boot_id(),
    )


def identity_from(stat: ProcessStat) -> ProcessIdentity:
    place = here()
    return ProcessIdentity(
        host=place.host,
        pid_namespace=place.pid_namespace,
        boot_id=place.boot_id,
        pid=stat.pid,
        start_ticks=stat.start_ticks,
    )


def identity_of(pid: int) -> ProcessIdentity | None:
    """Identity of the process that has `pid` now (a zombie included), or None when there is none."""
    stat = read_stat(pid)
    return identity_from(stat) if stat else None


def own_identity() -> ProcessIdentity:
    identity = identity_of(os.getpid())
    if identity is None:  # pragma: no cover - /proc of a living process is there
        raise OSError("/proc does not show this process")
    return identity


def is_alive(identity: ProcessIdentity) -> bool | None:
    """Whether that very process still runs; None where it cannot be known from here.

    Another host or another pid namespace of this boot cannot be seen into. Nothing survives its boot.
    """
    place = here()
    if identity.host != place.host:
        return None
    if identity.boot_id != place.boot_id:
        return False
    if identity.pid_namespace != place.pid_namespace:
        return None
    stat = read_stat(identity.pid)
    return stat is not None and stat.start_ticks == identity.start_ticks and stat.living


def signal_process(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Send `number` to that very process; False when it is gone or cannot be proven to be the one recorded.

    The pid is pinned first (pidfd) and verified after, so that its reuse in between cannot hit a bystander.
    """
    if is_alive(identity) is not True:
        return False
    pinned = pin(identity.pid)
    try:
        if is_alive(identity) is not True:
            return False
        if pinned is None:
            os.kill(identity.pid, number)
        else:
            signal.pidfd_send_signal(pinned, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        if pinned is not None:
            os.close(pinned)
    return True


def pin(pid: int) -> int | None:
    """A pidfd of `pid` (readable once it has ended), or None where the kernel has none or the process is gone."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def resident_bytes(pid: int) -> int:
    """Resident memory of `pid` alone, 0 when it is gone."""
    try:
        return int((PROC / str(pid) / "statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
