"""A full disk: the run is stopped gracefully, what was written stays readable, and the end is said once it can be."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.files import Workspace, make_private_folder
from tests.supervise.conftest import Runs
from tests.waiting import wait_until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs privileges")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_the_run_as_failed_once_there_is_room_to_say_so(runs: Runs, small_disk: Path) -> None:
    run = runs.python("import time\nprint('up', flush=True)\ntime.sleep(300)\n", supervision={"reserve_disk_mb": 0})
    elsewhere = Workspace(small_disk).run_files("camp", "pilot")
    make_private_folder(elsewhere.folder)
    elsewhere.spec.write_bytes(run.files.spec.read_bytes())
    run.files = elsewhere
    run.start()
    run.said("up")
    generator = run.generator()
    with run.files.keeper_journal.open("ab") as journal:  # the rest of the page it has is not free for it either
        journal.write(b" " * (4095 - journal.tell() % 4096) + b"\n")
    filler = small_disk / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(descriptor, b"x" * 512)
    except OSError:
        os.close(descriptor)
    wait_until(lambda: [i for i in run.alive() if i == generator] == [], timeout=10, what="the generator's end")
    filler.unlink()
    end = run.end()
    assert end.state == "failed"
    assert end.reason.startswith("the disk is full")
    assert [event.event for event in run.events()][:3] == ["keeper_started", "heartbeat", "generator_started"]
