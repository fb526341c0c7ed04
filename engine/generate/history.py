"""What earlier attempts of a run left, read before going on from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.files import RunFiles
from engine.journal.events import ListGenerated, parse_event
from engine.journal.reader import JournalReader
from engine.qc.metrics import DROPPED_OUTCOMES, is_garbage


@dataclass(slots=True)
class History:
    """`lists` are consecutive from 0; `done` holds the indices that have a record.

    `candidates` counts those that went to the critic, `answered` those of them that got a response, `failed` those
    whose request failed. `last_attempt` is 0 when nobody was here before.
    """

    lists: list[ListGenerated] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    kept: int = 0
    candidates: int = 0
    answered: int = 0
    failed: int = 0
    last_attempt: int = 0

    @property
    def highest(self) -> int:
        """The highest index that has a record: all items before it had been admitted. -1 without records."""
        return max(self.done, default=-1)


def read_history(files: RunFiles) -> History:
    """Lists and records of all earlier attempts. Half-written last lines are left out."""
    history = History()
    for value in JournalReader(files.generator_journal).read_new():
        event = parse_event(value)
        if event is None:
            continue
        history.last_attempt = max(history.last_attempt, event.attempt)
        if isinstance(event, ListGenerated) and event.list == len(history.lists):
            history.lists.append(event)
    for record in read_records(files):
        outcome = record.get("outcome")
        history.done.add(record["index"])
        history.kept += outcome == "kept"
        history.candidates += outcome not in DROPPED_OUTCOMES
        history.answered += "response" in record
        history.failed += outcome == "failed"
    return history


def read_records(files: RunFiles) -> Iterator[dict[str, Any]]:
    """Every record once, in the order in which they finished; garbage is passed over, its items are made anew."""
    seen: set[int] = set()
    for record in JournalReader(files.records).read_new():
        index = record.get("index")
        if type(index) is int and index not in seen and not is_garbage(record):
            seen.add(index)
            yield record
