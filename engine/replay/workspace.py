"""All campaigns of a workspace, folded into one snapshot."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.budget.forecast import campaign_budget
from engine.budget.money import Budget
from engine.campaign.loading import load_prompts
from engine.campaign.models import Campaign
from engine.campaign.naming import engine_number, kind_of
from engine.campaign.policy import PolicyConfig
from engine.campaign.spec import RunSpec, read_spec, recipe_of
from engine.errors import NotFoundError, PilothouseError
from engine.files import NAME, RunFiles, Workspace
from engine.policy.actions import NextAction
from engine.policy.decide import next_action
from engine.policy.history import PastRun, tries_spent
from engine.policy.suspicion import with_suspicions
from engine.replay.campaigns import load_checked
from engine.replay.engines import attached_to, engine_snapshot, start_of_a_run_s
from engine.replay.run import RunReplay
from engine.snapshot import (
    CampaignSnapshot,
    CampaignState,
    EngineSnapshot,
    IdleCountdown,
    RunSnapshot,
    Snapshot,
    present_engine,
)
from engine.supervise.engines.kept import serves
from engine.supervise.idle import read_idle

_Mark = tuple[tuple[int, int, int], ...]


class WorkspaceReplay:
    """Keeps a `RunReplay` per run and each campaign file as last read; `refresh` reads only what is new."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._host = socket.gethostname()
        self._campaigns: dict[Path, tuple[_Mark, tuple[Campaign | PilothouseError, str | None]]] = {}
        self._runs: dict[Path, RunReplay] = {}
        self._past: dict[str, Sequence[PastRun]] = {}

    def refresh(self, only: str | None = None) -> Snapshot:
        """The picture now; with `only`, of that campaign alone."""
        files = {path.stem: path for path in self.workspace.campaign_files()}
        for name in self.workspace.campaigns_with_runs():
            files.setdefault(name, self.workspace.configs / f"{name}.yaml")
        campaigns = tuple(self._campaign(files[name]) for name in sorted(files) if only in (None, name))
        devices = {device for campaign in campaigns for run in campaign.runs if run.live for device in run.devices}
        engines = [engine for campaign in campaigns for engine in campaign.engines]
        devices |= {device for engine in engines if engine.live for device in engine.devices}
        return Snapshot(str(self.workspace.root), self._host, campaigns, tuple(sorted(devices)))

    def orphans(self, campaign: str) -> list[tuple[RunFiles, int]]:
        """Runs and engines of `campaign` that go on without a keeper, with their attempt; of the last refresh."""
        folder = self.workspace.artifacts / campaign
        found = (replay for path, replay in self._runs.items() if path.parent == folder and replay.orphaned)
        return [(replay.files, replay.attempt) for replay in found]

    def history(self, campaign: str) -> Sequence[PastRun]:
        """The campaign's runs as the policy sees them, in the order they were created; of the last refresh."""
        return self._past.get(campaign, ())

    def _load(self, path: Path) -> tuple[Campaign | PilothouseError, str | None]:
        """The campaign file and its recipe (None when its prompts cannot be read), read again only when it changed."""
        known = self._campaigns.get(path)
        if known is not None and known[0] == _mark(path, known[1][0]):
            return known[1]
        config: Campaign | PilothouseError
        recipe = None
        try:
            config = load_checked(path)
        except NotFoundError as error:
            config = NotFoundError("the campaign file is missing", where=error.where, remedy="put it back")
        except PilothouseError as error:
            config = error
        else:
            recipe = _recipe(config, path)
        self._campaigns[path] = (_mark(path, config), (config, recipe))
        return config, recipe

    def _campaign(self, path: Path) -> CampaignSnapshot:
        name = path.stem
        config, recipe = self._load(path)
        warnings: list[str] = []
        unread: list[str] = []
        replays, runs, engines = [], [], []
        found = self._replays(name, warnings)
        policy = None
        if not isinstance(config, PilothouseError):
            policy = _with_tries(config.policy, [replay.spec.policy.max_retries + 1 for replay in found])
        for replay in found:
            try:
                replay.refresh()
                if replay.spec.kind == "engine":
                    replay.snapshot()
                    engines.append(replay)
                    continue
                runs.append(replay.snapshot(policy))
                replays.append(replay)
            except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, OSError) as error:
                # One run with nonsense in its files must not hide all the others.
                unread.append(f"the files of {replay.spec.id} cannot be read: {error} ({replay.files.folder})")
                del self._runs[replay.files.folder]
        warnings += unread
        unread += [replay.damage for replay in replays if replay.damage]
        if isinstance(config, PilothouseError):
            self._past[name] = ()
            idle = _idle(self.workspace, name, runs)
            kept = _kept(engines, None, runs)
            runs = [_with_engine(run, kept) for run in runs]
            return CampaignSnapshot(
                name, "broken", str(path), None, None, None, tuple(runs), str(config), tuple(warnings), idle, kept
            )
        kept = _kept(engines, config, runs)
        start_s = start_of_a_run_s(config, present_engine(kept), _starts(engines, config))

        def history(runs: Sequence[RunSnapshot]) -> tuple[list[RunSnapshot], tuple[PastRun, ...]]:
            shown = [_with_engine(run, kept) for run in runs]
            shown = [replace(run, gate=gate) for run, gate in zip(shown, with_suspicions(shown), strict=True)]
            past = (replay.past(run, recipe, startup_s=start_s) for replay, run in zip(replays, shown, strict=True))
            return shown, tuple(past)

        runs, past = history(runs)
        spent = tries_spent(past)
        if policy is not None and spent > policy.max_retries + 1:  # a person went on: all are judged for so many tries
            policy = _with_tries(policy, [spent])
            runs, past = history([replay.snapshot(policy) for replay in replays])
        self._past[name] = past
        live = {engine.name for engine in kept if engine.live}
        meters = [(one.spec.run in live, one.meter) for one in engines]
        budget = campaign_budget(config, past, [replay.meter for replay in replays], meters)
        action = _next(config, past, budget, unread)
        state = _state(runs, action)
        idle = _idle(self.workspace, name, runs) if config.budget.on_idle is not None else None
        return CampaignSnapshot(
            name, state, str(path), config, budget, action, tuple(runs), None, tuple(warnings), idle, kept, policy
        )

    def _replays(self, campaign: str, warnings: list[str]) -> list[RunReplay]:
        replays = []
        for files in self.workspace.runs_of(campaign):
            replay = self._runs.get(files.folder) or self._opened(campaign, files)
            if (replay.spec.campaign, replay.spec.run) != (campaign, files.folder.name):
                warnings.append(f"{files.folder} is a copy of {replay.spec.id} and is passed over")
                continue
            self._runs[files.folder] = replay
            replays.append(replay)
        return sorted(replays, key=lambda replay: (replay.spec.created, replay.spec.run))

    def _opened(self, campaign: str, files: RunFiles) -> RunReplay:
        """The run's replay; with a stand-in for a spec that is damaged, so that what lives and costs stays in sight."""
        try:
            return RunReplay(files, read_spec(files))
        except PilothouseError as error:
            name = files.folder.name
            stand_in = RunSpec(campaign=campaign, run=name, kind=kind_of(name), created="", parameters_known=False)
            return RunReplay(files, stand_in, damage=f"{error.what} ({error.where}); {error.remedy}")


