"""What a person can do to a workspace: look, launch, stop, restart, extend, follow the policy.

Both front ends, screen and command line, call this and nothing below it. Looking (`poll`) only reads files; the
others write what belongs to the one who launches (a spec, a claim, a request) and start keepers. Every refusal is a
`PilothouseError` with the exit code that belongs to it.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from engine.budget.forecast import Forecast, check_affordable, extension_forecast, launch_forecast
from engine.campaign.loading import load_prompts
from engine.campaign.models import Campaign, ModelConfig, Parameters, Target
from engine.campaign.naming import engine_number, kind_of
from engine.campaign.parameters import assign, difference
from engine.campaign.spec import RunSpec, create_spec, read_spec, withdraw_spec
from engine.errors import ConfigurationError, NotFoundError, PilothouseError, RefusedError
from engine.files import RunFiles, Workspace, checked_name, make_private_folder
from engine.policy.actions import NextAction
from engine.policy.decide import parameters_for
from engine.policy.history import PastRun
from engine.replay.campaigns import load_checked
from engine.replay.workspace import WorkspaceReplay
from engine.snapshot import CampaignSnapshot, IdleCountdown, RunSnapshot, Snapshot
from engine.supervise.patience import Patience
from engine.warm import EnginePlan, Say, check_not_an_engine, ensure_engine, plan_engine, stop_engine

TEND_IDLE_S = 60.0
CLOSING_S = 20.0
CLOSING_POLL_S = 0.05
"""How long an action waits for a keeper that records the end of a run that died unwatched."""


def author_name() -> str:
    """Who asks, as `user@host`; a keeper that follows the policy says so in `PILOTHOUSE_AUTHOR`."""
    if author := os.environ.get("PILOTHOUSE_AUTHOR"):
        return author
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _quietly(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """A run that would be started, what it is forecast to take, and what becomes of the campaign's engine."""

    run: str
    parameters: Parameters
    parent: str | None
    target: Target
    forecast: Forecast
    engine: EnginePlan


@dataclass(frozen=True, slots=True)
class View:
    """One campaign as an action needs it, read once: its file, its picture, its history for the policy."""

    path: Path
    config: Campaign
    picture: CampaignSnapshot
    past: Sequence[PastRun]


