"""What a run's devices cost, from its journals: metered by its keeper, and charged on while nobody watched."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from engine.budget.ledger import Meter
from engine.files import RunFiles
from engine.journal.events import AnyEvent, GeneratorBeat, Heartbeat, KeeperStarted, RunEnded
from engine.supervise.liveness import RunLiveness


class RunMeter:
    """Feeds `meter` with a run's events. `endless`: it is an engine, which says nothing in the generator's journal."""

    def __init__(self, files: RunFiles, *, endless: bool) -> None:
        self.meter = Meter()
        self._log, self._endless = files.log, endless
        self._beaten: dict[int, Heartbeat] = {}
        self._active: dict[int, GeneratorBeat] = {}
        self._closed: set[int] = set()
        self._found_dead: set[int] = set()

    def apply(self, event: AnyEvent) -> None:
        """Fold one event of either journal."""
        match event:
            case KeeperStarted() if event.adopted and not event.found_alive:
                self.meter.interrupt(event.attempt)
                self._found_dead.add(event.attempt)
            case Heartbeat():
                self.meter.add(event)
                if event.attempt not in self._found_dead:
                    self._beaten[event.attempt] = event
            case RunEnded():
                self._closed.add(event.attempt)
            case GeneratorBeat():
                self._active[event.attempt] = event
            case _:
                pass

    def charge_unwatched(self, alive: RunLiveness, present: int) -> None:
        """Charge what generators did after their keeper's death, where no other keeper took over in their life;
        `present` is the attempt that the run is in."""
        nobody = alive.keeper_alive is False and not alive.generator_alive
        self.meter.set_unwatched(
            {
                attempt: self._unwatched_s(attempt, beaten, present)
                for attempt, beaten in self._beaten.items()
                if attempt in self._found_dead or (attempt not in self._closed and (nobody or attempt < present))
            }
        )

    def _unwatched_s(self, attempt: int, beaten: Heartbeat, present: int) -> float:
        """Seconds from the keeper's last heartbeat to the generator's last sign of life: of an engine, what its server
        wrote into the log."""
        if self._endless:
            return _log_beyond(beaten, self._log) if attempt == present else 0.0
        return _beyond(beaten, self._active.get(attempt))


def _beyond(beat: Heartbeat, active: GeneratorBeat | None) -> float:
    """Seconds from the keeper's last heartbeat to the generator's last sign of life; 0 if they cannot be compared."""
    if active is None or active.boot_id != beat.boot_id:
        return 0.0
    return max(0.0, active.monotonic - beat.monotonic)


def _log_beyond(beat: Heartbeat, log: Path) -> float:
    """As `_beyond`, to the last line in a log; by the wall clock, since nothing else dates it."""
    try:
        return max(0.0, log.stat().st_mtime - datetime.fromisoformat(beat.time).timestamp())
    except (OSError, ValueError, OverflowError):
        return 0.0
