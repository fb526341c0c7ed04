"""What a run's files say about how it ended, and how its keeper writes that down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.files import RunFiles, write_json
from engine.journal.events import Census, GenerationEnded, ProcessIdentity, RunEnded, parse_event, utc_now
from engine.journal.reader import JournalReader
from engine.logs.tail import LogTail
from engine.supervise.ending import Ending
from engine.supervise.generator import Exit
from engine.supervise.keeper_journal import KeeperJournal

REASON_LIMIT = 300
LAST_WORDS_S = 30.0  # how long a keeper tries to write a run's end to a full disk
RETRY_S = 0.25


def own_word(files: RunFiles, attempt: int) -> GenerationEnded | None:
    """The generator's end record of this `attempt`, if it left one."""
    found: GenerationEnded | None = None
    for value in JournalReader(files.generator_journal).read_new():
        if value.get("event") == "generation_ended" and value.get("attempt") == attempt:
            event = parse_event(value)
            found = event if isinstance(event, GenerationEnded) else found
    return found


def recorded_end(files: RunFiles, attempt: int) -> RunEnded | None:
    """The end of `attempt` as its keeper recorded it, None while there is none."""
    found: RunEnded | None = None
    for value in JournalReader(files.keeper_journal).read_new():
        if value.get("event") == "run_ended" and value.get("attempt") == attempt:
            event = parse_event(value)
            found = event if isinstance(event, RunEnded) else found
    return found


def last_census(files: RunFiles, attempt: int) -> list[ProcessIdentity]:
    """The processes that the keepers of `attempt` had last written down as the run's."""
    found: list[ProcessIdentity] = []
    for value in JournalReader(files.keeper_journal).read_new():
        if value.get("event") == "census" and value.get("attempt") == attempt:
            event = parse_event(value)
            found = event.processes if isinstance(event, Census) else found
    return found


def last_line(log: Path) -> str:
    """The last line of `log` that says what happened, sanitised; empty when there is none.

    Where and what to do follow what happened in our own errors: the reason is what stands before them.
    """
    tail = LogTail(log, line_limit=REASON_LIMIT)
    lines = (line.strip() for line in reversed([*tail.last(20), tail.partial]))
    return next((line for line in lines if line and not line.startswith(("to do: ", "where: "))), "")


def record_end(
    files: RunFiles,
    journal: KeeperJournal,
    ending: Ending,
    ended: Exit,
    *,
    attempt: int,
    gpu_held_by: Sequence[str] | None,
    progressed: bool | None,
    details: dict[str, Any],
) -> bool:
    """Write exit.json and then the journal's RunEnded; a full disk is tried again for `LAST_WORDS_S` seconds.

    `gpu_held_by` is None when all GPU memory is back, else who holds it as far as that can be seen. Whether the journal
    has it.
    """
    record = {
        "v": 1,
        "attempt": attempt,
        "state": ending.state,
        "reason": ending.reason,
        "exit_code": ended.as_code,
        "signal": ended.signal,
        "gpu_held": gpu_held_by is not None,
        "gpu_held_by": list(gpu_held_by or ()),
        "time": utc_now(),
        **details,
    }
    deadline = time.monotonic() + LAST_WORDS_S
    while not _written(files.exit, record) and time.monotonic() < deadline:
        time.sleep(RETRY_S)
    journal.append(
        RunEnded(
            attempt=attempt,
            state=ending.state,
            reason=ending.reason,
            exit_code=ended.as_code,
            gpu_held=gpu_held_by is not None,
            gpu_held_by=list(gpu_held_by or ()),
            progressed=progressed,
        )
    )
    while not journal.flush():
        if time.monotonic() >= deadline:
            return False
        time.sleep(RETRY_S)
    return True


def _written(path: Path, record: dict[str, Any]) -> bool:
    try:
        write_json(path, record)
    except OSError:
        return False
    return True