class Service:
    """One workspace, the folder `root` that holds `configs/` and `artifacts/`. Not thread-safe: `poll` from one
    thread at a time, the actions from any one other (each reads the files anew)."""

    def __init__(self, root: Path, *, author: str | None = None, tend: bool = False) -> None:
        self.tend = tend
        self._patience = Patience()
        self.root = root.absolute()
        self.workspace = Workspace(self.root)
        self.author = author or author_name()
        self._replay = WorkspaceReplay(self.workspace)
        self._idle_tended: dict[str, float] = {}

    # --- looking ---------------------------------------------------------------------------------------------

    def poll(self, only: str | None = None) -> Snapshot:
        """The picture now, of one campaign with `only`; reads just what was appended since the last call.

        A service that was made to `tend` gives a run whose keeper died a new one, which adopts it, and a campaign
        whose idle watcher is missing another.
        """
        snapshot = self._replay.refresh(only)
        if self.tend:
            for campaign in snapshot.campaigns:
                self._adopt(self._replay, campaign.name)
                self._tend_idle(campaign)
        return snapshot

    def _tend_idle(self, picture: CampaignSnapshot) -> None:
        """See to the idle watcher once no run is live, and every `TEND_IDLE_S` from then on."""
        on_idle = picture.campaign.budget.on_idle if picture.campaign is not None else None
        if on_idle is None or not picture.runs or picture.live_run is not None:
            self._idle_tended.pop(picture.name, None)
            return
        now = time.monotonic()
        if now - self._idle_tended.get(picture.name, -TEND_IDLE_S) >= TEND_IDLE_S:
            from engine.supervise.idle import tend_idle_watch

            self._idle_tended[picture.name] = now
            tend_idle_watch(self.workspace, picture.name, on_idle, self.author)

    def _adopt(self, replay: WorkspaceReplay, campaign: str, *, to_the_end: bool = False) -> bool:
        """Start a keeper for each run of `campaign` whose own died: it goes on with the run, or records its end.

        Whether there was any to be started. With `to_the_end` the end of those that died is waited for.
        """
        orphans = [found for found in replay.orphans(campaign) if self._patience.may_try(found[0].folder)]
        if orphans:
            from engine.supervise.launch import adoption_is_under_way, start_attempt
            from engine.supervise.liveness import run_liveness
        for files, attempt in orphans:
            died = not run_liveness(files).generator_alive
            # Refused: somebody else adopts it in this same moment. Failed: it is tried again later, and shown.
            with suppress(PilothouseError):
                start_attempt(files, attempt=attempt, author=self.author, adopt=True)
            deadline = time.monotonic() + CLOSING_S
            while to_the_end and died and adoption_is_under_way(files, attempt) and time.monotonic() < deadline:
                time.sleep(CLOSING_POLL_S)
        return bool(orphans)

    def look(self, campaign: str) -> CampaignSnapshot:
        """One campaign's picture, freshly read; `NotFoundError` or `ConfigurationError` as its file is."""
        return self._view(campaign).picture

    def look_at_run(self, run_id: str) -> RunSnapshot:
        """One run's picture, freshly read, whatever became of its campaign's file; `NotFoundError` for no such run."""
        files = self.workspace.existing_run(run_id)
        campaign, name = self.workspace.split_run_id(run_id)
        check_not_an_engine(name)
        picture = WorkspaceReplay(self.workspace).refresh(campaign).campaign(campaign)
        run = picture.run(name) if picture else None
        if run is None:
            why = "; ".join(picture.warnings) if picture else ""
            raise NotFoundError(f"the run {run_id!r} cannot be read", where=str(files.folder), remedy=why or "mend it")
        return run

    def is_live(self, run_id: str) -> bool:
        """Whether anything of that run, or engine, may be at work; `NotFoundError` for none of that id."""
        from engine.supervise.liveness import run_liveness

        return run_liveness(self.workspace.existing_run(run_id)).live

    def campaign_names(self) -> list[str]:
        return [path.stem for path in self.workspace.campaign_files()]

    def _view(self, campaign: str) -> View:
        path = self.workspace.campaign_file(campaign)
        config = load_checked(path)
        replay = WorkspaceReplay(self.workspace)
        picture = replay.refresh(campaign).campaign(campaign)
        if self._adopt(replay, campaign, to_the_end=True):
            picture = replay.refresh(campaign).campaign(campaign)
        if picture is None:
            raise NotFoundError(f"there is no campaign {campaign!r}", where=str(path), remedy="check the name")
        return View(path, config, picture, replay.history(campaign))

    def _run_view(self, run_id: str) -> tuple[View, RunSnapshot, RunFiles]:
        files = self.workspace.existing_run(run_id)
        campaign, name = self.workspace.split_run_id(run_id)
        view = self._view(campaign)
        run = view.picture.run(name)
        if run is None:
            raise NotFoundError(f"there is no run {run_id!r}", where=str(files.folder), remedy="see its spec.json")
        return view, run, files

    # --- launching -------------------------------------------------------------------------------------------

    def plan_launch(self, campaign: str, run: str | None = None, assignments: Sequence[str] = ()) -> LaunchPlan:
        """What `launch` would start, with its forecast; refuses as `launch` would, but starts nothing."""
        return self._plan(self._view(campaign), run, assignments)

    def launch(
        self, campaign: str, run: str | None = None, assignments: Sequence[str] = (), say: Say = _quietly
    ) -> str:
        """Start a run, detached; returns its id, `campaign/run`, once its keeper has it. Where the campaign keeps an
        engine, that is started, too, if need be; `say` is told of it."""
        view = self._view(campaign)
        return self._start(view, self._plan(view, run, assignments), say)

    def _engine_for(self, view: View, model: ModelConfig, say: Say = _quietly, *, wanted: bool | None = None) -> str:
        """The kept engine that a run with `model` attaches to; empty when it loads the model itself."""
        return ensure_engine(
            self.workspace,
            view.config,
            model,
            author=self.author,
            budget_left=_metered_left(view),
            say=say,
            wanted=wanted,
        )

    # --- the kept engine --------------------------------------------------------------------------------------

    def plan_engine(self, campaign: str) -> EnginePlan:
        """What `start_engine` would do, and what it is forecast to cost; refuses as that would, but starts nothing."""
        view = self._view(campaign)
        config = view.config.model_copy(update={"engine": view.config.engine.model_copy(update={"keep_warm": True})})
        if config.model.backend != "vllm" or config.generator.kind != "builtin":
            raise ConfigurationError(
                f"{campaign} has no engine to keep: its backend is {config.model.backend}",
                where=str(view.path),
                remedy="set model.backend to vllm",
            )
        from engine.generate.backends import check_model

        check_model(config.model, config.engine)
        plan = plan_engine(self.workspace, config, config.model, view.picture.engine)
        self._afford(view, plan.cost_usd, f"starting an engine for {campaign}")
        return plan

    def start_engine(self, campaign: str, say: Say = _quietly) -> str:
        """Start the campaign's engine, or find it up; its id, `campaign/engine-N`, once its keeper has it."""
        self.plan_engine(campaign)
        view = self._view(campaign)
        return f"{campaign}/{self._engine_for(view, view.config.model, say, wanted=True)}"

    def stop_engine(self, campaign: str, *, now: bool = False, on_progress: Say = _quietly) -> tuple[str, str]:
        """Stop the campaign's engine: its id and final state once nothing of it lives and its GPU is free."""
        self.workspace.campaign_file(campaign)
        name, state = stop_engine(self.workspace, campaign, now=now, author=self.author, say=on_progress)
        return f"{campaign}/{name}", state

    def _plan(self, view: View, run: str | None, assignments: Sequence[str]) -> LaunchPlan:
        if view.config.generator.kind == "builtin":
            from engine.generate.backends import check_model

            check_model(view.config.model, view.config.engine)
        name = checked_name(run, "run") if run else _due_run(view.picture)
        check_not_an_engine(name)
        existing = view.picture.run(name)
        if existing is not None:
            raise RefusedError(
                f"the run {existing.id} exists already",
                where=existing.folder,
                remedy=f"`pilothouse restart {existing.id}` goes on with it; another --run NAME starts another",
            )
        parameters, parent = parameters_for(view.config, name, view.past)
        target = view.config.target
        if kind_of(name) == "scale":
            target = Target(examples=view.config.scale.examples, max_candidates=view.config.scale.max_candidates)
        chosen = assign(parameters, assignments)
        if kind_of(name) == "scale" and set(difference(parameters, chosen)) - {"seed"}:
            raise RefusedError(
                f"scaling {name} with other parameters than those of {parent} is refused: no passing run stands "
                "behind them",
                where=" ".join(assignments),
                remedy="launch an iteration with them first; scale may set the seed alone",
            )
        forecast = launch_forecast(view.config, view.past, examples=target.examples)
        self._afford(view, forecast.cost_usd, f"launching {view.config.name}/{name}")
        engine = plan_engine(self.workspace, view.config, view.config.model, view.picture.engine)
        return LaunchPlan(name, chosen, parent, target, forecast, engine)

    def _start(self, view: View, plan: LaunchPlan, say: Say = _quietly) -> str:
        from engine.supervise.launch import start_attempt

        config = view.config
        prompts = load_prompts(config, view.path)
        spec = RunSpec(
            campaign=config.name,
            run=plan.run,
            kind=kind_of(plan.run),
            author=self.author,
            parent=plan.parent,
            workspace=str(self.root),
            model=config.model,
            engine=config.engine,
            generator=config.generator,
            prompts=prompts,
            pipeline=config.pipeline,
            target=plan.target,
            parameters=plan.parameters,
            qc=config.qc,
            gate=config.gate,
            policy=config.policy,
            budget=config.budget,
            supervision=config.supervision,
            sync=config.sync,
            notify=config.notify,
        )
        files = self.workspace.run_files(config.name, plan.run)
        make_private_folder(files.folder)
        create_spec(files, spec)
        try:
            engine = self._engine_for(view, config.model, say)
            start_attempt(files, attempt=1, author=self.author, budget_left=_metered_left(view), engine=engine)
        except RefusedError:
            # Nothing was started (the GPU is held, the disk is full): leave no run that would look like one.
            withdraw_spec(files)
            raise
        return spec.id

    # --- stopping and going on -------------------------------------------------------------------------------

    def stop(self, run_id: str, *, now: bool = False, on_progress: Callable[[str], None] | None = None) -> str:
        """Stop a run and return its final state once nothing of it lives any more."""
        from engine.supervise.stop import request_stop

        files = self.workspace.existing_run(run_id)
        campaign, name = self.workspace.split_run_id(run_id)
        if engine_number(name) is not None:
            say = on_progress or _quietly
            return stop_engine(self.workspace, campaign, now=now, author=self.author, say=say, name=name)[1]
        return request_stop(files, now=now, author=self.author, on_progress=on_progress).state

    def cancel_idle(self, campaign: str) -> IdleCountdown:
        """Cancel the idle countdown of `campaign`; returns once its watcher has acknowledged, within seconds.

        Raises `RefusedError` when nothing counts down, or the command is being run already.
        """
        from engine.supervise.idle import cancel_idle

        if not self.workspace.idle_files(campaign).watch.is_file():
            self.workspace.campaign_file(campaign)  # says that there is none, and which there are
        record = cancel_idle(self.workspace, campaign, self.author)
        return IdleCountdown("cancelled", record.since, record.due, record.command, record.author, record.detail)

    def forecast_restart(self, run_id: str) -> float | None:
        """US dollars that going on with a run would take, None when nothing is known."""
        view, run, _ = self._run_view(run_id)
        return self._rest(view, run, run.counts.target).cost_usd

    def restart(self, run_id: str, *, fresh: bool = False) -> str:
        """Go on with a run that ended before its target; with `fresh`, archive what it made and begin anew."""
        from engine.supervise.attempts import next_attempt
        from engine.supervise.launch import start_attempt

        view, run, files = self._ended_run(run_id, "restart")
        if run.state == "succeeded" and not fresh:
            raise RefusedError(
                f"{run_id} has finished: {run.reason or 'nothing is missing'}",
                where=run.folder,
                remedy=f"`pilothouse extend {run_id} --examples N` goes on with it; --fresh begins anew",
            )
        missing = run.counts.target if fresh else max(0, run.counts.target - run.counts.kept)
        cost = extension_forecast(view.config, view.past, examples=missing).cost_usd
        self._afford(view, cost, f"restarting {run_id}")
        attempt = next_attempt(files)
        start_attempt(
            files,
            attempt=attempt,
            author=self.author,
            budget_left=_metered_left(view),
            archived=run.attempt if fresh else None,
            engine=self._engine_for(view, read_spec(files).model),
        )
        return run_id

    def extend(self, run_id: str, examples: int) -> str:
        """Raise the target of an ended run to `examples` and go on in it with the same parameters."""
        from engine.supervise.attempts import next_attempt
        from engine.supervise.launch import start_attempt

        view, run, files = self._ended_run(run_id, "extend")
        if examples <= run.counts.target:
            raise ConfigurationError(
                f"--examples {examples} does not raise the target of {run_id}, which is {run.counts.target}",
                remedy=f"give more than {run.counts.target}",
            )
        self._afford(view, self._rest(view, run, examples).cost_usd, f"extending {run_id}")
        start_attempt(
            files,
            attempt=next_attempt(files),
            author=self.author,
            examples=examples,
            max_candidates=round(run.counts.max_candidates / run.counts.target * examples),
            budget_left=_metered_left(view),
            engine=self._engine_for(view, read_spec(files).model),
        )
        return run_id

    def _rest(self, view: View, run: RunSnapshot, examples: int) -> Forecast:
        return extension_forecast(view.config, view.past, examples=max(0, examples - run.counts.kept))

    def _ended_run(self, run_id: str, what: str) -> tuple[View, RunSnapshot, RunFiles]:
        view, run, files = self._run_view(run_id)
        if run.imported:
            raise RefusedError(
                f"{run_id} was imported: there is nothing to {what}",
                where=run.folder,
                remedy="launch a run of your own",
            )
        if run.live and not run.awaits_restart:
            raise RefusedError(
                f"cannot {what} {run_id}: it is {run.state}",
                where=run.folder,
                remedy=f"`pilothouse stop {run_id}` first, or wait until it has ended",
            )
        return view, run, files

    # --- following the policy ----------------------------------------------------------------------------------

    def do_next(self, campaign: str) -> NextAction:
        """Carry out what the policy says now; `RefusedError` when there is nothing for it to start."""
        view = self._view(campaign)
        action = view.picture.next
        if action is None or action.run is None:
            raise _nothing_to_start(view.picture)
        if action.kind == "extend" and action.examples is not None:
            self.extend(f"{campaign}/{action.run}", action.examples)
        elif action.kind in ("launch", "iterate", "scale") and action.parameters is not None:
            plan = self._plan(view, action.run, ())
            self._start(view, replace(plan, parameters=action.parameters))
        else:
            raise _nothing_to_start(view.picture)
        return action

    def _afford(self, view: View, cost_usd: float | None, what: str) -> None:
        if view.picture.budget is not None:
            check_affordable(view.picture.budget, cost_usd, what=what)


def _nothing_to_start(picture: CampaignSnapshot) -> RefusedError:
    action = picture.next
    kind, reason = (
        (action.kind, action.reason) if action else ("blocked", picture.error or "the campaign cannot be read")
    )
    return RefusedError(f"nothing is due to be started; the next action is {kind}", where=picture.file, remedy=reason)


def _due_run(picture: CampaignSnapshot) -> str:
    action = picture.next
    if action is None or action.run is None or action.kind not in ("launch", "iterate", "scale"):
        raise _nothing_to_start(picture)
    return action.run


def _metered_left(view: View) -> float | None:
    budget = view.picture.budget
    return max(0.0, budget.left_usd) if budget else None
