"""A program on a pseudo-terminal behind a line of a given speed, every octet with the moment at which it came."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyte

Arrival = tuple[float, bytes]
SLICE_S = 0.005
SYNC_QUERY, SYNC_ANSWER = b"\x1b[?2026$p", b"\x1b[?2026;2$y"


class Line:
    """`rate` is the octets a second that the line carries; None for one that carries all there is."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int, size: tuple[int, int]) -> None:
        self.process = process
        self.started = time.monotonic()
        self.rate: int | None = None
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self._descriptor = descriptor
        self._usage = psutil.Process(process.pid)
        self._tail = b""

    def type(self, keys: bytes) -> float:
        """Press keys; when that was."""
        os.write(self._descriptor, keys)
        return time.monotonic()

    def cpu_s(self) -> float:
        """Seconds of CPU that the program has used so far."""
        times = self._usage.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Its resident octets."""
        return int(self._usage.memory_info().rss)

    def take(self, seconds: float) -> list[Arrival]:
        """What arrives within `seconds`."""
        until = time.monotonic() + seconds
        arrived: list[Arrival] = []
        while (left := until - time.monotonic()) > 0:
            octets = self._read(left)
            if octets:
                arrived.append((time.monotonic(), octets))
        return arrived

    def count(self, seconds: float) -> int:
        """How many octets arrive within `seconds`."""
        return sum(len(octets) for _, octets in self.take(seconds))

    def show(self, arrived: Sequence[Arrival]) -> None:
        """Let the emulator catch up with what arrived."""
        for _, octets in arrived:
            self.stream.feed(octets)

    def until(self, shown: Callable[[str], object], patience_s: float = 30.0) -> float:
        """When the screen first showed what is waited for, in seconds since the program's start."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            octets = self._read(deadline - time.monotonic())
            now = time.monotonic()
            if octets:
                self.stream.feed(octets)
                if shown("\n".join(self.screen.display)):
                    return now - self.started
        text = "\n".join(self.screen.display)
        raise RuntimeError(f"what was waited for did not appear; the screen:\n{text}")

    def _read(self, patience_s: float) -> bytes:
        """The next octets; a slow line delivers a small slice and is then busy for as long as that takes."""
        if not select.select([self._descriptor], [], [], min(patience_s, 0.5))[0]:
            return b""
        try:
            octets = os.read(self._descriptor, 65_536 if self.rate is None else max(1, int(self.rate * SLICE_S)))
        except OSError:
            time.sleep(SLICE_S)
            return b""
        if self.rate is not None:
            time.sleep(len(octets) / self.rate)
        seen = self._tail + octets
        if SYNC_QUERY in seen:
            os.write(self._descriptor, SYNC_ANSWER)
            seen = b""
        self._tail = seen[-len(SYNC_QUERY) + 1 :]
        return octets


@contextmanager
def line(argv: Sequence[str], folder: Path, size: tuple[int, int], **variables: str) -> Iterator[Line]:
    """Run `argv` in `folder` on a terminal of `size`, and end it afterwards."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TEXTUAL")},
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        **variables,
    }
    process = subprocess.Popen(
        list(argv), stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        yield Line(process, ours, size)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(ours)
