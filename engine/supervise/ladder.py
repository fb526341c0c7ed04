"""The stop ladder: ask the generator, then all of the run, then kill, and say so only when all are gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Literal

from engine.journal.events import ProcessIdentity
from engine.supervise.census import RunProcesses
from engine.supervise.identity import signal_process

GRACE_S = 20.0
STARTING_GRACE_S = 3.0  # a model that loads has nothing to finish, and its program often cannot even hear SIGINT
TERMINATE_S = 3.0
TERMINATE_HURRIED_S = 1.0

Rung = Literal["interrupt", "terminate", "kill"]


class StopLadder:
    """Takes a run's processes down, a step with each `advance`.

    SIGINT goes to the generator alone, which may finish what it has in flight for `grace_s` seconds. SIGTERM goes to
    all that is the run's, SIGKILL too, and again to whatever a rescan still finds, for as long as there is any: a
    process that even SIGKILL cannot end (it hangs in the kernel) is never called stopped. `report` is told each
    rung's signal and how many processes there were. Times are seconds of one monotonic clock.

    One look at /proc proves nothing: a chain of processes in which each forks the next and ends can slip through it.
    So nothing is taken for gone before `confirmed` says so, after a look that found nothing.
    """

    def __init__(
        self,
        processes: RunProcesses,
        *,
        now: float,
        grace_s: float = GRACE_S,
        hurried: bool = False,
        report: Callable[[str, int], None],
        confirmed: Callable[[int], bool],
    ) -> None:
        self._processes = processes
        self._report = report
        self._confirmed = confirmed
        self._empty_looks = 0
        self._hurried = hurried
        self._rung: Rung = "interrupt"
        self._deadline = now + grace_s
        alive = processes.scan()
        leader = processes.leader
        if hurried or leader is None or leader not in alive:
            self._terminate(now, alive)
        else:
            report("SIGINT", len(alive))
            _ask(leader, signal.SIGINT)

    @property
    def rung(self) -> Rung:
        return self._rung

    def hurry(self, now: float) -> None:
        """Skip what is left of the grace."""
        self._hurried = True
        if self._rung == "interrupt":
            self._deadline = now
        elif self._rung == "terminate":
            self._deadline = min(self._deadline, now + TERMINATE_HURRIED_S)

    def advance(self, now: float) -> bool:
        """Do what is due at `now`; True once nothing of the run is alive."""
        alive = self._processes.scan()
        if not alive:
            self._empty_looks += 1
            return self._confirmed(self._empty_looks)
        self._empty_looks = 0
        if self._rung == "interrupt":
            leader = self._processes.leader
            # By the same look as `alive`: a leader that dies right after it is seen again next time, gone with all.
            if now >= self._deadline or leader is None or leader not in alive:
                self._terminate(now, alive)
        elif self._rung == "terminate":
            if now >= self._deadline:
                self._rung = "kill"
                self._report("SIGKILL", len(alive))
                self._kill(alive)
        else:
            self._kill(alive)
        return False

    def _terminate(self, now: float, alive: list[ProcessIdentity]) -> None:
        self._rung = "terminate"
        self._deadline = now + (TERMINATE_HURRIED_S if self._hurried else TERMINATE_S)
        if alive:
            self._report("SIGTERM", len(alive))
        for identity in alive:
            _ask(identity, signal.SIGTERM)

    def _kill(self, alive: list[ProcessIdentity]) -> None:
        """SIGKILL to all; stopped first, so that none of them forks while the others die."""
        for identity in alive:
            signal_process(identity, signal.SIGSTOP)
        leader = self._processes.leader
        if leader is not None and self._processes.leader_is_held():
            # The unreaped child pins the group's number, and one call reaches all members: a program that goes on by
            # forking and exiting would outrun a list of pids.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader.pid, signal.SIGKILL)
        for identity in alive:
            signal_process(identity, signal.SIGKILL)


def _ask(identity: ProcessIdentity, number: signal.Signals) -> None:
    """Send a signal to act on, and wake the process if it is suspended: until then the signal would only be pending."""
    if signal_process(identity, number):
        signal_process(identity, signal.SIGCONT)
