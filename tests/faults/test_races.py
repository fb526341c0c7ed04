"""Several people at once, or one in a hurry: never two of anything, and nothing that was asked for is forgotten."""

from __future__ import annotations

import subprocess
import time

import pytest

from engine.files import Workspace
from engine.supervise.requests import write_request
from tests.faults import programs, verify
from tests.faults.conftest import Launched
from tests.faults.scene import CAMPAIGN, RUN, Scene
from tests.waiting import wait_until

LAUNCH = ("launch", CAMPAIGN, "--run", "pilot", "--yes")


def outcomes(commands: list[subprocess.Popen[str]]) -> list[int]:
    """Exit codes, ascending."""
    for command in commands:
        command.communicate(timeout=60)
    return sorted(command.returncode for command in commands)


def test_two_launches_in_the_same_instant(scene: Scene) -> None:
    both = [scene.start(*LAUNCH) for _ in range(2)]
    assert outcomes(both) == [0, 4]
    scene.in_the_middle()
    assert scene.settle().attempt == 1
    assert len(scene.events("generator_started")) == 1
    verify.everything(scene, "succeeded")


def test_two_restarts_in_the_same_instant(scene: Scene) -> None:
    scene.launch()
    scene.in_the_middle()
    scene.kill("keeper", "generator")
    scene.watch.begin()
    assert outcomes([scene.start("restart", RUN, "--yes") for _ in range(2)]) == [0, 4]
    scene.watch.at_work()
    assert scene.settle().attempt == 2
    assert [event["attempt"] for event in scene.events("generator_started")] == [1, 2]
    verify.everything(scene, "succeeded")


def test_two_viewers_adopt_in_the_same_instant(scene: Scene) -> None:
    scene.launch()
    scene.hold()
    scene.kill("keeper")
    both = [scene.start("watch", RUN) for _ in range(2)]
    wait_until(lambda: len(scene.events("keeper_started")) == 2, what="a new keeper")
    scene.release()
    assert outcomes(both) == [0, 0]
    scene.settle()
    assert len(scene.events("keeper_started")) == 2
    assert len(scene.events("generator_started")) == 1
    verify.everything(scene, "succeeded")


def test_two_stops_in_the_same_instant(program: Launched) -> None:
    scene = program(programs.GRACEFUL)
    both = [scene.start("stop", RUN) for _ in range(2)]
    assert outcomes(both) == [0, 0]
    assert scene.left() == []
    scene.watch.over()
    assert scene.log().count(b"saving\n") == 1
    verify.everything(scene, "stopped")


@pytest.mark.parametrize("moment", ["the run", "the model"])
def test_stop_while_starting(scene: Scene, moment: str) -> None:
    """As soon as there is a keeper, and while the model is loaded."""
    launch = scene.start(*LAUNCH)
    if moment == "the run":
        wait_until((scene.run / "keeper.json").exists, what="a keeper")
    else:
        wait_until(lambda: scene.events("phase", "generator.jsonl"), what="the first phase")
    scene.stop()
    launch.communicate(timeout=20)
    assert len(scene.events("generator_started")) <= 1
    verify.everything(scene, "stopped")


def test_stop_before_there_is_a_keeper(scene: Scene) -> None:
    """Between claim and keeper: stopped, or refused since nothing runs yet, but never half of it."""
    launch = scene.start(*LAUNCH)
    wait_until((scene.run / "spec.json").exists, what="the spec")
    stopped = scene.cli("stop", RUN)
    launch.communicate(timeout=20)
    assert stopped.returncode in (0, 4), stopped.stderr
    if stopped.returncode == 4:
        scene.stop()
    scene.watch.over()
    verify.everything(scene, "stopped")


def test_restart_during_a_stop(program: Launched) -> None:
    """It is refused, or waits; there are never two generators."""
    scene = program(programs.GRACEFUL.replace("time.sleep(0.7)", "time.sleep(4)"))
    first = scene.who("generator")
    stop = scene.start("stop", RUN)
    wait_until(lambda: b"saving\n" in scene.log(), what="the stop")
    verify.shows(scene, "stopping")
    assert first.alive
    again = scene.cli("restart", RUN, "--yes")
    assert again.returncode == 4, "restarted while the first generator was alive"
    assert "stopping" in again.stderr
    stop.communicate(timeout=30)
    assert stop.returncode == 0
    assert scene.left() == []
    scene.watch.over()
    assert b"saved\n" in scene.log()
    verify.everything(scene, "stopped")


def test_stop_now_during_a_stop(program: Launched) -> None:
    scene = program(programs.GRACEFUL.replace("time.sleep(0.7)", "time.sleep(60)"))
    stop = scene.start("stop", RUN)
    wait_until(lambda: b"saving\n" in scene.log(), what="the stop")
    scene.stop("--now")
    stop.communicate(timeout=20)
    assert stop.returncode == 0
    verify.everything(scene, "stopped")


def test_requests_left_while_no_keeper_lived(program: Launched) -> None:
    """Whoever adopts the run acts on them; each is acknowledged."""
    scene = program(programs.GRACEFUL)
    scene.kill("keeper")
    files = Workspace(scene.folder).run_files(CAMPAIGN, "pilot")
    names = [write_request(files, kind, 1, "ann") for kind in ("stop", "stop")]
    scene.cli("watch", RUN)
    assert scene.settle().reason == "stopped by ann"
    assert b"saved\n" in scene.log()
    assert [event["file"] for event in scene.events("request_taken")] == names
    verify.everything(scene, "stopped")


@pytest.mark.slow
def test_keeper_killed_during_a_stop(program: Launched) -> None:
    """The stop goes on under a new keeper, and says stopped when it is true."""
    scene = program(programs.GRACEFUL.replace("time.sleep(0.7)", "time.sleep(2.0)"))
    began = time.monotonic()
    stop = scene.start("stop", RUN)
    wait_until(lambda: b"saving\n" in scene.log(), what="the stop")
    scene.kill("keeper")
    stop.communicate(timeout=40)
    assert stop.returncode == 0
    assert scene.left() == []
    scene.watch.over()
    assert time.monotonic() - began < 20
    verify.everything(scene, "stopped")
