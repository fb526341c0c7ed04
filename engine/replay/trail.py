"""Who did what to a run, and when: from its journals, and from requests that nobody has taken yet."""

from __future__ import annotations

import os

from engine.campaign.spec import RunSpec
from engine.files import RunFiles
from engine.journal.events import AnyEvent, KeeperStarted, RequestTaken, RestartSettled, Stalled, TargetRaised
from engine.logs.sanitise import sanitise
from engine.snapshot import MOST_ACTIONS, LoggedAction
from engine.supervise.requests import pending
from engine.supervise.restarts import WATCHDOG

ASKED = {"stop": "asked to stop it", "stop-now": "asked to stop it now"}
STALL_ANSWERS = {
    "notify": "noticed that it stalled",
    "restart": "takes it down to restart it",
    "stop": "stops it: stalled",
}


class Trail:
    """The actions on one run, oldest first, the latest `MOST_ACTIONS`."""

    def __init__(self, spec: RunSpec) -> None:
        self._done: list[LoggedAction] = []
        self._taken: set[str] = set()
        self._asked: dict[str, LoggedAction] = {}
        if spec.created and spec.imported is None:
            self._note(spec.created, spec.author, "launched it")

    def apply(self, event: AnyEvent) -> None:
        """Fold one event of the keeper's journals."""
        match event:
            case KeeperStarted() if event.adopted:
                what = "had a new keeper adopt it" if event.found_alive else "found it dead"
                self._note(event.time, event.author, what)
            case KeeperStarted() if event.attempt > 1:
                self._note(event.time, event.author, f"started attempt {event.attempt}")
            case TargetRaised():
                self._note(event.time, event.author, f"raised its target to {event.examples}")
            case RequestTaken():
                asked = self._asked.pop(event.file, None)
                self._taken.add(event.file)
                refused = "" if event.accepted else f", which was not done: {event.note}"
                what = ASKED.get(event.request, f"asked for {event.request!r}")
                self._note(asked.time if asked else event.time, event.author, what + refused)
            case Stalled():
                self._note(event.time, WATCHDOG, STALL_ANSWERS.get(event.action, "noticed that it stalled"))
            case RestartSettled() if not event.started:
                self._note(event.time, event.author or WATCHDOG, f"its restart is off: {event.detail}")
            case _:
                pass

    def look_for_requests(self, files: RunFiles) -> None:
        """Read requests that are new, as long as no keeper has taken them."""
        try:
            if len(os.listdir(files.requests)) == len(self._taken) + len(self._asked):
                return
        except OSError:
            return
        for request in pending(files, self._taken):
            what = ASKED.get(request.kind, f"asked for {sanitise(request.kind, 32)!r}")
            author = sanitise(request.author, 128)
            self._asked[request.file] = LoggedAction(sanitise(request.time, 64), author, what, pending=True)

    @property
    def actions(self) -> tuple[LoggedAction, ...]:
        return (*self._done, *self._asked.values())[-MOST_ACTIONS:]

    def _note(self, time: str, author: str, action: str) -> None:
        self._done.append(LoggedAction(time, sanitise(author, 128), sanitise(action, 300)))
        del self._done[:-MOST_ACTIONS]
