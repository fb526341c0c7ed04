"""Live figures of a run's GPUs, from one child process that asks NVML again and again and may hang without harm."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection

from pydantic import TypeAdapter, ValidationError

from engine.figures import GpuFigures
from engine.supervise.commands import python_module, unmarked_environment
from engine.supervise.gpus import has_nvidia_driver

EVERY_S = 2.0
STALE_S = 10.0
LONGEST_LINE = 1 << 16

_FIGURES: TypeAdapter[list[GpuFigures]] = TypeAdapter(list[GpuFigures])


class GpuMonitor:
    """Figures of the GPUs `uuids`; nothing at all where there is none of them, or no driver."""

    def __init__(self, uuids: Collection[str]) -> None:
        self._uuids = frozenset(uuids)
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._latest: tuple[float, list[GpuFigures]] = (0.0, [])
        if not self._uuids or not has_nvidia_driver():
            return
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [*python_module("engine.supervise.probe"), "--every", str(EVERY_S)],
                env=unmarked_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            assert self._process.stdout is not None
            os.set_blocking(self._process.stdout.fileno(), False)

    def helpers(self) -> set[int]:
        """Pid of the child, which is not the run's."""
        return {self._process.pid} if self._process is not None else set()

    def latest(self) -> list[GpuFigures]:
        """The newest figures; none where the driver has been silent for `STALE_S` seconds. Never waits."""
        process = self._process
        if process is None or process.stdout is None:
            return []
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(process.stdout.fileno(), LONGEST_LINE):
                self._rest = (self._rest + chunk)[-LONGEST_LINE:]
        *lines, self._rest = self._rest.split(b"\n")
        for line in reversed(lines):
            with contextlib.suppress(ValidationError):
                figures = _FIGURES.validate_json(line)
                self._latest = (time.monotonic(), [gpu for gpu in figures if gpu.uuid in self._uuids])
                break
        since, figures = self._latest
        return figures if time.monotonic() - since < STALE_S else []

    def close(self) -> None:
        """End the child; one that hangs in the driver is left to itself."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdout is not None:
            process.stdout.close()
        with contextlib.suppress(OSError):
            process.send_signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
