"""Whoever makes more tries than the policy allows has to prove more: all runs are judged for as many as there were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.campaign.policy import PolicyConfig
from engine.campaign.spec import RunSpec, create_spec
from engine.files import Workspace
from engine.replay.workspace import WorkspaceReplay
from engine.snapshot import CampaignSnapshot

CAMPAIGN = 'name: c\ngenerator: {kind: command, argv: ["true"]}\ngate: {checks: {runaway_rate: "< 5%"}}\n'


def row(index: int) -> dict[str, Any]:
    return {"index": index, "outcome": "kept", "kept": True, "response": "Yes.", "raw_response": "Yes."}


def launched(root: Path, name: str, rows: int, *, created: str, **spec: Any) -> Path:
    files = Workspace(root).run_files("c", name)
    files.folder.mkdir(parents=True)
    given = {"campaign": "c", "run": name, "kind": "pilot" if name == "pilot" else "iteration", "created": created}
    create_spec(files, RunSpec.model_validate(given | spec))
    files.records.write_text("".join(json.dumps(row(index)) + "\n" for index in range(rows)))
    return files.folder


def picture(root: Path) -> CampaignSnapshot:
    (root / "configs").mkdir(exist_ok=True)
    (root / "configs" / "c.yaml").write_text(CAMPAIGN)
    found = WorkspaceReplay(Workspace(root)).refresh("c").campaign("c")
    assert found is not None
    return found


def threshold(found: CampaignSnapshot, run: str = "pilot") -> float:
    """Tries over α, which the evidence must reach."""
    snapshot = found.run(run)
    assert snapshot is not None
    assert snapshot.gate.checks[0].threshold is not None
    return round(snapshot.gate.checks[0].threshold)


def test_runs_are_judged_for_as_many_tries_as_there_were(tmp_path: Path) -> None:
    launched(tmp_path, "pilot", 110, created="2026-01-01T00:00:00Z")
    found = picture(tmp_path)
    assert threshold(found) == 60
    assert found.runs[0].gate.checks[0].verdict == "pass"
    for number in range(1, 5):
        launched(tmp_path, f"iteration-{number}", 20, created=f"2026-01-0{number + 1}T00:00:00Z")
    found = picture(tmp_path)
    assert threshold(found) == threshold(found, "iteration-4") == 100
    assert found.judged_by is not None
    assert found.judged_by.max_retries == 4
    assert found.runs[0].gate.checks[0].verdict == "undecided", "nothing latches: it has more to prove now"


def test_what_one_run_was_launched_with_holds_for_all_of_them(tmp_path: Path) -> None:
    """Raising max_retries for a while, and lowering it again, makes nothing easier."""
    launched(tmp_path, "pilot", 110, created="2026-01-01T00:00:00Z")
    launched(
        tmp_path, "iteration-1", 20, created="2026-01-02T00:00:00Z", policy=PolicyConfig(max_retries=5).model_dump()
    )
    assert threshold(picture(tmp_path)) == 120


def test_an_attempt_that_was_begun_anew_is_another_try(tmp_path: Path) -> None:
    folder = launched(tmp_path, "pilot", 110, created="2026-01-01T00:00:00Z")
    for attempt in range(1, 5):
        archived = folder / "archive" / f"attempt-{attempt}"
        archived.mkdir(parents=True)
        (archived / "records.jsonl").write_text(json.dumps(row(0)) + "\n")
    assert threshold(picture(tmp_path)) == 100
    for attempt in range(1, 5):
        (folder / "archive" / f"attempt-{attempt}" / "records.jsonl").write_text("")
    assert threshold(picture(tmp_path)) == 60, "one that made nothing had no chance"


def test_an_imported_run_stands_for_nothing_it_was_not_judged_by(tmp_path: Path) -> None:
    spec = {
        "imported": {"source": "elsewhere", "metrics": {"runaway_rate": 0.2}, "counts": {"runaway": 20, "kept": 100}}
    }
    loose = {"checks": {"runaway_rate": "< 50%"}}
    launched(tmp_path, "pilot", 100, created="2026-01-01T00:00:00Z", gate=loose, **spec)
    found = picture(tmp_path)
    assert found.runs[0].gate.verdict == "pass"
    assert found.next is not None
    assert found.next.kind == "blocked"
    assert found.next.rule == "other-ruler"
