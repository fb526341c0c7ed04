"""Programs that will not go: whatever their children do, none is alive when `stop` returns."""

from __future__ import annotations

import pytest

from tests.faults import programs, verify
from tests.faults.conftest import Launched
from tests.faults.scene import Scene
from tests.waiting import wait_until

STUBBORN = [
    pytest.param(programs.DEAF_GRANDCHILD, id="a grandchild that ignores SIGTERM"),
    pytest.param(programs.WITH_DAEMON, id="a grandchild that called setsid"),
    pytest.param(programs.ORPHAN, id="a grandchild that outlives its parent"),
    pytest.param(programs.WITHOUT_ENVIRONMENT, id="an orphan without an environment"),
    pytest.param(programs.BLOTTED_ENVIRONMENT, id="an orphan that overwrote its environment"),
]


@pytest.mark.parametrize("source", STUBBORN)
def test_stop_of(program: Launched, source: str) -> None:
    scene = program(source)
    assert scene.who("grandchild").alive
    scene.stop("--now")
    verify.everything(scene, "stopped")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(programs.chain(pause_s=0.02, escaping=False), id="in one group"),
        pytest.param(programs.chain(pause_s=0.02, escaping=True), id="each in a session of its own"),
        pytest.param(programs.chain(pause_s=0.0, escaping=False), id="as fast as it can"),
    ],
)
def test_fifty_forks_while_stopped(program: Launched, source: str) -> None:
    """Each link of the chain forks the next and ends, from the moment that the program is asked to stop."""
    scene = program(source)
    scene.stop("--now")
    assert "link 0" in [who.role for who in scene.people_noted()]
    verify.everything(scene, "stopped")


def test_program_ends_and_leaves_a_daemon(scene: Scene) -> None:
    """The generator ended by itself: that is said when its daemon is gone, too."""
    scene.misbehave(programs.OUTLIVED)
    scene.launch()
    scene.in_the_middle()
    stray = scene.who("grandchild")
    wait_until(lambda: scene.events("run_ended"), what="the end")
    assert not stray.alive
    scene.settle()
    verify.everything(scene, "succeeded")


@pytest.mark.parametrize("source", STUBBORN[-2:])
def test_stop_without_its_keeper_of(program: Launched, source: str) -> None:
    """Who has no mark and was inherited by init is known by what it holds, or by what the dead keeper knew."""
    scene = program(source)
    scene.kill("keeper")
    scene.stop("--now")
    verify.everything(scene, "stopped")
