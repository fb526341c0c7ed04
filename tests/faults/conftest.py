"""Scenes for faults: a workspace with a run, bystanders beside it, and what an undisturbed run makes."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bystanders import Bystander, bystanders
from tests.faults.scene import PROGRAM, Scene, bury, comparable, environment, set_up

Launched = Callable[[str], Scene]


class Crowd:
    """The bystanders of all tests: the same, until one of them was harmed."""

    def __init__(self, stack: contextlib.ExitStack, folders: pytest.TempPathFactory) -> None:
        self._stack, self._folders = stack, folders
        self._present: tuple[Bystander, ...] = ()

    def unharmed(self) -> tuple[Bystander, ...]:
        if not self._present or any(bystander.complaints() for bystander in self._present):
            self._present = self._stack.enter_context(bystanders(self._folders.mktemp("beside"), PROGRAM))
        return self._present


@pytest.fixture(scope="session", autouse=True)
def hang_ups_count() -> None:
    """Started by nohup, this process would hand down that SIGHUP is ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, compiled: None) -> Sequence[dict[str, Any]]:
    """Records of a run of the same campaign that nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    set_up(folder)
    scene = Scene(folder, (), (), environment())
    try:
        scene.watch.begin()
        scene.launch()
        assert scene.settle().state == "succeeded"
    finally:
        bury(scene)
    return comparable(scene.records())


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    with contextlib.ExitStack() as stack:
        yield Crowd(stack, tmp_path_factory)


@pytest.fixture
def scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowd: Crowd, undisturbed: Sequence[dict[str, Any]]
) -> Iterator[Scene]:
    """A campaign, nothing launched; whatever a failed test leaves alive is killed."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "desk"
    set_up(folder)
    made = Scene(folder, crowd.unharmed(), undisturbed, environment())
    made.watch.begin()
    yield made
    bury(made)


@pytest.fixture
def program(scene: Scene) -> Launched:
    """A scene whose run is a misbehaving program, launched and up."""

    def launched(source: str) -> Scene:
        scene.misbehave(source)
        scene.launch()
        scene.in_the_middle()
        return scene

    return launched
