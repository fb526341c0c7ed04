"""Who lives, read from `/proc` by means of its own: what the engine says of processes is checked against this."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    """One process for good: a pid that is reused has other start ticks. `role` is what it said it is."""

    pid: int
    ticks: int
    role: str = ""

    @property
    def alive(self) -> bool:
        """A zombie is dead, unless threads of it are still on their way out."""
        found = _stat(self.pid)
        return found is not None and found.ticks == self.ticks and found.living

    @property
    def command_line(self) -> str:
        return _read(self.pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()

    @property
    def suspended(self) -> bool:
        found = _stat(self.pid)
        return found is not None and found.ticks == self.ticks and found.state in "Tt"


def process(pid: int, role: str = "") -> Process:
    """The process that has `pid` now; it must be there."""
    found = _stat(pid)
    assert found is not None, f"there is no process {pid}"
    return Process(pid, found.ticks, role)


def with_environment(entry: str) -> list[Process]:
    """Every living process that was started with `entry` (`NAME=value`, or a beginning of it) in its environment."""
    wanted = entry.encode()
    return [
        found
        for found in _everybody()
        if any(part.startswith(wanted) for part in _read(found.pid, "environ").split(b"\0"))
    ]


def at_work_in(folder: Path) -> list[Process]:
    """Every living process that has a file under `folder` open, or works in it."""
    beginning = f"{folder.resolve()}/"
    return [found for found in _everybody() if any(f"{path}/".startswith(beginning) for path in _held(found.pid))]


def most_resident_bytes(pid: int) -> int:
    """The most memory that `pid` ever had resident."""
    lines = _read(pid, "status").decode().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _everybody() -> list[Process]:
    found = []
    for name in os.listdir(PROC):
        stat = _stat(int(name)) if name.isdecimal() and int(name) != os.getpid() else None
        if stat is not None and stat.living:
            found.append(Process(int(name), stat.ticks))
    return found


def _held(pid: int) -> list[str]:
    folder = PROC / str(pid)
    paths = []
    try:
        links = [folder / "cwd", *(folder / "fd" / name for name in os.listdir(folder / "fd"))]
    except OSError:
        return []
    for link in links:
        try:
            paths.append(os.readlink(link))
        except OSError:
            continue
    return paths


class _Stat(NamedTuple):
    """State letter, number of threads, start in clock ticks since boot."""

    state: str
    threads: int
    ticks: int

    @property
    def living(self) -> bool:
        return self.state not in "ZX" or (self.state == "Z" and self.threads > 1)


def _stat(pid: int) -> _Stat | None:
    text = _read(pid, "stat")
    if not text:
        return None
    fields = text.rpartition(b")")[2].split()
    return _Stat(fields[0].decode(), int(fields[17]), int(fields[19]))


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
