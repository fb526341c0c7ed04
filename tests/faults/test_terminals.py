"""The terminal goes away, or was never a proper one: hang-ups, and signals that were ignored from the start."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.faults import programs, verify
from tests.faults.scene import Scene
from tests.terminal import terminal


def test_closed_terminal(scene: Scene) -> None:
    """Launched from a terminal that is torn away in the middle."""
    with terminal(scene.command("launch", "demo", "--run", "pilot", "--yes", "--wait"), scene.folder) as screen:
        screen.read("attempt 1 for")
        scene.hold()
        screen.hang_up()
        scene.release()
        screen.process.wait(20)
    assert scene.settle().attempt == 1
    verify.everything(scene, "succeeded")


def test_sighup_of_viewer_and_keeper(scene: Scene) -> None:
    scene.launch()
    scene.hold()
    watch = scene.watched()
    watch.send_signal(signal.SIGHUP)
    scene.send(signal.SIGHUP, "keeper")
    scene.release()
    watch.communicate(timeout=20)
    assert watch.returncode == -signal.SIGHUP
    assert scene.settle().attempt == 1
    verify.everything(scene, "succeeded")


def test_launched_with_sigint_ignored(scene: Scene) -> None:
    """As by a shell's `&`: children inherit it; the generator is asked to stop by SIGINT all the same."""
    _launch_ignoring(scene, "INT QUIT")
    scene.hold()
    scene.stop()
    assert [event["step"] for event in scene.events("stopping")] == ["SIGINT", "verify"]
    assert scene.events("generation_ended", "generator.jsonl")[-1]["outcome"] == "stopped"
    assert scene.picture().exit_code == 0
    verify.everything(scene, "stopped")
    scene.finish()
    verify.everything(scene, "succeeded")


def test_program_launched_as_by_nohup(scene: Scene) -> None:
    """One that installs no handlers has the default, whatever was ignored: SIGINT ends it."""
    scene.misbehave(programs.OBEDIENT)
    _launch_ignoring(scene, "INT QUIT HUP TERM")
    scene.in_the_middle()
    scene.stop()
    assert scene.picture().exit_code == -signal.SIGINT
    assert b"KeyboardInterrupt" in scene.log()
    verify.everything(scene, "stopped")


def _launch_ignoring(scene: Scene, ignored: str) -> None:
    script = f'trap "" {ignored}; exec "$@"'
    command = ["/bin/sh", "-c", script, "sh", *scene.command("launch", "demo", "--run", "pilot", "--yes")]
    environment = scene.environment | {"PATH": os.environ["PATH"]}
    subprocess.run(command, cwd=scene.folder, env=environment, check=True, capture_output=True, timeout=30)
    scene.watch.at_work()
