"""SIGKILL of anybody, alone or together: the run goes on, or is lost and restarted; nothing is lost with it."""

from __future__ import annotations

import signal

import pytest

from tests.faults import programs, verify
from tests.faults.conftest import Launched
from tests.faults.scene import CAMPAIGN, RUN, Scene
from tests.terminal import terminal
from tests.waiting import wait_until


@pytest.mark.slow
def test_sigkill_of_two_viewers(scene: Scene) -> None:
    """A dashboard on a terminal, and a `watch`."""
    with terminal(scene.command(), scene.folder) as screen:
        screen.read("launch")
        scene.launch()
        scene.hold()
        screen.read("pilot ● running")
        watch = scene.watched()
        screen.process.kill()
        watch.kill()
        screen.process.wait()
        watch.communicate()
    scene.release()
    assert scene.settle().attempt == 1
    verify.everything(scene, "succeeded")


def test_sigkill_of_the_keeper(scene: Scene) -> None:
    """The generator goes on; whoever watches has a new keeper take it over, in the same attempt."""
    scene.launch()
    scene.hold()
    generator = scene.who("generator")
    scene.kill("keeper")
    verify.shows(scene, "running")
    watch = scene.start("watch", RUN)
    wait_until(lambda: len(scene.events("keeper_started")) == 2, what="a new keeper")
    scene.release()
    watch.communicate(timeout=20)
    assert watch.returncode == 0
    assert scene.settle().attempt == 1
    assert [event["process"]["pid"] for event in scene.events("generator_started")] == [generator.pid]
    verify.everything(scene, "succeeded")


def test_sigkill_of_the_keeper_where_that_ends_the_run(scene: Scene) -> None:
    """`keeper_loss: stop`: whoever looks has the run ended cleanly, as a stop does."""
    scene.configure("supervision: {keeper_loss: stop}")
    scene.launch()
    scene.hold()
    scene.kill("keeper")
    scene.status()
    assert "keeper_loss" in scene.settle().reason
    assert scene.events("generation_ended", "generator.jsonl")[-1]["outcome"] == "stopped"
    verify.everything(scene, "stopped")
    scene.finish()
    verify.everything(scene, "succeeded")


def test_sigkill_of_the_generator(scene: Scene) -> None:
    scene.launch()
    scene.in_the_middle()
    scene.kill("generator")
    run = scene.settle()
    assert (run.exit_code, run.reason) == (-signal.SIGKILL, "killed by SIGKILL (out of memory?)")
    verify.everything(scene, "failed")
    scene.finish()
    verify.everything(scene, "succeeded")


def test_sigkill_of_keeper_and_generator(scene: Scene) -> None:
    scene.launch()
    scene.in_the_middle()
    scene.kill("keeper", "generator")
    verify.everything(scene, "lost")
    scene.finish()
    assert scene.picture().attempt == 2
    verify.everything(scene, "succeeded")


def test_sigkill_of_the_keeper_while_starting(scene: Scene) -> None:
    """It may have started a generator and not have said so yet: that one is not left alone with the GPU."""
    launch = scene.start("launch", CAMPAIGN, "--run", "pilot", "--yes")
    wait_until((scene.run / "keeper.json").exists, what="a keeper")
    scene.kill("keeper")
    launch.communicate(timeout=20)
    scene.status()
    scene.finish()
    verify.everything(scene, "succeeded")


@pytest.mark.slow
def test_sigkill_of_all_at_once(scene: Scene) -> None:
    scene.launch()
    scene.hold()
    watch = scene.watched()
    watch.kill()
    scene.kill("keeper", "generator")
    watch.communicate()
    verify.everything(scene, "lost")
    scene.finish()
    verify.everything(scene, "succeeded")


def test_sigkill_of_a_grandchild_that_called_setsid(program: Launched) -> None:
    """Whoever starts it must cope with that; the run is as it was, and ends when it is stopped."""
    scene = program(programs.WITH_DAEMON)
    scene.kill("grandchild")
    verify.shows(scene, "running")
    scene.stop("--now")
    verify.everything(scene, "stopped")


@pytest.mark.parametrize("command", ["stop", "restart"], ids=["then stop", "then restart"])
def test_sigkill_of_keeper_and_generator_leaves_a_grandchild(program: Launched, command: str) -> None:
    """It holds the GPU, perhaps: whatever is done next, it goes first."""
    scene = program(programs.WITH_DAEMON)
    stray = scene.who("grandchild")
    scene.kill("keeper", "generator")
    scene.watch.begin()
    if command == "stop":
        scene.cli("stop", RUN, "--now")
        scene.watch.over()
        verify.everything(scene, "lost")
        return
    scene.restart()
    wait_until(lambda: len(scene.events("generator_started")) == 2, what="the second generator")
    assert not stray.alive
    scene.stop("--now")
    verify.everything(scene, "stopped")
