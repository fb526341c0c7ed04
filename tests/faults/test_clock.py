"""The wall clock jumps by hours while a run goes on: it is charged, ended and believed by the monotonic one."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.faults import verify
from tests.faults.scene import Scene, environment
from tests.waiting import wait_until

HOUR = 3600.0

# Found by every Python that the command line starts: keeper, generator, viewers.
SITE = """
import datetime as module, os, pathlib, time

SHIFT = pathlib.Path(__file__).with_name("shift")
true_time, true_datetime = time.time, module.datetime


def shifted():
    return true_time() + float(SHIFT.read_text())


class Shifted(true_datetime):
    @classmethod
    def now(cls, tz=None):
        return true_datetime.fromtimestamp(shifted(), tz)


time.time = shifted
time.time_ns = lambda: int(shifted() * 1e9)
module.datetime = Shifted
"""


@pytest.fixture
def clock(scene: Scene, tmp_path: Path) -> Path:
    """The file that says by how many seconds the wall clock is off, for all that the scene starts."""
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE)
    set_clock(folder / "shift", 0.0)
    scene.environment = environment(first=folder)
    return folder / "shift"


def set_clock(shift: Path, seconds: float) -> None:
    draft = shift.with_suffix(".new")
    draft.write_text(str(seconds))
    draft.replace(shift)


def jumped(scene: Scene, shift: Path, *steps: float) -> None:
    """The clock jumps to `steps` in turn, with a record at least made under each."""
    for step in steps:
        set_clock(shift, step)
        made = len(scene.records())
        wait_until(partial(_more_than, made, scene), what="a record by that clock")


def _more_than(made: int, scene: Scene) -> bool:
    return len(scene.records()) > made


def test_wall_clock_jumps_forth_and_back(scene: Scene, clock: Path) -> None:
    scene.launch()
    scene.in_the_middle()
    jumped(scene, clock, 5 * HOUR, -5 * HOUR, 0.0)
    scene.acknowledge()
    assert len({json.loads(line)["time"][:13] for line in scene.records()}) > 2, "the clock did not jump"
    assert scene.settle().attempt == 1
    verify.everything(scene, "succeeded")


@pytest.mark.parametrize("hours", [5, -5], ids=["by hours forth", "by hours back"])
def test_keeper_is_killed_and_the_wall_clock_jumps(scene: Scene, clock: Path, hours: int) -> None:
    """The keeper is killed, the clock jumps, the generator ends by itself: charged is what can have been, not hours."""
    scene.launch()
    scene.in_the_middle()
    generator = scene.who("generator")
    scene.kill("keeper")
    jumped(scene, clock, hours * HOUR)
    wait_until(lambda: not generator.alive, what="the generator's end")
    scene.settle()
    verify.everything(scene, "succeeded")


@pytest.mark.slow
@pytest.mark.parametrize("hours", [5, -5], ids=["by hours forth", "by hours back"])
def test_all_are_killed_and_the_wall_clock_jumps(scene: Scene, clock: Path, hours: int) -> None:
    """Claims and silences are old, or of the future, all at once: the run is lost and can be restarted."""
    scene.launch()
    scene.in_the_middle()
    set_clock(clock, hours * HOUR)
    scene.kill("keeper", "generator")
    verify.everything(scene, "lost")
    scene.finish()
    verify.everything(scene, "succeeded")
