"""`python -m engine.generate` on the pocket model: its artifacts, its journal, stopping and going on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.models import Target
from engine.campaign.spec import create_spec, read_spec
from engine.files import RunFiles
from engine.generate import session
from engine.generate.stopping import StopRequests
from engine.journal.events import GenerationEnded, GenerationStarted, PhaseEntered
from engine.qc.tally import RunTally
from tests.generate.conftest import contents, make_spec
from tests.generate.processes import REPOSITORY, RUN, events, records_in, run, start
from tests.waiting import wait_until

# fmt: off
ITERATION_1 = [
    "--count", "20",
    "--seed", "43",
    "--instruction-temperature", "0.6",
    "--instruction-top-p", "0.85",
    "--instruction-repetition-penalty", "1.15",
    "--response-temperature", "0.3",
    "--response-top-p", "0.85",
    "--response-repetition-penalty", "1.15",
    "--response-max-tokens", "80",
]
# fmt: on


# --- what a run leaves -------------------------------------------------------------------------------------------


def test_the_seeds_command_leaves_its_three_artifacts(tmp_path: Path) -> None:
    folder = tmp_path / "pilot_iteration1"
    done = run(*ITERATION_1, "--output", folder)
    assert done.returncode == 0, done.stderr
    files = RunFiles(folder)
    rows = [json.loads(line) for line in files.pilot_data.read_text().splitlines()]
    assert len(rows) == 20
    assert [row["index"] for row in rows] == sorted(row["index"] for row in rows)
    for row in rows:
        assert set(row["instruction_critic"]["logprobs"]) == {" A", "A", " B", "B"}
        assert row["pair_critic"]["margin"] >= 1.0
        assert row["prompt"].endswith(f"Instruction: {row['instruction']}\nResponse:")
        assert row["provenance"]["model"] == "pocket"
        assert row["provenance"]["seed"] == 43
        assert row["provenance"]["sampling"]["response.temperature"] == 0.3
        assert "git_commit" in row["provenance"]
    manifest = json.loads(files.session_manifest.read_text())
    assert manifest["preflight"]["ok"] is True
    assert manifest["preflight"]["chat_template_applied"] is False
    assert all(sentinel["same_ids"] for sentinel in manifest["preflight"]["sentinels"])
    assert manifest["artifacts"]["planned"] == [entry["name"] for entry in manifest["artifacts"]["written"]]
    assert set(manifest["prompts"]) == {"instructions", "response", "instruction_critic", "pair_critic"}
    assert manifest["versions"]["ctranslate2"]
    assert "PHASE 1: INSTRUCTION GENERATION" in done.stderr
    assert "Generated: 20 examples" in done.stderr
    assert "QC Status: " in done.stderr
    assert max(map(len, done.stderr.splitlines())) < 300
    assert len(done.stderr.splitlines()) < 60, "no line per item"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_summary_agrees_with_a_recount_of_the_records(whole: Path) -> None:
    summary = json.loads(RunFiles(whole).qc_summary.read_text())
    spec = read_spec(RunFiles(whole))
    tally = RunTally(spec.qc, spec.gate, spec.pipeline.delimiter)
    rows = list(contents(whole).values())
    for row in rows:
        tally.add(row)
    judged = [row for row in rows if "instruction_critic" in row]
    responses = [row for row in rows if "raw_response" in row]
    kept = [row for row in rows if row["kept"]]
    assert summary["counts"]["instructions_generated"] == len(judged)
    assert summary["counts"]["instructions_kept"] == summary["counts"]["pairs_generated"] == len(responses)
    assert summary["counts"]["pairs_kept"] == len(kept) == 40
    assert summary["counts"]["hit_token_limit"] == sum(row["finish_reason"] == "length" for row in responses)
    assert summary["acceptance"]["instructions_good"] == sum(row["instruction_critic"]["good"] for row in judged)
    metrics = tally.metrics()
    for name in ("runaway_rate", "token_limit_rate", "instruction_acceptance", "pair_acceptance"):
        assert summary["rates"][name] == metrics[name]
    assert summary["token_stats"]["median"] == metrics["median_tokens"]
    assert summary["thresholds_passed"] is (summary["gate"]["verdict"] == "pass")
    assert set(summary["thresholds"]) == set(spec.gate.checks)


def test_the_journal_tells_the_phases_in_order(whole: Path) -> None:
    story = events(whole)
    assert isinstance(story[0], GenerationStarted)
    assert [event.phase for event in story if isinstance(event, PhaseEntered)] == ["loading", "generating", "saving"]
    assert isinstance(story[-1], GenerationEnded)
    assert (story[-1].outcome, story[-1].kept) == ("completed", 40)


def test_stop_strings_are_used_and_recorded(tmp_path: Path) -> None:
    done = run("--count", 15, "--output", tmp_path / "r", "--response-stop", "\nInstruction", "--response-stop", "\n#")
    assert done.returncode == 0
    stopped = [row for row in contents(tmp_path / "r").values() if row.get("finish_reason") == "stop"]
    assert stopped
    assert {row["stop_reason"] for row in stopped} <= {"\nInstruction", "\n#"}
    assert not any(row["flags"]["runaway"] and "\nInstruction" in row["raw_response"] for row in stopped)


# --- going on ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 20, 45])
def test_killed_and_started_again_it_ends_with_the_same_records_each_once(tmp_path: Path, whole: Path, at: int) -> None:
    folder = tmp_path / "run"
    process = start(*RUN, "--output", folder)
    wait_until(lambda: records_in(folder) >= at, what="enough records")
    process.kill()
    process.communicate()
    assert not RunFiles(folder).pilot_data.exists()
    done = run(*RUN, "--output", folder)
    assert done.returncode == 0, done.stderr
    assert contents(folder) == contents(whole)
    assert max(event.attempt for event in events(folder)) == 2


@pytest.mark.slow
def test_sigint_finishes_what_is_in_flight_and_the_next_attempt_goes_on(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    process = start(*RUN, "--output", folder)
    wait_until(lambda: records_in(folder) >= 10, what="ten records")
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert "Traceback" not in log
    stopped = contents(folder)
    assert 10 <= len(stopped) < len(contents(whole))
    assert sorted(stopped) == list(range(len(stopped))), "nothing in flight was left out"
    ended = events(folder)[-1]
    assert (ended.outcome, ended.kept) == ("stopped", sum(row["kept"] for row in stopped.values()))
    assert len(RunFiles(folder).pilot_data.read_text().splitlines()) == ended.kept
    assert json.loads(RunFiles(folder).session_manifest.read_text())["outcome"] == "stopped"
    assert run(*RUN, "--output", folder).returncode == 0
    assert contents(folder) == contents(whole)


def test_a_second_signal_ends_it_at_once_and_tears_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("--count", "5000", "--output", folder)
    wait_until(lambda: records_in(folder) >= 5, what="some records")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=10)
    assert process.returncode == 0, log
    assert len(contents(folder)) >= 5
    assert events(folder)[-1].outcome == "stopped"


@pytest.mark.slow
def test_a_spec_is_run_and_extended_by_the_keepers_options(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    spec = read_spec(RunFiles(whole)).model_copy(update={"target": Target(examples=15), "campaign": "demo"})
    create_spec(RunFiles(folder), spec)
    before = RunFiles(folder).spec.read_bytes()
    assert run("--spec", folder / "spec.json", "--attempt", 1).returncode == 0
    assert sum(row["kept"] for row in contents(folder).values()) == 15
    done = run("--spec", folder / "spec.json", "--attempt", 2, "--count", 40, "--max-candidates", 160)
    assert done.returncode == 0, done.stderr
    assert contents(folder) == contents(whole)
    assert RunFiles(folder).spec.read_bytes() == before


@pytest.mark.slow
def test_concurrency_changes_no_text_and_no_probability(tmp_path: Path, whole: Path) -> None:
    spec = read_spec(RunFiles(whole))
    wide = spec.pipeline.model_copy(update={"concurrency": 16})
    model = spec.model.model_copy(update={"options": {"threads": 5}})
    create_spec(RunFiles(tmp_path), spec.model_copy(update={"pipeline": wide, "model": model}))
    assert run("--spec", tmp_path / "spec.json").returncode == 0
    assert contents(tmp_path) == contents(whole)


def test_a_torn_last_line_is_dropped_and_made_anew(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for path in whole.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    records = RunFiles(folder).records
    records.write_bytes(records.read_bytes()[:-40])
    done = run(*RUN, "--output", folder)
    assert done.returncode == 0
    assert "half-written line" in done.stderr
    assert contents(folder) == contents(whole)


def test_a_folder_with_another_run_is_refused(tmp_path: Path, whole: Path) -> None:
    done = run("--count", 40, "--seed", 8, "--output", whole)
    assert done.returncode == 4
    assert "other parameters: seed 7 → 8" in done.stderr
    (tmp_path / "records.jsonl").write_text('{"index":0}\n')
    done = run(*RUN, "--output", tmp_path)
    assert done.returncode == 4
    assert "no spec.json" in done.stderr


def test_two_generators_never_write_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("--count", "5000", "--output", folder)
    try:
        wait_until(lambda: records_in(folder) >= 5, what="some records")
        done = run("--count", "5000", "--output", folder)
        assert done.returncode == 4
        assert "another generator is writing" in done.stderr
    finally:
        process.kill()
        process.communicate()


def test_as_many_files_as_may_be_are_allowed_at_the_start() -> None:
    code = (
        "import resource, sys\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "from engine.generate.__main__ import main\n"
        "main(['--output', '/proc/no/such'])\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_backend_is_closed_before_artifacts_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was asked for ahead of need may hold a socket each."""
    said: list[str] = []
    open_backend, write_artifacts = session.open_backend, session.write_artifacts

    def opening(*arguments: Any) -> Any:
        backend = open_backend(*arguments)
        close = backend.close
        monkeypatch.setattr(backend, "close", lambda: (said.append("closed"), close()))
        return backend

    def writing(*arguments: Any) -> Any:
        said.append("artifacts")
        return write_artifacts(*arguments)

    monkeypatch.setattr(session, "open_backend", opening)
    monkeypatch.setattr(session, "write_artifacts", writing)
    session.generate(RunFiles(tmp_path), make_spec(), Target(examples=1, max_candidates=40), 1, StopRequests())
    assert said == ["closed", "artifacts"]


def test_a_stop_while_the_model_loads_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never, loading, stop = threading.Event(), threading.Event(), StopRequests()

    def slow(*_: object) -> None:
        loading.set()
        never.wait(30)

    monkeypatch.setattr(session, "open_backend", slow)
    files, spec = RunFiles(tmp_path), make_spec()
    thread = threading.Thread(target=session.generate, args=(files, spec, spec.target, 1, stop))
    thread.start()
    assert loading.wait(20)
    stop.ask("SIGTERM")
    thread.join(5)
    assert not thread.is_alive()
    never.set()
    assert events(tmp_path)[-1].outcome == "stopped"
    assert files.qc_summary.exists()
