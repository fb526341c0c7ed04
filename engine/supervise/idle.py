"""The idle countdown of a campaign (`budget.on_idle`) as others see it: who starts its watcher, reads it, cancels it.

The watcher itself is `engine.supervise.idle_watch`, one small detached process per campaign and host.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.campaign.supervision import OnIdle
from engine.errors import PilothouseError, RefusedError
from engine.files import IdleFiles, RunFiles, Workspace, make_private_folder, read_json, write_json
from engine.journal.events import ProcessIdentity
from engine.logs.sanitise import sanitise
from engine.supervise.commands import python_module, unmarked_environment
from engine.supervise.identity import is_alive
from engine.supervise.liveness import FRESH_S, read_keeper
from engine.supervise.machine_use import Attempts, attempts_now, been_live_since, is_here
from engine.supervise.requests import write_request

ON_IDLE_VARIABLE = "PILOTHOUSE_ON_IDLE"
ANSWER_TIMEOUT_S = 10.0
POLL_S = 0.05


class IdleRecord(BaseModel):
    """`.idle/watch.json`. `waiting`: the machine is in use, and nothing counts down.

    `countdown` names this very countdown; `author` cancelled it; `detail` says what came of the command; `seen` is
    what had run when it began.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = 1
    watcher: ProcessIdentity
    state: Literal["waiting", "counting", "cancelled", "running", "done", "failed"] = "waiting"
    countdown: str = ""
    since: str = ""
    due: str = ""
    command: tuple[str, ...] = ()
    author: str = ""
    detail: str = ""
    started_by: str = ""
    seen: Attempts = Field(default_factory=dict)

    @property
    def command_line(self) -> str:
        """The command as one would type it, sanitised."""
        return sanitise(shlex.join(self.command))


def read_watch(files: IdleFiles) -> IdleRecord | None:
    """What the watcher wrote last; None when there is nothing, or it is damaged."""
    try:
        value: dict[str, Any] | None = read_json(files.watch)
        return IdleRecord.model_validate(value) if value is not None else None
    except (OSError, ValidationError):
        return None


def write_watch(files: IdleFiles, record: IdleRecord) -> None:
    write_json(files.watch, record.model_dump(mode="json"))


def read_idle(workspace: Workspace, campaign: str) -> IdleRecord | None:
    """The countdown that stands now, or how the last one ended as long as nothing has been live since; else None.

    One whose watcher was killed does not count any more. One of another host is believed while its file is touched.
    """
    files = workspace.idle_files(campaign)
    record = read_watch(files)
    if record is None or record.state == "waiting":
        return None
    alive = is_alive(record.watcher)
    if alive is None:
        return record if _is_fresh(files) else None
    if alive:
        return record
    if not is_settled(workspace, campaign):
        return None
    if record.state == "running":  # as it is when the command has stopped the machine
        return record.model_copy(update={"state": "done", "detail": "its watcher ended before it did"})
    return record


def cancel_idle(workspace: Workspace, campaign: str, author: str) -> IdleRecord:
    """Cancel the countdown; returns once the watcher has acknowledged, within seconds.

    Raises `RefusedError` when nothing counts down, the command is being run already, or the watcher does not answer.
    """
    files = workspace.idle_files(campaign)
    record = read_idle(workspace, campaign)
    if record is None or record.state != "counting":
        raise _nothing_to_cancel(campaign, record)
    write_request(requests_home(files), "stop", 0, author, countdown=record.countdown)
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        now = read_watch(files)
        if now is None or now.countdown != record.countdown:
            raise _nothing_to_cancel(campaign, None)
        if now.state == "cancelled":
            return now
        if now.state != "counting":
            raise _nothing_to_cancel(campaign, now)
        if time.monotonic() >= deadline or is_alive(now.watcher) is False:
            who = f"pid {now.watcher.pid} on {now.watcher.host}"
            raise RefusedError(
                f"the idle watcher of {campaign} does not answer: {who}",
                where=str(files.watch),
                remedy="it takes the request when it wakes; without budget.on_idle in the campaign file it ends, too",
            )
        time.sleep(POLL_S)


