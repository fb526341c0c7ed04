"""One run in its keeper's care: from its start, or adoption, to a recorded end."""

from __future__ import annotations

import os
import select
import time

from engine.campaign.spec import RunSpec
from engine.errors import RefusedError
from engine.files import RunFiles
from engine.journal.events import (
    Census,
    GeneratorEnded,
    GeneratorStarted,
    Heartbeat,
    KeeperStarted,
    ProcessIdentity,
    RequestTaken,
    Stopping,
    utc_now,
)
from engine.logs.sanitise import sanitise
from engine.supervise import requests
from engine.supervise.census import RunProcesses
from engine.supervise.charge import Charge, raised_target
from engine.supervise.commands import generator_argv, generator_environment, workspace_root
from engine.supervise.devices import Devices, retake_devices, take_devices
from engine.supervise.ending import Ending, StopOrder, judge
from engine.supervise.errands import Errands
from engine.supervise.evidence import last_census, last_line, own_word, record_end
from engine.supervise.generator import AdoptedGenerator, Exit, Generator, StartedGenerator, has_children, reap_orphans
from engine.supervise.gpus import hung_probes
from engine.supervise.guard import Guard
from engine.supervise.identity import here, is_alive, own_identity, resident_bytes
from engine.supervise.keeper_journal import KeeperJournal
from engine.supervise.ladder import GRACE_S, STARTING_GRACE_S, StopLadder
from engine.supervise.liveness import HEARTBEAT_S, KeeperRecord, read_keeper, write_keeper
from engine.supervise.restarts import Plan, announce_restart, plan_restart

CENSUS_S = 10.0
SURE_LOOKS = 3
TICK_S = 0.25
TICK_STOPPING_S = 0.05


