"""The immutable picture that every front end draws from: campaigns, runs, metrics, verdicts, money, next action.

Whatever shows state (screen, `status --json`, `watch`, `compare`) reads only this. Equal states compare equal, so a
viewer repaints only what changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.budget.money import Budget
from engine.campaign.models import Campaign, Parameters
from engine.campaign.naming import RunKind
from engine.campaign.policy import PolicyConfig
from engine.figures import EngineFigures, GpuFigures
from engine.policy.actions import NextAction
from engine.qc.verdicts import GateVerdict, Verdict

RunState = Literal["queued", "starting", "running", "stopping", "succeeded", "failed", "stopped", "lost"]
LIVE_STATES: frozenset[str] = frozenset({"queued", "starting", "running", "stopping"})

MOST_ACTIONS = 50

CampaignState = Literal["empty", "running", "waiting", "done", "blocked", "broken"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Items of a run. `generated`: responses; `candidates`: instructions that went to the critic."""

    target: int
    max_candidates: int
    parsed: int = 0
    candidates: int = 0
    instructions_good: int = 0
    instructions_kept: int = 0
    generated: int = 0
    pairs_good: int = 0
    pairs_kept: int = 0
    kept: int = 0
    dropped: int = 0
    failed: int = 0
    records: int = 0
    tokens: int = 0

    def to_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class LoggedAction:
    """Who did what to a run, and when (UTC, ISO 8601): a person, or the watchdog or the policy under that name.

    `pending`: it was asked for, and no keeper has taken it yet.
    """

    time: str
    author: str
    action: str
    pending: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"time": self.time, "author": self.author, "action": self.action, "pending": self.pending}


@dataclass(frozen=True, slots=True)
class IdleCountdown:
    """The machine is idle since `since` and `command` will be run at `due` (UTC, ISO 8601), unless it is cancelled.

    `state`: `counting`, `cancelled` (by `author`), `running` (the command), `done`, `failed` (`detail` says why).
    """

    state: Literal["counting", "cancelled", "running", "done", "failed"]
    since: str
    due: str
    command: tuple[str, ...]
    author: str = ""
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "since": self.since,
            "due": self.due,
            "command": list(self.command),
            "author": self.author,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class GradingNote:
    """A grading that was saved after the run's own: the run is judged by the newest.

    `changed` names the detectors and limits that it changed (`qc.runaway markers-v2 → length-v1`); `verdict_before`
    and `verdict` are the gate's when it was saved, each with its sentence.
    """

    number: int
    time: str
    author: str
    reason: str
    changed: str
    verdict_before: Verdict
    sentence_before: str
    verdict: Verdict
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """One run as its files tell it.

    `state` describes the process, never the gate. `started` and `ended` are UTC, ISO 8601; `active_s` is device time
    over all attempts in seconds; `examples_per_second` is kept pairs over the generating time of this attempt.
    `keeper_alive` is None where that cannot be known from here (another host). `computed` holds our own figures
    beside an imported run's (`metrics`), and is None for runs of our own. `devices` are those it has, or had last.
    `stalled` says what is known of a stall, empty while things go on; `actions` who did what, oldest first, the
    latest `MOST_ACTIONS`; `synced` when artifacts were last copied away (None: never, or no sync), `sync_error` why
    the latest try failed. `gpu_held_by` names who holds GPU memory while `gpu_held`, as far as that can be seen.
    `saved_usd` is what an early end by the gate spared, forecast at the run's own pace; None where there was none.
    `prompts` are (name, SHA-256), and `rules` (dotted name, value) of model, pipeline, detectors and gate: what it was
    made and judged by beside its parameters, as far as that is known.
    `gradings` are those that were saved after its own, the newest last: by that one it is judged.
    `engine` is the kept engine that the run is or was attached to, empty where it loads the model itself. While it is
    live, `loading` says how far its model's start is, `figures` what its engine does and `gpus` what its GPUs do.
    """

    id: str
    name: str
    kind: RunKind
    attempt: int
    state: RunState
    phase: str | None
    pid: int | None
    started: str | None
    ended: str | None
    exit_code: int | None
    parameters: Parameters
    parameters_known: bool
    parent: str | None
    counts: Counts
    metrics: dict[str, float | None]
    computed: dict[str, float | None] | None
    gate: GateVerdict
    reason: str
    cost_usd: float
    active_s: float
    examples_per_second: float | None
    log: str
    folder: str
    model: str
    imported: bool = False
    gpu_held: bool = False
    keeper_alive: bool | None = None
    heartbeat: str | None = None
    author: str = ""
    warnings: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    stalled: str = ""
    actions: tuple[LoggedAction, ...] = ()
    gpu_held_by: tuple[str, ...] = ()
    synced: str | None = None
    sync_error: str = ""
    engine: str = ""
    loading: str = ""
    figures: EngineFigures | None = None
    gpus: tuple[GpuFigures, ...] = ()
    saved_usd: float | None = None
    prompts: tuple[tuple[str, str], ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    gradings: tuple[GradingNote, ...] = ()

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def awaits_restart(self) -> bool:
        """Whether its attempt has ended, and its keeper is about to start the next one by itself."""
        return self.state == "queued" and self.ended is not None

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "attempt": self.attempt,
            "state": self.state,
            "phase": self.phase,
            "pid": self.pid,
            "started": self.started,
            "ended": self.ended,
            "exit_code": self.exit_code,
            "parameters": self.parameters.model_dump(mode="json") if self.parameters_known else {},
            "parent": self.parent,
            "counts": self.counts.to_json(),
            "metrics": self.metrics,
            "gate": self.gate.to_json(),
            "reason": self.reason,
            "cost_usd": self.cost_usd,
            "saved_usd": self.saved_usd,
            "active_s": self.active_s,
            "examples_per_second": self.examples_per_second,
            "log": self.log,
            "model": self.model,
            "prompts": dict(self.prompts),
            "rules": dict(self.rules),
            "gradings": [grading.to_json() for grading in self.gradings],
            "imported": self.imported,
            "gpu_held": self.gpu_held,
            "gpu_held_by": list(self.gpu_held_by),
            "stalled": self.stalled,
            "synced": self.synced,
            "sync_error": self.sync_error,
            "actions": [action.to_json() for action in self.actions],
            "author": self.author,
            "devices": list(self.devices),
            "engine": self.engine,
            "loading": self.loading,
            "figures": self.figures.model_dump(mode="json") if self.figures else None,
            "gpus": [gpu.model_dump(mode="json") for gpu in self.gpus],
            "warnings": list(self.warnings),
        }
        if self.computed is not None:
            value["computed"] = self.computed
        return value


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """The kept engine that a campaign has, or had last.

    `state` is the process's, as a run's; `running` means that it answers. Times are UTC, ISO 8601: `ready` since when
    it answers, `idle_since` since when nothing uses it, `stops_at` when it will be stopped for that. `loading` says how
    far its start is, `start_s` how many seconds that took. `attached` names the live runs that use it. `fits` is false
    when the campaign now asks for another model or other engine options: the next launch would start another one.
    """

    id: str
    name: str
    state: RunState
    model: str
    started: str | None
    ended: str | None
    ready: str | None
    loading: str
    start_s: float | None
    in_use: bool
    idle_since: str | None
    stops_at: str | None
    attached: tuple[str, ...]
    fits: bool
    figures: EngineFigures | None
    gpus: tuple[GpuFigures, ...]
    devices: tuple[str, ...]
    pid: int | None
    reason: str
    cost_usd: float
    active_s: float
    log: str
    folder: str
    author: str = ""
    keeper_alive: bool | None = None
    warnings: tuple[str, ...] = ()
    gpu_held: bool = False
    gpu_held_by: tuple[str, ...] = ()
    actions: tuple[LoggedAction, ...] = ()

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "model": self.model,
            "started": self.started,
            "ended": self.ended,
            "ready": self.ready,
            "loading": self.loading,
            "start_s": self.start_s,
            "in_use": self.in_use,
            "idle_since": self.idle_since,
            "stops_at": self.stops_at,
            "attached": list(self.attached),
            "fits": self.fits,
            "figures": self.figures.model_dump(mode="json") if self.figures else None,
            "gpus": [gpu.model_dump(mode="json") for gpu in self.gpus],
            "devices": list(self.devices),
            "pid": self.pid,
            "reason": self.reason,
            "cost_usd": self.cost_usd,
            "active_s": self.active_s,
            "log": self.log,
            "author": self.author,
            "warnings": list(self.warnings),
            "gpu_held": self.gpu_held,
            "gpu_held_by": list(self.gpu_held_by),
            "actions": [action.to_json() for action in self.actions],
        }


