"""The three artifacts of a run: pilot_data.jsonl, qc_summary.json, session_manifest.json."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import __version__
from engine.campaign.models import Target
from engine.campaign.parameters import flatten
from engine.campaign.spec import RunSpec
from engine.files import RunFiles, write_atomic, write_json
from engine.generate.history import read_records
from engine.generate.progress import reason
from engine.generate.prompts import PromptBuilder
from engine.journal.events import utc_now
from engine.qc.gate import judge
from engine.qc.metrics import IN_ORDER, rate_of
from engine.qc.tally import RunTally
from engine.qc.verdicts import GateVerdict

FURTHER_RATES = ("duplicate_rate", "response_repetition_rate", *IN_ORDER)
ARTIFACTS = ("pilot_data.jsonl", "qc_summary.json", "session_manifest.json")


@dataclass(frozen=True, slots=True)
class Session:
    """What this attempt knows beside the records. `preflight` is None when the model never got loaded."""

    target: Target
    attempt: int
    started: str
    outcome: str
    reason: str
    versions: Mapping[str, str]
    preflight: Mapping[str, Any] | None


def write_artifacts(files: RunFiles, spec: RunSpec, prompts: PromptBuilder, session: Session) -> GateVerdict:
    """Write all three from the records on disk, each whole or not at all; return what the gate says.

    Raises `OSError` as the file system does.
    """
    tally = RunTally(spec.qc, spec.gate, spec.pipeline.delimiter, import_from=(spec.workspace,))
    kept: list[dict[str, Any]] = []
    for record in read_records(files):
        tally.add(record)
        if record.get("kept"):
            kept.append(record)
    kept.sort(key=lambda record: int(record["index"]))
    ended = session.outcome in ("completed", "exhausted", "decided")  # a run that was stopped has not had its say
    verdict = judge(spec.gate, spec.policy, tally, ended=ended, target=session.target.examples)
    commit = git_commit(Path(spec.workspace or Path.cwd()))
    rows = (_row(record, spec, prompts, commit) for record in kept)
    write_atomic(files.pilot_data, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_json(files.qc_summary, _summary(spec, tally, verdict, session))
    write_json(files.session_manifest, _manifest(files, spec, session, commit))
    return verdict


def _row(record: Mapping[str, Any], spec: RunSpec, prompts: PromptBuilder, commit: str | None) -> dict[str, Any]:
    return {
        "index": record["index"],
        "instruction": record["instruction"],
        "response": record["response"],
        "prompt": prompts.response_prompt(record["instruction"]),
        "instruction_critic": record["instruction_critic"],
        "pair_critic": record["pair_critic"],
        "provenance": {
            "campaign": spec.campaign,
            "run": spec.run,
            "run_id": spec.run_id,
            "model": spec.model.path,
            "backend": spec.model.backend,
            "seed": spec.parameters.seed,
            "instruction_seed": record["instruction_seed"],
            "response_seed": record["response_seed"],
            "sampling": flatten(spec.parameters),
            "finish_reason": record["finish_reason"],
            "generated": record["time"],
            "git_commit": commit,
        },
    }


def _summary(spec: RunSpec, tally: RunTally, verdict: GateVerdict, session: Session) -> dict[str, Any]:
    counts, metrics = tally.counts(), tally.metrics()
    return {
        "campaign": spec.campaign,
        "run": spec.run,
        "outcome": session.outcome,
        "counts": {
            "target": session.target.examples,
            "lines_parsed": counts["parsed"],
            "lines_dropped": counts["dropped"],
            "instructions_generated": counts["candidates"],
            "instructions_kept": counts["instructions_kept"],
            "pairs_generated": counts["generated"],
            "pairs_kept": counts["kept"],
            "hit_token_limit": counts["hit_token_limit"],
            "runaway": counts["runaway"],
            "failed": counts["failed"],
            "outcomes": tally.outcomes(),
        },
        "acceptance": {
            "instructions_good": counts["instructions_good"],
            "pairs_good": counts["pairs_good"],
            "instruction_yield": metrics["instruction_yield"],
            "pair_yield": metrics["pair_yield"],
        },
        "rates": {
            "runaway_rate": metrics["runaway_rate"],
            "token_limit_rate": metrics["token_limit_rate"],
            "instruction_acceptance": metrics["instruction_acceptance"],
            "pair_acceptance": metrics["pair_acceptance"],
            "delimiter_leakage_count": metrics["delimiter_leakage"],
            **{name: metrics[name] for name in FURTHER_RATES},
            **{rate_of(name): metrics[rate_of(name)] for name in spec.qc.custom},
        },
        "token_stats": tally.token_statistics(),
        "margins": tally.margins(),
        "detectors": {kind: detector.id for kind, detector in tally.detectors.items()},
        "thresholds": {name: str(limit) for name, limit in spec.gate.checks.items()},
        "thresholds_passed": verdict.verdict == "pass",
        "failed_reasons": [reason(check) for check in verdict.checks if check.verdict == "fail"],
        "undecided_reasons": [reason(check) for check in verdict.checks if check.verdict == "undecided"],
        "gate": verdict.to_json(),
    }


def _manifest(files: RunFiles, spec: RunSpec, session: Session, commit: str | None) -> dict[str, Any]:
    written = [path for path in (files.pilot_data, files.qc_summary) if path.is_file()]
    prompts = {
        kind: {"path": prompt["path"], "sha256": prompt["sha256"]}
        for kind, prompt in (spec.prompts.model_dump() if spec.prompts else {}).items()
    }
    return {
        "run_id": spec.run_id,
        "campaign": spec.campaign,
        "run": spec.run,
        "attempt": session.attempt,
        "started": session.started,
        "ended": utc_now(),
        "outcome": session.outcome,
        "reason": session.reason,
        "environment": {
            "host": platform.node(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "executable": sys.executable,
            "cpus": len(os.sched_getaffinity(0)),
            "git_commit": commit,
        },
        "versions": {"pilothouse": __version__, **session.versions},
        "gpus": gpu_names(),
        "model": spec.model.model_dump(mode="json"),
        "parameters": spec.parameters.model_dump(mode="json"),
        "pipeline": spec.pipeline.model_dump(mode="json"),
        "target": session.target.model_dump(mode="json"),
        "prompts": prompts,
        "preflight": session.preflight,
        "artifacts": {
            "planned": list(ARTIFACTS),
            "written": [*(_described(path) for path in written), {"name": files.session_manifest.name}],
        },
    }


def _described(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def git_commit(folder: Path) -> str | None:
    """Commit checked out in `folder`; None outside a repository or without git."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def gpu_names() -> list[str]:
    """Names of the GPUs that the driver shows; empty where there is none."""
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            handles = (pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount()))
            names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return []
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
