"""Asks NVML for the machine's GPUs and prints them as JSON; run as a child process, because NVML can hang."""

from __future__ import annotations

import json
import sys
from typing import Any


def read_gpus() -> list[dict[str, Any]]:
    """Index, UUID, name, used and total memory in bytes of every GPU; raises what NVML raises."""
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
                }
            )
        return found
    finally:
        pynvml.nvmlShutdown()


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
