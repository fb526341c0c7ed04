"""Asks the process that looks for lines in a log, and tells a widget what it answers. Nothing here waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from textual.message import Message
from textual.message_pump import MessagePump

import tui
from tui.logs.query import Query
from tui.logs.worker import Stream

WORKER = "tui.logs.worker"
_HOME = str(Path(tui.__file__).resolve().parents[1])


class ScanAnswered(Message):
    """A part of the answer to the newest request of a stream."""

    def __init__(self, process: int, stream: Stream, number: int, answer: dict[str, Any]) -> None:
        super().__init__()
        self.process = process
        self.stream = stream
        self.number = number
        self.answer = answer


class ScanBroke(Message):
    """The process ended unasked: an expression took too long on a line, or else the machine would not let it live."""

    def __init__(self, process: int, *, too_long: bool) -> None:
        super().__init__()
        self.process = process
        self.too_long = too_long


class LogSearcher:
    """One process for one log, started when something is asked; messages go to `listener`."""

    def __init__(self, path: Path, listener: MessagePump) -> None:
        self._path, self._listener = path, listener
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers: dict[Stream, int] = {}
        self._number = 0

    def ask(self, stream: Stream, query: Query, **request: Any) -> bool:
        """Ask for something in the place of what the stream was asked before; False where that cannot be."""
        self._number += 1
        self._numbers[stream] = self._number
        asked = self._send({"stream": stream, "id": self._number, "query": asdict(query), **request})
        if not asked:
            self._numbers.pop(stream)
        return asked

    def asked(self, stream: Stream) -> bool:
        """Whether an answer is still waited for."""
        return stream in self._numbers

    def stop(self, stream: Stream) -> None:
        """Have no more looked for what the stream was asked."""
        if self._numbers.pop(stream, None) is not None:
            self._send({"stream": stream, "query": None})

    def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        self._numbers.clear()
        if process is not None:
            process.kill()

    def takes(self, message: ScanAnswered) -> bool:
        """Whether the answer is one that is waited for."""
        current = self._process is not None and self._process.pid == message.process
        if not current or self._numbers.get(message.stream) != message.number:
            return False
        if message.answer.get("done") or message.stream == "spans":
            self._numbers.pop(message.stream)
        return True

    def broke(self, message: ScanBroke) -> bool:
        """Whether it is the present process that ended; the next request starts another."""
        if self._process is None or self._process.pid != message.process:
            return False
        self.close()
        return True

    def _send(self, request: dict[str, Any]) -> bool:
        """Far less is asked than a pipe holds: a process that takes no more is stuck, and about to be ended."""
        try:
            process = self._process or self._started()
            assert process.stdin is not None
            os.write(process.stdin.fileno(), json.dumps(request).encode() + b"\n")
        except (OSError, ValueError):  # ValueError: it has ended, the message that says so is on its way
            return False
        return True

    def _started(self) -> subprocess.Popen[bytes]:
        paths = [_HOME, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, self._path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        self._process = process
        threading.Thread(target=self._listen, args=(process,), name="log search", daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        with process.stdout, suppress(ValueError, OSError):
            for line in process.stdout:
                answer = json.loads(line)
                self._tell(ScanAnswered(process.pid, answer.pop("stream"), answer.pop("id"), answer))
        code = process.wait()
        process.stdin.close()
        self._tell(ScanBroke(process.pid, too_long=code == -signal.SIGVTALRM))

    def _tell(self, message: Message) -> None:
        with suppress(RuntimeError):  # the event loop has ended
            self._listener.post_message(message)