class Custody:
    """Keeps the run whose files are `files`. `wakeup` is readable when a signal came, `signals` who counts them.

    `plan` is the restart by itself that follows the end, if one does.
    """

    def __init__(self, files: RunFiles, spec: RunSpec, charge: Charge, *, wakeup: int) -> None:
        self.files = files
        self.spec = spec
        self.charge = charge
        self.signals = 0
        self._wakeup = wakeup
        self._generator: Generator | None = None
        self._ladder: StopLadder | None = None
        self._order: StopOrder | None = None
        self._exit: Exit | None = None
        self._next_beat = 0.0
        self._began = time.monotonic()
        self._devices = Devices(names=())
        self._guard: Guard | None = None
        self._known: list[ProcessIdentity] = []
        self._next_census = 0.0
        self._found_alive = True
        self._rebooted = False
        self.plan: Plan | None = None
        self.errands = Errands(
            files,
            spec,
            attempt=charge.attempt,
            root=workspace_root(files, spec),
            report=lambda event: self.journal.append(event),  # noqa: PLW0108 - there is no journal yet
        )

    def run(self) -> Ending:
        """Keep the run until nothing of it is alive and its end is recorded.

        Raises `RefusedError` before anything is recorded when another keeper lives or devices are not free.
        """
        before = read_keeper(self.files)
        self._refuse_company(before)
        if before is not None and self.charge.adopting:
            self._rebooted = before.keeper.boot_id != here().boot_id
            self._known = last_census(self.files, self.charge.attempt)
            self._found_alive = bool(self._processes(before.generator).scan())
            self._devices = self._retaken(before)
        else:
            self._devices = take_devices(self.spec)
        self.journal = KeeperJournal(self.files, resumed=self.charge.attempt if self.charge.adopting else None)
        self.record = KeeperRecord(
            run=self.spec.id,
            run_id=self.spec.run_id,
            attempt=self.charge.attempt,
            adoption=self.charge.adoption,
            author=self.charge.author,
            keeper=own_identity(),
            generator=before.generator if before is not None and self.charge.adopting else None,
            devices=self._devices.names,
            memory_before=self._devices.memory_before,
        )
        write_keeper(self.files, self.record)
        self.journal.append(
            KeeperStarted(
                attempt=self.charge.attempt,
                keeper=self.record.keeper,
                adopted=self.charge.adopting,
                found_alive=self._found_alive,
                author=self.charge.author,
            )
        )
        self._beat()
        ending = self._adopt() if self.charge.adopting else self._start()
        return self._finish(ending or self._keep())

    # --- the beginning ---------------------------------------------------------------------------------------

    def _refuse_company(self, before: KeeperRecord | None) -> None:
        if before is None or before.ended is not None:
            if self.charge.adopting:
                raise RefusedError(f"there is nothing of {self.spec.id} to take over: no attempt of it is open")
            return
        if is_alive(before.keeper) is not False:
            raise RefusedError(f"{self.spec.id} has a keeper: pid {before.keeper.pid} on {before.keeper.host}")
        if not self.charge.adopting and before.generator is not None and is_alive(before.generator) is not False:
            raise RefusedError(f"the generator of {self.spec.id} still runs: pid {before.generator.pid}")

    def _retaken(self, before: KeeperRecord) -> Devices:
        """The devices of an adopted run. One that died lost its claim to them, and none outlives a boot."""
        if self._rebooted:
            return Devices(names=())
        try:
            return retake_devices(self.spec, before.devices, before.memory_before)
        except RefusedError:
            if self._found_alive:
                raise
            return Devices(names=())

    def _start(self) -> Ending | None:
        """Start the generator; an ending at once when that fails or a stop was already asked for."""
        if self.charge.examples is not None:
            self.journal.append(raised_target(self.spec, self.charge, self.charge.examples, before=self.journal.target))
        self._sweep_strays()
        self._take_requests()
        self._heed_signals()
        if self._order is not None:
            return Ending("stopped", self._order.reason)
        target = self.journal.target
        argv = generator_argv(
            self.files,
            self.spec,
            self.charge.attempt,
            examples=target.examples if target else None,
            max_candidates=target.max_candidates if target else None,
        )
        folder = workspace_root(self.files, self.spec)
        gpus = self._devices.names if self._devices.are_gpus else ()
        try:
            self._generator = StartedGenerator(
                argv,
                folder=folder,
                log=self.files.log,
                environment=generator_environment(self.files, self.spec.run_id, gpus),
            )
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError) and folder.is_dir()
            why = "program not found" if missing else getattr(error, "strerror", None) or str(error)
            return Ending("failed", f"cannot start the generator: {why}: {sanitise(argv[0], 200)}")
        self.record = self.record.model_copy(update={"generator": self._generator.identity})
        self._devices.hold_for(self._generator.identity)
        self._write_record()
        self.journal.append(GeneratorStarted(attempt=self.charge.attempt, process=self._generator.identity, argv=argv))
        self._guard = self._guarded(self._generator)
        return None

    def _guarded(self, generator: Generator) -> Guard:
        return Guard(
            self.files,
            self.spec,
            self.charge,
            journal=self.journal,
            errands=self.errands,
            generator=generator,
            devices=len(self._devices.names),
            began=self._began,
        )

    def _sweep_strays(self) -> None:
        """What an earlier attempt left behind, whose keeper was killed too, must not meet the new generator."""
        self._ladder = self._new_ladder(hurried=True)
        while not self._ladder.advance(time.monotonic()):
            self._tick(TICK_STOPPING_S)
        self._ladder = None

    def _adopt(self) -> Ending | None:
        identity = self.record.generator
        if identity is not None and is_alive(identity):
            self._generator = AdoptedGenerator(identity)
            self._devices.hold_for(identity)
            self._guard = self._guarded(self._generator)
            self._take_requests()
            if self._order is None and self.spec.supervision.keeper_loss == "stop":
                self._stop(StopOrder("its keeper was killed, and supervision.keeper_loss says stop"))
        else:
            self._exit = Exit()
            self._ladder = self._new_ladder()
        return None

    # --- the middle ------------------------------------------------------------------------------------------

    def _keep(self) -> Ending:
        while True:
            self._take_requests()
            self._heed_signals()
            if self._guard is not None and self._order is None and self._exit is None:
                order = self._guard.tick(time.monotonic())
                if order is not None:
                    self._stop(order)
                if time.monotonic() >= self._next_census:
                    self._take_census()
            self.errands.tick(time.monotonic())
            if self._exit is None and self._generator is not None:
                self._exit = self._generator.ended()
                if self._exit is not None:
                    self.journal.append(
                        GeneratorEnded(attempt=self.charge.attempt, exit_code=self._exit.code, signal=self._exit.signal)
                    )
                    if self._ladder is None:  # leftovers of a generator that ended by itself
                        self._ladder = self._new_ladder()
            if self._ladder is not None and self._ladder.advance(time.monotonic()) and self._exit is not None:
                return judge(
                    self._exit,
                    own_word=own_word(self.files, self.charge.attempt),
                    order=self._order,
                    last_line=last_line(self.files.log),
                    rebooted=self._rebooted,
                )
            self._tick(TICK_S if self._ladder is None else TICK_STOPPING_S)

    def _tick(self, seconds: float) -> None:
        """Sleep until something happens, at most `seconds`; beat, reap, write what waits."""
        poller = select.poll()
        poller.register(self._wakeup, select.POLLIN)
        watched = self._generator.pidfd if self._generator is not None and self._exit is None else None
        if watched is not None:
            poller.register(watched, select.POLLIN)
        for descriptor, _ in poller.poll(seconds * 1000):
            if descriptor == self._wakeup:
                os.read(self._wakeup, 4096)
        child = [self._generator.identity.pid] if self._generator is not None and self._generator.is_held else []
        reap_orphans(spared={*child, *self.errands.helpers()})
        self.journal.flush()
        if time.monotonic() >= self._next_beat:
            self._beat()

    def _take_requests(self) -> None:
        for request in requests.pending(self.files, self.journal.handled):
            note = self._act_on(request)
            self.journal.append(
                RequestTaken(
                    attempt=self.charge.attempt,
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
        if request.attempt != self.charge.attempt:
            return f"meant for attempt {request.attempt}, this is attempt {self.charge.attempt}"
        now = request.kind == "stop-now"
        if self._order is not None:
            if now:
                self._hurry()
            return ""
        if self._exit is not None:
            self._hurry()
            return "the generator had already ended"
        who = sanitise(request.author, 128)
        self._stop(StopOrder(f"stopped by {who}" if who else "stopped on request", who, hurried=now))
        return ""

    def _heed_signals(self) -> None:
        signals, self.signals = self.signals, 0
        if not signals:
            return
        if self._order is None and self._exit is None:
            self._stop(StopOrder("the keeper was asked to end by a signal"))
        else:
            self._hurry()

    def _stop(self, order: StopOrder) -> None:
        self._order = order
        if self._generator is None:
            return
        grace = min(self.charge.grace_s, STARTING_GRACE_S) if self._is_starting() else self.charge.grace_s
        self._ladder = self._new_ladder(hurried=order.hurried, grace_s=grace)

    def _new_ladder(self, *, hurried: bool = False, grace_s: float = GRACE_S) -> StopLadder:
        return StopLadder(
            self._processes(),
            now=time.monotonic(),
            grace_s=grace_s,
            hurried=hurried,
            report=self._report,
            confirmed=self._nothing_is_left,
        )

    def _nothing_is_left(self, looks: int) -> bool:
        """Whether it is certain that nothing of the run lives, after so many looks in a row that found nothing.

        Of a run that this keeper started the kernel knows: whatever was orphaned is a child of this process. Where it
        has other children, or took the run over, several looks have to do.
        """
        if self._generator is not None and self._exit is not None:
            self._generator.reap()
        if self._generator is not None and self._exit is None:
            return False
        if self._helpers():
            return looks >= SURE_LOOKS
        return not has_children() and (looks >= SURE_LOOKS or not self.charge.adopting)

    def _is_starting(self) -> bool:
        return self._guard is not None and self._guard.starting

    def _hurry(self) -> None:
        if self._ladder is not None:
            self._ladder.hurry(time.monotonic())

    def _processes(self, leader: ProcessIdentity | None = None) -> RunProcesses:
        generator = self._generator
        return RunProcesses(
            self.spec.run_id,
            leader=generator.identity if generator else leader,
            leader_is_held=lambda: generator is not None and generator.is_held,
            log=self.files.log,
            helpers=self._helpers,
            known=self._known,
        )

    def _take_census(self) -> None:
        """Write down who is the run's, so that a new keeper knows even those without a mark or a parent."""
        self._next_census = time.monotonic() + CENSUS_S
        found = self._processes().scan()
        if {(who.pid, who.start_ticks) for who in found} != {(who.pid, who.start_ticks) for who in self._known}:
            self._known = found
            self.journal.append(Census(attempt=self.charge.attempt, processes=found))

    def _helpers(self) -> set[int]:
        return hung_probes() | self.errands.helpers()

    def _report(self, step: str, processes: int) -> None:
        reason = self._order.reason if self._order else "what the generator left behind"
        self.journal.append(Stopping(attempt=self.charge.attempt, step=step, processes=processes, reason=reason))

    def _beat(self) -> None:
        self._next_beat = time.monotonic() + HEARTBEAT_S
        self.journal.append(
            Heartbeat(
                attempt=self.charge.attempt,
                boot_id=here().boot_id,
                monotonic=time.monotonic(),
                devices=list(self._devices.names) if self._found_alive else [],
                rss_bytes=resident_bytes(self._generator.identity.pid) if self._generator else 0,
            )
        )

    # --- the end ---------------------------------------------------------------------------------------------

    def _finish(self, ending: Ending) -> Ending:
        """Verify, record, and let go: exit.json, the journal's last word, keeper.json, claims; in this order."""
        if self._order is not None:
            self._report("verify", 0)
        held_by = self._devices.memory_is_back(self._beat)
        used = self._generator.reap() if self._generator is not None else None
        self._beat()
        progressed = self._guard.progressed if self._guard is not None else False
        ending, self.plan = plan_restart(
            self.spec, ending, self._order, self._exit or Exit(), progressed=progressed, journal=self.journal
        )
        record_end(
            self.files,
            self.journal,
            ending,
            self._exit or Exit(),
            attempt=self.charge.attempt,
            gpu_held_by=held_by,
            progressed=progressed,
            details={
                "run": self.spec.id,
                "adopted": self.charge.adopting,
                "author": self._order.author if self._order else "",
                "kept_for_s": round(time.monotonic() - self._began, 3),
                "resources": used,
            },
        )
        self.journal.close()
        self._devices.release(held_by)
        if self.plan is not None:
            announce_restart(self.files, self.plan, self.charge.attempt)
        self.record = self.record.model_copy(update={"ended": utc_now()})
        self._write_record()
        return ending

    def _write_record(self) -> None:
        """keeper.json anew; where the disk is full the old one stands, which is still true of the keeper."""
        try:
            write_keeper(self.files, self.record)
        except OSError as error:
            self.journal.fault = error
