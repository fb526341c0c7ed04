"""A workspace to import into, folders as other programs leave them, and a look at what became of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.files import Workspace
from engine.importing import import_folder
from engine.qc.verdicts import CheckVerdict
from engine.service import Service
from engine.snapshot import RunSnapshot

ROOT = Path(__file__).parents[2]


def make_workspace(folder: Path) -> Workspace:
    """Holds the seed's campaign, `stage1`."""
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "stage1.yaml").write_text((ROOT / "configs" / "stage1.yaml").read_text())
    return Workspace(folder)


def clean_rows(n: int) -> bytes:
    rows = ({"instruction": f"Task {k}", "response": f"Answer {k}."} for k in range(n))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def make_folder(
    folder: Path, *, rows: bytes | None = None, summary: Any = None, manifest: Any = None, raw: bytes | None = None
) -> Path:
    """A script's output folder; `raw` is the summary's very bytes."""
    folder.mkdir()
    if rows is not None:
        (folder / "pilot_data.jsonl").write_bytes(rows)
    if summary is not None or raw is not None:
        (folder / "qc_summary.json").write_bytes(json.dumps(summary).encode() if raw is None else raw)
    if manifest is not None:
        (folder / "session_manifest.json").write_text(json.dumps(manifest))
    return folder


def take_in(workspace: Workspace, source: Path, run: str = "pilot") -> str:
    return import_folder(workspace, source, "stage1", run, author="me")


def look(workspace: Workspace) -> RunSnapshot:
    """The only run there is."""
    campaign = Service(workspace.root).poll().campaign("stage1")
    assert campaign is not None
    (run,) = campaign.runs
    return run


def checks_of(run: RunSnapshot) -> dict[str, CheckVerdict]:
    return {check.metric: check for check in run.gate.checks}
