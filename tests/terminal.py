"""A real pseudo-terminal with an emulator behind it: what a person would see of a program, and what they type."""

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

import pyte

ROOT = Path(__file__).resolve().parents[1]
PIECE_S, MOST_PIECES = 0.01, 16
"""How long the next piece of a frame may take, and how many are taken for one frame."""


class Terminal:
    """A pseudo-terminal with an emulator that shows what a person would see."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes], size: tuple[int, int] = (80, 24)) -> None:
        self.descriptor = descriptor
        self.process = process
        self.raw = b""
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)

    def read(self, until: str, timeout: float = 20.0) -> str:
        """Everything on the screen once `until` stands there."""
        self.until(lambda: until in self.text, f"{until!r} did not appear", timeout)
        return self.text

    def until(self, condition: Callable[[], object], otherwise: str, timeout: float = 20.0) -> None:
        """Read until `condition` holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"{otherwise}; the screen:\n{self.text}"
            self._take(0.1)

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

    @property
    def rows(self) -> list[str]:
        """What stands on each row, without the blanks at its end."""
        return [row.rstrip() for row in self._screen.display]

    @property
    def underlined(self) -> str:
        """All that is underlined, row after row."""
        rows = (self._screen.buffer[y] for y in range(self._screen.lines))
        return "".join(row[x].data for row in rows for x in range(self._screen.columns) if row[x].underscore)

    @property
    def settings(self) -> list[object]:
        """Those of the line itself: whether it echoes, edits, and turns ctrl+c into a signal."""
        return list(termios.tcgetattr(self.descriptor))

    def resize(self, columns: int, lines: int) -> None:
        """Make the window as large as that; the program that was started is told."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)
        self.process.send_signal(signal.SIGWINCH)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.descriptor, keys)

    def hang_up(self) -> None:
        """Tear the line away, as a dropped connection does."""
        os.close(self.descriptor)
        self.descriptor = -1

    def _take(self, wait: float) -> None:
        """Wait for what comes, and take all of it: the kernel hands a frame over in pieces."""
        for _ in range(MOST_PIECES):
            if not select.select([self.descriptor], [], [], wait)[0]:
                return
            try:
                octets = os.read(self.descriptor, 65_536)
            except OSError:
                return
            self.raw += octets
            self._stream.feed(octets)
            wait = PIECE_S


@contextmanager
def terminal(argv: Sequence[str], folder: Path, size: tuple[int, int] = (80, 24)) -> Iterator[Terminal]:
    """Run `argv` in `folder` on a terminal of its own, and end it afterwards."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")},
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    process = subprocess.Popen(
        list(argv), stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True
    )
    os.close(theirs)
    screen = Terminal(ours, process, size)
    try:
        yield screen
    finally:
        process.kill()
        process.wait()
        if screen.descriptor >= 0:
            os.close(screen.descriptor)
