"""Starts the keeper of a run's attempt: claimed once, detached from whoever starts it."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path

from engine.campaign.spec import RunSpec, read_spec
from engine.errors import EXIT_REFUSED, PilothouseError, RefusedError, RunFailedError
from engine.files import RunFiles, make_private_folder, read_json, storage_error
from engine.journal.events import KeeperStarted, ProcessIdentity, parse_event, utc_now
from engine.journal.reader import JournalReader
from engine.logs.sanitise import sanitise, sanitise_block
from engine.supervise.attempts import archive, next_attempt
from engine.supervise.commands import marked_environment, python_module, workspace_root
from engine.supervise.identity import is_alive, own_identity
from engine.supervise.liveness import KeeperRecord, is_silent, read_keeper, run_liveness
from engine.supervise.preflight import check_disk

START_TIMEOUT_S = 15.0
CLAIM_FRESH_S = 30.0  # a claim this old whose keeper never showed is abandoned
LETTING_GO_S = 5.0
POLL_S = 0.01

_ADOPTION = re.compile(r"attempt-(\d+)\.adopt-(\d+)\.claim")


class KeeperIsLateError(RunFailedError):
    """A keeper was started and has not shown itself in time; it may still come."""


def start_attempt(
    files: RunFiles,
    *,
    attempt: int,
    author: str,
    adopt: bool = False,
    examples: int | None = None,
    max_candidates: int | None = None,
    budget_left: float | None = None,
    grace_s: float | None = None,
    archived: int | None = None,
    engine: str = "",
) -> ProcessIdentity:
    """Claim `attempt`, start its keeper detached, and return who that is once its first event is recorded.

    With `adopt` it takes over an attempt whose keeper died. `examples` and `max_candidates` raise the target
    (`extend`); `budget_left` caps what this keeper may spend, in US dollars; `grace_s` is how long a stopped
    generator may finish, in seconds.

    `archived`: begin anew, what that attempt made is put away first. `engine`: the kept engine that it attaches to.

    Raises `RefusedError` when the run is live, when somebody else has the claim (naming them), or when devices are
    not free; `RunFailedError` with the keeper's last words when it died.
    """
    spec = read_spec(files)
    make_private_folder(files.requests)
    record = _settled(files)
    if adopt:
        adoption = _adoption(files, spec, record, attempt)
        claim = files.folder / f"attempt-{attempt}.adopt-{adoption}.claim"
    else:
        adoption = 0
        _refuse_if_live(files, spec, record, attempt)
        check_disk(files, spec, examples)
        claim = files.claim(attempt)
    _take(claim, spec, author, attempt, engine)
    try:
        _mind_the_other(files, spec, record, attempt, adopt=adopt)
        if archived is not None:
            archive(files, archived)
    except PilothouseError:
        claim.unlink(missing_ok=True)
        raise
    arguments = [str(files.folder.resolve()), "--attempt", str(attempt), "--author", author]
    options = {
        "--adopt": adoption or None,
        "--examples": examples,
        "--max-candidates": max_candidates,
        "--budget-left": budget_left,
        "--grace": grace_s,
        "--engine": engine or None,
    }
    for option, value in options.items():
        if value is not None:
            arguments += [option, str(value)]
    try:
        return _started(files, spec, arguments, attempt)
    except KeeperIsLateError:
        raise  # it may still come, and the claim is its own
    except PilothouseError:
        _release(claim, files, attempt, adoption)
        raise


def _started(files: RunFiles, spec: RunSpec, arguments: list[str], attempt: int) -> ProcessIdentity:
    """Spawn the keeper and wait for its first event."""
    folder = workspace_root(files, spec)
    journal = JournalReader(files.keeper_journal)
    try:
        for _ in journal.read_new():
            pass
        output = os.open(files.keeper_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise storage_error(error, error.filename or files.keeper_journal) from error
    try:
        said_before = os.fstat(output).st_size
        process = subprocess.Popen(
            [*python_module("engine.supervise.keeper", folder), *arguments],
            cwd=folder,
            env=marked_environment(files, spec.run_id),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        raise RefusedError(f"cannot start the keeper: {error.strerror}", where=str(error.filename or folder)) from error
    finally:
        os.close(output)
    # A viewer that lives on must collect the keeper when it ends; one that dies leaves that to the system.
    threading.Thread(target=process.wait, name=f"reap keeper {process.pid}", daemon=True).start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        ended = process.returncode
        for value in journal.read_new():
            event = parse_event(value) if value.get("event") == "keeper_started" else None
            if isinstance(event, KeeperStarted) and event.keeper.pid == process.pid and event.attempt == attempt:
                return event.keeper
        if ended is not None:
            raise _death(files, ended, said_before)
        if time.monotonic() >= deadline:
            raise KeeperIsLateError(
                f"the keeper of {spec.id} did not start within {START_TIMEOUT_S:g} s",
                where=str(files.keeper_log),
                remedy="look at `pilothouse status`: it may still come",
            )
        time.sleep(POLL_S)


def _death(files: RunFiles, code: int, said_before: int) -> PilothouseError:
    """What the keeper said last, as an error: a refusal if it refused."""
    try:
        with files.keeper_log.open("rb") as log:
            log.seek(said_before)
            said = log.read(1 << 16).decode("utf-8", "replace").strip()
    except OSError:
        said = ""
    if code == EXIT_REFUSED and said:
        return RefusedError(sanitise_block(said))
    last = sanitise(said.rpartition("\n")[2]) or f"exit code {code}"
    return RunFailedError(f"the keeper ended before it had started: {last}", where=str(files.keeper_log))


# --- may it start? -------------------------------------------------------------------------------------------------


def _settled(files: RunFiles) -> KeeperRecord | None:
    """Who keeps the run, after a keeper that is about to let go of it has done so."""
    deadline = time.monotonic() + LETTING_GO_S
    while True:
        record = read_keeper(files)
        if record is None or record.ended or is_alive(record.keeper) is not True:
            return record
        last = read_json(files.exit)
        if last is None or last.get("attempt") != record.attempt or time.monotonic() >= deadline:
            return record
        time.sleep(POLL_S)


def _refuse_if_live(files: RunFiles, spec: RunSpec, record: KeeperRecord | None, attempt: int) -> None:
    life = run_liveness(files)
    if record is not None and life.live and not (life.out_of_sight and is_silent(files)):
        who = record.keeper if life.keeper_alive is not False else record.generator or record.keeper
        raise RefusedError(
            f"{spec.id} is running: attempt {record.attempt}, pid {who.pid} on {who.host}"
            + (f", started by {sanitise(record.author, 128)}" if record.author else ""),
            remedy=f"watch it with `pilothouse watch {spec.id}`, or stop it with `pilothouse stop {spec.id}`",
        )
    before = attempt - 1
    if before > (record.attempt if record else 0) and _is_fresh(files.claim(before)):
        raise _claimed_by(files.claim(before), spec, before)


def _adoption(files: RunFiles, spec: RunSpec, record: KeeperRecord | None, attempt: int) -> int:
    """Which adoption of `attempt` this would be; refused unless its keeper is known to be dead."""
    if record is None or record.attempt != attempt or record.ended:
        raise RefusedError(f"there is nothing to take over: attempt {attempt} of {spec.id} is not open")
    alive = is_alive(record.keeper)
    if alive is None:
        raise RefusedError(
            f"the keeper of {spec.id} is on another host or in another container",
            where=f"pid {record.keeper.pid} on {record.keeper.host}",
            remedy="act there; from here nobody can tell whether it lives",
        )
    if alive:
        raise RefusedError(f"{spec.id} has a keeper: pid {record.keeper.pid}")
    last = _last_adoption(files, attempt)
    pending = files.folder / f"attempt-{attempt}.adopt-{last}.claim"
    if last > record.adoption and _is_fresh(pending):
        raise _claimed_by(pending, spec, attempt)
    return last + 1


def _mind_the_other(files: RunFiles, spec: RunSpec, record: KeeperRecord | None, attempt: int, *, adopt: bool) -> None:
    """Settle who goes first when one starts the next attempt while another takes over, or closes, the last one.

    Both claim first and look second, so at least one of them sees the other: who adopts gives way, and who starts
    waits until the adoption is through.
    """
    if adopt:
        if next_attempt(files) - 1 > attempt:
            raise _claimed_by(files.claim(attempt + 1), spec, attempt + 1)
        return
    if record is None:
        return
    deadline = time.monotonic() + START_TIMEOUT_S
    while adoption_is_under_way(files, record.attempt):
        if time.monotonic() >= deadline:
            raise RefusedError(
                f"attempt {record.attempt} of {spec.id} is just being taken over",
                where=str(files.folder),
                remedy=f"see how it goes with `pilothouse status {spec.campaign}`, then try again",
            )
        time.sleep(POLL_S)
    _refuse_if_live(files, spec, read_keeper(files), attempt)


def adoption_is_under_way(files: RunFiles, attempt: int) -> bool:
    """Whether somebody is about to take `attempt` over, or to record the end of one that died."""
    record = read_keeper(files)
    if record is None or record.attempt != attempt or record.ended:
        return False
    last = _last_adoption(files, attempt)
    if last > record.adoption:
        return _is_fresh(files.folder / f"attempt-{attempt}.adopt-{last}.claim")
    return record.adoption > 0 and is_alive(record.keeper) is True and not is_alive(record.generator or record.keeper)


def arriving_at(files: RunFiles) -> str:
    """The kept engine of an attempt that is claimed and whose keeper is on the way; empty for none."""
    record = read_keeper(files)
    last = next_attempt(files) - 1
    if last <= (record.attempt if record is not None else 0) or not _is_fresh(files.claim(last)):
        return ""
    return str((read_json(files.claim(last)) or {}).get("engine") or "")


def _last_adoption(files: RunFiles, attempt: int) -> int:
    """The highest number of an adoption of `attempt` that was ever claimed; 0 for none."""
    claims = (_ADOPTION.fullmatch(name) for name in os.listdir(files.folder))
    return max((int(match[2]) for match in claims if match and int(match[1]) == attempt), default=0)


def _take(claim: Path, spec: RunSpec, author: str, attempt: int, engine: str) -> None:
    """Create `claim`, which only one can, ever."""
    holder = {"author": author, "time": utc_now(), "claimer": own_identity().model_dump(mode="json"), "engine": engine}
    try:
        descriptor = os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(holder, stream)
            stream.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise _claimed_by(claim, spec, attempt) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            claim.unlink(missing_ok=True)  # ours, and empty
        raise storage_error(error, claim) from error


def _claimed_by(claim: Path, spec: RunSpec, attempt: int) -> RefusedError:
    deadline = time.monotonic() + 0.5
    while not (holder := read_json(claim) or {}) and time.monotonic() < deadline:
        time.sleep(POLL_S)  # it was taken this instant, and its holder is not written yet
    who = sanitise(str(holder.get("author") or "somebody"), 128)
    when = sanitise(str(holder.get("time") or "just now"), 64)
    return RefusedError(
        f"attempt {attempt} of {spec.id} was already claimed by {who} ({when})",
        where=str(claim),
        remedy=f"see how it goes with `pilothouse status {spec.campaign}`",
    )


def _is_fresh(claim: Path) -> bool:
    """Whether a claim that no keeper has taken yet may still be on its way to one."""
    try:
        age = time.time() - claim.stat().st_mtime
    except OSError:
        return False
    return abs(age) < CLAIM_FRESH_S


def _release(claim: Path, files: RunFiles, attempt: int, adoption: int) -> None:
    """Give back a claim under which nothing was started, so that it doesn't stand in anybody's way."""
    record = read_keeper(files)
    if record is None or (record.attempt, record.adoption) != (attempt, adoption):
        claim.unlink(missing_ok=True)
