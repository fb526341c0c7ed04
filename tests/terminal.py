"""A real pseudo-terminal with an emulator behind it: what a person would see of a program, and what they type."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[1]


class Terminal:
    """A pseudo-terminal of 80×24 with an emulator that shows what a person would see."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self.descriptor = descriptor
        self.process = process
        self.raw = b""
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)

    def read(self, until: str, timeout: float = 20.0) -> str:
        """Everything on the screen once `until` stands there."""
        deadline = time.monotonic() + timeout
        while until not in self.text:
            assert time.monotonic() < deadline, f"{until!r} did not appear; the screen:\n{self.text}"
            self._take(0.1)
        return self.text

    def read_to_end(self, timeout: float = 20.0) -> int:
        """Read until the process has ended; its exit code."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end; the screen:\n{self.text}"
            self._take(0.1)
        self._take(0.2)
        return self.process.returncode

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.descriptor, keys)

    def hang_up(self) -> None:
        """Tear the line away, as a dropped connection does."""
        os.close(self.descriptor)
        self.descriptor = -1

    def _take(self, wait: float) -> None:
        if select.select([self.descriptor], [], [], wait)[0]:
            try:
                octets = os.read(self.descriptor, 65_536)
            except OSError:
                return
            self.raw += octets
            self._stream.feed(octets)


@contextmanager
def terminal(argv: Sequence[str], folder: Path) -> Iterator[Terminal]:
    """Run `argv` in `folder` on a terminal of its own, and end it afterwards."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "XDG_STATE_HOME": str(folder / "state"),
    }
    process = subprocess.Popen(
        list(argv), stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True
    )
    os.close(theirs)
    screen = Terminal(ours, process)
    try:
        yield screen
    finally:
        process.kill()
        process.wait()
        if screen.descriptor >= 0:
            os.close(screen.descriptor)
