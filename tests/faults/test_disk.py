"""A disk that is full, or may only be read: said so, nothing lost, and gone on from once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import verify
from tests.faults.scene import CAMPAIGN, RUN, Scene
from tests.waiting import wait_until

SMALL_DISK = "size=3m"
Lock = Callable[[bool], None]


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


@pytest.fixture
def disk(scene: Scene) -> Iterator[Path]:
    """The artifacts' folder as a small file system of its own."""
    folder = _artifacts(scene)
    if not mount("-t", "tmpfs", "-o", SMALL_DISK, "tmpfs", str(folder)):
        pytest.skip("mounting needs privileges")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def lock(scene: Scene) -> Iterator[Lock]:
    """Makes the artifacts' folder read-only, or writable again: by its mount, or for who is not root by its mode."""
    folder = _artifacts(scene)
    mounted = mount("-t", "tmpfs", "-o", SMALL_DISK, "tmpfs", str(folder))
    if not mounted and os.geteuid() == 0:
        pytest.skip("root may write anywhere, and cannot mount here")

    def locked(on: bool) -> None:
        if mounted:
            assert mount("-o", f"remount,{'ro' if on else 'rw'}", str(folder))
            return
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o500 if on else 0o700)

    yield locked
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        locked(False)


def _artifacts(scene: Scene) -> Path:
    folder = scene.folder / "artifacts"
    folder.mkdir(mode=0o700)
    scene.configure("supervision: {reserve_disk_mb: 0}")
    return folder


def fill(folder: Path) -> Path:
    """A file that takes all the room there is, to the last octet."""
    filler = folder / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
    size = 65_536
    while size:
        try:
            os.write(descriptor, b"x" * size)
        except OSError:
            size //= 2
    os.close(descriptor)
    return filler


def test_full_disk(scene: Scene, disk: Path) -> None:
    scene.launch()
    scene.in_the_middle()
    generator = scene.who("generator")
    filler = fill(disk)
    wait_until(lambda: not generator.alive, what="the generator's end")
    scene.acknowledge()
    filler.unlink()
    assert scene.settle().state == "failed"
    verify.everything(scene, "failed")
    scene.finish()
    verify.everything(scene, "succeeded")


def test_launch_on_a_full_disk(scene: Scene, disk: Path) -> None:
    """Refused without a trace, and well once there is room."""
    filler = fill(disk)
    _refused_launch(scene)
    filler.unlink()
    scene.watch.begin()
    scene.launch()
    scene.settle()
    verify.everything(scene, "succeeded")


def test_launch_in_a_read_only_workspace(scene: Scene, lock: Lock) -> None:
    lock(True)
    _refused_launch(scene)
    lock(False)
    scene.watch.begin()
    scene.launch()
    scene.settle()
    verify.everything(scene, "succeeded")


def _refused_launch(scene: Scene) -> None:
    refused = scene.cli("launch", CAMPAIGN, "--run", "pilot", "--yes")
    scene.watch.over()
    assert refused.returncode == 4
    assert "to do: " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert scene.left() == []
    assert scene.status()["runs"] == []


@pytest.mark.slow
def test_read_only_run_folder(scene: Scene, lock: Lock) -> None:
    """Of a run that died: it is shown as it is, a restart is refused, and goes on once the folder can be written."""
    scene.launch()
    scene.in_the_middle()
    scene.kill("keeper", "generator")
    lock(True)
    verify.everything(scene, "lost")
    refused = scene.cli("restart", RUN, "--yes")
    assert refused.returncode == 4
    assert "cannot write" in refused.stderr
    assert scene.left() == []
    lock(False)
    scene.finish()
    verify.everything(scene, "succeeded")


def test_run_folder_is_read_only_for_a_while(scene: Scene, disk: Path) -> None:
    """Who may only read sees all and can stop nothing; the run goes on as if nothing had been."""
    scene.launch()
    scene.hold()
    assert mount("--bind", str(disk), str(disk))
    try:
        assert mount("-o", "remount,bind,ro", str(disk))
        verify.shows(scene, "running")
        refused = scene.cli("stop", RUN)
        assert refused.returncode == 4
        assert "read-only" in refused.stderr.lower()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    scene.release()
    assert scene.settle().attempt == 1
    verify.everything(scene, "succeeded")
