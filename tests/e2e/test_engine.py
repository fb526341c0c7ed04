"""The kept engine through the real command line: started, attached to, left alone, idle, replaced, stopped.

What computes is a stand-in for `vllm serve` (`standin/`): the pocket model behind a real process and a real socket.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

STANDIN = Path(__file__).parent / "standin"
pytestmark = pytest.mark.slow


@pytest.fixture
def warm(desk: Any) -> Any:
    """The demo campaign on a kept engine."""
    desk.paths.insert(0, STANDIN)
    desk.edit_campaign(
        (
            "model: {path: pocket, backend: ctranslate2}",
            "model: {path: pocket, backend: vllm, options: {max_num_seqs: 4}}\nengine: {keep_warm: true}",
        )
    )
    yield desk
    desk.run("engine", "stop", "demo", "--now")


def engine(desk: Any) -> dict[str, Any]:
    found: dict[str, Any] = desk.status()["engine"]
    return found


def until(desk: Any, condition: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
    """The engine's status once `condition` holds of it."""

    def holds() -> Any:
        kept = desk.picture().engine
        return kept is not None and condition(kept.to_json())

    return wait_until(lambda: holds() and (found := engine(desk)) and condition(found) and found, 40, what)


def server_pid(desk: Any, name: str = "engine-1") -> int:
    record = json.loads((desk.folder / "artifacts" / "demo" / name / "keeper.json").read_text())
    return int(record["generator"]["pid"])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_iterations_attach_to_one_engine_which_outlives_them(warm: Any) -> None:
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes", "--wait"))
    pilot = warm.run_status("pilot")
    assert (pilot["state"], pilot["engine"], pilot["counts"]["kept"]) == ("succeeded", "engine-1", 12)
    up = engine(warm)
    assert (up["id"], up["state"], up["fits"]) == ("demo/engine-1", "running", True)
    pid = server_pid(warm)
    ok(warm.run("launch", "demo", "--run", "iteration-1", "--yes", "--wait"))
    iteration = warm.run_status("iteration-1")
    assert (iteration["state"], iteration["engine"], iteration["counts"]["kept"]) == ("succeeded", "engine-1", 12)
    assert iteration["metrics"]["runaway_rate"] == 0.0, "the stop strings reach the model"
    assert pilot["metrics"]["runaway_rate"] > 0.0
    assert server_pid(warm) == pid
    assert engine(warm)["state"] == "running"
    assert ok(warm.run("engine", "stop", "demo")).strip() == "demo/engine-1: stopped"
    assert not is_running(pid)
    assert [run["name"] for run in warm.status()["runs"]] == ["pilot", "iteration-1"], "an engine is no run"


def test_a_run_that_is_killed_and_restarted_goes_on_and_the_engine_does_not_notice(warm: Any) -> None:
    warm.edit_campaign(("examples: 12, max_candidates: 60", "examples: 36, max_candidates: 900"))
    ok(warm.run("engine", "start", "demo", "--yes", "--wait"))
    pid = server_pid(warm)
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes"))
    wait_until(lambda: len(warm.records("pilot")) > 12, 40, "records")
    assert engine(warm)["attached"] == ["pilot"]
    refused = warm.run("engine", "stop", "demo")
    assert refused.returncode == 4
    assert "used by pilot" in refused.stderr
    keeper = json.loads((warm.folder / "artifacts" / "demo" / "pilot" / "keeper.json").read_text())
    os.kill(keeper["keeper"]["pid"], signal.SIGKILL)
    os.kill(keeper["generator"]["pid"], signal.SIGKILL)
    acknowledged = {record["index"]: record for record in warm.records("pilot")}
    ok(warm.run("restart", "demo/pilot", "--yes"))
    ok(warm.run("watch", "demo/pilot"))
    records = {record["index"]: record for record in warm.records("pilot")}
    assert len(records) == len(warm.records("pilot"))
    assert all(records[index] == record for index, record in acknowledged.items())
    run = warm.run_status("pilot")
    assert (run["attempt"], run["engine"], run["counts"]["kept"]) == (2, "engine-1", 36)
    assert (server_pid(warm), engine(warm)["name"]) == (pid, "engine-1")


