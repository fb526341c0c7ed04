"""Which items a run is made of, and how early they are started."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.generate.admission import Admission
from engine.generate.items import Item


def item(index: int, *, dropped: bool = False) -> Item:
    return Item(index, 0, index, "", "", 0, "malformed" if dropped else None)


@dataclass
class Device:
    """Works on at most `width` items at once. `kept` and `dropped` say what becomes of an index, whoever asks."""

    admission: Admission
    width: int
    kept: Any
    dropped: Any = lambda index: False
    begun: int = 0
    flying: list[Item] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)
    waits: int = 0

    def start(self) -> None:
        while len(self.flying) < self.width:
            upcoming = item(self.begun, dropped=self.dropped(self.begun))
            if not self.admission.may_start(upcoming):
                break
            self.begun += 1
            if upcoming.dropped:
                self.admission.resolve(upcoming, self.record(upcoming))
            else:
                self.admission.start(upcoming)
                self.flying.append(upcoming)
        self.written += self.admission.records()

    def finish(self, done: Item) -> None:
        self.flying.remove(done)
        if self.kept(done.index) or done.index % 2:
            self.admission.pass_on(done)
        self.admission.resolve(done, self.record(done))
        self.written += self.admission.records()

    def record(self, done: Item) -> dict[str, Any]:
        kept = done.dropped is None and self.kept(done.index)
        return {"index": done.index, "kept": kept, "outcome": "kept" if kept else done.dropped or "pair_rejected"}

    def rounds(self) -> int:
        """All in flight finish together, again and again, until nothing is waited for."""
        number = 0
        self.start()
        while self.admission.waits:
            number += 1
            for done in list(self.flying):
                self.finish(done)
            self.start()
        return number


def share(probability: float) -> Any:
    return lambda index: random.Random(f"{probability}/{index}").random() < probability


def indexes(target: int, most: int, kept: Any, dropped: Any) -> list[int]:
    """The items of the run, by the definition and nothing else."""
    found, pairs, candidates, index = [], 0, 0, 0
    while pairs < target and candidates < most:
        found.append(index)
        candidates += not dropped(index)
        pairs += not dropped(index) and kept(index)
        index += 1
    return found


@pytest.mark.parametrize("seed", range(30))
def test_a_run_is_the_same_items_whatever_finishes_first(seed: int) -> None:
    draw = random.Random(seed)
    target, most = draw.choice([(7, 400), (20, 25), (40, 200)])
    kept, lines = share(draw.choice([0.1, 0.5, 0.95])), random.Random(seed + 1)
    malformed = {index for index in range(9000) if lines.random() < 0.2}
    device = Device(Admission(target, most), draw.choice([1, 3, 64]), kept, lambda index: index in malformed)
    device.start()
    while device.admission.waits:
        device.finish(draw.choice(device.flying))
        device.start()
    written = [record["index"] for record in device.written]
    assert len(written) == len(set(written))
    assert sorted(written) == indexes(target, most, kept, lambda index: index in malformed)
    assert device.admission.kept == sum(record["kept"] for record in device.written)
    assert device.admission.candidates == len([index for index in written if index not in malformed])


def test_nothing_is_written_before_it_is_certain_to_belong_to_the_run() -> None:
    device = Device(Admission(2, 100), 6, lambda index: index != 0)
    device.start()
    started = list(device.flying)
    for done in started[3:]:
        device.finish(done)
    assert device.written == [], "two pairs may yet come of the items before them"
    device.finish(started[0])
    device.finish(started[1])
    assert [record["index"] for record in device.written] == [0, 1]
    device.finish(started[2])
    assert [record["index"] for record in device.written] == [0, 1, 2]
    assert device.admission.is_full
    assert not device.admission.waits


@pytest.mark.parametrize(("probability", "most_rounds"), [(0.5, 4), (0.2, 7), (0.9, 3)])
def test_a_wide_device_is_not_starved_at_the_end_of_a_run(probability: float, most_rounds: int) -> None:
    """Started only when certain, the last 500, 250, 125, … would each take a round: 9 at one half, 27 at one fifth."""
    device = Device(Admission(1000, 40_000), 1024, share(probability))
    assert device.rounds() <= most_rounds
    assert device.admission.kept == 1000
    wasted = device.begun - device.admission.candidates
    assert wasted < 0.25 * device.begun


def test_early_rejections_do_not_make_acceptance_look_poor() -> None:
    """Rejected instructions are known long before the first pair is: items that wait for their response count."""
    admission = Admission(300, 40_000)
    passed, begun = share(0.7), 0
    while admission.may_start(item(begun)) and begun < 5000:
        admission.start(item(begun))
        if passed(begun):
            admission.pass_on(item(begun))
        else:
            admission.resolve(item(begun), {"kept": False, "outcome": "instruction_rejected"})
        begun += 1
    assert 300 / 0.7 <= begun < 300 / 0.7 * 1.5
    assert admission.candidates_wanted == 0


def test_a_record_of_a_later_item_proves_the_earlier_ones_certain() -> None:
    admission = Admission(10, 100, kept=10, candidates=30, highest=29)
    lost = item(17)
    assert admission.may_start(lost), "its record was lost, but an item after it has one"
    admission.start(lost)
    assert admission.records() == []
    assert admission.waits
    assert not admission.may_start(item(30))
