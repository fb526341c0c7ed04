"""Bad input, full and read-only disks: one clear message, the right exit code, nothing lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.campaign.spec import RunSpec, create_spec
from engine.files import RunFiles
from engine.generate import session
from engine.generate.__main__ import main
from engine.generate.stopping import StopRequests
from tests.generate.conftest import contents, make_spec
from tests.generate.processes import REPOSITORY, RUN, run

# --- bad input and faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--response-temperature", "-1"], "--response-temperature: Input should be greater than or equal to 0"),
        (["--instruction-temperature", "nan"], "--instruction-temperature"),
        (["--response-max-tokens", "0"], "--response-max-tokens: Input should be greater than or equal to 1"),
        (["--instruction-top-p", "1.5"], "--instruction-top-p"),
        (["--response-repetition-penalty", "0"], "--response-repetition-penalty"),
        (["--confidence-threshold", "-0.5"], "--confidence-threshold"),
        (["--seed", "-3"], "--seed"),
        (["--count", "0"], "--count"),
        (["--count", "50", "--max-candidates", "10"], "no acceptance rate can reach that target"),
        (["--response-max-tokens", "many"], "--response-max-tokens"),
        (["--temprature", "1"], "--temprature"),
        (["--backend", "gpu"], "--backend"),
        (["--backend", "server", "--model", "x"], "exactly one of url and socket must be given"),
        (["--model", "/no/such/model"], "no such folder"),
        (["--attempt", "0"], "--attempt"),
    ],
)
def test_bad_values_are_one_clear_message_and_exit_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(StopRequests, "install", lambda _: None)
    assert main(["--output", str(tmp_path / "out"), *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("error: ")
    assert "\n  to do: " in shown
    assert not (tmp_path / "out").exists(), "nothing was written"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "--output is missing"),
        (["--spec", "/no/such/spec.json"], 3, "no such spec"),
        (["--spec", "/no/such/spec.json", "--seed", "3"], 2, "--seed cannot be given with --spec"),
        (["--output", "/proc/no/such"], 4, "cannot write"),
        (["--output", f"{__file__}/run"], 4, "a file stands where a folder is needed"),
    ],
)
def test_what_cannot_be_done_says_why(arguments: list[str], code: int, message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr


def test_arguments_are_checked_before_anything_heavy_is_loaded() -> None:
    script = (
        "import sys\nfrom engine.generate.__main__ import main\n"
        "assert main(['--bad']) == 2\n"
        "heavy = {'ctranslate2', 'tokenizers', 'numpy', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("place", ["open_backend", "read_history"])
def test_what_a_library_says_reaches_the_terminal_as_plain_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """An error of loading, and one that nobody expected."""

    def fail(*_: object) -> None:
        raise ValueError("bad rope \x1b]0;owned\x07\x1b[2J\nerror: forged")

    monkeypatch.setattr(StopRequests, "install", lambda _: None)
    monkeypatch.setattr(session, place, fail)
    assert main(["--output", str(tmp_path / "out"), "--count", "2"]) == 5
    shown = capsys.readouterr().err
    assert "ValueError: bad rope" in shown
    assert shown.replace("\n", "").isprintable()
    assert "\nerror: forged" not in shown


def check_nothing_is_lost(folder: Path, done: subprocess.CompletedProcess[str], whole: Path) -> None:
    """A run that could not write any more: exit 4, one message, whole lines only; with space again it goes on."""
    assert done.returncode == 4, done.stderr
    assert "cannot write" in done.stderr
    assert "to do:" in done.stderr
    assert "Traceback" not in done.stderr
    for path in (RunFiles(folder).records, RunFiles(folder).generator_journal):
        data = path.read_bytes()
        assert data == b"" or data.endswith(b"\n")
        for line in data.splitlines():
            json.loads(line)
    assert contents(folder).items() <= contents(whole).items()


@pytest.mark.slow
@pytest.mark.parametrize("limit", [9_000, 50_000])
def test_a_file_that_cannot_grow_loses_nothing(tmp_path: Path, whole: Path, limit: int) -> None:
    folder = tmp_path / "run"
    done = run(*RUN, "--output", folder, prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    check_nothing_is_lost(folder, done, whole)
    assert run(*RUN, "--output", folder).returncode == 0
    assert contents(folder) == contents(whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_a_full_disk_loses_nothing(small_disk: Path, whole: Path) -> None:
    folder = small_disk / "run"
    done = run(*RUN, "--output", folder)
    check_nothing_is_lost(folder, done, whole)
    assert "free some space" in done.stderr
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    assert run(*RUN, "--output", folder).returncode == 0
    assert contents(folder) == contents(whole)


def test_a_read_only_disk_is_refused(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = run(*RUN, "--output", small_disk / "run")
    assert done.returncode == 4
    assert "read-only" in done.stderr


def test_a_spec_of_another_programs_run_is_refused(tmp_path: Path) -> None:
    spec = RunSpec.model_validate(
        make_spec().model_dump(mode="json") | {"generator": {"kind": "command", "argv": ["true"]}, "prompts": None}
    )
    create_spec(RunFiles(tmp_path), spec)
    done = run("--spec", tmp_path / "spec.json")
    assert done.returncode == 2
    assert "not one of the builtin generator" in done.stderr
    assert os.listdir(tmp_path).count("records.jsonl") == 0
