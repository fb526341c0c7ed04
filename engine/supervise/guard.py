"""What a keeper minds while the generator runs: money, disk, progress, and how large the log has become."""

from __future__ import annotations

import time

from engine.budget.cap import Cap, all_are_spent
from engine.campaign.spec import RunSpec
from engine.figures import EngineFigures
from engine.files import RunFiles
from engine.journal.events import Recovered, Stalled, utc_now
from engine.supervise.charge import Charge
from engine.supervise.ending import StopOrder
from engine.supervise.engines.kept import attached_keepers
from engine.supervise.engines.minder import EngineMinder
from engine.supervise.errands import Errands
from engine.supervise.generator import Generator
from engine.supervise.gpus import probe_gpus
from engine.supervise.identity import read_stat
from engine.supervise.keeper_journal import KeeperJournal
from engine.supervise.log_limit import LogLimit
from engine.supervise.log_watch import LogWatch
from engine.supervise.watchdog import SignsReader, Stall, Watchdog, stall_text

PROBE_TIMEOUT_S = 3.0
_ACTIONS = {"notify": "nothing is done about it", "restart": "it is restarted", "stop": "it is stopped"}


class Guard:
    """Looks after one attempt; `tick` says when it has to be taken down, and why."""

    def __init__(
        self,
        files: RunFiles,
        spec: RunSpec,
        charge: Charge,
        *,
        journal: KeeperJournal,
        errands: Errands,
        generator: Generator,
        devices: int,
        began: float,
        budget_left: float | None,
        engine: EngineMinder | None,
    ) -> None:
        self._files, self._spec, self._charge = files, spec, charge
        self._journal, self._errands, self._generator = journal, errands, generator
        self._device_count, self._began, self._budget_left = devices, began, budget_left
        self._reader = SignsReader(files, spec, charge.attempt)
        self._first = self._reader.read()
        self._watchdog = Watchdog(spec.supervision.stall, time.monotonic())
        self._log = LogLimit(files.log, round(spec.supervision.log_limit_mb * 1_000_000))
        self._engine = engine
        # What vLLM says of itself: a start's progress, and the figures of a program that has no other way to tell.
        talks = spec.model.backend == "vllm" or spec.generator.kind == "command"
        self._log_watch = LogWatch(files.log, time.monotonic()) if talks else None
        self._last_item: str | None = None
        self._items = self._first.items

    def tick(self, now: float) -> StopOrder | None:
        """Look at everything; an order when the run must not go on."""
        trimmed = self._log.tend()
        if trimmed is not None:
            self._journal.append(trimmed.model_copy(update={"attempt": self._charge.attempt}))
        self._watch_log(now)
        return self._mind_disk() or self._mind_budget(now) or self._mind_engine(now) or self._mind_progress(now)

    @property
    def figures(self) -> EngineFigures | None:
        """What computes on the run's devices does just now, as far as its keeper sees it."""
        if self._engine is not None:
            return self._engine.figures
        foreign = self._spec.generator.kind == "command"  # our own generator tells its figures itself
        return self._log_watch.figures() if self._log_watch is not None and foreign else None

    @property
    def progressed(self) -> bool | None:
        """Whether this attempt finished an item; None for a foreign program that shows none."""
        if self._reader.read().items > self._first.items:
            return True
        return None if self._spec.generator.kind == "command" else False

    @property
    def starting(self) -> bool:
        """Whether the generator says that it has not begun to generate: nothing is in flight that could be finished.
        So it is with an engine."""
        return self._reader.read().phase in ("starting", "downloading", "loading", "compiling")

    def _watch_log(self, now: float) -> None:
        event = self._log_watch.look(now) if self._log_watch is not None else None
        if event is None:
            return
        if self._engine is not None:
            self._engine.progressed(event)
        self._journal.append(event.model_copy(update={"attempt": self._charge.attempt}))

    def _mind_engine(self, now: float) -> StopOrder | None:
        return self._engine.tick(now) if self._engine is not None else None

    def _mind_disk(self) -> StopOrder | None:
        if not self._journal.disk_is_full:
            return None
        return StopOrder("the disk is full: free some space, then restart; nothing written is lost", fault=True)

    def _mind_budget(self, now: float) -> StopOrder | None:
        rate = self._spec.budget.gpu_usd_per_hour / 3600 * self._device_count
        own = Cap(self._began, self._budget_left)
        if not own.is_spent(now, rate):
            return None
        users = attached_keepers(self._files).values() if self._engine is not None else ()
        if users and not all_are_spent((Cap(user.began, user.budget_left) for user in users), now, rate):
            return None
        return StopOrder(f"budget spent: this attempt may cost ${own.left:.2f}")

    def _mind_progress(self, now: float) -> StopOrder | None:
        if self._engine is not None and self._engine.is_ready:
            return None  # it waits for requests as long as it may
        signs = self._reader.read()
        if signs.items != self._items:
            self._items, self._last_item = signs.items, utc_now()
        change = self._watchdog.look(signs, now)
        if isinstance(change, Recovered):
            self._journal.append(change.model_copy(update={"attempt": self._charge.attempt}))
        if not isinstance(change, Stall):
            return None
        action = self._spec.supervision.stall.action
        event = self._stalled(change, action)
        self._journal.append(event)
        self._errands.notify("stalled", {"reason": f"{stall_text(event)}; {_ACTIONS[action]}"})
        if action == "notify":
            return None
        return StopOrder(stall_text(event), fault=True, restart=action == "restart")

    def _stalled(self, stall: Stall, action: str) -> Stalled:
        """The stall with all that is known of it."""
        gpus = probe_gpus(timeout_s=PROBE_TIMEOUT_S) or []
        stat = read_stat(self._generator.identity.pid)
        return Stalled(
            attempt=self._charge.attempt,
            phase=stall.phase,
            silent_s=stall.silent_s,
            log_silent_s=stall.log_silent_s,
            last_item=self._last_item,
            gpu_utilisation={gpu.uuid: gpu.utilisation for gpu in gpus if gpu.utilisation is not None},
            suspended=stat is not None and stat.state == "T",
            action=action,
        )
