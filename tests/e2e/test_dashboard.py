"""The screen in a real terminal, over the real service, keeper, generator and pocket model."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Desk, ended
from tests.e2e.test_survival import LONGER
from tests.terminal import Terminal, terminal
from tests.waiting import wait_until

DASHBOARD = [sys.executable, "-m", "tui"]
ENTER = b"\r"

PAGES = {1: "QC Status", 2: "▲ decided", 3: "response.max_tokens", 4: "attempt 1", 5: "nothing of pilot lives"}
"""By its digit, what is on a run's page and on no other page."""

STUBBORN = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range(10_000):
    print(f"step {number} of my own", flush=True)
    time.sleep(0.1)
"""


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
        again.type(b"l")
        for page, words in PAGES.items():
            again.type(str(page).encode())
            again.read(f"▸{page} ")
            again.read(words)
        again.type(b"qq")
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


def newest_step(screen: Terminal) -> int:
    return max(map(int, re.findall(r"step (\d+) of my own", screen.text)), default=0)


@pytest.mark.slow
def test_a_program_of_ones_own_is_watched_live_and_stopped_at_once(desk: Desk) -> None:
    """Its lines appear as it writes them; `k` waits for nothing, though it hears no signal that it could."""
    program = desk.folder / "program.py"
    program.write_text(STUBBORN)
    argv = f"generator: {{kind: command, argv: [{sys.executable}, {program}]}}\n"
    desk.edit_campaign(("model: {path: pocket", f"{argv}model: {{path: pocket"))
    with terminal(DASHBOARD, desk.folder) as screen:
        screen.read("launch")
        screen.type(ENTER)
        screen.read("pilothouse launch demo --run pilot")
        screen.type(b"y")
        screen.read("pilot ● running", 30)
        screen.until(lambda: newest_step(screen) > 3, "its lines do not appear")
        screen.type(b"l")
        screen.read("▸1 log◂")
        seen = newest_step(screen)
        screen.until(lambda: newest_step(screen) > seen + 10, "the log is not followed")
        screen.type(b"q")
        screen.read("s stop")
        screen.type(b"s")
        screen.read("now (K)")
        screen.type(b"K")
        screen.read("verified: demo/pilot is stopped", 15)  # sooner than it would be killed for being deaf
        assert desk.run_status("pilot")["state"] == "stopped"
        screen.type(ENTER + b"q")
        assert screen.read_to_end() == 0


@pytest.mark.slow
def test_a_broken_campaign_is_shown_with_its_line_and_goes_on_by_itself_once_mended(desk: Desk) -> None:
    with terminal(DASHBOARD, desk.folder) as screen:
        screen.read("⏎ n next")
        desk.edit_campaign(("temperature: 0.4", "temprature: 0.4"))
        screen.read("did you mean 'temperature'?")
        assert "demo.yaml:" in "".join(screen.text.split())  # however long the folder's name is
        assert "n next" not in screen.text
        desk.edit_campaign(("temprature: 0.4", "temperature: 0.4"))
        screen.read("⏎ n next")
        assert "temprature" not in screen.text
        screen.type(b"q")
        assert screen.read_to_end() == 0


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
