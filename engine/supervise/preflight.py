"""Is there room for what a run will write? Asked before anything of it is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from engine.campaign.spec import RunSpec
from engine.errors import RefusedError
from engine.files import RunFiles

KEPT_BYTES = 12_000
"""Octets per kept pair where no run tells: two candidates' records with raw texts and margins, lists, the pair."""

MEGABYTE = 1_000_000


def output_forecast(files: RunFiles, spec: RunSpec, examples: int | None = None) -> int:
    """Octets that the run will still write until `examples` (its target) are kept.

    By what a kept pair took in the campaign's runs so far, the greediest of them; 0 for a foreign program that has left
    nothing to go by.
    """
    if spec.kind == "engine":
        return 0
    target = examples or spec.target.examples
    runs = (RunFiles(folder) for folder in _folders(files))
    per_kept = max((size for run in runs if (size := _octets_per_kept(run)) is not None), default=None)
    if per_kept is None:
        per_kept = KEPT_BYTES if spec.generator.kind == "builtin" else 0
    return round(max(0, target - _lines(files.pilot_data)) * per_kept)


def check_disk(files: RunFiles, spec: RunSpec, examples: int | None = None) -> None:
    """`RefusedError` with the numbers when the run's output would fill the disk it goes to."""
    try:
        free = shutil.disk_usage(files.folder).free
    except OSError:
        return  # what cannot be asked is found out by writing
    output = output_forecast(files, spec, examples)
    reserve = spec.supervision.reserve_disk_mb * MEGABYTE
    if free < output + reserve:
        raise RefusedError(
            f"{free / MEGABYTE:,.1f} MB are free, too little for {spec.id}: about {output / MEGABYTE:,.1f} MB of "
            f"output are forecast, and {reserve / MEGABYTE:,.1f} MB are to stay free",
            where=str(files.folder),
            remedy="free some space there, or lower supervision.reserve_disk_mb in the campaign file",
        )


def _folders(files: RunFiles) -> list[Path]:
    """The folders of the campaign's runs, this one's included."""
    try:
        return [path for path in files.folder.parent.iterdir() if path.is_dir()]
    except OSError:
        return []


def _octets_per_kept(run: RunFiles) -> float | None:
    kept = _lines(run.pilot_data)
    if kept == 0:
        return None
    return sum(_octets(path) for path in (run.records, run.generator_journal, run.pilot_data)) / kept


def _lines(path: Path) -> int:
    try:
        with path.open("rb") as stream:
            return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
    except OSError:
        return 0


def _octets(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
