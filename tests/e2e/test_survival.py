"""A run outlives its viewer and its killers; every acknowledged record is kept once."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from engine.service import Service
from tests.e2e.conftest import PYTHON, Desk, ended
from tests.waiting import wait_until

LONGER = ("examples: 12, max_candidates: 60", "examples: 72, max_candidates: 360")
"""Long enough to be met in the middle: some seconds of generation."""


def launch(desk: Desk, run: str = "pilot", *more: str) -> None:
    result = desk.run("launch", "demo", "--run", run, "--yes", *more)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"demo/{run}\n"


def identities(desk: Desk, run: str) -> tuple[int, int]:
    """Pids of keeper and generator."""
    record = json.loads((desk.folder / "artifacts" / "demo" / run / "keeper.json").read_text())
    return record["keeper"]["pid"], record["generator"]["pid"]


def lives(pid: int) -> bool:
    """Whether a process of that pid is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def comparable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records in item order, without what tells when and in which attempt they were made."""
    return [
        {key: value for key, value in record.items() if key not in ("time", "attempt")}
        for record in sorted(records, key=lambda record: record["index"])
    ]


def test_a_run_outlives_the_terminal_it_was_launched_from(desk: Desk) -> None:
    """Launched in a pseudo-terminal that is torn away in the middle: the run goes on and nothing is missing."""
    desk.edit_campaign(LONGER)
    leader, follower = pty.openpty()
    viewer = subprocess.Popen(
        [PYTHON, "-m", "tui", "launch", "demo", "--run", "pilot", "--yes", "--wait"],
        cwd=desk.folder,
        env=desk.environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    wait_until(lambda: desk.records("pilot"), 60, "the first record")
    assert desk.run_status("pilot")["state"] == "running"
    os.kill(viewer.pid, signal.SIGHUP)
    os.close(leader)
    viewer.wait(20)
    run = ended(desk)
    assert run["state"] == "succeeded"
    assert run["counts"]["kept"] == 72
    indexes = [record["index"] for record in desk.records("pilot")]
    assert sorted(indexes) == list(range(len(indexes)))


def test_keeper_and_generator_killed_then_restart_keeps_every_record_once(desk: Desk) -> None:
    """SIGKILL of both: the run is lost, `restart` goes on, and the records are those of an undisturbed run."""
    desk.edit_campaign(LONGER)
    launch(desk)
    wait_until(lambda: len(desk.records("pilot")) >= 6, 60, "six records")
    acknowledged = desk.records("pilot")
    for pid in identities(desk, "pilot"):
        os.kill(pid, signal.SIGKILL)
    acknowledged = desk.records("pilot")
    lost = ended(desk)
    assert lost["state"] == "lost"
    assert desk.run("restart", "demo/pilot").returncode == 4
    assert desk.run("restart", "demo/pilot", "--yes").returncode == 0
    run = ended(desk)
    assert (run["state"], run["attempt"]) == ("succeeded", 2)
    records = desk.records("pilot")
    assert records[: len(acknowledged)] == acknowledged
    assert len({record["index"] for record in records}) == len(records)
    assert sum(record["kept"] for record in records) == 72
    launch(desk, "pilot-undisturbed")
    ended(desk, "pilot-undisturbed")
    assert comparable(records) == comparable(desk.records("pilot-undisturbed"))


def test_stop_returns_when_nothing_lives_and_restart_goes_on(desk: Desk) -> None:
    desk.edit_campaign(LONGER)
    launch(desk)
    wait_until(lambda: desk.records("pilot"), 60, "the first record")
    stopped = desk.run("stop", "demo/pilot")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout == "demo/pilot: stopped\n"
    assert not any(lives(pid) for pid in identities(desk, "pilot"))
    run = desk.run_status("pilot")
    assert run["state"] == "stopped"
    leakage = next(check for check in run["gate"]["checks"] if check["metric"] == "delimiter_leakage")
    assert leakage["verdict"] == "undecided", "what is decided at the end is not decided by stopping early"
    assert (desk.folder / "artifacts" / "demo" / "pilot" / "qc_summary.json").exists()
    assert desk.run("stop", "demo/pilot").returncode == 4
    assert desk.run("restart", "demo/pilot", "--yes").returncode == 0
    assert ended(desk)["counts"]["kept"] == 72


def test_extend_raises_the_target_and_goes_on_in_the_same_run(desk: Desk) -> None:
    launch(desk)
    before = ended(desk)
    assert desk.run("extend", "demo/pilot", "--examples", "12").returncode == 2
    assert desk.run("extend", "demo/pilot", "--examples", "16").returncode == 0
    after = ended(desk)
    assert (after["counts"]["kept"], after["counts"]["target"], after["attempt"]) == (16, 16, 2)
    assert after["counts"]["records"] > before["counts"]["records"]
    assert after["cost_usd"] > before["cost_usd"]


def test_fresh_archives_and_begins_anew(desk: Desk) -> None:
    launch(desk)
    first = ended(desk)
    records = desk.records("pilot")
    assert desk.run("restart", "demo/pilot", "--yes").returncode == 4
    assert desk.run("restart", "demo/pilot", "--fresh", "--yes").returncode == 0
    second = ended(desk)
    assert second["counts"]["kept"] == 12
    assert comparable(desk.records("pilot")) == comparable(records)
    archived = desk.folder / "artifacts" / "demo" / "pilot" / "archive" / "attempt-1" / "records.jsonl"
    assert len(archived.read_text().splitlines()) == len(records)
    assert second["cost_usd"] > first["cost_usd"]


def test_two_launches_in_the_same_instant_start_one_run(desk: Desk) -> None:
    both = [
        subprocess.Popen(
            [PYTHON, "-m", "tui", "launch", "demo", "--run", "pilot", "--yes"],
            cwd=desk.folder,
            env=desk.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    results = [(process.communicate(timeout=60), process.returncode) for process in both]
    assert sorted(code for _, code in results) == [0, 4]
    refused = next(output for output, code in results if code == 4)
    assert "exists already" in refused[1]
    assert ended(desk)["attempt"] == 1


def test_a_second_viewer_sees_the_same_picture(desk: Desk) -> None:
    """A replay from nothing equals what a viewer that watched all along has."""
    watching = Service(desk.folder)
    launch(desk)
    deadline = time.monotonic() + 60
    while True:
        picture = watching.poll().campaign("demo")
        assert picture is not None
        if picture.runs and not picture.runs[0].live:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    wait_until(lambda: watching.poll() == Service(desk.folder).poll(), 20, "the same picture, the keeper gone")


@pytest.mark.parametrize("command", [["/bin/sh", "-c", "echo hello; exit 3"]])
def test_a_program_of_ones_own_is_supervised(desk: Desk, command: list[str]) -> None:
    """`generator: {kind: command}`: its log is shown, its exit code is true."""
    desk.edit_campaign(
        ("model: {path: pocket", f"generator: {{kind: command, argv: {command!r}}}\nmodel: {{path: pocket")
    )
    launch(desk)
    run = ended(desk)
    assert (run["state"], run["exit_code"]) == ("failed", 3)
    assert desk.run("logs", "demo/pilot").stdout == "hello\n"
    assert desk.run("watch", "demo/pilot").returncode == 5
