"""The typed events of a run's journals.

Every line has `v` (version of the format), `event` (its kind), `time` (UTC, ISO 8601) and `attempt`. A reader that
meets a kind or a version it does not know skips that line (`parse_event` returns None).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.figures import EngineFigures, GpuFigures

EVENT_VERSION = 1

RunEndState = Literal["succeeded", "failed", "stopped", "lost"]
Phase = Literal["downloading", "loading", "compiling", "generating", "saving"]
RequestKind = Literal["stop", "stop-now"]


def utc_now() -> str:
    """The present as ISO 8601 with microseconds and `Z`."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class ProcessIdentity(BaseModel):
    """What makes a process that process: a pid alone is reused.

    `start_ticks` is field 22 of `/proc/PID/stat` (clock ticks since boot), `pid_namespace` the inode of
    `/proc/PID/ns/pid`.
    """

    model_config = ConfigDict(frozen=True)

    host: str
    pid_namespace: str
    boot_id: str
    pid: int
    start_ticks: int


class Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    v: int = EVENT_VERSION
    time: str = Field(default_factory=utc_now)
    attempt: int = 1


class KeeperStarted(Event):
    """A keeper took the run; `adopted` when it took over from one that died. `found_alive`: something of the run was
    going then; otherwise it had died unwatched, and its devices had been free since. `engine` is the one that the run
    attaches to, empty where the generator loads the model itself."""

    event: Literal["keeper_started"] = "keeper_started"
    keeper: ProcessIdentity
    adopted: bool = False
    found_alive: bool = True
    author: str = ""
    engine: str = ""


class TargetRaised(Event):
    """`extend`: the same parameters, more samples. Replaces the target of the spec from here on."""

    event: Literal["target_raised"] = "target_raised"
    examples: int
    max_candidates: int
    author: str = ""


class GeneratorStarted(Event):
    event: Literal["generator_started"] = "generator_started"
    process: ProcessIdentity
    argv: list[str]


class Heartbeat(Event):
    """The keeper lives and the devices are taken.

    `monotonic` is seconds of CLOCK_BOOTTIME's relative CLOCK_MONOTONIC, comparable within one `boot_id` only. `gpus`
    and `engine` are the figures of the run's GPUs, and of what computes on them, where they are known.
    """

    event: Literal["heartbeat"] = "heartbeat"
    boot_id: str
    monotonic: Annotated[float, Field(allow_inf_nan=False)]
    devices: list[str]
    rss_bytes: int = 0
    gpus: list[GpuFigures] = Field(default_factory=list)
    engine: EngineFigures | None = None


class Census(Event):
    """The run's processes as its keeper found them; written when they changed, some seconds apart at least."""

    event: Literal["census"] = "census"
    processes: list[ProcessIdentity]


class RequestTaken(Event):
    """A viewer's request was read; `accepted` is false when it does not fit the state."""

    event: Literal["request_taken"] = "request_taken"
    file: str
    request: str
    author: str
    accepted: bool = True
    note: str = ""


class Stopping(Event):
    """One rung of the stop ladder: `step` is SIGINT, SIGTERM, SIGKILL or verify."""

    event: Literal["stopping"] = "stopping"
    step: str
    processes: int = 0
    reason: str = ""


class GeneratorEnded(Event):
    """`exit_code` and `signal` are null when nobody saw them (an adopted generator)."""

    event: Literal["generator_ended"] = "generator_ended"
    exit_code: int | None = None
    signal: int | None = None


class RunEnded(Event):
    """The attempt is over. `progressed`: it finished an item (null: not known, a foreign program)."""

    event: Literal["run_ended"] = "run_ended"
    state: RunEndState
    reason: str
    exit_code: int | None = None
    gpu_held: bool = False
    gpu_held_by: list[str] = Field(default_factory=list)
    progressed: bool | None = None


class Stalled(Event):
    """Nothing was finished for `silent_s` seconds of the phase `phase`; raised once until something is.

    `log_silent_s` seconds since the log grew (null: there is no log yet), `last_item` when the last item was finished,
    `gpu_utilisation` per cent by device (empty: not known), `suspended`: SIGSTOP stopped
    the generator.
    `action` is what the keeper does about it.
    """

    event: Literal["stalled"] = "stalled"
    phase: str
    silent_s: float
    log_silent_s: float | None = None
    last_item: str | None = None
    gpu_utilisation: dict[str, float] = Field(default_factory=dict)
    suspended: bool = False
    action: str = "notify"


class Recovered(Event):
    """After `Stalled` something was finished again, `silent_s` seconds after the last."""

    event: Literal["recovered"] = "recovered"
    silent_s: float


class LogTrimmed(Event):
    """The log reached its limit. The octets before `start` were given back to the disk and read as zeros; with
    `punched` false the file system cannot do that, and the log goes on growing."""

    event: Literal["log_trimmed"] = "log_trimmed"
    start: int
    punched: bool


