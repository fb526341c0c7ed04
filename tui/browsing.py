"""Where a person is among a run's records: which are wanted, what was read of them, what was marked since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from engine.report.samples import Sample, Samples, Wanted

AHEAD = 25
"""So many records before the last that was read, more are wished for: going on does not wait for them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Records that are to be read: those `wanted` around the number `near`. Of them the first from that number on comes
    into sight, with `backward` the last before it; with `stays` that which is in sight anyway."""

    wanted: Wanted
    near: int = 0
    backward: bool = False
    stays: bool = False


class Browsing:
    """Goes through the records of one run, of which only those around the one in sight are held.

    `kinds` are the detectors, those that the gate rests on first. What was read stays as it is until something else is
    wished for, so that nothing moves under the eyes of who reads it; what was marked since is known beside it.
    """

    def __init__(self, kinds: tuple[str, ...], chosen: Wanted) -> None:
        self.kinds = kinds
        self.filters = (Wanted(), Wanted(kept=True), Wanted(kept=False), *(Wanted(flag=kind) for kind in kinds))
        self.chosen = chosen
        self.unmarked = False
        self.samples: Samples | None = None
        self.wish = Wish(chosen)
        self._taken: Wish | None = None
        self._place = 0
        self._marks: dict[tuple[str, int], bool] = {}
        self._looked_at: dict[str, str] = {}

    # --- what is in sight ----------------------------------------------------------------------------------------

    @property
    def shown(self) -> list[Sample]:
        """What was read, in item order, less what has been marked since where only unmarked flags are wanted."""
        found = self.samples.found if self.samples is not None else []
        return [sample for sample in found if not (self.unmarked and self._is_marked(sample))]

    @property
    def sample(self) -> Sample | None:
        """The one in sight."""
        shown = self.shown
        return shown[min(self._place, len(shown) - 1)] if shown else None

    @property
    def position(self) -> tuple[int, int]:
        """Which it is of how many that are wanted, from 1; (0, 0) for none."""
        samples, shown = self.samples, self.shown
        if samples is None or not shown:
            return 0, 0
        return samples.start + min(self._place, len(shown) - 1) + 1, samples.matching - len(samples.found) + len(shown)

    @property
    def more_than_read(self) -> bool:
        return self.samples is not None and self.samples.matching > len(self.samples.found)

    # --- marks ---------------------------------------------------------------------------------------------------

    def flagged(self, sample: Sample) -> list[str]:
        """The kinds of detector that flag it, the one that is looked at first, then those of the gate."""
        flagged = [kind for kind, flag in sample.flags.items() if flag]
        order = [self.chosen.flag, *self.kinds]
        return sorted(flagged, key=lambda kind: order.index(kind) if kind in order else len(order))

    def mark_of(self, sample: Sample, kind: str) -> bool | None:
        return self._marks.get((kind, sample.index), sample.marks.get(kind))

    def mark(self, right: bool) -> tuple[str, str, int] | None:
        """Mark the first flag of the record in sight, and go on to the next record; kind and id of the flag's detector
        and the record's number, None where nothing is flagged."""
        sample, samples = self.sample, self.samples
        kinds = self.flagged(sample) if sample is not None else []
        if sample is None or samples is None or not kinds:
            return None
        kind, before = kinds[0], len(self.shown)
        self._place = min(self._place, before - 1)
        self._marks[kind, sample.index] = right
        if len(self.shown) == before:  # else the next one has moved up to its place
            self.move(1)
        return kind, samples.detectors.get(kind, kind), sample.index

    def unmark(self, kind: str, indices: Iterable[int]) -> None:
        """Marks that could not be written are none."""
        for index in indices:
            self._marks.pop((kind, index), None)

    def _is_marked(self, sample: Sample) -> bool:
        kinds = [self.chosen.flag] if self.chosen.flag is not None else self.flagged(sample)
        return any(self.mark_of(sample, kind) is not None for kind in kinds)

    # --- going on ------------------------------------------------------------------------------------------------

    def move(self, step: int) -> None:
        """To the next record or the one before; past what was read, more is wished for."""
        samples, shown = self.samples, self.shown
        if samples is None or not shown:
            return
        last = len(shown) - 1
        place = min(self._place, last) + step
        earlier, later = samples.start > 0, samples.start + len(samples.found) < samples.matching
        self._place = max(0, min(place, last))
        if place < 0 and earlier:
            self.wish = replace(self.wish, near=shown[0].index, backward=True, stays=False)
        elif place > last and later:
            self.wish = replace(self.wish, near=samples.found[-1].index + 1, backward=False, stays=False)
        elif self.wish == self._taken and ((later and place > last - AHEAD) or (earlier and place < AHEAD)):
            self.wish = replace(self.wish, near=shown[self._place].index, backward=False, stays=True)

    def turn(self, *, chosen: Wanted | None = None, unmarked: bool | None = None) -> None:
        """Forget what was read, and wish for the first of what is wanted now."""
        self.chosen = chosen if chosen is not None else self.chosen
        self.unmarked = unmarked if unmarked is not None else self.unmarked
        self.samples = None
        self._place = 0
        self.wish = Wish(replace(self.chosen, marked=False if self.unmarked else None))

    def turn_by(self, step: int) -> None:
        """To the filter beside the chosen one."""
        self.turn(chosen=self.filters[(self.filters.index(self.chosen) + step) % len(self.filters)])

    def jump(self, number: int) -> None:
        """To the record of that number, or the next one that is wanted."""
        self.wish = replace(self.wish, near=number, backward=False, stays=False)

    def stay(self) -> None:
        """Wish for the same again, around the record in sight."""
        sample = self.sample
        if sample is not None:
            self.jump(sample.index)

    def take(self, samples: Samples) -> None:
        """What was wished for was read."""
        before = self.sample
        self.samples, self._taken = samples, self.wish
        for kind, detector in samples.detectors.items():
            self._forget_marks_of_another(kind, detector)
        indices = [sample.index for sample in self.shown]
        last = max(0, len(indices) - 1)
        near = before.index if self.wish.stays and before is not None else self.wish.near
        if self.wish.backward:
            self._place = max(0, sum(index < near for index in indices) - 1)
        else:
            self._place = min(last, sum(index < near for index in indices))

    def _forget_marks_of_another(self, kind: str, detector: str) -> None:
        """Marks belong to the detector whose flags were shown, and the run may be judged by another one by now."""
        if self._looked_at.get(kind, detector) != detector:
            self._marks = {key: right for key, right in self._marks.items() if key[0] != kind}
        self._looked_at[kind] = detector
