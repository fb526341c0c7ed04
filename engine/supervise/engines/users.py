"""Who uses a kept engine or is about to, whether a run may still attach to one, and a keeper for one that lost its own.

Attaching and stopping are ordered by claiming first and looking second: the engine's keeper writes that it is
`stopping` before it looks for users, a run's keeper writes which engine it uses before it looks at that one's state. So
at least one of them sees the other; the engine gives way, and the run waits for its decision.
"""

from __future__ import annotations

import contextlib
import time

from engine.campaign.naming import engine_number
from engine.errors import PilothouseError, RefusedError
from engine.files import RunFiles
from engine.journal.engine_record import read_engine
from engine.supervise.engines.kept import attached_runs
from engine.supervise.identity import is_alive
from engine.supervise.launch import arriving_at, start_attempt
from engine.supervise.liveness import read_keeper, run_liveness

DECISION_S = 5.0
"""An engine that is `stopping` goes or stays at once; so long it is waited for."""

POLL_S = 0.02


def users_of(engine: RunFiles) -> list[str]:
    """Names of the live runs that are attached to this engine, and of those whose keeper is on the way to it."""
    folders = [path for path in engine.folder.parent.iterdir() if engine_number(path.name) is None and path.is_dir()]
    arriving = [path.name for path in folders if arriving_at(RunFiles(path)) == engine.folder.name]
    return sorted({*arriving, *attached_runs(engine)})


def is_leaving(engine: RunFiles) -> bool:
    """Whether no run may attach to this engine: it has ended, or is about to."""
    record = read_engine(engine)
    return (record is not None and record.state in ("stopping", "ended")) or not run_liveness(engine).live


def await_place(engine: RunFiles) -> None:
    """Return once a run that has written down that it uses this engine can count on it.

    Raises `RefusedError` when the engine was faster.
    """
    deadline = time.monotonic() + DECISION_S
    while (record := read_engine(engine)) is not None and record.state == "stopping" and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if is_leaving(engine):
        raise RefusedError(
            f"the engine {engine.folder.name} stops just now",
            where=str(engine.folder),
            remedy="try again: that starts another, where the campaign keeps one",
        )


def is_orphan(engine: RunFiles) -> bool:
    """Whether the engine's keeper was killed: nobody meters it, or stops it when it is idle."""
    record = read_keeper(engine)
    return record is not None and record.ended is None and is_alive(record.keeper) is False


def adopt_orphan(engine: RunFiles, author: str) -> None:
    """Give an engine whose keeper was killed another. Never raises: whoever looks next tries it again."""
    with contextlib.suppress(OSError, PilothouseError):
        record = read_keeper(engine)
        if record is not None and is_orphan(engine):
            start_attempt(engine, attempt=record.attempt, author=author, adopt=True)
