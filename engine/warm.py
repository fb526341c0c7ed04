"""The kept engine of a campaign: what a launch makes of it, how one is started, attached to, replaced and stopped.

An engine is kept as a run is: the same keeper, journal, claims, stop ladder and verification.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.campaign.models import Campaign, ModelConfig
from engine.campaign.naming import engine_name, engine_number
from engine.campaign.spec import RunSpec, create_spec, withdraw_spec
from engine.errors import NotFoundError, RefusedError
from engine.files import RunFiles, Workspace, make_private_folder
from engine.journal.engine_record import read_engine
from engine.replay.engines import ASSUMED_START_S
from engine.snapshot import EngineSnapshot
from engine.supervise.engines.kept import (
    KeptEngine,
    differing_options,
    engines_of,
    live_engine,
    serves,
)
from engine.supervise.liveness import run_liveness

COMING_UP_S = 15.0
OTHERS_S = 0.2
POLL_S = 0.05
TRIES = 4

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """What a launch makes of the campaign's engine: it loads the model itself (`none`), attaches to the engine that is
    up, starts one, or has to replace one that serves something else. `cost_usd` is what the start alone takes."""

    kind: Literal["none", "attach", "start", "replace"]
    sentence: str = ""
    start_s: float = 0.0
    cost_usd: float = 0.0


def plan_engine(
    workspace: Workspace, config: Campaign, model: ModelConfig, picture: EngineSnapshot | None
) -> EnginePlan:
    """What `ensure_engine` would do now."""
    if model.backend != "vllm" or config.generator.kind != "builtin":
        return EnginePlan("none")
    found = live_engine(workspace, config.name)
    if found is not None and _is_ending(found):
        found = None  # nobody can attach to it any more
    if found is not None and serves(found.spec, model):
        return EnginePlan("attach", f"attaches to {found.name}, which is up")
    if not config.engine.keep_warm:
        return EnginePlan("none")
    start_s = picture.start_s if picture is not None and picture.fits and picture.start_s else ASSUMED_START_S
    cost = start_s / 3600 * config.budget.gpu_usd_per_hour
    time_taken = f"{start_s:.0f} s" if start_s < 90 else f"{start_s / 60:.0f} min"
    price = f"about {time_taken} and ${cost:.2f} until it answers"
    if found is None:
        return EnginePlan("start", f"starts an engine: {price}", start_s, cost)
    changed = ", ".join(differing_options(found.spec, model))
    return EnginePlan("replace", f"stops {found.name} and starts another ({changed}): {price}", start_s, cost)


def ensure_engine(
    workspace: Workspace,
    config: Campaign,
    model: ModelConfig,
    *,
    author: str,
    budget_left: float | None,
    say: Say,
    wanted: bool | None = None,
) -> str:
    """The name of the engine that a run with `model` attaches to, started if there is none that serves it; empty when
    the run loads the model itself. `wanted` overrules `engine.keep_warm`. Returns before it answers.

    Raises `RefusedError` when an engine that has to be replaced is used by a run, or its devices are not free.
    """
    if model.backend != "vllm" or config.generator.kind != "builtin":
        return ""
    wanted = config.engine.keep_warm if wanted is None else wanted
    for _ in range(TRIES):
        _await_keeper(workspace, config.name)
        found = live_engine(workspace, config.name)
        if found is not None and not _is_ending(found) and serves(found.spec, model):
            return found.name
        if not wanted:
            return ""
        if found is not None:
            _make_way(found, model, author, say)
        name = _started(workspace, config, model, author=author, budget_left=budget_left)
        if name is not None:
            say(f"{config.name}/{name} starts")
            return name
    raise RefusedError(
        f"no engine of {config.name} could be started: others start and stop them at the same time",
        remedy=f"see `pilothouse engine status {config.name}`, then try again",
    )


def start_on_engine(
    workspace: Workspace, campaign: str, engine_for: Callable[[], str], start: Callable[..., object]
) -> None:
    """Call `start(engine=…)` with the engine of `campaign` that `engine_for` finds or starts for a run; where that one
    stopped in this moment, with the next.

    Raises what both raise, and `RefusedError` when engines keep stopping.
    """
    from engine.supervise.engines.users import is_leaving

    for left in reversed(range(TRIES)):
        name = engine_for()
        try:
            start(engine=name)
        except RefusedError:
            if not name or not left or not is_leaving(workspace.run_files(campaign, name)):
                raise
        else:
            return


def stop_engine(
    workspace: Workspace, campaign: str, *, now: bool, author: str, say: Say, name: str | None = None
) -> tuple[str, str]:
    """Stop the campaign's engine (or the one of that `name`): its name and state, once nothing of it lives any more.

    Raises `NotFoundError` when there never was one, `RefusedError` when none is up, or a run uses it and not `now`.
    """
    from engine.supervise.engines.users import users_of
    from engine.supervise.stop import request_stop

    files = workspace.run_files(campaign, name) if name is not None else _newest(workspace, campaign)
    users = users_of(files) if not now else []
    if users:
        raise RefusedError(
            f"{campaign}/{files.folder.name} is used by {', '.join(users)}",
            where=str(files.folder),
            remedy=f"`pilothouse stop {campaign}/{users[0]}` first, or --now, which takes it away from under the run",
        )
    end = request_stop(files, now=now, author=author, on_progress=say)
    return files.folder.name, end.state


def _newest(workspace: Workspace, campaign: str) -> RunFiles:
    found = live_engine(workspace, campaign)
    if found is not None:
        return found.files
    engines = engines_of(workspace, campaign)
    if not engines:
        raise NotFoundError(
            f"{campaign} has no engine", remedy=f"`pilothouse engine start {campaign}` starts one that is kept"
        )
    return engines[-1]


def _is_ending(engine: KeptEngine) -> bool:
    record = read_engine(engine.files)
    return record is not None and record.state == "ended"


def _make_way(engine: KeptEngine, model: ModelConfig, author: str, say: Say) -> None:
    """Stop an engine that serves something else, or is about to end, and wait until its GPU is free."""
    from engine.supervise.engines.users import users_of
    from engine.supervise.stop import request_stop

    users = users_of(engine.files)
    if users and not _is_ending(engine):
        changed = ", ".join(differing_options(engine.spec, model))
        raise RefusedError(
            f"{engine.spec.id} serves something else ({changed}), and {', '.join(users)} uses it",
            where=str(engine.files.folder),
            remedy="wait for that run or stop it; or go back to the model and options that it was started with",
        )
    say(f"{engine.spec.id} makes way")
    try:
        request_stop(engine.files, author=author)
    except RefusedError:
        if run_liveness(engine.files).live:  # it did not just end by itself
            raise


def _await_keeper(workspace: Workspace, campaign: str) -> None:
    """Somebody may have claimed the next engine in this moment, and its keeper be on the way: it is waited for."""
    deadline = time.monotonic() + COMING_UP_S
    while time.monotonic() < deadline:
        engines = engines_of(workspace, campaign)
        if not engines or engines[-1].keeper.is_file() or not _is_recent(engines[-1].launch_claim):
            return
        time.sleep(POLL_S)


def _is_recent(path: Path) -> bool:
    try:
        return abs(time.time() - path.stat().st_mtime) < COMING_UP_S
    except OSError:
        return False


def _taken_numbers(workspace: Workspace, campaign: str) -> list[int]:
    """Numbers that no new engine may have. One whose spec is yet to be written belongs to somebody who starts it just
    now, and is to be waited for; where that was long ago he was killed over it, and the number is passed over."""
    folder = workspace.artifacts / campaign
    found = [RunFiles(path) for path in folder.iterdir()] if folder.is_dir() else []
    taken = [files for files in found if files.spec.is_file() or not _is_recent(files.folder)]
    return [number for files in taken if (number := engine_number(files.folder.name)) is not None]


def _started(
    workspace: Workspace, config: Campaign, model: ModelConfig, *, author: str, budget_left: float | None
) -> str | None:
    """The name of the engine that was started; None when somebody else took that name in this moment."""
    from engine.supervise.launch import start_attempt

    name = engine_name(1 + max(_taken_numbers(workspace, config.name), default=0))
    spec = RunSpec(
        campaign=config.name,
        run=name,
        kind="engine",
        author=author,
        workspace=str(workspace.root),
        model=model,
        engine=config.engine,
        budget=config.budget,
        supervision=config.supervision,
        notify=config.notify,
    )
    files = workspace.run_files(config.name, name)
    make_private_folder(files.folder)
    try:
        create_spec(files, spec)
    except RefusedError:
        time.sleep(OTHERS_S)
        return None
    try:
        start_attempt(files, attempt=1, author=author, budget_left=budget_left)
    except RefusedError:
        withdraw_spec(files)  # nothing was started: leave no engine that would look like one
        raise
    return name
