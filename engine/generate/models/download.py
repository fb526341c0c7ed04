"""Fetches a model from the Hugging Face hub into its local cache: all that vLLM needs of it, and nothing twice.

Files that were fetched whole stay for the next time, in the layout that vLLM and everything else finds them by. How
far it is shows in the sizes of the files.
"""

from __future__ import annotations

import collections
import contextlib
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError, RefusedError, RunFailedError
from engine.files import make_private_folder
from engine.generate.models.fetching import Fetcher, FetchError, Stopped, names_in, stopped_error, sweep
from engine.generate.models.folder import ModelFolder
from engine.generate.models.hub import HubName, cache_folder, hub_name
from engine.generate.models.hub_errors import explained
from engine.generate.models.hub_files import HubFile, wanted_files
from engine.generate.models.hub_worker import UNIQUE
from engine.generate.models.hugging_face import check_folder, check_snapshot
from engine.generate.models.reading import shown
from engine.generate.progress import log
from engine.journal.events import LoadProgress

SECONDS_BETWEEN_EVENTS = 1.0
RATE_S = 15.0
"""Seconds between two events, and over which a rate is taken."""


def download(
    model: ModelConfig, models_dir: Path | None, progress: Callable[[LoadProgress], None], stopped: Stopped
) -> ModelFolder:
    """Fetch the model that `model.path` names on the hub into `models_dir` (None: the hub's own cache), and check it.

    `progress` is called once a second at most, `stopped` ten times a second; when it says yes, `DownloadStoppedError`
    comes within about a second. Raises `ConfigurationError` when there is no such model or it may not be fetched,
    `RefusedError` when it has no room, and `RunFailedError` when the hub or the way there fails.
    """
    name = hub_name(model.path)
    if name is None:
        raise ConfigurationError(
            "model.path names nothing on the hub",
            where=shown(model.path),
            remedy="name a folder, or a model of the hub as OWNER/NAME or OWNER/NAME@REVISION",
        )
    if stopped():
        raise stopped_error(name)
    cache = make_private_folder(cache_folder(models_dir))
    attempt = _Download(model, name, cache, progress)
    try:
        with Fetcher(name, cache, stopped) as fetcher:
            return attempt.run(fetcher)
    except FetchError as error:
        snapshot = name.snapshot(cache)
        folder = check_snapshot(model, snapshot) if snapshot is not None else None
        failure = explained(error.details, name, cache)
        if folder is None:
            raise failure from None
        log.warning("%s is used as it lies in %s: %s", shown(model.path), shown(cache), failure.what)
        return folder


# --- one download ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Download:
    """One call of `download`, from the list of files to the checked folder."""

    model: ModelConfig
    name: HubName
    cache: Path
    progress: Callable[[LoadProgress], None]
    said: float = -SECONDS_BETWEEN_EVENTS

    def run(self, fetcher: Fetcher) -> ModelFolder:
        path = shown(self.model.path)
        self._say(None, f"asking the hub for {path}")
        listing = fetcher.ask({})
        commit, files = _understood(listing)
        small, weights = wanted_files(files, self.model.options)
        home = self.name.home(self.cache)
        snapshot = home / "snapshots" / commit
        sweep(home)
        measure = _Measure(home / "blobs", snapshot, (*small, *weights))
        self._check_space(measure)
        log.info(
            "downloading %s (%s): %d files, %s, into %s",
            path,
            commit[:12],
            len(small) + len(weights),
            _of(measure.done(), measure.total),
            shown(self.cache),
        )
        began = time.monotonic()
        # the small ones first: where the weights are whole, all else is
        fetcher.ask(
            {"commit": commit, "phases": [[file.name for file in files] for files in (small, weights)]},
            meanwhile=lambda: self._look(measure),
        )
        sweep(home)
        log.info("downloaded %s in %s", path, _duration(time.monotonic() - began))
        return check_folder(self.model, snapshot)

    def _check_space(self, measure: _Measure) -> None:
        missing = measure.total - measure.done()
        free = shutil.disk_usage(self.cache).free
        if missing > free:
            raise RefusedError(
                f"the model has no room: {_amount(missing)} are to be downloaded, and {_amount(free)} are free",
                where=shown(self.cache),
                remedy="free some space there, or set engine.models_dir to a folder on a larger disk",
            )

    def _look(self, measure: _Measure) -> None:
        if time.monotonic() - self.said >= SECONDS_BETWEEN_EVENTS:
            done = measure.done()
            share = min(done / measure.total, 1.0) if measure.total else None
            self._say(share, measure.in_words(done, time.monotonic()))

    def _say(self, share: float | None, detail: str) -> None:
        self.said = time.monotonic()
        self.progress(LoadProgress(stage="downloading", share=share, detail=detail))


