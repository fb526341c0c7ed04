"""Whether anything of ours uses this host, and which attempts of all runs it has seen so far."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from engine.files import RunFiles, Workspace, read_json
from engine.journal.engine_record import read_engine
from engine.journal.events import ProcessIdentity
from engine.supervise.engines.kept import attached_runs
from engine.supervise.identity import here, is_alive
from engine.supervise.liveness import FRESH_S, KeeperRecord, read_keeper, run_liveness

Kept = tuple[RunFiles, KeeperRecord | None]
Attempts = dict[str, tuple[int, int]]
"""Attempt and adoption that the last keeper of each run had, by run UUID."""


def attempts_now(workspace: Workspace) -> Attempts:
    """Those of all runs that were kept on this host last."""
    return _attempts(_kept_runs(workspace))


def _attempts(runs: Iterable[Kept]) -> Attempts:
    kept = (keeper for _, keeper in runs if keeper is not None and is_here(keeper))
    return {keeper.run_id: (keeper.attempt, keeper.adoption) for keeper in kept}


def been_live_since(seen: Mapping[str, tuple[int, int]], now: Mapping[str, tuple[int, int]]) -> bool:
    """Whether any run had a keeper that `seen` does not know of."""
    return any(last > seen.get(run, (0, -1)) for run, last in now.items())


def is_here(keeper: KeeperRecord) -> bool:
    """Whether the run was kept on this host."""
    return keeper.keeper.host == here().host


def machine_use(workspace: Workspace, claims: Path) -> tuple[Attempts, bool]:
    """`attempts_now`, and whether anything of ours uses this host: a run that is live or about to be, a keeper that
    still sees to what comes after its run, or a GPU that a run of any workspace has claimed. An engine of this one
    that waits for its next run uses nothing."""
    runs = list(_kept_runs(workspace))
    idle = {keeper.run_id for files, keeper in runs if keeper is not None and _is_idle_engine(files, keeper)}
    used = any(_run_in_use(files, keeper) for files, keeper in runs if keeper is None or keeper.run_id not in idle)
    return _attempts(runs), used or gpu_claimed(claims, spared=idle)


def _is_idle_engine(files: RunFiles, keeper: KeeperRecord) -> bool:
    """Whether an engine waits for its next run. What a keeper that was killed had said of its use is not believed."""
    record = read_engine(files)
    if record is None or record.state != "ready":
        return False
    return not (attached_runs(files) if is_alive(keeper.keeper) is False else record.in_use)


def _run_in_use(files: RunFiles, keeper: KeeperRecord | None) -> bool:
    attempt = keeper.attempt if keeper is not None else 0
    if _is_recent(files.claim(attempt + 1)):
        return True  # its keeper is on the way
    if keeper is None:
        return _is_recent(files.keeper_journal)  # keeper.json cannot be read just now
    if not is_here(keeper):
        return False
    if is_alive(keeper.keeper) is True:
        return True
    if keeper.ended is not None:
        return False
    life = run_liveness(files)
    return life.live and not life.out_of_sight


def gpu_claimed(claims: Path, spared: Collection[str] = ()) -> bool:
    """Whether a living run holds the claim of any GPU, those of the UUIDs in `spared` left out.

    A claim is held for an instant to see whether it is free. Only an exclusive lock shows the claim of a shared GPU.
    """
    for path in claims.glob("*.lock"):
        if spared and (read_json(path) or {}).get("run_id") in spared:
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        if _generator_lives(path):
            return True
    return False


def _generator_lives(claim: Path) -> bool:
    """Whether the generator that a claim names goes on without its keeper, whose lock it was."""
    try:
        return is_alive(ProcessIdentity.model_validate((read_json(claim) or {}).get("generator"))) is True
    except (OSError, ValidationError):
        return False


def _is_recent(path: Path) -> bool:
    try:
        return abs(time.time() - path.stat().st_mtime) < FRESH_S
    except OSError:
        return False


def _kept_runs(workspace: Workspace) -> Iterator[Kept]:
    """Every run of the workspace, whatever its campaign, with its last keeper, if it had one."""
    for campaign in workspace.campaigns_with_runs():
        for files in workspace.runs_of(campaign):
            yield files, read_keeper(files)
