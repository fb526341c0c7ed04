"""The fetching process as its starter sees it, and what killed ones have left in the cache."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from engine.errors import RunFailedError
from engine.generate.models.hub import HubName
from engine.generate.models.hub_worker import UNIQUE

PACKAGE_HOME = Path(__file__).resolve().parents[3]
WORKER = "engine.generate.models.hub_worker"
LOOK_S = 0.1
PATIENCE_S = 1.0
"""Seconds between two looks at the fetching process, and until one that was asked to end is killed."""

LIVE_S = 120.0

QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
    "PYTHONWARNINGS": "ignore",
}

Stopped = Callable[[], bool]


class DownloadStoppedError(RunFailedError):
    """The download was asked to stop. What it fetched is there for the next time."""


class FetchError(Exception):
    """The hub's library failed; `details` is what `_described` made of it."""

    def __init__(self, details: Mapping[str, Any]) -> None:
        super().__init__(str(details.get("text")))
        self.details = details


class Fetcher:
    """The process that fetches, for as long as the context lasts."""

    def __init__(self, name: HubName, cache: Path, stopped: Stopped) -> None:
        self._name, self._stopped = name, stopped
        self._first = {"repository": name.repository, "revision": name.revision, "cache": str(cache)}
        self._answers: SimpleQueue[str | None] = SimpleQueue()

    def __enter__(self) -> Fetcher:
        paths = [str(PACKAGE_HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(paths)},
        )
        threading.Thread(target=self._listen, name="download", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def _input(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put(None)

    def ask(self, order: Mapping[str, Any], meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Give an order and await the answer. `meanwhile` is called again and again.

        Raises `FetchError` when the hub's library fails, `DownloadStoppedError` when asked to stop.
        """
        with contextlib.suppress(OSError):  # it is gone: no answer will come, and says so
            self._input.write(json.dumps(self._first | dict(order)) + "\n")
            self._input.flush()
        while True:
            if self._stopped():
                raise stopped_error(self._name)
            try:
                line = self._answers.get(timeout=LOOK_S)
            except Empty:
                meanwhile()
                continue
            answer = _answer_in(line) if line is not None else {"error": {"text": self._end()}}
            if answer is not None and "error" in answer:
                raise FetchError(answer["error"])
            if answer is not None:
                return answer

    def _end(self) -> str:
        code = self._process.wait()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"the process that downloads ended {how}"


def _answer_in(line: str) -> dict[str, Any] | None:
    """The answer in a line; None for what else may come out while Python starts (of a sitecustomize, say)."""
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def stopped_error(name: HubName) -> DownloadStoppedError:
    return DownloadStoppedError(
        f"the download of {name.repository} was stopped",
        remedy="start again: what was downloaded is kept, and it goes on from there",
    )


# --- what killed processes left ------------------------------------------------------------------------------------


def names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def sweep(home: Path) -> None:
    """Remove what killed processes left in a repository's cache and nobody can use: it may be gigabytes."""
    for name in names_in(home / "blobs"):
        blob, _, rest = name.partition(".")
        path = home / "blobs" / name
        useless = UNIQUE.fullmatch(name) or (rest == "incomplete" and (home / "blobs" / blob).exists())
        if useless and not _in_use(path, home.parent / ".locks" / home.name / f"{blob}.lock"):
            with contextlib.suppress(OSError):
                path.unlink()


def _in_use(path: Path, lock: Path) -> bool:
    """Whether a process may be writing `path`: it was written to just now, or the hub's lock on it is held."""
    try:
        if time.time() - path.stat().st_mtime < LIVE_S:
            return True
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(descriptor)
    return False
