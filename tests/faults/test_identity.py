"""Records that no longer mean what they say: a reused pid, an earlier boot, another host of the same volume."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults import verify
from tests.faults.scene import RUN, Scene
from tests.waiting import wait_until


def rewrite(scene: Scene, change: Callable[[dict[str, Any]], None]) -> None:
    """Apply `change` to the identities of keeper and generator in keeper.json, and to each line of the journal."""
    record = scene.keeper_file()
    for role in ("keeper", "generator"):
        change(record[role])
    (scene.run / "keeper.json").write_text(json.dumps(record))
    journal = scene.run / "keeper.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for event in events:
        for identity in (event, event.get("keeper"), event.get("process"), *event.get("processes", ())):
            if isinstance(identity, dict):
                change(identity)
    journal.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    age(scene)
    scene.look_anew()


def age(scene: Scene, seconds: float = 900) -> None:
    """As if nobody had written for so long."""
    then = time.time() - seconds
    os.utime(scene.run / "keeper.jsonl", (then, then))


def half_done(scene: Scene) -> None:
    """Keeper and generator died in the middle, and nobody has looked since."""
    scene.launch()
    scene.in_the_middle()
    scene.kill("keeper", "generator")


def test_planted_pids_of_bystanders(scene: Scene) -> None:
    """The pids were given to others since: no signal, no adoption, and the run goes on where it was."""
    half_done(scene)
    _, marked, namesake = scene.bystanders
    record = scene.keeper_file()
    given = {record["keeper"]["pid"]: marked.process.pid, record["generator"]["pid"]: namesake.process.pid}

    def reuse(identity: dict[str, Any]) -> None:
        if "pid" in identity:
            identity["pid"] = given[identity["pid"]]

    rewrite(scene, reuse)
    scene.cli("stop", RUN, "--now")
    verify.everything(scene, "lost")
    scene.finish()
    verify.everything(scene, "succeeded")


def test_previous_boot(scene: Scene) -> None:
    """Nothing survives a boot, whatever has those pids now. Here they are a bystander's, start time and all."""
    half_done(scene)
    near = scene.bystanders[0].process

    def reboot(identity: dict[str, Any]) -> None:
        if "boot_id" in identity:
            identity["boot_id"] = "00000000-0000-4000-8000-000000000000"
        if "pid" in identity:
            identity.update(pid=near.pid, start_ticks=near.ticks)

    rewrite(scene, reboot)
    verify.everything(scene, "lost")
    scene.finish()
    verify.everything(scene, "succeeded")


@pytest.mark.slow
def test_another_host(scene: Scene) -> None:
    """A pod on the same volume beats: from here nobody can tell, so nothing is done to it but to say so."""
    half_done(scene)
    near = scene.bystanders[0].process
    record, journal = (scene.run / "keeper.json").read_text(), (scene.run / "keeper.jsonl").read_text()

    def move(identity: dict[str, Any]) -> None:
        if "host" in identity:
            identity.update(host="another-pod", pid=near.pid, start_ticks=near.ticks)

    rewrite(scene, move)
    age(scene, 0)
    run = scene.picture()
    assert run.live
    assert any("another host" in warning for warning in run.warnings)
    refused = scene.cli("restart", RUN, "--yes")
    assert refused.returncode == 4, refused.stdout
    stop = scene.start("stop", RUN, "--now")
    wait_until(lambda: list((scene.run / "requests").iterdir()), what="the request, for a keeper over there")
    stop.kill()
    stop.communicate()
    assert scene.left() == []
    verify.bystanders_are_untouched(scene)
    (scene.run / "keeper.json").write_text(record)
    (scene.run / "keeper.jsonl").write_text(journal)
    scene.look_anew()
    verify.everything(scene, "lost")
    scene.finish()
    verify.everything(scene, "succeeded")
