"""A generator that prints everything a terminal, a reader or a keeper could choke on."""

from __future__ import annotations

import time

import pytest

from tests.faults import programs, verify
from tests.faults.processes import most_resident_bytes
from tests.faults.scene import RUN, Scene
from tests.waiting import wait_until

LINES = 15_000
MOST_BYTES = 120 << 20


@pytest.mark.slow
def test_hostile_and_busy_output(scene: Scene) -> None:
    """A line of 90,000 characters, progress bars, no UTF-8, escape sequences, and 10,000 lines a second."""
    scene.misbehave(programs.NOISY.replace("LINES", str(LINES)))
    scene.launch()
    scene.in_the_middle()
    watch = scene.start("watch", RUN)
    keeper = scene.who("keeper")
    while b"quiet now" not in scene.log():
        began = time.monotonic()
        assert verify.is_harmless(verify.screen(scene))
        assert time.monotonic() - began < 2.0, "a viewer is held up"
        scene.watch.at_work()
    beats = len(scene.events("heartbeat"))
    for count in ("50", "100000"):
        logs = scene.cli("logs", RUN, "-n", count)
        assert logs.returncode == 0
        assert verify.is_harmless(logs.stdout)
    for said in ("line 0 of a very busy log", f"line {LINES - 1} of a very busy log", "progress 1999%", "quiet now"):
        assert logs.stdout.count(f"{said}\n") == 1, said
    assert max(map(len, logs.stdout.splitlines())) < 10_000
    wait_until(lambda: len(scene.events("heartbeat")) > beats, what="a heartbeat")
    assert most_resident_bytes(keeper.pid) < MOST_BYTES
    scene.stop("--now")
    said, _ = watch.communicate(timeout=20)
    assert verify.is_harmless(said)
    assert scene.log().count(b"\n") >= LINES
    verify.everything(scene, "stopped")
