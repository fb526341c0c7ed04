"""Asks NVML for the machine's GPUs and prints them as JSON; run as a child process, because NVML can hang.

`--every SECONDS` prints a line again and again until nobody reads any more.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def read_gpus() -> list[dict[str, Any]]:
    """Index, UUID, name, memory in bytes, utilisation in per cent, power in watts and compute processes of every GPU.

    Raises what NVML raises, unless it is only one of the last three that it cannot tell.
    """
    import pynvml

    pynvml.nvmlInit()
    try:
        return _gpus(pynvml)
    finally:
        pynvml.nvmlShutdown()


def _gpus(nvml: Any) -> list[dict[str, Any]]:
    found = []
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        found.append(
            {
                "index": index,
                "uuid": _text(nvml.nvmlDeviceGetUUID(handle)),
                "name": _text(nvml.nvmlDeviceGetName(handle)),
                "used_bytes": int(memory.used),
                "total_bytes": int(memory.total),
                "utilisation": _told(lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),  # noqa: B023
                "power_w": _told(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),  # noqa: B023
                "processes": _told(lambda: _processes(nvml, handle)) or [],  # noqa: B023
            }
        )
    return found


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


def watch(every_s: float) -> None:
    """A line with all GPUs now, and again every `every_s` seconds, until the reader is gone; with none while NVML
    fails."""
    import pynvml

    pynvml.nvmlInit()
    while True:
        line = json.dumps(_told(lambda: _gpus(pynvml)) or []) + "\n"
        try:
            os.write(sys.stdout.fileno(), line.encode())
        except BrokenPipeError:
            return
        time.sleep(every_s)


def main(arguments: list[str] | None = None) -> int:
    """0 and a JSON list on stdout, or 1 where NVML is not there."""
    parser = argparse.ArgumentParser(prog="python -m engine.supervise.probe", description=__doc__)
    parser.add_argument("--every", type=float, metavar="SECONDS", help="go on until nobody reads")
    given = parser.parse_args(arguments)
    try:
        if given.every is not None:
            watch(given.every)
            return 0
        gpus = read_gpus()
    except Exception:  # whatever NVML or its binding raises means the same here: nothing can be known
        return 1
    json.dump(gpus, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
