"""What a person can do to a workspace: look, grade, launch, stop, restart, extend, follow the policy.

Both front ends, screen and command line, call this and nothing below it. Looking (`poll`) only reads files; the
others write what belongs to the one who launches (a spec, a claim, a request) and start keepers. Every refusal is a
`PilothouseError` with the exit code that belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from engine.budget.forecast import Forecast, check_affordable, extension_forecast, launch_forecast
from engine.campaign.loading import load_prompts
from engine.campaign.models import ModelConfig, Parameters, Target
from engine.campaign.naming import check_not_an_engine, engine_number, kind_of
from engine.campaign.parameters import assign, difference
from engine.campaign.spec import RunSpec, create_spec, read_spec, withdraw_spec
from engine.errors import ConfigurationError, RefusedError
from engine.files import RunFiles, checked_name, make_private_folder
from engine.grader import Grader
from engine.lookout import View
from engine.policy.actions import NextAction
from engine.policy.decide import parameters_for
from engine.policy.drafts import draft_start, next_iteration
from engine.snapshot import CampaignSnapshot, IdleCountdown, RunSnapshot
from engine.warm import EnginePlan, Say, ensure_engine, plan_engine, start_on_engine, stop_engine


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


class Service(Grader):
    """One workspace, the folder `root` that holds `configs/` and `artifacts/`. Not thread-safe: `poll` from one
    thread at a time, the actions from any one other (each reads the files anew)."""

    # --- launching -------------------------------------------------------------------------------------------

    def plan_launch(self, campaign: str, run: str | None = None, assignments: Sequence[str] = ()) -> LaunchPlan:
        """What `launch` would start, with its forecast; refuses as `launch` would, but starts nothing."""
        return self._plan(self.view(campaign), run, assignments)

    def draft_own(self, campaign: str) -> NextAction:
        """The next iteration as the campaign lists it or the policy proposes it, whether or not it is due: what values
        of one's own begin from. Refuses as `launch` would, but starts nothing."""
        view = self.view(campaign)
        name = next_iteration(view.config, {run.name for run in view.picture.runs})
        self._plan(view, name, ())
        return draft_start(view.config, view.past, "launch", name, "values of your own")

    def launch(
        self, campaign: str, run: str | None = None, assignments: Sequence[str] = (), say: Say = _quietly
    ) -> str:
        """Start a run, detached; returns its id, `campaign/run`, once its keeper has it. Where the campaign keeps an
        engine, that is started, too, if need be; `say` is told of it."""
        view = self.view(campaign)
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

    def _on_engine(self, view: View, model: ModelConfig, say: Say, begin: Callable[..., object]) -> None:
        """Start a run with `model` on what computes for it."""
        start_on_engine(self.workspace, view.config.name, lambda: self._engine_for(view, model, say), begin)

    # --- the kept engine --------------------------------------------------------------------------------------

    def plan_engine(self, campaign: str) -> EnginePlan:
        """What `start_engine` would do, and what it is forecast to cost; refuses as that would, but starts nothing."""
        view = self.view(campaign)
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
        view = self.view(campaign)
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
        start = parameters_for(view.config, name, view.past)
        parent = start.parent.name if start.parent is not None else None
        target = view.config.target
        if kind_of(name) == "scale":
            target = Target(examples=view.config.scale.examples, max_candidates=view.config.scale.max_candidates)
        chosen = assign(start.parameters, assignments)
        if kind_of(name) == "scale" and set(difference(start.parameters, chosen)) - {"seed"}:
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
            begin = partial(start_attempt, files, attempt=1, author=self.author, budget_left=_metered_left(view))
            self._on_engine(view, config.model, say, begin)
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
        view, run, _ = self.run_view(run_id)
        return self._rest(view, run, run.counts.target).cost_usd

    def restart(self, run_id: str, *, fresh: bool = False, say: Say = _quietly) -> str:
        """Go on with a run that ended before its target; with `fresh`, archive what it made and begin anew. `say` is
        told of an engine that is started for it."""
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
        begin = partial(
            start_attempt,
            files,
            attempt=attempt,
            author=self.author,
            budget_left=_metered_left(view),
            archived=run.attempt if fresh else None,
        )
        self._on_engine(view, read_spec(files).model, say, begin)
        return run_id

    def extend(self, run_id: str, examples: int, say: Say = _quietly) -> str:
        """Raise the target of an ended run to `examples` and go on in it with the same parameters. `say` is told of an
        engine that is started for it."""
        from engine.supervise.attempts import next_attempt
        from engine.supervise.launch import start_attempt

        view, run, files = self._ended_run(run_id, "extend")
        least = run.counts.target + (run.saved_usd is None)  # one that its gate ended early may go on to its own target
        if examples < least:
            raise ConfigurationError(
                f"--examples {examples} does not raise the target of {run_id}, which is {run.counts.target}",
                remedy=f"give {least} or more",
            )
        self._afford(view, self._rest(view, run, examples).cost_usd, f"extending {run_id}")
        begin = partial(
            start_attempt,
            files,
            attempt=next_attempt(files),
            author=self.author,
            examples=examples,
            max_candidates=round(run.counts.max_candidates / run.counts.target * examples),
            budget_left=_metered_left(view),
        )
        self._on_engine(view, read_spec(files).model, say, begin)
        return run_id

    def _rest(self, view: View, run: RunSnapshot, examples: int) -> Forecast:
        return extension_forecast(view.config, view.past, examples=max(0, examples - run.counts.kept))

    def _ended_run(self, run_id: str, what: str) -> tuple[View, RunSnapshot, RunFiles]:
        view, run, files = self.run_view(run_id)
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

    def do_next(self, campaign: str, say: Say = _quietly, assignments: Sequence[str] = ()) -> NextAction:
        """Carry out what the policy says now; `RefusedError` when there is nothing for it to start. `assignments`
        (`response.temperature=0.25`) change what it would start with. `say` is told of an engine that is started."""
        view = self.view(campaign)
        action = view.picture.next
        if action is None or action.run is None:
            raise _nothing_to_start(view.picture)
        if action.kind == "extend" and action.examples is not None:
            if assignments:
                raise ConfigurationError(
                    f"an extension goes on with the parameters of {action.run}",
                    where=" ".join(assignments),
                    remedy="launch a --run of another name to try other values",
                )
            self.extend(f"{campaign}/{action.run}", action.examples, say)
        elif action.kind in ("launch", "iterate", "scale") and action.parameters is not None:
            plan = self._plan(view, action.run, assignments)
            self._start(view, replace(plan, parameters=assign(action.parameters, assignments)), say)
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
