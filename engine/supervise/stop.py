"""Stops a run, seen from a viewer: asks its keeper, and says stopped only when that is verified."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from engine.campaign.spec import read_spec
from engine.errors import ConfigurationError, RefusedError
from engine.files import RunFiles
from engine.journal.events import KeeperStarted, ProcessIdentity, RequestTaken, RunEnded, Stopping, parse_event
from engine.journal.reader import JournalReader
from engine.supervise.attempts import next_attempt
from engine.supervise.census import marked_processes
from engine.supervise.evidence import recorded_end
from engine.supervise.identity import is_alive, read_stat, signal_process
from engine.supervise.ladder import GRACE_S, TERMINATE_S
from engine.supervise.launch import start_attempt
from engine.supervise.liveness import read_keeper, run_liveness
from engine.supervise.requests import ALREADY_ENDED, write_request
from engine.supervise.restarts import pending_restart

POLL_S = 0.05
CANCEL_S = 10.0
ALLOWANCE_S = 40.0  # for SIGKILL to take, GPU memory to come back, and slow disks
_TELLING = ("run_ended", "stopping", "keeper_started", "request_taken")


def request_stop(
    files: RunFiles,
    *,
    now: bool = False,
    author: str = "",
    on_progress: Callable[[str], None] | None = None,
    grace_s: float | None = None,
    timeout_s: float | None = None,
) -> RunEnded:
    """Stop the run and return its end, once that stands in the journal and nothing that carries its mark is alive.

    Where no keeper lives, one is started that adopts the run and acts on the request. `now` skips the grace.
    `on_progress` gets a line per step.

    Raises `RefusedError` when nothing of the run is alive, when its keeper refuses (an engine that a run uses), and
    when the stop could not be verified in time (it goes on then; the error names what still lives).
    """
    say = on_progress or _say_nothing
    name, run_id = _name_and_mark(files)
    cancelled = _cancel_restart(files, name, author, say)
    if cancelled is not None:
        return cancelled
    attempt = _attempt_to_stop(files, name, run_id)
    journal = JournalReader(files.keeper_journal)
    end = _skip_to_end(journal, attempt)
    request = ""
    if end is None:
        request = write_request(files, "stop-now" if now else "stop", attempt, author)
        say("asked its keeper to stop it" + (" now" if now else ""))
    patience = (grace_s if grace_s is not None else GRACE_S) + TERMINATE_S + ALLOWANCE_S
    deadline = time.monotonic() + (timeout_s if timeout_s is not None else patience)
    while True:
        for value in journal.read_new():
            event = parse_event(value) if value.get("event") in _TELLING else None
            if isinstance(event, RunEnded) and event.attempt == attempt:
                end = event
            elif isinstance(event, RequestTaken) and event.file == request and event.attempt == attempt:
                if not event.accepted and event.note != ALREADY_ENDED:
                    raise RefusedError(
                        f"{name} is not stopped: {event.note}",
                        where=str(files.folder),
                        remedy="wait, or use --now, which stops it all the same",
                    )
            elif isinstance(event, Stopping):
                say(_told(event))
            elif isinstance(event, KeeperStarted) and event.adopted:
                say(f"a new keeper took over: pid {event.keeper.pid}")
        if end is not None and _all_gone(files, run_id, attempt):
            return _cancel_restart(files, name, author, say) or end
        _see_to_keeper(files, attempt, author, grace_s)
        if time.monotonic() >= deadline:
            raise _unverified(files, name, run_id)
        time.sleep(POLL_S)


def _name_and_mark(files: RunFiles) -> tuple[str, str]:
    """`campaign/run` and the mark of its processes. A damaged spec must not keep a run from being stopped."""
    try:
        spec = read_spec(files)
        return spec.id, spec.run_id
    except ConfigurationError:
        record = read_keeper(files)
        if record is None:
            raise
        return record.run, record.run_id


def _attempt_to_stop(files: RunFiles, name: str, run_id: str) -> int:
    """The attempt that is live; refused when nothing is."""
    record = read_keeper(files)
    life = run_liveness(files)
    claimed = next_attempt(files) - 1
    starting = claimed > (record.attempt if record else 0) and bool(marked_processes(run_id, files.log))
    if starting:
        return claimed
    if record is None or record.ended or not (life.live or marked_processes(run_id, files.log)):
        raise RefusedError(
            f"{name} is not running", remedy="`pilothouse status` shows what is; a lost run can be restarted"
        )
    return record.attempt


def _cancel_restart(files: RunFiles, name: str, author: str, say: Callable[[str], None]) -> RunEnded | None:
    """The end of an attempt whose automatic restart was called off; None where none is planned."""
    record = read_keeper(files)
    if record is None or not record.ended or not is_alive(record.keeper):
        return None
    if pending_restart(files, record.attempt) is None:
        return None
    write_request(files, "stop", record.attempt, author)
    say("asked its keeper not to restart it")
    deadline = time.monotonic() + CANCEL_S
    while pending_restart(files, record.attempt) is not None and is_alive(record.keeper):
        if time.monotonic() >= deadline:
            raise RefusedError(
                f"the restart of {name} is not called off: its keeper, pid {record.keeper.pid}, does not answer",
                where=str(files.aftermath(record.attempt)),
                remedy="try again; `pilothouse stop` stops the run once it goes on",
            )
        time.sleep(POLL_S)
    if next_attempt(files) - 1 > record.attempt:
        return None  # too late: it has started, and is stopped as any run is
    return recorded_end(files, record.attempt)


def _skip_to_end(journal: JournalReader, attempt: int) -> RunEnded | None:
    """Consume what the journal holds; the end of `attempt` if it stands there (its keeper is about to go)."""
    end: RunEnded | None = None
    for value in journal.read_new():
        if value.get("event") == "run_ended" and value.get("attempt") == attempt:
            event = parse_event(value)
            end = event if isinstance(event, RunEnded) else end
    return end


def _see_to_keeper(files: RunFiles, attempt: int, author: str, grace_s: float | None) -> None:
    """Have a keeper that can act: wake one that was suspended, replace one that died."""
    record = read_keeper(files)
    if record is None or record.attempt != attempt:
        return
    alive = is_alive(record.keeper)
    if alive:
        stat = read_stat(record.keeper.pid)
        if stat is not None and stat.state == "T":
            signal_process(record.keeper, signal.SIGCONT)
    elif alive is False and not record.ended:
        try:
            start_attempt(files, attempt=attempt, author=author, adopt=True, grace_s=grace_s)
        except RefusedError:
            return  # somebody else adopted it in the same instant; if nobody did, the next round sees to it


def _all_gone(files: RunFiles, run_id: str, attempt: int) -> bool:
    """Whether nothing of the run is alive any more, as far as this host can see.

    A keeper that has recorded the end may stay for what comes after (the last copy of the artifacts, say), without the
    run's mark. One that has let go of `attempt` may have been followed by the next one already.
    """
    record = read_keeper(files)
    if record is not None and record.attempt != attempt:
        return True
    life = run_liveness(files)
    return not life.live and not life.generator_alive and not marked_processes(run_id, files.log)


def _say_nothing(_: str) -> None:
    pass


def _told(event: Stopping) -> str:
    if event.step == "verify":
        return "all its processes are gone"
    count = f"{event.processes} process{'' if event.processes == 1 else 'es'}"
    return f"{event.step}: {count} alive"


def _unverified(files: RunFiles, name: str, run_id: str) -> RefusedError:
    alive: list[ProcessIdentity] = marked_processes(run_id, files.log)
    pids = ", ".join(str(identity.pid) for identity in alive)
    return RefusedError(
        f"{name} is not verified as stopped" + (f": still alive are {pids}" if pids else ""),
        where=str(files.keeper_journal),
        remedy="its keeper goes on trying; look again with `pilothouse status`, or stop it with --now",
    )
