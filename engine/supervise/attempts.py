"""Attempts of a run: their numbers, and what happens to an old one when a run begins anew."""

from __future__ import annotations

import re

from engine.errors import RefusedError
from engine.files import RunFiles, make_private_folder, storage_error
from engine.supervise.liveness import read_keeper

_CLAIM = re.compile(r"attempt-(\d+)\.claim")


def next_attempt(files: RunFiles) -> int:
    """One more than the highest attempt that was ever claimed or kept (1 for a run that never started)."""
    numbers = [int(match.group(1)) for path in files.folder.iterdir() if (match := _CLAIM.fullmatch(path.name))]
    record = read_keeper(files)
    return max([*numbers, record.attempt if record is not None else 0]) + 1


def archive(files: RunFiles, attempt: int) -> None:
    """Move what `attempt` made into `archive/attempt-N/`; nothing is deleted.

    The keeper's journal stays: what the attempt cost was spent all the same.
    """
    made = (
        files.records,
        files.generator_journal,
        files.log,
        files.exit,
        files.pilot_data,
        files.qc_summary,
        files.session_manifest,
        files.marks,
    )
    target = files.archive(attempt)
    for path in made:
        if not path.exists():
            continue
        if (target / path.name).exists():
            raise RefusedError(
                f"attempt {attempt} was archived before", where=str(target), remedy="move that folder away, try again"
            )
        make_private_folder(target)
        try:
            path.rename(target / path.name)
        except OSError as error:
            raise storage_error(error, path) from error
