"""Bad input: one clear message (what, where, what to do), the right exit code, nothing started, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import PYTHON, Desk


def complaint(result: subprocess.CompletedProcess[str], code: int, *words: str) -> str:
    """The message of a refused command, checked for its exit code, its shape and its words."""
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    assert result.stderr.startswith("pilothouse: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("temperature: 0.4", "temprature: 0.4", ("unknown key", "did you mean 'temperature'?", "demo.yaml:")),
        ("temperature: 0.4", "temperature: -1", ("parameters.response.temperature", "demo.yaml:")),
        ("max_tokens: 80", "max_tokens: 0", ("parameters.response.max_tokens", "demo.yaml:")),
        ("examples: 12, max_candidates: 60", "examples: 12, max_candidates: 6", ("no acceptance rate can reach",)),
        ("qc: {runaway: markers-v2}", "qc: {runaway: markers-v9}", ("markers-v9", "demo.yaml:")),
        ("runaway_rate:", "runaway_rat:", ("runaway_rat", "demo.yaml:", "runaway_rate")),
    ],
    ids=["misspelt", "negative temperature", "no tokens", "target out of reach", "no such detector", "no such metric"],
)
def test_a_bad_campaign_is_refused_before_anything_starts(
    desk: Desk, old: str, new: str, words: tuple[str, ...]
) -> None:
    desk.edit_campaign((old, new))
    for command in (("launch", "demo", "--yes"), ("next", "demo"), ("config", "check")):
        complaint(desk.run(*command), 2, *words, "to do:")
    assert not (desk.folder / "artifacts" / "demo").exists()
    status = desk.status()
    assert status["state"] == "broken"
    assert words[0] in status["error"]


def test_an_empty_model_folder_is_refused(desk: Desk) -> None:
    (desk.folder / "model").mkdir()
    desk.edit_campaign(("path: pocket", f"path: {desk.folder / 'model'}"))
    complaint(desk.run("launch", "demo", "--yes"), 2, str(desk.folder / "model"), "to do:")
    assert not (desk.folder / "artifacts" / "demo").exists()


def test_a_missing_backend_package_is_named(desk: Desk) -> None:
    desk.edit_campaign(("backend: ctranslate2", "backend: vllm"))
    complaint(desk.run("launch", "demo", "--yes"), 2, "vllm", "to do:")
    assert not (desk.folder / "artifacts" / "demo").exists()


@pytest.mark.parametrize("value", ["response.temperature=-1", "response.max_tokens=0", "respnse.temperature=1", "x"])
def test_a_bad_assignment_is_refused(desk: Desk, value: str) -> None:
    complaint(desk.run("launch", "demo", "--run", "pilot", "--yes", "--set", value), 2, "to do:")
    assert not (desk.folder / "artifacts" / "demo").exists()


def test_what_does_not_exist_is_not_found(desk: Desk) -> None:
    complaint(desk.run("launch", "nothing", "--yes"), 3, "demo")
    complaint(desk.run("gate", "demo/pilot"), 3)
    complaint(desk.run("stop", "demo/pilot"), 3)
    complaint(desk.run("import", "nowhere", "--campaign", "demo", "--run", "old"), 3, "nowhere")
    complaint(desk.run("gate", "demo"), 2, "CAMPAIGN/RUN")
    complaint(desk.run("launch"), 2)
    complaint(desk.run("nonsense"), 2)


def test_without_a_terminal_a_launch_wants_yes(desk: Desk) -> None:
    complaint(desk.run("launch", "demo"), 4, "--yes", "would ask")
    assert not (desk.folder / "artifacts" / "demo").exists()


def test_a_launch_over_the_budget_is_refused_with_the_figures(desk: Desk) -> None:
    desk.edit_campaign(("limit_usd: 300", "limit_usd: 0.0001"))
    complaint(desk.run("launch", "demo", "--run", "pilot", "--yes"), 4, "$", "to do:")
    assert not (desk.folder / "artifacts" / "demo").exists()


def test_scale_without_a_passing_run_is_refused(desk: Desk) -> None:
    complaint(desk.run("launch", "demo", "--run", "scale", "--yes"), 4, "to do:")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a folder that can be made read-only")
def test_a_folder_that_cannot_be_written_is_said_so(desk: Desk) -> None:
    """A file where the artifacts' folder should be: works for root too, whom permissions do not stop."""
    (desk.folder / "artifacts").write_text("in the way")
    complaint(desk.run("launch", "demo", "--run", "pilot", "--yes"), 4, "cannot write", str(desk.folder), "to do:")


def test_a_half_written_record_harms_nothing(desk: Desk) -> None:
    """A torn last line, as a power cut leaves it: status reads what is whole, a restart repairs and completes."""
    assert desk.run("launch", "demo", "--run", "pilot", "--yes", "--wait").returncode == 0
    path = desk.folder / "artifacts" / "demo" / "pilot" / "records.jsonl"
    whole = path.read_bytes()
    with path.open("ab") as stream:
        stream.write(b'{"v":1,"index":9999,"instruc')
    assert desk.run_status("pilot")["counts"]["kept"] == 12
    assert desk.run("extend", "demo/pilot", "--examples", "14").returncode == 0
    assert desk.run("watch", "demo/pilot").returncode == 0
    assert path.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in path.read_bytes().splitlines())
    assert desk.run_status("pilot")["counts"]["kept"] == 14


def test_the_generator_itself_refuses_bad_arguments(tmp_path: Path) -> None:
    for arguments, word in (
        (["--response-temperature", "-1"], "temperature"),
        (["--response-max-tokens", "0"], "max"),
        (["--count", "0"], "count"),
        (["--model", str(tmp_path)], str(tmp_path)),
    ):
        result = subprocess.run(
            [PYTHON, "-m", "engine.generate", "--output", str(tmp_path / "out"), *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
        assert result.returncode == 2, result.stderr
        assert word in result.stderr
        assert "Traceback" not in result.stderr
