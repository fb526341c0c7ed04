"""What the GPU and this process do meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import psutil


class GpuWatch:
    """Samples the first GPU's utilisation every 100 ms while the context lasts; `idle` is the share of time in which no
    kernel ran, `power_w` the mean."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []
        self._ended = threading.Event()
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml: Any = pynvml
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        except Exception:  # no driver: the figures are left out
            self._nvml = None

    def __enter__(self) -> GpuWatch:
        if self._nvml is not None:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            busy = float(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
            self._samples.append((busy, self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000))

    def figures(self) -> dict[str, float | None]:
        if not self._samples:
            return {"gpu_idle": None, "power_w": None}
        count = len(self._samples)
        return {
            "gpu_idle": round(1 - sum(busy for busy, _ in self._samples) / count / 100, 4),
            "power_w": round(sum(power for _, power in self._samples) / count, 1),
        }


def resident_mib() -> int:
    """Memory of this process alone, without vLLM's core."""
    return int(psutil.Process().memory_info().rss) >> 20