def test_idle_time_costs_money_and_ends_by_itself(warm: Any) -> None:
    warm.edit_campaign(("keep_warm: true", "keep_warm: true, idle_stop_minutes: 0.05"))
    ok(warm.run("engine", "start", "demo", "--yes", "--wait"))
    pid = server_pid(warm)
    stopped = until(warm, lambda found: found["state"] == "stopped", "its end")
    assert stopped["reason"].startswith("idle: nothing has used it for 0.05 min")
    assert stopped["cost_usd"] > 0.0
    assert warm.status()["budget"]["spent_usd"] == pytest.approx(stopped["cost_usd"])
    assert not is_running(pid)


def test_a_run_keeps_the_engine_from_going_idle(warm: Any) -> None:
    warm.edit_campaign(
        ("keep_warm: true", "keep_warm: true, idle_stop_minutes: 0.03"),
        ("examples: 12, max_candidates: 60", "examples: 40, max_candidates: 400"),
    )
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes", "--wait"))
    assert warm.run_status("pilot")["counts"]["kept"] == 40
    until(warm, lambda found: found["state"] == "stopped", "its end")


def test_other_engine_options_start_another_engine_and_say_what_that_costs(warm: Any) -> None:
    ok(warm.run("engine", "start", "demo", "--yes", "--wait"))
    first = server_pid(warm)
    warm.edit_campaign(("max_num_seqs: 4", "max_num_seqs: 4, max_model_len: 512"))
    assert engine(warm)["fits"] is False
    unasked = warm.run("launch", "demo", "--run", "pilot")
    assert unasked.returncode == 4
    assert "stops engine-1 and starts another (max_model_len – → 512): about" in unasked.stderr
    assert is_running(first), "it only would have"
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes", "--wait"))
    assert warm.run_status("pilot")["engine"] == "engine-2"
    assert not is_running(first)
    money = json.loads(ok(warm.run("budget", "demo", "--json")))
    assert [one["id"] for one in money["engines"]] == ["demo/engine-1", "demo/engine-2"]
    assert all(one["cost_usd"] > 0 for one in money["engines"]), "the one that was replaced was paid for, too"
    again = ok(warm.run("engine", "start", "demo"))
    assert again.strip() == "demo/engine-2", "it is up: nothing is asked and nothing started"


def test_an_engine_in_use_is_not_replaced(warm: Any) -> None:
    warm.edit_campaign(("examples: 12, max_candidates: 60", "examples: 400, max_candidates: 4000"))
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes"))
    wait_until(lambda: warm.records("pilot"), 40, "records")
    warm.edit_campaign(("max_num_seqs: 4", "max_num_seqs: 4, max_model_len: 512"))
    refused = warm.run("launch", "demo", "--run", "iteration-1", "--yes")
    assert refused.returncode == 4
    assert "demo/engine-1 serves something else (max_model_len – → 512), and pilot uses it" in refused.stderr
    assert not (warm.folder / "artifacts" / "demo" / "iteration-1" / "spec.json").exists()
    ok(warm.run("stop", "demo/pilot"))


def test_loading_is_shown_and_a_run_waits_for_it(warm: Any) -> None:
    warm.variables["STANDIN_LOAD_S"] = "4"
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes"))
    found = until(warm, lambda found: "weights" in found["loading"], "loading progress")
    assert (found["state"], found["ready"]) == ("starting", None)
    assert warm.run_status("pilot")["loading"].startswith("engine-1: weights")
    assert warm.run_status("pilot")["state"] == "starting"
    ok(warm.run("watch", "demo/pilot"))
    assert warm.run_status("pilot")["counts"]["kept"] == 12
    assert "waiting for the engine engine-1: weights" in ok(warm.run("logs", "demo/pilot", "-n", "500"))


def test_an_engine_that_does_not_come_up_fails_the_run_with_its_own_words(warm: Any) -> None:
    warm.variables["STANDIN_FAILS"] = "ValueError: Free memory on device (3.1/139.8 GiB) is less than desired"
    failed = warm.run("launch", "demo", "--run", "pilot", "--yes", "--wait")
    assert failed.returncode == 5
    reason = warm.run_status("pilot")["reason"]
    assert "the engine engine-1 ended before it answered" in reason
    assert "Free memory on device (3.1/139.8 GiB) is less than desired" in reason
    found = engine(warm)
    assert (found["state"], found["ready"]) == ("failed", None)
    del warm.variables["STANDIN_FAILS"]
    ok(warm.run("restart", "demo/pilot", "--yes"))
    ok(warm.run("watch", "demo/pilot"))
    assert warm.run_status("pilot")["engine"] == "engine-2"


