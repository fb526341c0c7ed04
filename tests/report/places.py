"""A campaign of a program of its own, with runs that have ended, and their records as they would be on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.campaign.loading import load_campaign
from engine.campaign.naming import kind_of
from engine.campaign.spec import ForeignFigures, RunSpec, create_spec
from engine.files import RunFiles
from engine.journal.events import KeeperStarted, ProcessIdentity, RunEnded, dump_event
from engine.journal.writer import JournalWriter
from engine.service import Service

DEAD = ProcessIdentity(host="h", pid_namespace="1", boot_id="gone", pid=1, start_ticks=1)
CAMPAIGN = """\
name: c
model: {path: m, backend: vllm}
generator: {kind: command, argv: [x]}
qc: {runaway: RUNAWAY}
gate: {checks: {runaway_rate: "< 5%", pair_acceptance: ">= 50%"}}
policy: {max_retries: RETRIES, extend_to: 300}
"""
LONG = "It is made of water, and of salt. It is deep. It is wide. It is cold in winter, too."
"""Four sentences: a runaway to `length-v1`, a good answer to `markers-v2`."""
RUNAWAY = " Blue.\n\nInstruction: Name a tree.\nResponse: Oak."


def record(index: int, response: str = "Blue.", raw: str | None = None, **more: Any) -> dict[str, Any]:
    good = {"good": True, "confident": True, "margin": 2.0}
    given: dict[str, Any] = {"v": 1, "index": index, "attempt": 1, "outcome": "kept", "kept": True}
    given |= {"instruction": f"Do {index}.", "response": response, "raw_response": raw or f" {response}"}
    given |= {"finish_reason": "stop", "response_tokens": 9, "instruction_critic": good, "pair_critic": good}
    return given | {"time": "2026-01-01T00:00:10Z"} | more


def records(n: int, long: int = 0, runaway: int = 0) -> list[dict[str, Any]]:
    """`n` records, of which the first `long` are long answers and the next `runaway` run away."""
    made = [record(index, LONG) for index in range(long)]
    made += [record(index, raw=RUNAWAY) for index in range(long, long + runaway)]
    return made + [record(index) for index in range(long + runaway, n)]


def write_campaign(root: Path, *, runaway: str = "length-v1", retries: int = 2) -> None:
    (root / "configs").mkdir(exist_ok=True)
    (root / "configs" / "c.yaml").write_text(CAMPAIGN.replace("RUNAWAY", runaway).replace("RETRIES", str(retries)))


def add_run(
    root: Path,
    name: str,
    rows: list[dict[str, Any]],
    *,
    imported: ForeignFigures | None = None,
    ended: bool = True,
) -> RunFiles:
    """A run of the campaign as it stands now; it has `ended` in success, or nothing is known of its process."""
    config = load_campaign(root / "configs" / "c.yaml")
    files = Service(root).workspace.run_files("c", name)
    files.folder.mkdir(parents=True)
    same = {key: getattr(config, key) for key in ("model", "generator", "pipeline", "qc", "gate", "policy", "budget")}
    created = f"2026-01-01T00:00:0{len(list(files.folder.parent.iterdir()))}Z"
    spec = RunSpec(
        campaign="c", run=name, kind=kind_of(name), workspace=str(root), imported=imported, created=created, **same
    )
    create_spec(files, spec)
    files.records.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if ended and imported is None:
        with JournalWriter(files.keeper_journal) as writer:
            for event in (KeeperStarted(keeper=DEAD), RunEnded(state="succeeded", reason="completed", exit_code=0)):
                writer.append(dump_event(event))
    return files


def write_ruler(root: Path, text: str) -> Path:
    path = root / "ruler.yaml"
    path.write_text(text)
    return path