def _understood(listing: Mapping[str, Any]) -> tuple[str, list[HubFile]]:
    """The commit and the files of a repository, as far as they can be what a hub says."""
    commit = listing.get("commit")
    if not isinstance(commit, str) or not re.fullmatch("[0-9a-f]{40}", commit):
        raise RunFailedError(
            "what answers at the hub's address is no hub: it names no commit",
            where=shown(str(listing.get("endpoint"))),
            remedy="check HF_ENDPOINT, and the proxy",
        )
    return commit, [
        HubFile(
            name=name,
            size=size if isinstance(size, int) and size >= 0 else None,
            blob=blob if isinstance(blob, str) and re.fullmatch("[0-9a-f]{40,64}", blob) else None,
        )
        for name, size, blob in listing.get("files", [])
        if isinstance(name, str)
    ]


class _Measure:
    """How much of some files is on the disk: those that are whole, and what has come of the others."""

    def __init__(self, blobs: Path, snapshot: Path, files: tuple[HubFile, ...]) -> None:
        self.total = sum(file.size or 0 for file in files)
        self._blobs, self._snapshot, self._files = blobs, snapshot, files
        # of a process that was killed, or of another one that fetches the same
        self._foreign = {name for name in names_in(blobs) if UNIQUE.fullmatch(name)}
        self._past = collections.deque([(time.monotonic(), self.done())])

    def done(self) -> int:
        """Bytes that are there. A file may be written in no order: what the disk holds of it counts, not its end."""
        begun: dict[str, int] = {}
        for name in names_in(self._blobs):
            if name.endswith(".incomplete") and name not in self._foreign:
                with contextlib.suppress(OSError):
                    status = (self._blobs / name).stat()
                    blob = name.partition(".")[0]
                    begun[blob] = max(begun.get(blob, 0), min(status.st_size, status.st_blocks * 512))
        return sum(self._done(file, begun) for file in self._files)

    def _done(self, file: HubFile, begun: Mapping[str, int]) -> int:
        whole = (self._snapshot / file.name).exists() or (file.blob is not None and (self._blobs / file.blob).exists())
        return (file.size or 0) if whole else min(begun.get(file.blob or "", 0), file.size or 0)

    def in_words(self, done: int, now: float) -> str:
        """`12.1 of 65.5 GB, 210 MB/s, 4 min left`; the rate is that of the last seconds."""
        self._past.append((now, done))
        while now - self._past[0][0] > RATE_S:
            self._past.popleft()
        (before, had), words = self._past[0], _of(done, self.total)
        rate = (done - had) / (now - before) if now > before else 0.0
        if rate <= 0:
            return words
        return f"{words}, {rate / 1e6:.{0 if rate >= 1e7 else 1}f} MB/s, {_duration((self.total - done) / rate)} left"


def _of(done: int, total: int) -> str:
    number, unit = _amount(total).split(" ")
    return f"{done / (1e9 if unit == 'GB' else 1e6):.1f} of {number} {unit}"


def _amount(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
