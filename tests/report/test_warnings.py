"""What is wrong with a run is said wherever its verdict is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli import run as command_line
from tests.report.places import LONG, add_run, record, write_campaign, write_ruler

CODE = """
def picky(record):
    if len(record["response"]) > 20:
        raise ValueError("too long for me")
    return False
"""
RULER = 'qc: {custom: {own: {call: "picky_checks:picky"}}}\ngate: {checks: {own_rate: "< 10%"}}\n'
WARNING = "warning: custom detector own failed on 40 records: ValueError: too long for me"
SENTENCE = "0 of 120: its detector failed on 40 records"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A pilot by a detector that fails on a quarter of its records, and would pass for clean on the others."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picky_checks.py").write_text(CODE)
    write_campaign(tmp_path)
    campaign = tmp_path / "configs" / "c.yaml"
    lines = [line for line in campaign.read_text().splitlines() if not line.startswith(("qc:", "gate:"))]
    campaign.write_text("\n".join(lines) + f"\n{RULER}")
    add_run(tmp_path, "pilot", [record(index, LONG if index % 4 == 0 else "Blue.") for index in range(160)])
    yield tmp_path
    sys.modules.pop("picky_checks", None)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["gate", "c/pilot"], 11),
        (["gate", "c/pilot", "--trace"], 11),
        (["gate", "c/pilot", "--qc", "ruler.yaml"], 11),
        (["regrade", "c/pilot", "--qc", "ruler.yaml"], 11),
        (["compare", "c"], 0),
        (["compare", "c", "--markdown"], 0),
        (["status"], 0),
    ],
)
def test_a_detector_that_failed_is_told_of_and_its_check_never_passes(
    root: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: int
) -> None:
    write_ruler(root, RULER)
    assert command_line(command) == code
    printed = capsys.readouterr().out
    assert printed.count("warning: ") == 1
    assert WARNING in " ".join(printed.split())
    assert "PASS" not in printed
    assert SENTENCE in printed or command[0] in ("compare", "status") or "--trace" in command


@pytest.mark.parametrize("command", [["gate", "c/pilot"], ["gate", "c/pilot", "--qc", "r"], ["regrade", "c/pilot"]])
def test_machines_are_told_as_well(root: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    ruler = write_ruler(root, RULER)
    given = [*command[:2], "--json"] + ([] if command == ["gate", "c/pilot"] else ["--qc", str(ruler)])
    assert command_line(given) == 11
    told = json.loads(capsys.readouterr().out)
    assert told["warnings"] == [WARNING.removeprefix("warning: ")]
    (check,) = told.get("new", told)["checks"]
    assert (check["verdict"], check["errors"], check["sentence"]) == ("undecided", 40, SENTENCE)


def test_the_warnings_of_another_ruler_are_its_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ruler(root, 'qc: {}\ngate: {checks: {runaway_rate: "< 10%"}}\n')
    assert command_line(["gate", "c/pilot", "--qc", "ruler.yaml"]) == 0
    assert "warning: " not in capsys.readouterr().out