class Synced(Event):
    """The campaign's sync command ended, after `seconds`; `final` is the one after the run's end."""

    event: Literal["synced"] = "synced"
    ok: bool
    detail: str = ""
    seconds: float = 0.0
    final: bool = False


class Notified(Event):
    """Whoever the campaign names was told of `subject` (ended, failed, lost, stalled), or could not be (`ok` false)."""

    event: Literal["notified"] = "notified"
    subject: str
    ok: bool
    detail: str = ""


class RestartPlanned(Event):
    """The keeper starts the next attempt by itself `delay_s` seconds from now: restart `number` of at most `most`."""

    event: Literal["restart_planned"] = "restart_planned"
    number: int
    most: int
    delay_s: float
    reason: str


class RestartSettled(Event):
    """What became of the planned restart: started by the keeper, or not (`author` cancelled it, or `detail`)."""

    event: Literal["restart_settled"] = "restart_settled"
    started: bool
    author: str = ""
    detail: str = ""


class LoadProgress(Event):
    """How far a model's download or start is: `stage` in words (`weights`, `compiling`), `share` of that stage from 0
    to 1 where it tells, `detail` in words (`12.1 of 61.0 GB`)."""

    event: Literal["load_progress"] = "load_progress"
    stage: str
    share: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] | None = None
    detail: str = ""


class EngineReady(Event):
    """The engine answers, `seconds` after its start; `address` is the Unix socket it listens on."""

    event: Literal["engine_ready"] = "engine_ready"
    address: str
    model: str
    seconds: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class EngineUse(Event):
    """From here on the engine is used (a run is attached, a request is in flight), or it is idle."""

    event: Literal["engine_use"] = "engine_use"
    in_use: bool


class PolicyAsked(Event):
    """At its end the keeper asked the policy whether to go on by itself."""

    event: Literal["policy_asked"] = "policy_asked"
    argv: list[str]
    exit_code: int | None = None
    output: str = ""


class GenerationStarted(Event):
    """The generator read its spec. `records_found` are those of earlier attempts that it goes on from."""

    event: Literal["generation_started"] = "generation_started"
    target: int
    max_candidates: int
    backend: str
    versions: dict[str, str] = Field(default_factory=dict)
    records_found: int = 0
    repaired_bytes: int = 0


class PhaseEntered(Event):
    event: Literal["phase"] = "phase"
    phase: Phase


class ListGenerated(Event):
    """One continued list: number `list` of the run, its seed, the raw completion, how it ended.

    `first_index` is the item index of its first parsed line, `lines` how many lines were parsed.
    """

    event: Literal["list"] = "list"
    list: int
    seed: int
    raw: str
    finish_reason: str
    generated_tokens: int
    first_index: int
    lines: int


class GeneratorBeat(Event):
    """The generator goes on: at most one every other second, at each phase and at its end. `monotonic` as in
    `Heartbeat`: what it did while no keeper lived is charged by it. `engine`: the figures of its backend."""

    event: Literal["generator_beat"] = "generator_beat"
    boot_id: str
    monotonic: Annotated[float, Field(allow_inf_nan=False)]
    engine: EngineFigures | None = None


class GenerationEnded(Event):
    """`outcome`: completed (target kept), exhausted (max_candidates spent), decided (its gate ended it early), stopped
    (asked to), failed. `saved_s` seconds are what an early end spared, at the attempt's own pace."""

    event: Literal["generation_ended"] = "generation_ended"
    outcome: Literal["completed", "exhausted", "decided", "stopped", "failed"]
    kept: int
    candidates: int
    reason: str = ""
    saved_s: float | None = None


KeeperEvent = (
    KeeperStarted
    | TargetRaised
    | GeneratorStarted
    | Heartbeat
    | Census
    | RequestTaken
    | Stopping
    | GeneratorEnded
    | RunEnded
    | Stalled
    | Recovered
    | LogTrimmed
    | Synced
    | Notified
    | RestartPlanned
    | RestartSettled
    | LoadProgress
    | EngineReady
    | EngineUse
    | PolicyAsked
)
GeneratorEvent = GenerationStarted | PhaseEntered | ListGenerated | GeneratorBeat | GenerationEnded
AnyEvent = KeeperEvent | GeneratorEvent

_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(
    Annotated[AnyEvent, Field(discriminator="event")], config=ConfigDict(defer_build=True)
)


def parse_event(value: dict[str, Any]) -> AnyEvent | None:
    """The event that a journal line holds, or None when its kind, version or content is not known."""
    if value.get("v") != EVENT_VERSION:
        return None
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError:
        return None


def dump_event(event: Event) -> dict[str, Any]:
    """The line's object, `v`, `event`, `time` and `attempt` first."""
    value = event.model_dump(mode="json")
    head = {key: value.pop(key) for key in ("v", "event", "time", "attempt") if key in value}
    return head | value
