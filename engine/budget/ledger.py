"""Device time from the keepers' heartbeats: a device costs the same however many runs share it.

Durations come from the monotonic clock alone, which is comparable within one boot of one host, so that a wall clock
that jumps changes nothing. Intervals of different runs are laid over each other in that same clock; a device of
another boot is another stretch of time by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.journal.events import Heartbeat


@dataclass(frozen=True, slots=True)
class DeviceInterval:
    """`device` was held from `start_s` to `end_s`, seconds of the monotonic clock of the boot `boot_id`."""

    boot_id: str
    device: str
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


class Meter:
    """The device time of one run, heartbeat by heartbeat, in the order of its journal.

    Between two heartbeats of one attempt in one boot the devices of the first were held, however long the gap: a
    keeper that was paused, or died and was replaced, left its generator on them. Time between attempts is free.
    """

    def __init__(self) -> None:
        self._last: Heartbeat | None = None
        self._began: dict[str, float] = {}
        self._closed: list[DeviceInterval] = []
        self._span_began = 0.0
        self._closed_active_s = 0.0
        self._last_of: dict[int, Heartbeat] = {}
        self._died_after: dict[int, Heartbeat] = {}
        self._unwatched: dict[int, float] = {}

    def add(self, beat: Heartbeat) -> None:
        """Take in the next heartbeat; one that goes back in time within its attempt is passed over."""
        last = self._last
        if last is None and not beat.devices:
            return  # a keeper that only records the end of a run that died: nothing was held
        if last is not None and (beat.boot_id, beat.attempt) == (last.boot_id, last.attempt):
            if beat.monotonic < last.monotonic:
                return
            for device in set(last.devices) - set(beat.devices):
                self._close(device, last.boot_id, beat.monotonic)
        else:
            self._close_all()
            self._span_began = beat.monotonic
        for device in beat.devices:
            self._began.setdefault(device, beat.monotonic)
        self._last = self._last_of[beat.attempt] = beat

    def interrupt(self, attempt: int) -> None:
        """The run was found dead: its devices were not held from its last heartbeat until now."""
        if attempt in self._last_of:
            self._died_after.setdefault(attempt, self._last_of[attempt])
        self._close_all()
        self._last = None

    def set_unwatched(self, seconds: Mapping[int, float]) -> None:
        """The generators of these attempts went on for so many seconds after the last heartbeat of a keeper that died,
        until they died, too. Replaces what was said before: an attempt may yet be taken over, or its end turn up."""
        self._unwatched = {
            attempt: length for attempt, length in seconds.items() if attempt in self._last_of and length > 0
        }

    def _close(self, device: str, boot_id: str, end_s: float) -> None:
        start_s = self._began.pop(device)
        if end_s > start_s:
            self._closed.append(DeviceInterval(boot_id, device, start_s, end_s))

    def _close_all(self) -> None:
        if self._last is None:
            return
        self._closed_active_s += self._last.monotonic - self._span_began
        for device in list(self._began):
            self._close(device, self._last.boot_id, self._last.monotonic)

    @property
    def intervals(self) -> tuple[DeviceInterval, ...]:
        """All stretches so far, the one that goes on now up to the last heartbeat."""
        last = self._last
        going = (
            DeviceInterval(last.boot_id, device, began, last.monotonic)
            for device, began in self._began.items()
            if last is not None and last.monotonic > began
        )
        beats = self._last_of | self._died_after
        after = (
            DeviceInterval(beats[attempt].boot_id, device, beats[attempt].monotonic, beats[attempt].monotonic + seconds)
            for attempt, seconds in self._unwatched.items()
            for device in beats[attempt].devices
        )
        return (*self._closed, *going, *after)

    @property
    def devices(self) -> tuple[tuple[str, str], ...]:
        """(boot, device) of what the last heartbeat held."""
        return tuple((self._last.boot_id, device) for device in self._last.devices) if self._last else ()

    @property
    def device_hours(self) -> float:
        """Hours of this run's devices, each counted once."""
        return union_hours([self])

    @property
    def active_s(self) -> float:
        """Seconds from first to last heartbeat, and what went on unwatched after it, summed over attempts."""
        open_s = self._last.monotonic - self._span_began if self._last else 0.0
        return self._closed_active_s + open_s + sum(self._unwatched.values())


def intervals(heartbeats: Iterable[Heartbeat]) -> tuple[DeviceInterval, ...]:
    """The stretches that one run's heartbeats amount to."""
    meter = Meter()
    for beat in heartbeats:
        meter.add(beat)
    return meter.intervals


def union_hours(meters: Iterable[Meter]) -> float:
    """Device hours of several runs together; where runs share a device at the same time it counts once."""
    spans: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for meter in meters:
        for interval in meter.intervals:
            spans[interval.boot_id, interval.device].append((interval.start_s, interval.end_s))
    return sum(_covered(found) for found in spans.values()) / 3600


def _covered(spans: list[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
