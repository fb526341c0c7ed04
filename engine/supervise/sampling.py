"""What the processes of a run use just now, seen from outside: by whoever looks, not by its keeper."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import get_args

import psutil

from engine.campaign.spec import RunSpec, read_spec
from engine.figures import GpuFigures, ProcessFigures, ProcessRole, RunProcesses
from engine.files import RunFiles
from engine.journal.events import Census, ProcessIdentity, parse_event
from engine.journal.reader import JournalReader
from engine.supervise.census import (
    FOLDER_MARK,
    is_marked,
    living_stats,
    stat_of,
    with_descendants,
    writes_to,
)
from engine.supervise.gpus import Gpu, probe_gpus
from engine.supervise.identity import PROC, ProcessStat, here, is_alive
from engine.supervise.liveness import KeeperRecord, read_keeper

GPU_EVERY_S = 6.0
GPU_TIMEOUT_S = 3.0
"""A look at NVML costs a process, and a driver that hangs must not hold up all other figures."""
LONGEST_COMMAND = 400
_TITLES: tuple[tuple[str, ProcessRole], ...] = (("VLLM::EngineCor", "engine core"), ("VLLM::Worker", "worker"))
_RANKS: tuple[ProcessRole, ...] = get_args(ProcessRole)
_STATES = {
    psutil.STATUS_DISK_SLEEP: "disk wait",
    psutil.STATUS_STOPPED: "suspended",
    psutil.STATUS_TRACING_STOP: "traced",
    psutil.STATUS_ZOMBIE: "ending",
}

Key = tuple[int, int]
"""Pid and start: which process it is, on this host."""


class ProcessSampler:
    """Called again and again it gives who lives of the run, and what each used since the last call. `on_gpu`: whoever
    computes on its GPUs is looked at, too; of a run that has left them that would be somebody else."""

    def __init__(self, files: RunFiles) -> None:
        self._run = _Member(files)
        self._engine: _Member | None = None
        self._known: dict[Key, psutil.Process] = {}
        self._gpus: list[Gpu] | None = []
        self._next_probe = 0.0

    def __call__(self, *, on_gpu: bool) -> RunProcesses:
        keeper = read_keeper(self._run.files)
        if keeper is None:
            return RunProcesses(here().host)
        if is_alive(keeper.keeper) is None:
            return RunProcesses(keeper.keeper.host, in_sight=keeper.ended is not None)
        stats = living_stats()
        roles = {pid: (role, "") for pid, role in self._run.roles(stats, keeper).items()}
        devices = set(keeper.devices) if on_gpu else set()
        if keeper.engine:
            roles = self._of_engine(keeper.engine, stats) | roles
        if on_gpu:
            self._probe()
        used = {process.pid: process.used_bytes for gpu in self._gpus or () for process in gpu.processes}
        ours = [gpu for gpu in self._gpus or () if gpu.uuid in devices]
        strays = {process.pid for gpu in ours for process in gpu.processes} | self._run.claimants(stats)
        roles |= {pid: ("stray", "") for pid in strays if pid in stats and pid not in roles}
        found = [self._figures(stats[pid], role, of, used.get(pid)) for pid, (role, of) in roles.items()]
        self._known = {key: process for key, process in self._known.items() if key[0] in roles}
        return RunProcesses(
            host=here().host,
            processes=tuple(sorted(filter(None, found), key=_place)),
            gpus=tuple(GpuFigures.model_validate(gpu, from_attributes=True) for gpu in ours),
            nvml=self._gpus is not None,
        )

    def _of_engine(self, name: str, stats: dict[int, ProcessStat]) -> dict[int, tuple[ProcessRole, str]]:
        """The processes of the kept engine that the run is attached to."""
        if self._engine is None or self._engine.files.folder.name != name:
            self._engine = _Member(self._run.files.neighbour(name))
        keeper = read_keeper(self._engine.files)
        if keeper is None or is_alive(keeper.keeper) is None:
            return {}
        return {pid: (role, name) for pid, role in self._engine.roles(stats, keeper).items()}

    def _probe(self) -> None:
        if time.monotonic() >= self._next_probe:
            self._gpus = probe_gpus(GPU_TIMEOUT_S)
            self._next_probe = time.monotonic() + GPU_EVERY_S

    def _figures(self, stat: ProcessStat, role: ProcessRole, of: str, gpu_bytes: int | None) -> ProcessFigures | None:
        """None where it has ended meanwhile."""
        key = (stat.pid, stat.start_ticks)
        try:
            before = self._known.get(key)
            process = before or psutil.Process(stat.pid)
            with process.oneshot():
                cpu = process.cpu_percent()
                command = _command(process)
                found = ProcessFigures(
                    pid=stat.pid,
                    role=_titled(command, role),
                    command=command[:LONGEST_COMMAND],
                    state=_STATES.get(process.status(), process.status()),
                    cpu=cpu if before is not None else None,
                    rss_bytes=process.memory_info().rss,
                    gpu_bytes=gpu_bytes,
                    started=process.create_time(),
                    of=of,
                )
        except psutil.Error:
            return None
        self._known[key] = process
        return found


class _Member:
    """A run, or a kept engine: which living processes are its own, and as what."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        self._spec: RunSpec = read_spec(files)
        self._journal = JournalReader(files.keeper_journal)
        self._census: list[ProcessIdentity] = []

    def roles(self, stats: dict[int, ProcessStat], keeper: KeeperRecord) -> dict[int, ProcessRole]:
        """By pid, every living process that is proven to be its own, its keeper and that one's helpers among them."""
        self._read_census(keeper.attempt)
        log = stat_of(self.files.log)
        run_id = self._spec.run_id
        proven = {who.pid for who in self._census if is_alive(who) is True}
        proven |= {pid for pid in stats if pid not in proven and (is_marked(pid, run_id) or writes_to(pid, log))}
        keeps = keeper.keeper.pid if is_alive(keeper.keeper) is True else None
        leader = keeper.generator.pid if keeper.generator is not None and is_alive(keeper.generator) is True else None
        if leader is not None:
            proven |= {leader, *(stat.pid for stat in stats.values() if leader in (stat.group, stat.session))}
        proven = with_descendants(stats, (pid for pid in proven if pid in stats and pid != keeps))
        found: dict[int, ProcessRole] = dict.fromkeys(proven, "child")
        if leader is not None:
            found[leader] = "server" if self._spec.kind == "engine" else "generator"
        if keeps is not None:
            helpers = with_descendants(stats, [keeps]) - proven
            found = {**dict.fromkeys(helpers, "helper"), **found}
            found[keeps] = "keeper" if keeper.ended is None else "aftermath"
        return {pid: role for pid, role in found.items() if pid in stats}

    def claimants(self, stats: Iterable[int]) -> set[int]:
        """Processes whose environment names the run's folder: of a copy of the run, or of one that was there before."""
        mark = f"{FOLDER_MARK}={self.files.folder.absolute()}".encode()
        return {pid for pid in stats if mark in _environment(pid)}

    def _read_census(self, attempt: int) -> None:
        for value in self._journal.read_new():
            event = parse_event(value) if value.get("event") == "census" else None
            if isinstance(event, Census):
                self._census = event.processes if event.attempt == attempt else []


def _environment(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return []


def _command(process: psutil.Process) -> str:
    """Its command line without the folders of the program; the kernel's name where it has none."""
    program, *arguments = process.cmdline() or [process.name()]
    return " ".join([program.rpartition("/")[2] or program, *arguments]).strip()


def _titled(command: str, role: ProcessRole) -> ProcessRole:
    """vLLM's processes say what they are."""
    if role == "child":
        return next((titled for title, titled in _TITLES if command.startswith(title)), role)
    return role


def _place(process: ProcessFigures) -> tuple[bool, bool, int, int]:
    return not process.proven, bool(process.of), _RANKS.index(process.role), process.pid