def test_an_engine_that_is_killed_fails_its_run_soon_and_a_restart_brings_another(warm: Any) -> None:
    warm.edit_campaign(("examples: 12, max_candidates: 60", "examples: 24, max_candidates: 900"))
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes"))
    wait_until(lambda: len(warm.records("pilot")) > 6, 40, "records")
    os.kill(server_pid(warm), signal.SIGKILL)
    failed = warm.run("watch", "demo/pilot")
    assert failed.returncode == 5
    assert "the backend is lost" in warm.run_status("pilot")["reason"]
    dead = engine(warm)
    assert (dead["state"], dead["reason"]) == ("failed", "killed by SIGKILL (out of memory?)")
    before = warm.records("pilot")
    ok(warm.run("restart", "demo/pilot", "--yes"))
    ok(warm.run("watch", "demo/pilot"))
    assert warm.records("pilot")[: len(before)] == before
    assert warm.run_status("pilot")["counts"]["kept"] == 24


def test_a_killed_keeper_of_an_engine_is_replaced_and_the_engine_goes_on(warm: Any) -> None:
    ok(warm.run("engine", "start", "demo", "--yes", "--wait"))
    pid = server_pid(warm)
    record = json.loads((warm.folder / "artifacts" / "demo" / "engine-1" / "keeper.json").read_text())
    os.kill(record["keeper"]["pid"], signal.SIGKILL)
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes", "--wait"))
    assert warm.run_status("pilot")["engine"] == "engine-1"
    assert server_pid(warm) == pid
    assert ok(warm.run("engine", "stop", "demo")).strip() == "demo/engine-1: stopped"
    assert not is_running(pid)


def test_a_stubborn_engine_is_killed_and_stopped_is_only_said_then(warm: Any) -> None:
    warm.variables["STANDIN_STUBBORN"] = "1"
    ok(warm.run("engine", "start", "demo", "--yes", "--wait"))
    pid = server_pid(warm)
    assert ok(warm.run("engine", "stop", "demo", "--now")).strip() == "demo/engine-1: stopped"
    assert not is_running(pid)


def test_figures_and_state_are_told_on_the_command_line(warm: Any) -> None:
    missing = warm.run("engine", "status", "demo")
    assert missing.returncode == 3
    assert "has no kept engine" in missing.stdout
    warm.edit_campaign(("examples: 12, max_candidates: 60", "examples: 400, max_candidates: 4000"))
    ok(warm.run("launch", "demo", "--run", "pilot", "--yes"))
    busy = until(warm, lambda found: (found["figures"] or {}).get("generation_tokens_per_s"), "figures")
    assert busy["in_use"]
    assert busy["figures"]["prefix_cache_hit_rate"] == pytest.approx(0.5, abs=0.05)
    assert busy["figures"]["kv_cache_usage"] == 0.25
    text = ok(warm.run("engine", "status", "demo"))
    assert "ready, used by pilot" in text
    assert "tok/s out" in text
    assert warm.run_status("pilot")["figures"] is not None
    assert "engine-1: ● ready, used by pilot" in ok(warm.run("status", "demo"))
    ok(warm.run("stop", "demo/pilot"))
    idle = until(warm, lambda found: found["stops_at"], "its countdown")
    assert not idle["in_use"]
    assert "unless it is used" in ok(warm.run("engine", "status", "demo"))


def test_names_of_engines_are_no_names_of_runs(warm: Any) -> None:
    refused = warm.run("launch", "demo", "--run", "engine-7", "--yes")
    assert refused.returncode == 2
    assert "is what a kept engine is called" in refused.stderr


def test_only_vllm_has_an_engine_to_keep(desk: Any) -> None:
    desk.edit_campaign(("backend: ctranslate2}", "backend: ctranslate2}\nengine: {keep_warm: true}"))
    wrong = desk.run("config", "check")
    assert wrong.returncode == 2
    assert "engine.keep_warm: only the builtin generator with the backend vllm has an engine to keep" in wrong.stderr
    assert "demo.yaml:6, engine.keep_warm" in wrong.stderr
