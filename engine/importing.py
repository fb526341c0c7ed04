"""Takes in a folder that another program made: the seed's three artifacts, or a bare JSONL.

Every row is kept as it is, no cleaning, no deduplication. The script's own figures stand as the run's metrics; what we
compute from its rows stands beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.campaign.loading import load_campaign
from engine.campaign.models import Campaign, Parameters, Target
from engine.campaign.parameters import overlay
from engine.campaign.spec import ForeignFigures, RunSpec, create_spec, kind_of
from engine.errors import ConfigurationError, NotFoundError, PilothouseError
from engine.files import Workspace, make_private_folder, read_json, storage_error, write_atomic

DATA, SUMMARY, MANIFEST = "pilot_data.jsonl", "qc_summary.json", "session_manifest.json"

SUMMARY_RATES = {
    "runaway_rate": "runaway_rate",
    "token_limit_rate": "token_limit_rate",
    "instruction_acceptance": "instruction_acceptance",
    "pair_acceptance": "pair_acceptance",
    "delimiter_leakage": "delimiter_leakage_count",
}
SUMMARY_COUNTS = {
    "candidates": ("counts", "instructions_generated"),
    "instructions_kept": ("counts", "instructions_kept"),
    "generated": ("counts", "pairs_generated"),
    "kept": ("counts", "pairs_kept"),
    "hit_token_limit": ("counts", "hit_token_limit"),
    "instructions_good": ("acceptance", "instructions_good"),
    "pairs_good": ("acceptance", "pairs_good"),
}


def import_folder(workspace: Workspace, source: Path, campaign_name: str, run: str, *, author: str) -> str:
    """Make the run `campaign/run` of what `source` holds; returns its id.

    Raises `NotFoundError` when there is nothing to take in, `ConfigurationError` for a file that cannot be read,
    `RefusedError` when a run of that name exists.
    """
    campaign = load_campaign(workspace.campaign_file(campaign_name))
    files = workspace.run_files(campaign_name, run)
    rows, summary, manifest = _read_source(source)
    figures = ForeignFigures(source=str(source.absolute()), metrics=_metrics(summary), counts=_counts(summary))
    parameters, known = _parameters(rows, summary, manifest, campaign)
    kept = figures.counts.get("kept", len(rows))
    spec = RunSpec(
        campaign=campaign_name,
        run=run,
        kind=kind_of(run),
        author=author,
        workspace=str(workspace.root.absolute()),
        model=campaign.model,
        target=Target(examples=max(1, campaign.target.examples, kept)),
        parameters=parameters,
        parameters_known=known,
        qc=campaign.qc,
        gate=campaign.gate,
        policy=campaign.policy,
        budget=campaign.budget,
        imported=figures,
    )
    make_private_folder(files.folder)
    create_spec(files, spec)
    try:
        write_atomic(files.records, "".join(row + "\n" for row in rows))
        if summary is not None:
            write_atomic(files.qc_summary, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        if manifest is not None:
            write_atomic(files.session_manifest, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise storage_error(error, files.folder) from error
    return spec.id


def _read_source(source: Path) -> tuple[list[str], dict[str, Any] | None, dict[str, Any] | None]:
    if source.is_file():
        return _rows(source), None, None
    if not source.is_dir():
        raise NotFoundError("there is nothing to import", where=str(source), remedy="name a folder or a .jsonl file")
    data = source / DATA
    if not data.is_file():
        others = sorted(source.glob("*.jsonl"))
        if len(others) == 1:
            data = others[0]
        elif not (source / SUMMARY).is_file() or others:
            raise NotFoundError(
                f"the folder has no {DATA}" + (f" but {len(others)} other .jsonl files" if others else ""),
                where=str(source),
                remedy="name the .jsonl file itself",
            )
    rows = _rows(data) if data.is_file() else []
    return rows, _json_object(source / SUMMARY), _json_object(source / MANIFEST)


def _json_object(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    value = read_json(path)
    if value is None:
        raise ConfigurationError(
            "not a JSON object", where=str(path), remedy="mend or remove the file, then import again"
        )
    return value


def _rows(path: Path) -> list[str]:
    """The file's lines, checked to be JSON objects; a half-written last line is left out."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationError(
            f"cannot be read: {error.strerror}", where=str(path), remedy="check the file"
        ) from error
    lines = text.split("\n")
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            valid = isinstance(json.loads(line), dict)
        except ValueError:
            if number == len(lines):
                continue
            valid = False
        if not valid:
            raise ConfigurationError(
                "the line is not a JSON object", where=f"{path}:{number}", remedy="mend or remove it"
            )
        rows.append(line)
    return rows


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _section(summary: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    value = (summary or {}).get(name)
    return value if isinstance(value, dict) else {}


def _metrics(summary: dict[str, Any] | None) -> dict[str, float | None]:
    if summary is None:
        return {}
    rates = _section(summary, "rates")
    metrics = {name: _number(rates.get(key)) for name, key in SUMMARY_RATES.items()}
    metrics["median_tokens"] = _number(_section(summary, "token_stats").get("median"))
    counts = _counts(summary)
    if "kept" in counts:
        metrics["examples"] = float(counts["kept"])
    for name, kept, of in (
        ("instruction_yield", "instructions_kept", "candidates"),
        ("pair_yield", "kept", "generated"),
    ):
        if counts.get(of):
            metrics[name] = counts.get(kept, 0) / counts[of]
    return metrics


def _counts(summary: dict[str, Any] | None) -> dict[str, int]:
    counts = {}
    for name, (section, key) in SUMMARY_COUNTS.items():
        number = _number(_section(summary, section).get(key))
        if number is not None and number >= 0:
            counts[name] = int(number)
    return counts


def _parameters(
    rows: list[str], summary: dict[str, Any] | None, manifest: dict[str, Any] | None, campaign: Campaign
) -> tuple[Parameters, bool]:
    """The run's sampling parameters where a file or the first row's provenance states them in our own shape."""
    first = json.loads(rows[0]) if rows else {}
    provenance = first.get("provenance") if isinstance(first.get("provenance"), dict) else {}
    for place in (manifest, summary, provenance):
        stated = (place or {}).get("parameters")
        if isinstance(stated, dict):
            try:
                return overlay(Parameters(), stated, where="parameters"), True
            except (PilothouseError, ValidationError):
                continue
    return campaign.parameters, False
