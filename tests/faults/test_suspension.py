"""SIGSTOP of anybody: who is only suspended is neither dead nor forgotten, and a stop reaches it all the same."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults import programs, verify
from tests.faults.conftest import Launched
from tests.faults.scene import RUN, Scene
from tests.waiting import wait_until


def test_sigstop_of_a_viewer(scene: Scene) -> None:
    scene.launch()
    scene.hold()
    watch = scene.watched()
    watch.send_signal(signal.SIGSTOP)
    scene.release()
    assert scene.settle().attempt == 1
    watch.send_signal(signal.SIGCONT)
    said, _ = watch.communicate(timeout=20)
    assert watch.returncode == 0
    assert f"{RUN}: ended succeeded" in said
    verify.everything(scene, "succeeded")


def test_sigstop_of_the_keeper(scene: Scene) -> None:
    """The generator goes on; once it is woken, the keeper records what really happened. Nobody takes its place."""
    scene.launch()
    scene.in_the_middle()
    generator = scene.who("generator")
    scene.send(signal.SIGSTOP, "keeper")
    assert scene.cli("restart", RUN, "--yes").returncode == 4
    wait_until(lambda: not generator.alive, what="the generator's end")
    assert scene.events("run_ended") == []
    scene.send(signal.SIGCONT, "keeper")
    run = scene.settle()
    assert (run.attempt, run.exit_code) == (1, 0)
    assert len(scene.events("keeper_started")) == 1
    verify.everything(scene, "succeeded")


def test_sigstop_of_the_generator(scene: Scene) -> None:
    scene.launch()
    scene.in_the_middle()
    scene.send(signal.SIGSTOP, "generator")
    verify.shows(scene, "running")
    before = len(scene.records())
    assert scene.cli("restart", RUN, "--yes").returncode == 4
    assert len(scene.records()) == before
    scene.send(signal.SIGCONT, "generator")
    assert scene.settle().attempt == 1
    verify.everything(scene, "succeeded")


def test_stop_of_a_suspended_keeper_and_generator(scene: Scene) -> None:
    """Both are woken: the keeper by whoever stops, the generator by its keeper."""
    scene.launch()
    scene.in_the_middle()
    scene.send(signal.SIGSTOP, "generator", "keeper")
    scene.stop()
    assert scene.picture().reason.startswith("stopped by")
    verify.everything(scene, "stopped")
    scene.finish()
    verify.everything(scene, "succeeded")


def test_stop_of_a_suspended_generator(scene: Scene) -> None:
    """It is woken to finish what is in flight, well before the grace is over, and says itself that it was stopped."""
    scene.launch()
    scene.in_the_middle()
    scene.send(signal.SIGSTOP, "generator")
    began = time.monotonic()
    scene.stop()
    assert time.monotonic() - began < 10
    assert scene.events("generation_ended", "generator.jsonl")[-1]["outcome"] == "stopped"
    verify.everything(scene, "stopped")


def test_stop_of_a_suspended_keeper(program: Launched) -> None:
    scene = program(programs.OBEDIENT)
    scene.send(signal.SIGSTOP, "keeper")
    scene.stop()
    assert scene.picture().exit_code == -signal.SIGINT
    verify.everything(scene, "stopped")


def test_stop_now_of_a_suspended_generator(program: Launched) -> None:
    scene = program(programs.OBEDIENT)
    scene.send(signal.SIGSTOP, "generator")
    scene.stop("--now")
    verify.everything(scene, "stopped")


@pytest.mark.parametrize(
    "source", [programs.WITH_DAEMON, programs.DEAF_GRANDCHILD], ids=["that called setsid", "that ignores SIGTERM"]
)
def test_stop_of_a_suspended_grandchild(program: Launched, source: str) -> None:
    scene = program(source)
    scene.send(signal.SIGSTOP, "grandchild")
    verify.shows(scene, "running")
    scene.stop("--now")
    verify.everything(scene, "stopped")
