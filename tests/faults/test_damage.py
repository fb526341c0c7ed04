"""Files that a crash or a stray program left torn or full of garbage: read over, repaired, gone on from."""

from __future__ import annotations

import os
import time

import pytest

from tests.faults import programs, verify
from tests.faults.conftest import Launched
from tests.faults.scene import RUN, Scene

FILES = ("keeper.jsonl", "generator.jsonl", "records.jsonl")
TORN = b'{"v":1,"event":"heartbeat","time":"2026-01-01T00:00:00Z","attempt":1,"index":3,"raw_instr'
GARBAGE = b"\n".join(
    [
        b"\xff\xfe\x00\x9b2J\x1b]0;owned\x07",
        b"\x00" * 512,
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"1e999",
        b"[" * 3000,
        b'{"v":1,"event":"heartbeat","attempt":"x","monotonic":NaN,"devices":7}',
        b'{"v":1,"event":"heartbeat","time":"t","attempt":1,"boot_id":"b","monotonic":1e999,"devices":[]}',
        b'{"v":2,"event":"run_ended","attempt":1,"state":"succeeded"}',
        b'{"v":1,"event":"run_ended","attempt":1,"state":"excellent","reason":7}',
        b'{"index":"one","outcome":[],"kept":"maybe"}',
        b'{"index":-7}',
        b'{"index":1e300,"time":12}',
        b"",
    ]
)


@pytest.mark.parametrize("damage", [TORN, GARBAGE + TORN], ids=["torn line", "torn line after garbage"])
def test_journals_with_a(scene: Scene, damage: bytes) -> None:
    """In all three files at once, before anybody looks."""
    scene.launch()
    scene.in_the_middle()
    scene.kill("keeper", "generator")
    scene.acknowledge()
    for name in FILES:
        with (scene.run / name).open("ab") as journal:
            journal.write(damage)
    scene.damaged = damage != TORN
    verify.everything(scene, "lost")
    scene.finish()
    assert scene.picture().attempt == 2
    verify.everything(scene, "succeeded")


def test_torn_keeper_file(scene: Scene) -> None:
    """Keeper and generator are dead, and the file that named them is no longer to be read."""
    scene.launch()
    scene.in_the_middle()
    scene.kill("keeper", "generator")
    (scene.run / "keeper.json").write_text('{"v": 1, "keeper": {"pid"')
    then = time.time() - 900
    os.utime(scene.run / "attempt-1.claim", (then, then))  # nobody is just about to take it
    scene.finish()
    verify.everything(scene, "succeeded")


def test_keeper_file_lost_while_the_run_goes_on(program: Launched) -> None:
    """The journal still says who keeps it: it is shown as running, not started twice, and stopped."""
    scene = program(programs.OBEDIENT)
    keeper, generator = scene.who("keeper"), scene.who("generator")
    (scene.run / "keeper.json").unlink()
    then = time.time() - 900
    os.utime(scene.run / "attempt-1.claim", (then, then))
    verify.shows(scene, "running")
    refused = scene.cli("restart", RUN, "--yes")
    assert refused.returncode == 4, "started again beside a generator that lives"
    assert keeper.alive
    assert generator.alive
    scene.stop("--now")
    verify.everything(scene, "stopped")
