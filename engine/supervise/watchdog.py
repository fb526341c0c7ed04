"""Notices that a run no longer gets anywhere: judged by what it finishes, not by whether it lives."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from engine.campaign.spec import RunSpec
from engine.campaign.supervision import StallConfig
from engine.files import RunFiles
from engine.journal.events import PhaseEntered, Recovered, Stalled, parse_event
from engine.journal.reader import JournalReader

GAP_S = 30.0
"""A watchdog that did not look for so long was suspended itself, and the run perhaps with it: that time counts for
nothing."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What can be seen of a run's progress: its phase, and octets of finished items, of its journal and of its log."""

    phase: str
    items: int = 0
    journal: int = 0
    log: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """For `silent_s` seconds nothing was finished in `phase`; the log has been silent for `log_silent_s`."""

    phase: str
    silent_s: float
    log_silent_s: float


class SignsReader:
    """Reads the signs of the run `files` as they stand; a few stats and what was appended to a journal."""

    def __init__(self, files: RunFiles, spec: RunSpec, attempt: int) -> None:
        self._files = files
        self._attempt = attempt
        self._journal = JournalReader(files.generator_journal)
        self._foreign = spec.generator.kind == "command"
        self._phase = "running" if self._foreign else "starting"
        self._items_before = self._items()

    def read(self) -> Signs:
        with contextlib.suppress(OSError):  # a file system that falters is no reason to let go of a run
            for value in self._journal.read_new():
                event = parse_event(value) if value.get("event") == "phase" else None
                if isinstance(event, PhaseEntered) and event.attempt == self._attempt:
                    self._phase = event.phase
        items = self._items()
        if self._foreign and items > self._items_before:
            self._phase = "generating"
        return Signs(self._phase, items, _octets(self._files.generator_journal), _octets(self._files.log))

    def _items(self) -> int:
        return _octets(self._files.records) + (_octets(self._files.pilot_data) if self._foreign else 0)


class Watchdog:
    """Judges signs as they come. Times are seconds of one monotonic clock.

    While generating, only a finished item is progress. In every other phase (downloading, loading and compiling take
    their time, and tell of it), and in a foreign program of which no item was seen, a journal or a log that grows is.
    """

    def __init__(self, config: StallConfig, now: float) -> None:
        self._config = config
        self._signs: Signs | None = None
        self._progress = self._log_grew = self._looked = now
        self.stall: Stall | None = None

    def look(self, signs: Signs, now: float) -> Stall | Recovered | None:
        """What changed: a stall that began, told once, or its end."""
        gap = now - self._looked
        if gap > GAP_S:
            self._progress += gap
            self._log_grew += gap
        self._looked = now
        before, self._signs = self._signs, signs
        if before is None or signs.log != before.log:
            self._log_grew = now
        if before is None or self._is_progress(before, signs):
            silent, self._progress = now - self._progress, now
            if self.stall is not None:
                self.stall = None
                return Recovered(silent_s=round(silent, 1))
            return None
        silent = now - self._progress
        if self.stall is None and silent >= self.patience_s(signs.phase):
            self.stall = Stall(signs.phase, round(silent, 1), round(now - self._log_grew, 1))
            return self.stall
        return None

    def patience_s(self, phase: str) -> float:
        """Seconds without progress in `phase` that are no stall yet."""
        generating = phase == "generating"
        return 60 * (self._config.after_minutes if generating else self._config.startup_minutes)

    def _is_progress(self, before: Signs, signs: Signs) -> bool:
        if signs.phase != before.phase or signs.items != before.items:
            return True
        return signs.phase != "generating" and (signs.journal, signs.log) != (before.journal, before.log)


def stall_text(event: Stalled) -> str:
    """The stall in words: `stalled while generating: nothing finished for 10 min; log silent for 9 min; GPU at 0 %`."""
    parts = [f"stalled while {event.phase}: nothing finished for {_minutes(event.silent_s)}"]
    if event.suspended:
        parts.append("the generator is suspended (SIGSTOP)")
    if event.log_silent_s is not None:
        quiet = event.log_silent_s >= min(60.0, event.silent_s / 2)
        parts.append(f"log silent for {_minutes(event.log_silent_s)}" if quiet else "the log goes on")
    if event.gpu_utilisation:
        parts.append("GPU at " + ", ".join(f"{share:.0f} %" for share in event.gpu_utilisation.values()))
    if event.last_item is not None:
        parts.append(f"last item at {event.last_item[11:19]} UTC")
    return "; ".join(parts)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _octets(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
