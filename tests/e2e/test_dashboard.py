"""The screen in a real terminal, over the real service, keeper, generator and pocket model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Desk, ended
from tests.e2e.test_survival import LONGER
from tests.terminal import terminal
from tests.waiting import wait_until

DASHBOARD = [sys.executable, "-m", "tui"]
ENTER = b"\r"


@pytest.mark.slow
def test_launch_lose_the_connection_come_back_and_see_it_end(desk: Desk) -> None:
    """Enter launches the pilot after asking; the line is torn away in the middle; a new screen shows the same run."""
    desk.edit_campaign(LONGER)
    with terminal(DASHBOARD, desk.folder) as screen:
        screen.read("launch")
        screen.type(ENTER)
        screen.read("pilothouse launch demo --run pilot")
        assert not (desk.folder / "artifacts" / "demo").exists()
        screen.type(b"y")
        screen.read("pilot ● running", 30)
        wait_until(lambda: len(desk.records("pilot")) >= 10, 30, "ten records")
        screen.hang_up()
        screen.process.wait(20)
    assert desk.run_status("pilot")["state"] == "running"
    with terminal(DASHBOARD, desk.folder) as again:
        again.read("pilot ● running", 30)
        run = ended(desk)
        again.read("pilot ✗ fail", 30)
        again.type(b"q")
        assert again.read_to_end() == 0
    assert run["state"] == "succeeded"
    indexes = [record["index"] for record in desk.records("pilot")]
    assert sorted(indexes) == list(range(len(indexes)))
    assert run["counts"]["kept"] == 72


@pytest.mark.slow
def test_stop_from_the_screen_is_verified_and_restart_goes_on(desk: Desk) -> None:
    desk.edit_campaign(LONGER)
    assert desk.run("launch", "demo", "--run", "pilot", "--yes").returncode == 0
    with terminal(DASHBOARD, desk.folder) as screen:
        screen.read("pilot ● running", 30)
        screen.type(b"s")
        screen.read("top demo/pilot")
        assert desk.run_status("pilot")["state"] == "running"
        screen.type(b"y")
        screen.read("verified: demo/pilot is stopped", 30)
        assert desk.run_status("pilot")["state"] == "stopped"
        screen.type(ENTER)
        screen.read("r restart")
        screen.type(b"r")
        screen.read("yes, resume")  # the dialog's own: the next action names the command as well
        screen.type(b"y")
        wait_until(lambda: (run := desk.picture().run("pilot")) and run.attempt == 2, 30, "the second attempt")
        screen.type(b"q")
        screen.read_to_end()
    assert ended(desk)["counts"]["kept"] == 72


@pytest.mark.slow
def test_the_demo_opens_the_dashboard_and_goes_on_by_itself(desk: Desk) -> None:
    """`pilothouse demo` on a terminal: the screen opens, the pilot runs, and the policy starts what follows."""
    folder = desk.folder / "a demo"
    with terminal([*DASHBOARD, "demo", "--dir", str(folder)], desk.folder) as screen:
        screen.read("pilot ● running", 30)
        screen.read("iteration-1 ● running", 60)
        screen.type(b"q")
        assert screen.read_to_end() == 0
        assert b"goes on" in screen.raw
    stop = Desk(folder)
    live = [run["id"] for run in stop.status()["runs"] if run["state"] == "running"]
    for run_id in live:
        assert stop.run("stop", run_id).returncode in (0, 4)
    assert Path.is_dir(folder / "artifacts" / "demo" / "pilot")
