"""Artifacts that another program made become a finished run, every row as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigurationError, NotFoundError, RefusedError
from engine.files import Workspace
from engine.importing import import_folder
from engine.service import Service

ROOT = Path(__file__).parents[2]

SUMMARY = {
    "counts": {
        "instructions_generated": 116,
        "instructions_kept": 46,
        "pairs_generated": 46,
        "pairs_kept": 43,
        "hit_token_limit": 24,
    },
    "acceptance": {"instructions_good": 90, "pairs_good": 43},
    "rates": {
        "runaway_rate": 9 / 43,
        "token_limit_rate": 24 / 46,
        "instruction_acceptance": 90 / 116,
        "pair_acceptance": 43 / 46,
        "delimiter_leakage_count": 0,
    },
    "token_stats": {"median": 32},
    "thresholds_passed": False,
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "configs").mkdir()
    text = (ROOT / "configs" / "stage1.yaml").read_text()
    (tmp_path / "configs" / "stage1.yaml").write_text(text)
    return Workspace(tmp_path)


def seed_folder(folder: Path, rows: int = 43) -> Path:
    """What the seed's script leaves: duplicates and odd whitespace among its rows, on purpose."""
    folder.mkdir()
    lines = [
        json.dumps({"instruction": f"Task {n // 2}", "response": f"  Answer {n // 2}. \n", "extra": {"n": n}})
        for n in range(rows)
    ]
    (folder / "pilot_data.jsonl").write_text("".join(line + "\n" for line in lines))
    (folder / "qc_summary.json").write_text(json.dumps(SUMMARY))
    (folder / "session_manifest.json").write_text(json.dumps({"git_commit": "abc"}))
    return folder


def only_run(workspace: Workspace) -> Any:
    campaign = Service(workspace.root).poll().campaign("stage1")
    assert campaign is not None
    (run,) = campaign.runs
    return run


def test_the_scripts_own_figures_stand_and_ours_beside_them(workspace: Workspace, tmp_path: Path) -> None:
    source = seed_folder(tmp_path / "pilot1")
    assert import_folder(workspace, source, "stage1", "pilot", author="me") == "stage1/pilot"
    run = only_run(workspace)
    assert (run.state, run.imported, run.kind) == ("succeeded", True, "pilot")
    assert run.metrics["runaway_rate"] == pytest.approx(9 / 43)
    assert run.metrics["instruction_yield"] == pytest.approx(46 / 116)
    assert run.counts.kept == 43
    assert run.computed is not None
    assert run.computed["examples"] == 43
    assert run.computed["runaway_rate"] == 0.0
    checks = {check.metric: check for check in run.gate.checks}
    assert (checks["runaway_rate"].n, checks["runaway_rate"].failures) == (43, 9)
    assert checks["runaway_rate"].verdict == "fail"
    assert checks["token_limit_rate"].verdict == "fail"
    assert run.gate.verdict == "fail"


def test_every_row_is_kept_as_it_is(workspace: Workspace, tmp_path: Path) -> None:
    source = seed_folder(tmp_path / "pilot1")
    import_folder(workspace, source, "stage1", "pilot", author="me")
    taken = workspace.run_files("stage1", "pilot").records.read_text()
    assert taken == (source / "pilot_data.jsonl").read_text()


def test_a_bare_jsonl_has_only_what_we_compute(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"instruction":"a","response":"b\\n\\nInstruction: c"}\n{"instruction":"d","response":"e"}\n{"torn'
    )
    import_folder(workspace, path, "stage1", "old", author="me")
    run = only_run(workspace)
    assert run.counts.kept == 2
    assert run.metrics["runaway_rate"] == 0.5
    assert run.metrics["token_limit_rate"] is None
    check = next(check for check in run.gate.checks if check.metric == "token_limit_rate")
    assert check.verdict == "undecided"


def test_what_cannot_be_taken_in_is_said_with_its_place(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        import_folder(workspace, tmp_path / "none", "stage1", "old", author="me")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"instruction":"a"}\nnot json\n{"instruction":"b"}\n')
    with pytest.raises(ConfigurationError) as caught:
        import_folder(workspace, bad, "stage1", "old", author="me")
    assert f"{bad}:2" in (caught.value.where or "")
    assert list(workspace.runs_of("stage1")) == []
    source = seed_folder(tmp_path / "pilot1")
    import_folder(workspace, source, "stage1", "pilot", author="me")
    with pytest.raises(RefusedError):
        import_folder(workspace, source, "stage1", "pilot", author="me")
