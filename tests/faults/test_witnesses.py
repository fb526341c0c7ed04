"""The matrix is worth what its witnesses are: each must notice what it is there to notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults import programs, verify
from tests.faults.bystanders import bystanders
from tests.faults.conftest import Launched
from tests.faults.processes import Process, process
from tests.faults.scene import Scene, Stopwatch
from tests.waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGKILL])
def test_a_bystander_tells_of(tmp_path: Path, number: signal.Signals) -> None:
    with bystanders(tmp_path, "other.py") as (near, *others):
        assert near.complaints() == []
        os.kill(near.process.pid, number)
        wait_until(near.complaints, what="its complaint")
        assert [what for other in others for what in other.complaints()] == []


def test_a_process_that_is_left_is_found_by_each_sign(scene: Scene) -> None:
    scene.run.mkdir(parents=True)
    log = (scene.run / "run.log").open("w")
    marked = os.environ | {"PILOTHOUSE_RUN_DIR": str(scene.run)}
    ways: list[Callable[[], subprocess.Popen[bytes]]] = [
        lambda: subprocess.Popen(["sleep", "60"], env=marked),
        lambda: subprocess.Popen(["sleep", "60"], stdout=log),
        lambda: subprocess.Popen(["sleep", "60"], cwd=scene.run),
        lambda: subprocess.Popen(
            [sys.executable, "-S", "-c", programs.program(str(scene.people), "note('stray'); sleep()")]
        ),
    ]
    for start in ways:
        child = start()
        who = process(child.pid)
        wait_until(partial(_is_left, scene, who), what="its discovery")
        child.kill()
        wait_until(lambda: scene.left() == [], what="its end")
        child.wait()
    log.close()


def _is_left(scene: Scene, who: Process) -> bool:
    return (who.pid, who.ticks) in [(left.pid, left.ticks) for left in scene.left()]


def test_the_bill_is_read_against_the_stopwatch(program: Launched) -> None:
    scene = program(programs.OBEDIENT)
    scene.stop("--now")
    verify.everything(scene, "stopped")
    charged = scene.picture().active_s
    for least, most in ((0.0, charged - 1.0), (charged + 60.0, charged + 61.0)):
        scene.watch = Stopwatch(most, least)
        with pytest.raises(AssertionError, match="but it was"):
            verify.everything(scene, "stopped")


def test_a_record_that_is_altered_is_missed(scene: Scene) -> None:
    scene.launch()
    scene.settle()
    scene.acknowledge()
    verify.records_are_whole(scene, complete=True)
    lines = scene.records()
    for wrong in (lines[:-1], [*lines, lines[0]], [lines[0].replace(b'"attempt":1', b'"attempt":7'), *lines[1:]]):
        (scene.run / "records.jsonl").write_bytes(b"".join(line + b"\n" for line in wrong))
        with pytest.raises(AssertionError):
            verify.records_are_whole(scene, complete=True)
