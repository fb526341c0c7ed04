"""Asks NVML for the machine's GPUs and prints them as JSON; run as a child process, because NVML can hang."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any


def read_gpus() -> list[dict[str, Any]]:
    """Index, UUID, name, memory in bytes, utilisation in per cent, power in watts and compute processes of every GPU.

    Raises what NVML raises, unless it is only one of the last three that it cannot tell.
    """
    import pynvml

    pynvml.nvmlInit()
    try:
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            found.append(
                {
                    "index": index,
                    "uuid": _text(pynvml.nvmlDeviceGetUUID(handle)),
                    "name": _text(pynvml.nvmlDeviceGetName(handle)),
                    "used_bytes": int(memory.used),
                    "total_bytes": int(memory.total),
                    "utilisation": _told(lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)),  # noqa: B023
                    "power_w": _told(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000),  # noqa: B023
                    "processes": _told(lambda: _processes(pynvml, handle)) or [],  # noqa: B023
                }
            )
        return found
    finally:
        pynvml.nvmlShutdown()


def _processes(nvml: Any, handle: Any) -> list[dict[str, int | None]]:
    running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    return [
        {"pid": int(process.pid), "used_bytes": int(process.usedGpuMemory) if process.usedGpuMemory else None}
        for process in running
    ]


def _told(ask: Callable[[], Any]) -> Any:
    """What `ask` returns; None where this driver or GPU does not say."""
    try:
        return ask()
    except Exception:  # NVML's own errors, and what an older binding lacks
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def main() -> int:
    """0 and a JSON list on stdout, or 1 where NVML is not there."""
    try:
        gpus = read_gpus()
    except Exception:  # whatever NVML or its binding raises means the same here: nothing can be known
        return 1
    json.dump(gpus, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