def start_idle_watch(
    root: Path, campaign: str, on_idle: OnIdle | None, author: str, *, least_visible_s: float | None = None
) -> None:
    """Start the watcher of `campaign` in the workspace `root`, detached, unless there is one; quick, and never raises.

    It goes by the campaign file, and by `on_idle` while that cannot be read; nothing is done without `on_idle`.
    `least_visible_s` overrules how long a countdown must be in sight after the watcher was suspended.
    """
    if on_idle is None:
        return
    try:
        files = Workspace(root).idle_files(campaign)
        if not _is_watched(files, read_watch(files)):
            options = ["--author", author]
            if least_visible_s is not None:
                options += ["--least-visible", str(least_visible_s)]
            _spawn(root.resolve(), [campaign, *options], files, on_idle)
    except (OSError, PilothouseError, RuntimeError, ValueError):
        return  # no process, no thread, no disk: a viewer tries again


def tend_idle_watch(workspace: Workspace, campaign: str, on_idle: OnIdle, author: str) -> None:
    """Start the watcher where one is missing: a run of the campaign was kept on this host, and no countdown has been
    cancelled, or has come to its end, since anything was live. Never raises."""
    try:
        if is_settled(workspace, campaign):
            return
        ours = (read_keeper(run) for run in workspace.runs_of(campaign))
        if any(keeper is not None and is_here(keeper) for keeper in ours):
            start_idle_watch(workspace.root, campaign, on_idle, author)
    except (OSError, PilothouseError):
        return


def is_settled(workspace: Workspace, campaign: str) -> bool:
    """Whether a countdown was cancelled, or has come to its end, and nothing has been live since."""
    record = read_watch(workspace.idle_files(campaign))
    if record is None or record.state in ("waiting", "counting"):
        return False
    return not been_live_since(record.seen, attempts_now(workspace))


def requests_home(files: IdleFiles) -> RunFiles:
    """Requests to a watcher lie as those to a keeper do."""
    return RunFiles(files.folder)


# --- the pieces ------------------------------------------------------------------------------------------------------


def _spawn(root: Path, arguments: list[str], files: IdleFiles, on_idle: OnIdle) -> None:
    make_private_folder(files.folder)
    output = os.open(files.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [*python_module("engine.supervise.idle_watch", root), str(root), *arguments],
            cwd=root,
            env=unmarked_environment() | {ON_IDLE_VARIABLE: on_idle.model_dump_json()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)
    # A viewer that lives on must collect the watcher when it ends; one that ends leaves that to the system.
    threading.Thread(target=process.wait, name=f"reap idle watcher {process.pid}", daemon=True).start()


def _is_watched(files: IdleFiles, record: IdleRecord | None) -> bool:
    """Whether a watcher lives; the lock it takes has the last word."""
    if record is None:
        return False
    alive = is_alive(record.watcher)
    return _is_fresh(files) if alive is None else alive


def _is_fresh(files: IdleFiles) -> bool:
    try:
        return abs(time.time() - os.stat(files.watch).st_mtime) < FRESH_S
    except OSError:
        return False


def _nothing_to_cancel(campaign: str, record: IdleRecord | None) -> RefusedError:
    remedy = f"see `pilothouse idle {campaign}`"
    if record is None or record.state == "counting":
        return RefusedError(f"nothing counts down for {campaign}", remedy=remedy)
    if record.state == "cancelled":
        return RefusedError(f"the countdown of {campaign} was cancelled already, by {record.author}", remedy=remedy)
    how = {"running": "is being run", "done": "was run"}.get(record.state, "was run, and failed")
    return RefusedError(f"too late to cancel: `{record.command_line}` {how}", remedy=remedy)
