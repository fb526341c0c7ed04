"""The idle watcher of a campaign: `python -m engine.supervise.idle_watch ROOT CAMPAIGN`, started detached by `idle`.

When nothing of ours has used the machine for `budget.on_idle.after_minutes`, it runs `command`, which stops the rented
machine, say. Until then the countdown stands in `.idle/watch.json` for every viewer, and a request there cancels it.
While a run is live it waits, and says nothing; so that the machine is stopped even when a run's keeper was killed and
nobody looks. An engine whose keeper was killed gets another.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from engine.campaign.loading import load_campaign
from engine.campaign.supervision import OnIdle
from engine.errors import EXIT_REFUSED, NotFoundError, PilothouseError
from engine.files import IdleFiles, Workspace, make_private_folder
from engine.logs.sanitise import sanitise
from engine.supervise import requests
from engine.supervise.claims import claim_folder
from engine.supervise.commands import unmarked_environment
from engine.supervise.engines.kept import engines_of
from engine.supervise.engines.users import adopt_orphan, is_orphan
from engine.supervise.identity import own_identity
from engine.supervise.idle import ON_IDLE_VARIABLE, IdleRecord, is_settled, requests_home, write_watch
from engine.supervise.machine_use import Attempts, attempts_now, been_live_since, machine_use
from engine.supervise.patience import Patience
from engine.supervise.timed_child import TimedChild

TICK_S = 1.0
TOUCH_S = 5.0
COMMAND_LIMIT_S = 15 * 60.0
LEAST_VISIBLE_S = 60.0
"""A countdown is in sight for so long after a gap in which nobody could cancel it: a machine or a watcher that was
suspended, a campaign file that was changed."""

GONE_TICKS = 10  # an editor may take the campaign file away for a moment while it saves
DRIFT_S = 2.0  # the time that is shown is mended when it is off by so much


# --- time ------------------------------------------------------------------------------------------------------------


class Pulse:
    """Tells how long this process was held up: by SIGSTOP, by a suspended machine, by a file system that hung."""

    def __init__(self) -> None:
        self._before = self._clocks()

    @staticmethod
    def _clocks() -> tuple[float, float]:
        # The first goes on while the machine is suspended; the second shows a virtual machine that was frozen.
        return time.clock_gettime(time.CLOCK_BOOTTIME), time.time()

    def beat(self, planned_s: float = 0.0) -> float:
        """Seconds since the last beat beyond those that were planned."""
        clocks = self._clocks()
        passed = max(now - before for now, before in zip(clocks, self._before, strict=True))
        self._before = clocks
        return passed - planned_s


def _stamp(seconds_from_now: float) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds_from_now)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _apart_s(one: str, other: str) -> float:
    return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds())


# --- what the campaign wants -----------------------------------------------------------------------------------------


class Wish:
    """`budget.on_idle` as the campaign file says now, read again when it changed; the last known while it is broken."""

    def __init__(self, workspace: Workspace, campaign: str, known: OnIdle | None) -> None:
        self._workspace, self._campaign = workspace, campaign
        self._mark: tuple[int, int, int] | None = None
        self._gone = 0
        self.present = known

    @property
    def certain(self) -> bool:
        """Whether the campaign file is there."""
        return self._gone == 0

    def refresh(self) -> OnIdle | None:
        """None once the campaign does not want it any more, or is gone."""
        try:
            path = self._workspace.campaign_file(self._campaign)
            status = path.stat()
            self._gone = 0
            mark = (status.st_ino, status.st_mtime_ns, status.st_size)
            if mark != self._mark:
                self._mark = mark
                self.present = load_campaign(path).budget.on_idle
        except (NotFoundError, FileNotFoundError):
            self._gone += 1
            if self._gone >= GONE_TICKS:
                self.present = None
        except PilothouseError:
            pass  # it is being edited
        return self.present


# --- the watcher -----------------------------------------------------------------------------------------------------


class IdleWatch:
    """Watches over one campaign until the command was run, its countdown cancelled, or it is not wanted any more."""

    def __init__(
        self, workspace: Workspace, campaign: str, known: OnIdle | None, author: str, *, least_visible_s: float
    ) -> None:
        self._workspace = workspace
        self._files: IdleFiles = workspace.idle_files(campaign)
        self._claims = claim_folder()
        self._wish = Wish(workspace, campaign, known)
        self._least_visible_s = least_visible_s
        self._patience = Patience()
        self._pulse = Pulse()
        self._record = IdleRecord(watcher=own_identity(), started_by=sanitise(author, 128))
        self._seen: Attempts = attempts_now(workspace)
        self._on_idle: OnIdle | None = None  # what the present countdown goes by
        self._since = 0.0
        self._not_before = 0.0
        self._touched: float | None = None
        self._handled: set[str] = set()

    def run(self) -> None:
        """Returns when there is nothing more to watch for."""
        nap = 0.0
        while True:
            late = self._pulse.beat(nap)
            try:
                going_on = self._look(late)
            except OSError:
                going_on = True  # what cannot be seen now may be seen at the next look; nothing is done unseen
            if not going_on:
                return
            nap = TICK_S
            if self._on_idle is not None:
                nap = min(nap, max(0.05, self._due(self._on_idle) - time.monotonic()))
            time.sleep(nap)

    def _look(self, late_s: float) -> bool:
        """One look, `late_s` seconds later than meant; whether there is reason for another."""
        now = time.monotonic()
        if late_s > self._gap_s:
            self._not_before = now + self._least_visible_s
        wish = self._wish.refresh()
        if wish is None:
            self._files.watch.unlink(missing_ok=True)
            return False
        if not self._wish.certain:
            return True  # whoever removes the workspace must not find it made anew
        self._touch(now)
        author = self._cancelled_by()
        if author is not None:
            self._write(self._record.model_copy(update={"state": "cancelled", "author": author}))
            return False
        self._tend_engines()
        attempts, used = machine_use(self._workspace, self._claims)
        if used or been_live_since(self._seen, attempts):
            self._seen = attempts
            self._wait()
            return True
        self._count(wish, now)
        if now < self._due(wish):
            return True
        if self._pulse.beat() > self._gap_s:
            self._not_before = time.monotonic() + self._least_visible_s
            return True
        return self._act(wish)

    def _tend_engines(self) -> None:
        """Nobody else may look at an engine whose keeper was killed, and it would go on for good."""
        for campaign in self._workspace.campaigns_with_runs():
            for files in engines_of(self._workspace, campaign):
                if is_orphan(files) and self._patience.may_try(files.folder):
                    adopt_orphan(files, self._record.started_by)

    @property
    def _gap_s(self) -> float:
        return self._least_visible_s / 6

    def _due(self, on_idle: OnIdle) -> float:
        return max(self._since + 60 * on_idle.after_minutes, self._not_before)

    def _wait(self) -> None:
        """The machine is in use: no countdown."""
        self._on_idle = None
        if self._record.state != "waiting":
            self._write(
                IdleRecord(watcher=self._record.watcher, started_by=self._record.started_by, seen=self._record.seen)
            )

    def _count(self, wish: OnIdle, now: float) -> None:
        """Begin a countdown, or go on with it; one that could not be written for all to see has not begun."""
        record = self._record
        if self._on_idle is None:
            self._since, self._not_before = now, 0.0
            record = IdleRecord(
                watcher=record.watcher,
                state="counting",
                countdown=uuid.uuid4().hex,
                since=_stamp(0),
                started_by=record.started_by,
                seen=self._seen,
            )
        elif wish != self._on_idle:
            self._not_before = now + self._least_visible_s
        due = _stamp(self._due(wish) - now)
        if not record.due or record.command != wish.command or _apart_s(record.due, due) > DRIFT_S:
            self._write(record.model_copy(update={"due": due, "command": wish.command}))
        self._on_idle = wish

    def _cancelled_by(self) -> str | None:
        """Who asked for this very countdown to be cancelled; None when nobody did."""
        for request in requests.pending(requests_home(self._files), self._handled):
            if self._record.state == "counting" and request.wanted.get("countdown") == self._record.countdown:
                return sanitise(request.author, 128) or "a request"
            self._handled.add(request.file)
        return None

    def _act(self, wish: OnIdle) -> bool:
        """Run the command; whether there is reason to go on watching, because a run was live meanwhile."""
        self._write(self._record.model_copy(update={"state": "running", "due": _stamp(0)}))
        ok, detail = self._command(wish)
        self._on_idle, before = None, self._seen
        with contextlib.suppress(OSError):  # from here on nothing may lead to running it twice
            self._write(self._record.model_copy(update={"state": "done" if ok else "failed", "detail": detail}))
        with contextlib.suppress(OSError):
            self._seen = attempts_now(self._workspace)
        return been_live_since(before, self._seen)

    def _command(self, wish: OnIdle) -> tuple[bool, str]:
        """Run it to its end; whether it did what it was asked, and its last words."""
        root = self._workspace.root
        try:
            child = TimedChild(
                wish.command,
                folder=root,
                environment=unmarked_environment(),
                limit_s=COMMAND_LIMIT_S,
                now=time.monotonic(),
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            return False, sanitise(f"cannot start {wish.command[0]} in {root}: {why}", 300)
        while (outcome := child.look(time.monotonic())) is None:
            with contextlib.suppress(OSError):
                self._touch(time.monotonic())
            time.sleep(0.1)
        return outcome.ok, outcome.detail

    def _write(self, record: IdleRecord) -> None:
        make_private_folder(self._files.folder)
        write_watch(self._files, record)
        self._record, self._touched = record, time.monotonic()

    def _touch(self, now: float) -> None:
        """Show that this one watches, and to those on other hosts that it goes on."""
        if self._touched is None:
            self._write(self._record)
        elif now - self._touched > TOUCH_S:
            self._touched = None  # written anew if it was removed
            os.utime(self._files.watch)
            self._touched = now


# --- the process -----------------------------------------------------------------------------------------------------


def take_lock(workspace: Workspace, campaign: str) -> int | None:
    """The lock that only one watcher of this campaign on this host can have, for as long as it lives; None when
    another has it."""
    place = str(workspace.idle_files(campaign).folder.parent.resolve())
    path = claim_folder() / f"idle-{hashlib.sha256(place.encode()).hexdigest()[:24]}.watch"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _told() -> OnIdle | None:
    """What the starter knew of `budget.on_idle`, for as long as the campaign file cannot be read."""
    try:
        return OnIdle.model_validate_json(os.environ.pop(ON_IDLE_VARIABLE, ""))
    except ValidationError:
        return None


def main(arguments: list[str] | None = None) -> int:
    """0 when there is nothing more to watch for, or another watches; else the exit code of the error on stderr."""
    from engine.supervise.keeper import restore_signals

    parser = argparse.ArgumentParser(prog="python -m engine.supervise.idle_watch", description=__doc__)
    parser.add_argument("root", type=Path, help="the folder that holds configs/ and artifacts/")
    parser.add_argument("campaign")
    parser.add_argument("--author", default="")
    parser.add_argument("--least-visible", type=float, default=LEAST_VISIBLE_S, metavar="SECONDS")
    given = parser.parse_args(arguments)
    workspace = Workspace(given.root.resolve())
    known = _told()
    restore_signals()
    try:
        # Its descriptor stays open, and so the lock held, to this process's end.
        if take_lock(workspace, given.campaign) is not None and not is_settled(workspace, given.campaign):
            IdleWatch(workspace, given.campaign, known, given.author, least_visible_s=given.least_visible).run()
    except (OSError, PilothouseError) as error:
        sys.stderr.write(f"{sanitise(str(error))}\n")
        return error.exit_code if isinstance(error, PilothouseError) else EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
