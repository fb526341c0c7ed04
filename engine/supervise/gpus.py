"""The machine's GPUs as NVML shows them, asked in a child process because NVML can hang."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.supervise.commands import python_module

PROBE_TIMEOUT_S = 10.0

_hung_probes: set[int] = set()


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """Who computes on a GPU, as NVML says: in a container `pid` may be the host's. `used_bytes` None: not told."""

    pid: int
    used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; memory in bytes, `utilisation` in per cent and `power_w` in watts where the driver tells."""

    index: int
    uuid: str
    name: str
    used_bytes: int
    total_bytes: int
    utilisation: float | None = None
    power_w: float | None = None
    processes: tuple[GpuProcess, ...] = ()


_GPUS: TypeAdapter[list[Gpu]] = TypeAdapter(list[Gpu])


def hung_probes() -> set[int]:
    """Pids of probes that did not answer in time and would not die: no process of the run."""
    return _hung_probes


def has_nvidia_driver() -> bool:
    """Whether asking NVML can have any use."""
    return any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"))


def probe_gpus(timeout_s: float = PROBE_TIMEOUT_S) -> list[Gpu] | None:
    """The machine's GPUs by index; [] without a driver; None when NVML did not answer within `timeout_s`."""
    if not has_nvidia_driver():
        return []
    try:
        process = subprocess.Popen(
            python_module("engine.supervise.probe"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:  # no process, no memory: nothing can be known now
        return None
    try:
        answer, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        _hung_probes.add(process.pid)  # not waited for: it may hang in the driver for good
        return None
    try:
        return _GPUS.validate_json(answer) if process.returncode == 0 else None
    except ValidationError:
        return None