def present_engine(engines: Sequence[EngineSnapshot]) -> EngineSnapshot | None:
    """Of a campaign's engines, the newest last, the newest that lives, else the newest."""
    return next((engine for engine in reversed(engines) if engine.live), engines[-1] if engines else None)


@dataclass(frozen=True, slots=True)
class CampaignSnapshot:
    """One campaign. `campaign`, `budget` and `next` are None when its file is broken; `error` says why. `idle` is the
    countdown of `budget.on_idle`, None while a run is live or where the campaign has none. `engines` are the kept ones
    there were, the newest last, and not among the `runs`. `judged_by` is the policy that the runs' gates go by: the
    campaign's, for as many tries as there were if those are more."""

    name: str
    state: CampaignState
    file: str
    campaign: Campaign | None
    budget: Budget | None
    next: NextAction | None
    runs: tuple[RunSnapshot, ...]
    error: str | None = None
    warnings: tuple[str, ...] = ()
    idle: IdleCountdown | None = None
    engines: tuple[EngineSnapshot, ...] = ()
    judged_by: PolicyConfig | None = None

    @property
    def engine(self) -> EngineSnapshot | None:
        """The kept engine, or the last there was; None where there never was one."""
        return present_engine(self.engines)

    def run(self, name: str) -> RunSnapshot | None:
        return next((run for run in self.runs if run.name == name), None)

    @property
    def live_run(self) -> RunSnapshot | None:
        """The newest run whose process is going, if any."""
        return next((run for run in reversed(self.runs) if run.live), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state,
            "file": self.file,
            "error": self.error,
            "warnings": list(self.warnings),
            "budget": self.budget.to_json() if self.budget else None,
            "next": self.next.to_json() if self.next else None,
            "idle": self.idle.to_json() if self.idle else None,
            "engine": self.engine.to_json() if self.engine else None,
            "runs": [run.to_json() for run in self.runs],
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All campaigns of a workspace, runs in the order they were created. `devices` are in use by live runs."""

    workspace: str
    host: str
    campaigns: tuple[CampaignSnapshot, ...] = ()
    devices: tuple[str, ...] = field(default=())

    def campaign(self, name: str) -> CampaignSnapshot | None:
        return next((campaign for campaign in self.campaigns if campaign.name == name), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "workspace": self.workspace,
            "host": self.host,
            "devices": list(self.devices),
            "campaigns": [campaign.to_json() for campaign in self.campaigns],
        }
