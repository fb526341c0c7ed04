"""What a keeper has done beside its run, by children of its own: copies off the machine, and word to whoever waits.

None of it is ever in the way: a program that is missing, hangs, or fails is an event, and the run goes on.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from engine.campaign.spec import RunSpec
from engine.campaign.supervision import SyncConfig
from engine.files import RunFiles
from engine.journal.events import Event, Notified, Synced
from engine.logs.sanitise import sanitise
from engine.supervise.census import RUN_MARK, is_marked, marked_processes
from engine.supervise.commands import aftermath_mark, python_module, unmarked_environment
from engine.supervise.identity import here, read_stat, signal_process
from engine.supervise.timed_child import Outcome, TimedChild

NOTIFY_LIMIT_S = 60.0  # three tries of ten seconds, and the pauses between
OTHER_SYNC_S = 5.0  # so long after it was found under way another keeper's sync is looked for again
REASON_LIMIT = 300

_PLACEHOLDER = re.compile(r"\{(output_dir|campaign|run)\}")
_HAPPENED = {"failed": "failed", "lost": "is lost", "stalled": "has stalled"}


def message_for(subject: str, spec: RunSpec, attempt: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of `subject` (ended, failed, lost, stalled): one sentence for people, its parts for programs.

    `facts` may hold `state`, `reason`, `host`, `kept`, `target` and `cost_usd`; what is not known is left out. The
    sentence is `text` for Slack and Teams, `content` for Discord, and can call nobody's name there.
    """
    known = {key: value for key, value in facts.items() if value is not None and value != ""}
    if "reason" in known:
        known["reason"] = sanitise(str(known["reason"]), REASON_LIMIT)
    happened = _HAPPENED.get(subject) or str(known.get("state", "ended"))
    reason = f": {known['reason']}" if "reason" in known else ""
    notes = []
    if "kept" in known:
        notes.append(f"{known['kept']} of {known['target']} kept" if "target" in known else f"{known['kept']} kept")
    if "cost_usd" in known:
        notes.append(f"${known['cost_usd']:.2f}")
    if "host" in known:
        notes.append(f"on {known['host']}")
    which = f", attempt {attempt}," if attempt > 1 else ""
    sentence = f"{spec.id}{which} {happened}{reason}" + (f" ({', '.join(notes)})" if notes else "")
    sentence = sentence.replace("<", "‹").replace(">", "›")  # <!channel> is how Slack is told to call everybody
    return {
        "text": sentence,
        "content": sentence,
        "allowed_mentions": {"parse": []},
        "campaign": spec.campaign,
        "run": spec.run,
        "attempt": attempt,
        "subject": subject,
        **known,
    }


