"""One run in its keeper's care: from its start, or adoption, to a recorded end."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence

from engine.campaign.spec import RunSpec
from engine.errors import RefusedError
from engine.files import RunFiles
from engine.journal.events import (
    Event,
    GeneratorEnded,
    GeneratorStarted,
    Heartbeat,
    KeeperStarted,
    utc_now,
)
from engine.logs.sanitise import sanitise
from engine.supervise.charge import Charge, raised_target
from engine.supervise.commands import engine_argv, generator_argv, generator_environment, workspace_root
from engine.supervise.devices import Devices, attached_devices, retake_devices, take_devices
from engine.supervise.ending import Ending, StopOrder, judge
from engine.supervise.engines.minder import EngineMinder, known_socket, socket_of, socket_path
from engine.supervise.engines.users import await_place
from engine.supervise.errands import Errands
from engine.supervise.evidence import last_census, last_error, last_line, own_word, record_end, recorded_end
from engine.supervise.generator import AdoptedGenerator, Exit, Generator, StartedGenerator, reap_orphans
from engine.supervise.gpu_monitor import GpuMonitor
from engine.supervise.guard import Guard
from engine.supervise.identity import here, is_alive, own_identity, resident_bytes
from engine.supervise.keeper_journal import KeeperJournal
from engine.supervise.liveness import HEARTBEAT_S, KeeperRecord, read_keeper, run_liveness, write_keeper
from engine.supervise.restarts import Plan, announce_restart, plan_restart
from engine.supervise.takedown import Takedown

TICK_S = 0.25
TROUBLE_S = 30.0
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
        self._next_beat = 0.0
        self._began = time.monotonic()
        self._devices = Devices(names=())
        self._budget_left = charge.budget_left
        self._found_alive = True
        self._rebooted = False
        self._engine = charge.engine
        self._minder: EngineMinder | None = None
        self._socket = socket_of(spec)
        self._unreachable = ""
        self.plan: Plan | None = None
        self.errands = Errands(
            files,
            spec,
            attempt=charge.attempt,
            root=workspace_root(files, spec),
            report=lambda event: self.journal.append(event),  # noqa: PLW0108 - there is no journal yet
        )
        self._down = Takedown(files, spec, charge, self.errands)

    def run(self) -> Ending:
        """Keep the run until nothing of it is alive and its end is recorded.

        Raises `RefusedError` before anything is recorded when another keeper lives or devices are not free.
        """
        before = read_keeper(self.files)
        self._refuse_company(before)
        if before is not None and self.charge.adopting:
            self._rebooted = before.keeper.boot_id != here().boot_id
            self._budget_left = before.budget_left
            if before.began and not self._rebooted:
                self._began = before.began
            self._engine = before.engine
            self._down.known = last_census(self.files, self.charge.attempt)
            self._found_alive = bool(self._down.processes(before.generator).scan())
            self._devices = self._retaken(before)
            self._find_socket()
        elif self._engine:
            self._devices = attached_devices(self.files.neighbour(self._engine))
        else:
            if self.spec.kind == "engine":
                self._socket = socket_path(self.spec)
            self._devices = take_devices(self.spec)
        self.journal = self._down.journal = KeeperJournal(
            self.files, resumed=self.charge.attempt if self.charge.adopting else None
        )
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
            budget_left=self._budget_left,
            began=self._began,
            engine=self._engine,
        )
        write_keeper(self.files, self.record)
        self._await_engine(before)
        self.journal.append(
            KeeperStarted(
                attempt=self.charge.attempt,
                keeper=self.record.keeper,
                adopted=self.charge.adopting,
                found_alive=self._found_alive,
                author=self.charge.author,
                engine=self._engine,
            )
        )
        if self._devices.are_gpus:
            self._down.monitor = GpuMonitor(self._devices.names)
        if self.spec.kind == "engine":
            self._minder = self._down.minder = EngineMinder(
                self.files, self.spec, self._report, began=self._began, socket=self._socket
            )
        self._beat()
        ending = self._adopt() if self.charge.adopting else self._start()
        return self._finish(ending or self._keep())

    def _report(self, event: Event) -> None:
        self.journal.append(event.model_copy(update={"attempt": self.charge.attempt}))

    # --- the beginning ---------------------------------------------------------------------------------------

    def _refuse_company(self, before: KeeperRecord | None) -> None:
        if before is None or before.ended is not None:
            if self.charge.adopting:
                raise RefusedError(f"there is nothing of {self.spec.id} to take over: no attempt of it is open")
            return
        if not self.charge.adopting and run_liveness(self.files).out_of_sight:
            return  # whoever launched this has made sure that it is silent
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
            if before.generator is not None and is_alive(before.generator):
                raise
            return Devices(names=())

    def _find_socket(self) -> None:
        """Where the engine listens that is taken over; what stands in the way of that ends it, not its adoption."""
        if self.spec.kind != "engine":
            return
        try:
            self._socket = known_socket(self.files, self.spec)
        except RefusedError as error:
            self._unreachable = error.what
        except OSError as error:
            self._unreachable = f"its socket cannot be reached: {error.strerror or error}"

    def _await_engine(self, before: KeeperRecord | None) -> None:
        """See that the engine stays, now that keeper.json says that it is used; else take that word back."""
        if not self._engine or self.charge.adopting:
            return
        try:
            await_place(self.files.neighbour(self._engine))
        except RefusedError:
            self.journal.close()
            if before is None:
                self.files.keeper.unlink(missing_ok=True)
            else:
                write_keeper(self.files, before)
            raise

    def _start(self) -> Ending | None:
        """Start the generator; an ending at once when that fails or a stop was already asked for."""
        if self.charge.examples is not None:
            self.journal.append(raised_target(self.spec, self.charge, self.charge.examples, before=self.journal.target))
        self._sweep_strays()
        self._down.take_requests()
        self._heed_signals()
        if self._down.order is not None:
            return Ending("stopped", self._down.order.reason)
        argv = self._argv()
        folder = workspace_root(self.files, self.spec)
        gpus = self._devices.names if self._devices.are_gpus else ()
        try:
            self._down.generator = StartedGenerator(
                argv,
                folder=folder,
                log=self.files.log,
                environment=generator_environment(self.files, self.spec.run_id, gpus),
            )
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError) and folder.is_dir()
            why = "program not found" if missing else getattr(error, "strerror", None) or str(error)
            return Ending("failed", f"cannot start the generator: {why}: {sanitise(argv[0], 200)}")
        self.record = self.record.model_copy(update={"generator": self._down.generator.identity})
        self._devices.hold_for(self._down.generator.identity)
        self._write_record()
        self.journal.append(
            GeneratorStarted(attempt=self.charge.attempt, process=self._down.generator.identity, argv=argv)
        )
        self._down.guard = self._guarded(self._down.generator)
        return None

    def _argv(self) -> list[str]:
        if self.spec.kind == "engine":
            return engine_argv(self.files, self.spec, self._socket)
        target = self.journal.target
        return generator_argv(
            self.files,
            self.spec,
            self.charge.attempt,
            examples=target.examples if target else None,
            max_candidates=target.max_candidates if target else None,
            engine=self._engine,
        )

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
            budget_left=self._budget_left,
            engine=self._minder,
        )

    def _sweep_strays(self) -> None:
        """What an earlier attempt left behind, whose keeper was killed too, must not meet the new generator."""
        self._down.begin(hurried=True)
        while not self._down.is_through():
            self._tick(TICK_STOPPING_S)
        self._down.ladder = None

    def _adopt(self) -> Ending | None:
        identity = self.record.generator
        if identity is not None and is_alive(identity):
            self._down.generator = AdoptedGenerator(identity)
            self._devices.hold_for(identity)
            self._down.guard = self._guarded(self._down.generator)
            self._down.take_requests()
            if self._down.order is None and self._unreachable:
                self._down.stop(StopOrder(self._unreachable, fault=True))
            if self._down.order is None and self.spec.supervision.keeper_loss == "stop":
                self._down.stop(StopOrder("its keeper was killed, and supervision.keeper_loss says stop"))
        else:
            self._down.exit = Exit()
            self._down.begin()
        return None

    # --- the middle ------------------------------------------------------------------------------------------

    def _keep(self) -> Ending:
        """Round after round until it is over. No failing call (no descriptor, no process, a file system that falters)
        ends it while the generator lives: it is tried again, and in the end the run is taken down for it."""
        troubled_since: float | None = None
        while True:
            try:
                ending = self._round()
                troubled_since = None
            except OSError as error:
                now = time.monotonic()
                troubled_since = troubled_since or now
                if now - troubled_since > TROUBLE_S and self._down.order is None and self._down.exit is None:
                    self._down.stop(StopOrder(f"its keeper cannot work: {error.strerror or error}", fault=True))
                ending = None
            if ending is not None:
                return ending
            self._tick(TICK_S if self._down.ladder is None else TICK_STOPPING_S)

    def _round(self) -> Ending | None:
        down = self._down
        down.take_requests()
        self._heed_signals()
        if down.guard is not None and down.order is None and down.exit is None:
            order = down.guard.tick(time.monotonic())
            if order is not None:
                down.stop(order)
            down.take_census()
        self.errands.tick(time.monotonic())
        if down.exit is None and down.generator is not None:
            down.exit = down.generator.ended()
            if down.exit is not None:
                self.journal.append(
                    GeneratorEnded(attempt=self.charge.attempt, exit_code=down.exit.code, signal=down.exit.signal)
                )
        if down.exit is not None and down.ladder is None:  # leftovers of a generator that ended by itself
            down.begin()
        if self._minder is not None and down.order is not None:
            self._minder.ended(down.order.reason)
        if not down.is_through() or down.exit is None:
            return None
        return judge(
            down.exit,
            own_word=own_word(self.files, self.charge.attempt),
            order=down.order,
            last_line=(last_error if self.spec.kind == "engine" else last_line)(self.files.log),
            rebooted=self._rebooted,
            endless=self.spec.kind == "engine",
        )

    def _tick(self, seconds: float) -> None:
        """Sleep until something happens, at most `seconds`; beat, reap, write what waits."""
        poller = select.poll()
        poller.register(self._wakeup, select.POLLIN)
        watched = self._down.generator.pidfd if self._down.generator is not None and self._down.exit is None else None
        if watched is not None:
            poller.register(watched, select.POLLIN)
        for descriptor, _ in poller.poll(seconds * 1000):
            if descriptor == self._wakeup:
                os.read(self._wakeup, 4096)
        child = (
            [self._down.generator.identity.pid]
            if self._down.generator is not None and self._down.generator.is_held
            else []
        )
        reap_orphans(spared={*child, *self.errands.helpers()})
        self.journal.flush()
        if time.monotonic() >= self._next_beat:
            self._beat()

    def _heed_signals(self) -> None:
        signals, self.signals = self.signals, 0
        if signals:
            self._down.heed_signal()

    def _beat(self) -> None:
        self._next_beat = time.monotonic() + HEARTBEAT_S
        self.journal.append(
            Heartbeat(
                attempt=self.charge.attempt,
                boot_id=here().boot_id,
                monotonic=time.monotonic(),
                devices=list(self._devices.names) if self._found_alive else [],
                rss_bytes=resident_bytes(self._down.generator.identity.pid) if self._down.generator else 0,
                gpus=self._down.monitor.latest() if self._down.monitor is not None else [],
                engine=self._down.guard.figures if self._down.guard is not None else None,
            )
        )

    # --- the end ---------------------------------------------------------------------------------------------

    def _finish(self, ending: Ending) -> Ending:
        """Verify, record, and let go: exit.json, the journal's last word, keeper.json, claims; in this order.

        An end that the keeper before had recorded stands: only what it could not do any more is done.
        """
        if self._minder is not None:
            self._minder.ended(ending.reason)
        known = recorded_end(self.files, self.charge.attempt) if self.charge.adopting else None
        if known is not None:
            self._devices.memory_is_back(self._beat)
            self.journal.close()
            self._let_go(None)
            return Ending(known.state, known.reason)
        if self._down.order is not None:
            self._down.report("verify", 0)
        held_by = self._devices.memory_is_back(self._beat)
        used = self._down.generator.reap() if self._down.generator is not None else None
        self._beat()
        progressed = self._down.guard.progressed if self._down.guard is not None else False
        if self.charge.adopting and not progressed:
            progressed = None  # what was finished before the takeover is not known here
        ending, self.plan = plan_restart(
            self.spec, ending, self._down.order, self._down.exit or Exit(), progressed=progressed, journal=self.journal
        )
        recorded = record_end(
            self.files,
            self.journal,
            ending,
            self._down.exit or Exit(),
            attempt=self.charge.attempt,
            gpu_held_by=held_by,
            progressed=progressed,
            details={
                "run": self.spec.id,
                "adopted": self.charge.adopting,
                "author": self._down.order.author if self._down.order else "",
                "kept_for_s": round(time.monotonic() - self._began, 3),
                "resources": used,
            },
        )
        self.journal.close()
        if self.plan is not None:
            announce_restart(self.files, self.plan, self.charge.attempt)
        self._let_go(held_by, recorded=recorded)
        return ending

    def _let_go(self, held_by: Sequence[str] | None, *, recorded: bool = True) -> None:
        """The last step; an end that could not be recorded (a full disk) is left to whoever looks next."""
        self._devices.release(held_by)
        if not recorded:
            return
        self.record = self.record.model_copy(update={"ended": utc_now()})
        self._write_record()

    def _write_record(self) -> None:
        """keeper.json anew; where the disk is full the old one stands, which is still true of the keeper."""
        try:
            write_keeper(self.files, self.record)
        except OSError as error:
            self.journal.fault = error
