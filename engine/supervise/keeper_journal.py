"""The keeper's journal as the keeper writes it: what cannot be written now (full disk) is written later."""

from __future__ import annotations

import errno
from collections import deque

from engine.files import RunFiles
from engine.journal.events import (
    Event,
    Heartbeat,
    KeeperStarted,
    RequestTaken,
    RunEnded,
    TargetRaised,
    dump_event,
    parse_event,
)
from engine.journal.reader import JournalReader
from engine.journal.writer import JournalWriter


class KeeperJournal:
    """Appends events in order. After a failed write they queue, and `fault` holds the error until all are written."""

    def __init__(self, files: RunFiles, *, resumed: int | None = None) -> None:
        """Open it, its torn tail repaired, and read back what a new keeper must know. Raises `OSError`.

        What a dead keeper of the attempt `resumed` had accepted is not `handled`: it was not carried through.
        `authors` holds who started each attempt, `progressed` whether each that ended finished an item.
        """
        self._resumed = resumed
        self.target: TargetRaised | None = None
        self.handled: set[str] = set()
        self.authors: dict[int, str] = {}
        self.progressed: dict[int, bool | None] = {}
        self._writer = JournalWriter(files.keeper_journal)
        for value in JournalReader(files.keeper_journal).read_new():
            if value.get("event") in ("target_raised", "request_taken", "keeper_started", "run_ended"):
                self._learn(parse_event(value))
        self._resumed = None
        self.handled |= self.taken(files)
        self._queue: deque[Event] = deque()
        self.fault: OSError | None = None

    @staticmethod
    def taken(files: RunFiles) -> set[str]:
        """Files of the requests that were answered after the end of an attempt."""
        journals = (JournalReader(path) for path in files.folder.glob("aftermath-*.jsonl"))
        values = (value for journal in journals for value in journal.read_new())
        return {str(value.get("file")) for value in values if value.get("event") == "request_taken"}

    @classmethod
    def answered(cls, files: RunFiles) -> set[str]:
        """Files of all requests that a keeper of the run has answered, during an attempt or after it."""
        values = JournalReader(files.keeper_journal).read_new()
        during = {str(value.get("file")) for value in values if value.get("event") == "request_taken"}
        return during | cls.taken(files)

    @staticmethod
    def last_target(files: RunFiles) -> int | None:
        """Kept pairs wanted as the latest extension set them, None where there was none."""
        values = JournalReader(files.keeper_journal).read_new()
        raised = [parse_event(value) for value in values if value.get("event") == "target_raised"]
        return next((event.examples for event in reversed(raised) if isinstance(event, TargetRaised)), None)

    def append(self, event: Event) -> None:
        """Write `event`; a heartbeat that cannot be written is dropped, anything else waits its turn."""
        if isinstance(event, Heartbeat):
            if not self._queue:
                self._write(event, sync=False)
            return
        self._learn(event)
        self._queue.append(event)
        self.flush()

    def flush(self) -> bool:
        """Write what waits, to the disk; True when nothing is left."""
        while self._queue:
            if not self._write(self._queue[0], sync=True):
                return False
            self._queue.popleft()
        return True

    def _write(self, event: Event, *, sync: bool) -> bool:
        try:
            self._writer.append(dump_event(event), sync=sync)
        except OSError as error:
            self.fault = error
            return False
        self.fault = None
        return True

    @property
    def disk_is_full(self) -> bool:
        return self.fault is not None and self.fault.errno in (errno.ENOSPC, errno.EDQUOT)

    def close(self) -> None:
        try:
            self._writer.close()
        except OSError as error:
            self.fault = error

    def _learn(self, event: Event | None) -> None:
        if isinstance(event, TargetRaised):
            self.target = event
        elif isinstance(event, RequestTaken) and not (event.accepted and event.attempt == self._resumed):
            self.handled.add(event.file)
        elif isinstance(event, KeeperStarted) and not event.adopted:
            self.authors[event.attempt] = event.author
        elif isinstance(event, RunEnded):
            self.progressed[event.attempt] = event.progressed
