"""Runs whose keeper, spec, campaign file or place was lost or changed: still seen, charged, stoppable, and believed
only as far as they can be."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import pytest

from tests.e2e.conftest import PYTHON, Desk, ended
from tests.e2e.test_bad_input import complaint
from tests.e2e.test_survival import LONGER, identities, launch, lives
from tests.waiting import wait_until

TEN_CENTS_A_SECOND = ("gpu_usd_per_hour: 3.0", "gpu_usd_per_hour: 360.0")


def test_a_dead_keepers_run_is_adopted_by_whoever_watches(desk: Desk) -> None:
    desk.edit_campaign(LONGER)
    launch(desk)
    wait_until(lambda: len(desk.records("pilot")) >= 5, 30, "five records")
    keeper, generator = identities(desk, "pilot")
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not lives(keeper), 10, "the keeper's death")
    assert lives(generator)
    orphan = desk.run_status("pilot")
    assert any("keeper died" in warning for warning in orphan["warnings"])
    assert orphan["devices"][0].startswith("cpu@")
    watched = desk.run("watch", "demo/pilot")
    assert watched.returncode == 0, watched.stderr
    run = desk.run_status("pilot")
    assert (run["state"], run["attempt"], run["counts"]["kept"]) == ("succeeded", 1, 72)
    assert identities(desk, "pilot")[0] != keeper


def test_a_run_that_ended_alone_is_believed_by_its_own_word_and_charged(desk: Desk) -> None:
    """The keeper is killed, nobody looks, the generator ends: succeeded, and its unwatched time is on the bill."""
    desk.edit_campaign(LONGER, TEN_CENTS_A_SECOND)
    launch(desk)
    wait_until(lambda: len(desk.records("pilot")) >= 5, 30, "five records")
    keeper, generator = identities(desk, "pilot")
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not lives(generator), 60, "the generator's end")
    run = desk.run_status("pilot")
    assert (run["state"], run["counts"]["kept"]) == ("succeeded", 72)
    seconds = run["active_s"]
    assert seconds > 1.0
    assert run["cost_usd"] == pytest.approx(seconds * 0.1, rel=0.01)


def test_a_damaged_spec_hides_nothing_that_lives(desk: Desk) -> None:
    desk.edit_campaign(LONGER)
    launch(desk)
    wait_until(lambda: desk.records("pilot"), 30, "a record")
    (desk.folder / "artifacts" / "demo" / "pilot" / "spec.json").write_text("{")
    run = desk.run_status("pilot")
    assert run["state"] == "running"
    assert any("spec" in warning for warning in run["warnings"])
    assert desk.run("stop", "demo/pilot").returncode == 0
    campaign = desk.status()
    assert campaign["next"]["kind"] == "blocked"
    assert campaign["budget"]["spent_usd"] > 0


def test_a_missing_campaign_file_hides_nothing_that_lives(desk: Desk) -> None:
    desk.edit_campaign(LONGER)
    launch(desk)
    (desk.folder / "configs" / "demo.yaml").rename(desk.folder / "elsewhere.yaml")
    campaign = desk.status()
    assert campaign["state"] == "broken"
    assert "missing" in campaign["error"]
    assert [run["id"] for run in campaign["runs"]] == ["demo/pilot"]
    assert desk.run("gate", "demo/pilot").returncode in (0, 10, 11)
    assert desk.run("stop", "demo/pilot").returncode == 0


def test_a_moved_workspace_acts_where_it_is(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = "import os, sys; sys.stdout.write(os.getcwd() + chr(10))"
    generator = f"generator: {{kind: command, argv: [{PYTHON}, -c, '{program}']}}"
    desk.edit_campaign(("model: {path: pocket", f"{generator}\nmodel: {{path: pocket"))
    launch(desk)
    ended(desk)
    moved = Desk(tmp_path_factory.mktemp("moved") / "here")
    shutil.move(desk.folder, moved.folder)
    assert moved.run("restart", "demo/pilot", "--fresh", "--yes").returncode == 0
    ended(moved)
    assert moved.run("logs", "demo/pilot").stdout == f"{moved.folder}\n"


def test_a_copy_of_a_run_is_passed_over(desk: Desk) -> None:
    launch(desk)
    ended(desk)
    runs = desk.folder / "artifacts" / "demo"
    shutil.copytree(runs / "pilot", runs / "other")
    campaign = desk.status()
    assert [run["name"] for run in campaign["runs"]] == ["pilot"]
    assert any("copy" in warning for warning in campaign["warnings"])


@pytest.mark.slow
def test_scale_needs_a_passing_run_of_just_this_recipe(desk: Desk) -> None:
    """After a pass: other parameters are refused, the seed may move; a changed prompt voids the proof."""
    desk.edit_campaign(("examples: 12, max_candidates: 60", "examples: 110, max_candidates: 600"))
    launch(desk, "iteration-1")
    run = ended(desk, "iteration-1")
    assert run["gate"]["verdict"] == "pass", run["gate"]
    assert desk.status()["next"]["kind"] == "scale"
    refused = desk.run("launch", "demo", "--run", "scale", "--yes", "--set", "response.temperature=2.0")
    complaint(refused, 4, "no passing run stands behind")
    prompt = desk.folder / "configs" / "prompts" / "demo" / "response.txt"
    text = prompt.read_text()
    prompt.write_text(text.replace("42.", "43."))
    assert desk.status()["next"]["kind"] != "scale"
    complaint(desk.run("launch", "demo", "--run", "scale", "--yes"), 4)
    prompt.write_text(text)
    assert desk.run("launch", "demo", "--run", "scale", "--yes", "--set", "seed=7").returncode == 0
    assert desk.run("stop", "demo/scale").returncode == 0


def test_a_closed_or_narrow_output_breaks_no_command(desk: Desk) -> None:
    launch(desk)
    ended(desk)
    command = f"exec {PYTHON} -m tui"
    for line in (f"{command} status >&-", f"PYTHONIOENCODING=latin-1 {command} compare demo", f"{command} status <&-"):
        result = subprocess.run(
            ["/bin/sh", "-c", line], cwd=desk.folder, env=desk.environment, capture_output=True, timeout=60, check=False
        )
        assert result.returncode == 0, (line, result.stderr)
        assert b"Traceback" not in result.stderr