def _with_tries(policy: PolicyConfig, tries: Sequence[int]) -> PolicyConfig:
    """`policy` for as many tries as it allows, or as the largest of `tries`: runs of one campaign are judged alike, so
    that their chances to pass by luck add up to what its gate allows."""
    return policy.model_copy(update={"max_retries": max([policy.max_retries, *(number - 1 for number in tries)])})


def _kept(
    engines: Sequence[RunReplay], config: Campaign | None, runs: Sequence[RunSnapshot]
) -> tuple[EngineSnapshot, ...]:
    """The campaign's kept engines, the newest last."""
    ordered = sorted(engines, key=lambda replay: engine_number(replay.spec.run) or 0)
    return tuple(engine_snapshot(one, config, attached_to(one.spec.run, runs)) for one in ordered)


def _with_engine(run: RunSnapshot, kept: Sequence[EngineSnapshot]) -> RunSnapshot:
    """A run that is attached shows what its engine does, and how far its start is."""
    engine = next((one for one in kept if one.name == run.engine), None)
    if engine is None or not run.live:
        return run
    loading = "" if engine.ready is not None else f"{engine.name}: {engine.loading}".rstrip(": ")
    return replace(run, figures=engine.figures, gpus=engine.gpus, loading=loading)


def _starts(engines: Sequence[RunReplay], config: Campaign) -> list[float]:
    """Seconds that the starts of engines like the one that is wanted took, the newest last."""
    alike = (replay for replay in engines if serves(replay.spec, config.model))
    return [replay.course.ready.seconds for replay in alike if replay.course.ready is not None]


def _mark(path: Path, config: Campaign | PilothouseError) -> _Mark:
    """What changes when the campaign file or one of its prompts does: inode, time and size of each."""
    names = (
        () if isinstance(config, PilothouseError) or config.prompts is None else config.prompts.model_dump().values()
    )
    marks = []
    for file in (path, *(path.parent / name for name in names)):
        try:
            found = file.stat()
        except OSError:
            marks.append((0, 0, 0))
        else:
            marks.append((found.st_ino, found.st_mtime_ns, found.st_size))
    return tuple(marks)


def _recipe(config: Campaign, path: Path) -> str | None:
    try:
        prompts = load_prompts(config, path)
    except PilothouseError:
        return None
    return recipe_of(
        model=config.model,
        generator=config.generator,
        prompts=prompts,
        pipeline=config.pipeline,
        qc=config.qc,
        gate=config.gate,
    )


def _idle(workspace: Workspace, campaign: str, runs: Sequence[RunSnapshot]) -> IdleCountdown | None:
    """The idle countdown; none while a run is live here, though one on another host leaves this machine idle."""
    if not NAME.fullmatch(campaign) or any(run.live and run.keeper_alive is not None for run in runs):
        return None
    record = read_idle(workspace, campaign)
    if record is None or record.state == "waiting":
        return None
    return IdleCountdown(record.state, record.since, record.due, record.command, record.author, record.detail)


def _next(
    config: Campaign,
    past: Sequence[PastRun],
    budget: Budget,
    unread: Sequence[str],
) -> NextAction:
    """The next action; blocked while a run cannot be read, since nothing may be built on half a history."""
    if unread and not any(run.live for run in past):
        return NextAction("blocked", f"not all runs can be read: {unread[0]}")
    try:
        return next_action(config, past, budget)
    except PilothouseError as error:
        return NextAction("blocked", f"{error.what}; {error.remedy}")


def _state(runs: Sequence[RunSnapshot], action: NextAction) -> CampaignState:
    if any(run.live for run in runs):
        return "running"
    if not runs:
        return "empty"
    if action.kind == "done":
        return "done"
    return "blocked" if action.kind in ("blocked", "review") else "waiting"
