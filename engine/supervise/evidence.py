"""What a run's files say about how it ended, and how its keeper writes that down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.files import RunFiles, write_json
from engine.journal.events import Census, Event, GenerationEnded, ProcessIdentity, RunEnded, parse_event, utc_now
from engine.journal.reader import JournalReader
from engine.logs.tail import LogTail
from engine.logs.vllm_lines import root_cause
from engine.supervise.ending import Ending
from engine.supervise.generator import Exit
from engine.supervise.keeper_journal import KeeperJournal

AnEvent = TypeVar("AnEvent", bound=Event)

REASON_LIMIT = 300
CAUSE_LINES = 400
LAST_WORDS_S = 30.0  # how long a keeper tries to write a run's end to a full disk
RETRY_S = 0.25


def own_word(files: RunFiles, attempt: int) -> GenerationEnded | None:
    """The generator's end record of this `attempt`, if it left one."""
    return _last(GenerationEnded, "generation_ended", files.generator_journal, attempt)


def recorded_end(files: RunFiles, attempt: int) -> RunEnded | None:
    """The end of `attempt` as its keeper recorded it, None while there is none."""
    return _last(RunEnded, "run_ended", files.keeper_journal, attempt)


def last_census(files: RunFiles, attempt: int) -> list[ProcessIdentity]:
    """The processes that the keepers of `attempt` had last written down as the run's."""
    census = _last(Census, "census", files.keeper_journal, attempt)
    return census.processes if census is not None else []


def _last(wanted: type[AnEvent], kind: str, journal: Path, attempt: int) -> AnEvent | None:
    """The last event of that kind and attempt in `journal`, None when there is none."""
    found: AnEvent | None = None
    for value in JournalReader(journal).read_new():
        if value.get("event") == kind and value.get("attempt") == attempt:
            event = parse_event(value)
            found = event if isinstance(event, wanted) else found
    return found


def last_line(log: Path) -> str:
    """The last line of `log` that says what happened, sanitised; empty when there is none.

    Where and what to do follow what happened in our own errors: the reason is what stands before them.
    """
    tail = LogTail(log, line_limit=REASON_LIMIT)
    lines = (line.strip() for line in reversed([*tail.last(20), tail.partial]))
    return next((line for line in lines if line and not line.startswith(("to do: ", "where: "))), "")


def last_error(log: Path) -> str:
    """The error that the end of `log` tells of, sanitised; its last line where it tells of none."""
    return root_cause(LogTail(log, line_limit=REASON_LIMIT).last(CAUSE_LINES)) or last_line(log)


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
