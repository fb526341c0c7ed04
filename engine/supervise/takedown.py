"""How a run is brought to its end: who belongs to it, on whose order, and when it is certain that all are gone."""

from __future__ import annotations

import time

from engine.campaign.spec import RunSpec
from engine.files import RunFiles
from engine.journal.events import Census, ProcessIdentity, RequestTaken, Stopping
from engine.logs.sanitise import sanitise
from engine.supervise import requests
from engine.supervise.census import RunProcesses
from engine.supervise.charge import Charge
from engine.supervise.ending import StopOrder
from engine.supervise.engines.minder import EngineMinder
from engine.supervise.errands import Errands
from engine.supervise.generator import Exit, Generator, has_children
from engine.supervise.gpu_monitor import GpuMonitor
from engine.supervise.gpus import hung_probes
from engine.supervise.guard import Guard
from engine.supervise.keeper_journal import KeeperJournal
from engine.supervise.ladder import GRACE_S, STARTING_GRACE_S, StopLadder

CENSUS_S = 10.0
SURE_LOOKS = 3


class Takedown:
    """The processes of one attempt and the way down. `generator` is set once there is one, `exit` once it has ended,
    `order` once it is to go, `ladder` once processes are taken down, `guard` as long as somebody minds it, `monitor`
    while its GPUs are watched; `journal` before anything else is asked; `minder` if it is an engine. `known` were
    proven to be the run's before."""

    journal: KeeperJournal

    def __init__(self, files: RunFiles, spec: RunSpec, charge: Charge, errands: Errands) -> None:
        self._files, self._spec, self._charge, self._errands = files, spec, charge, errands
        self.generator: Generator | None = None
        self.exit: Exit | None = None
        self.order: StopOrder | None = None
        self.ladder: StopLadder | None = None
        self.known: list[ProcessIdentity] = []
        self.guard: Guard | None = None
        self.minder: EngineMinder | None = None
        self.monitor: GpuMonitor | None = None
        self._next_census = 0.0

    def take_requests(self) -> None:
        """Answer every request that waits, in the journal, and act on it."""
        for request in requests.pending(self._files, self.journal.handled):
            note = self._act_on(request)
            self.journal.append(
                RequestTaken(
                    attempt=self._charge.attempt,
                    file=sanitise(request.file, 128),
                    request=sanitise(request.kind, 32),
                    author=sanitise(request.author, 128),
                    accepted=not note,
                    note=note,
                )
            )
            self.journal.handled.add(request.file)

    def _act_on(self, request: requests.Request) -> str:
        """Do what is asked; else say why not."""
        if request.kind not in ("stop", "stop-now"):
            return "no such request"
        if request.attempt != self._charge.attempt:
            return f"meant for attempt {request.attempt}, this is attempt {self._charge.attempt}"
        now = request.kind == "stop-now"
        if self.order is not None:
            if now:
                self.hurry()
            return ""
        if self.exit is not None:
            self.hurry()
            return requests.ALREADY_ENDED
        users = self.minder.claim_end() if self.minder is not None and not now else []
        if users:
            return sanitise(f"it is used by {', '.join(users)}", 300)
        who = sanitise(request.author, 128)
        self.stop(StopOrder(f"stopped by {who}" if who else "stopped on request", who, hurried=now))
        return ""

    def heed_signal(self) -> None:
        """The keeper itself was asked to end."""
        if self.order is None and self.exit is None:
            self.stop(StopOrder("the keeper was asked to end by a signal"))
        else:
            self.hurry()

    def stop(self, order: StopOrder) -> None:
        """Take the run down by `order`; one that has not started yet is only not started."""
        self.order = order
        if self.generator is None:
            return
        starting = self.guard is not None and self.guard.starting
        grace = min(self._charge.grace_s, STARTING_GRACE_S) if starting else self._charge.grace_s
        self.begin(hurried=order.hurried, grace_s=grace)

    def begin(self, *, hurried: bool = False, grace_s: float = GRACE_S) -> None:
        """Start taking down whatever lives of the run."""
        if self.monitor is not None:
            self.monitor.close()  # without a helper the kernel's word on children is enough
        self.ladder = StopLadder(
            self.processes(),
            now=time.monotonic(),
            grace_s=grace_s,
            hurried=hurried,
            report=self.report,
            confirmed=self._nothing_is_left,
        )

    def _nothing_is_left(self, looks: int) -> bool:
        """Whether it is certain that nothing of the run lives, after so many looks in a row that found nothing.

        Of a run that this keeper started the kernel knows: whatever was orphaned is a child of this process. Where it
        has other children, or took the run over, several looks have to do.
        """
        if self.generator is not None and self.exit is not None:
            self.generator.reap()
        if self.generator is not None and self.exit is None:
            return False
        if self.helpers():
            return looks >= SURE_LOOKS
        return not has_children() and (looks >= SURE_LOOKS or not self._charge.adopting)

    def is_through(self) -> bool:
        """Do the next step of a takedown that was begun; whether nothing of the run is alive any more."""
        return self.ladder is not None and self.ladder.advance(time.monotonic())

    def hurry(self) -> None:
        """Skip what is left of the grace."""
        if self.ladder is not None:
            self.ladder.hurry(time.monotonic())

    def processes(self, leader: ProcessIdentity | None = None) -> RunProcesses:
        """Whoever is the run's; `leader` stands in for a generator that is not there yet."""
        generator = self.generator
        return RunProcesses(
            self._spec.run_id,
            leader=generator.identity if generator else leader,
            leader_is_held=lambda: generator is not None and generator.is_held,
            log=self._files.log,
            helpers=self.helpers,
            known=self.known,
        )

    def take_census(self) -> None:
        """Write down, now and then, who is the run's: so a new keeper knows even those without a mark or a parent."""
        if time.monotonic() < self._next_census:
            return
        self._next_census = time.monotonic() + CENSUS_S
        found = self.processes().scan()
        if {(who.pid, who.start_ticks) for who in found} != {(who.pid, who.start_ticks) for who in self.known}:
            self.known = found
            self.journal.append(Census(attempt=self._charge.attempt, processes=found))

    def helpers(self) -> set[int]:
        """Pids of the keeper's own children, which are not the run's."""
        watching = self.monitor.helpers() if self.monitor is not None else set()
        return hung_probes() | self._errands.helpers() | watching

    def report(self, step: str, processes: int) -> None:
        """One rung of the ladder, into the journal."""
        reason = self.order.reason if self.order else "what the generator left behind"
        self.journal.append(Stopping(attempt=self._charge.attempt, step=step, processes=processes, reason=reason))