class Errands:
    """The syncs and notifications of one attempt, for a single-threaded loop: nothing here waits, or raises because
    of a child. `root` is the folder the commands run in; `report` takes what became of each, `Synced` or `Notified`.
    """

    def __init__(
        self, files: RunFiles, spec: RunSpec, *, attempt: int, root: Path, report: Callable[[Event], None]
    ) -> None:
        self._files, self._spec, self._attempt, self._root, self._report = files, spec, attempt, root, report
        self._mark = f"sync of {spec.run_id}"  # not the run's own mark: a stop leaves its syncs alone
        self._sync: TimedChild | None = None
        self._next_sync: float | None = None
        self._final: Literal["", "wanted", "begun"] = ""
        self._alone, self._look_again = False, 0.0
        self._notifications: list[tuple[str, TimedChild]] = []

    @property
    def busy(self) -> bool:
        """Whether the outcome of anything is still to come."""
        children = [child for _, child in self._notifications] + ([self._sync] if self._sync else [])
        return self._final == "wanted" or any(not child.told for child in children)

    def helpers(self) -> set[int]:
        """Pids of living errands, each the leader of its session and group: not the run's, and not to be collected."""
        return {child.pid for _, child in self._notifications} | ({self._sync.pid} if self._sync else set())

    def tick(self, now: float) -> None:
        """Take in what ended, end what overran its time, start what is due. `now` is `time.monotonic()`."""
        for subject, child in self._notifications:
            self._notified(subject, child.look(now))
        self._notifications = [(subject, child) for subject, child in self._notifications if not child.gone]
        if self._spec.sync is not None:
            self._tend_sync(self._spec.sync, now)

    def notify(self, subject: str, message: Mapping[str, Any]) -> None:
        """Tell of `subject`, see `message_for`, once for each call; nothing where the campaign names nobody to tell."""
        notify = self._spec.notify
        if notify is None:
            return
        facts = {"host": here().host} | dict(message)
        text = json.dumps(message_for(subject, self._spec, self._attempt, facts), default=str) + "\n"
        if notify.webhook_env is not None:
            argv = [*python_module("engine.supervise.notifier", self._root), notify.webhook_env]
        else:
            argv = self._filled(notify.command)
        child = self._started(argv, NOTIFY_LIMIT_S, time.monotonic(), message=text.encode())
        if isinstance(child, TimedChild):
            self._notifications.append((subject, child))
        else:
            self._notified(subject, child)

    def final_sync(self, now: float) -> None:
        """Start the last sync, once the one under way has ended."""
        if self._spec.sync is not None and not self._final:
            self._final = "wanted"
            self._tend_sync(self._spec.sync, now)

    def kill_all(self) -> None:
        """Give up whatever is under way, and say so."""
        now = time.monotonic()
        for subject, child in self._notifications:
            self._notified(subject, child.abandon(now))
        self._notifications = []
        if self._sync is not None:
            self._synced(self._sync.abandon(now), final=self._final == "begun")
            self._sync = None
        if self._final == "wanted":
            self._final = "begun"
            self._synced(Outcome(False, "given up at its keeper's end, before it began", 0.0), final=True)

    # --- syncs -------------------------------------------------------------------------------------------------

    def _tend_sync(self, sync: SyncConfig, now: float) -> None:
        every_s = 60 * sync.every_minutes
        if self._next_sync is None:
            self._next_sync = now + every_s
        if self._sync is not None:
            self._synced(self._sync.look(now), final=self._final == "begun")
            if self._sync.gone:
                self._sync = None
            elif self._sync.told and self._final == "wanted":
                self._final = "begun"
                self._synced(Outcome(False, "the sync before it hangs, and cannot be ended", 0.0), final=True)
        due = self._final == "wanted" or (not self._final and now >= self._next_sync)
        if self._sync is not None or not due or not self._nobody_else_syncs(now):
            return
        self._next_sync = now + every_s
        final = self._final == "wanted"
        if final:
            self._final = "begun"
        started = self._started(self._filled(sync.command), 60 * sync.timeout_minutes, now, mark=self._mark)
        if isinstance(started, TimedChild):
            self._sync = started
        else:
            self._synced(started, final=final)

    def _nobody_else_syncs(self, now: float) -> bool:
        """Whether ours would be the only sync of the run. The keeper of an earlier attempt may be at its last one,
        which is waited for; what a keeper that was killed has left behind is ended."""
        if self._alone or now < self._look_again:
            return self._alone
        self._look_again = now + OTHER_SYNC_S
        others = marked_processes(self._mark)
        parents = [stat.parent for stat in (read_stat(who.pid) for who in others) if stat is not None]
        keepers = (self._spec.run_id, aftermath_mark(self._spec.run_id))
        if any(is_marked(parent, mark) for parent in parents for mark in keepers):
            return False
        for who in others:
            signal_process(who, signal.SIGKILL)
        self._alone = True
        return True

    # --- children ----------------------------------------------------------------------------------------------

    def _started(
        self, argv: Sequence[str], limit_s: float, now: float, *, message: bytes = b"", mark: str = ""
    ) -> TimedChild | Outcome:
        try:
            return TimedChild(
                argv,
                folder=self._root,
                environment=unmarked_environment() | ({RUN_MARK: mark} if mark else {}),
                limit_s=limit_s,
                now=now,
                message=message,
                secret=self._secret(),
            )
        except (OSError, ValueError) as error:
            what = sanitise(argv[0], 200)
            if isinstance(error, FileNotFoundError) and str(error.filename) != str(self._root):
                return Outcome(False, f"cannot start {what}: program not found", 0.0)
            why = getattr(error, "strerror", None) or sanitise(str(error), 200)
            return Outcome(False, f"cannot start {what} in {self._root}: {why}", 0.0)

    def _secret(self) -> str:
        """The webhook's address, which a program that prints its environment must not carry into the journal."""
        name = self._spec.notify.webhook_env if self._spec.notify is not None else None
        return os.environ.get(name, "").strip() if name else ""

    def _filled(self, argv: Sequence[str]) -> list[str]:
        values = {
            "output_dir": str(self._files.folder.resolve()),
            "campaign": self._spec.campaign,
            "run": self._spec.run,
        }
        return [_PLACEHOLDER.sub(lambda match: values[match[1]], argument) for argument in argv]

    def _synced(self, outcome: Outcome | None, *, final: bool) -> None:
        if outcome is not None:
            self._report(
                Synced(
                    attempt=self._attempt, ok=outcome.ok, detail=outcome.detail, seconds=outcome.seconds, final=final
                )
            )

    def _notified(self, subject: str, outcome: Outcome | None) -> None:
        if outcome is not None:
            self._report(Notified(attempt=self._attempt, subject=subject, ok=outcome.ok, detail=outcome.detail))
