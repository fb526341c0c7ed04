"""What a run's two journals have said about the process so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.figures import EngineFigures, GpuFigures
from engine.journal.events import (
    AnyEvent,
    EngineReady,
    EngineUse,
    Event,
    GenerationEnded,
    GeneratorBeat,
    GeneratorEnded,
    GeneratorStarted,
    Heartbeat,
    KeeperStarted,
    LoadProgress,
    PhaseEntered,
    PolicyAsked,
    Recovered,
    RestartPlanned,
    RestartSettled,
    RunEnded,
    Stalled,
    Stopping,
    Synced,
    TargetRaised,
)


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds from one ISO 8601 time to another; None when one is missing or not a time."""
    if start is None or end is None:
        return None
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


@dataclass(slots=True)
class Course:
    """The present attempt of a run. Events of earlier attempts, read late from the other journal, change nothing."""

    attempt: int = 0
    author: str = ""
    started: str | None = None
    attempt_started: str | None = None
    generator_started: bool = False
    generating_since: str | None = None
    phase: str | None = None
    pid: int | None = None
    stopping: bool = False
    adopted: bool = False
    found_dead: bool = False
    exit_code: int | None = None
    end: RunEnded | None = None
    outcome: GenerationEnded | None = None
    target: int | None = None
    max_candidates: int | None = None
    heartbeat: str | None = None
    policy: PolicyAsked | None = None
    stall: Stalled | None = None
    restart: RestartPlanned | None = None
    synced: str | None = None
    sync_error: str = ""
    engine: str = ""
    loading: LoadProgress | None = None
    ready: EngineReady | None = None
    use: EngineUse | None = None
    watched: EngineFigures | None = None
    told: EngineFigures | None = None
    gpus: tuple[GpuFigures, ...] = ()

    @property
    def figures(self) -> EngineFigures | None:
        """The engine's figures as of the last beat: the keeper's, who watches it, or the generator's own."""
        return self.watched or self.told

    def apply(self, event: AnyEvent) -> None:
        """Fold one event of either journal."""
        if event.attempt > self.attempt:
            self._enter(event)
        if event.attempt < self.attempt:
            return
        match event:
            case KeeperStarted():
                self.author, self.adopted = event.author or self.author, event.adopted
                self.engine = event.engine
                self.found_dead = event.adopted and not event.found_alive
            case TargetRaised():
                self.target, self.max_candidates = event.examples, event.max_candidates
            case GeneratorStarted():
                self.pid, self.generator_started = event.process.pid, True
                self.stopping = False  # strays of an earlier attempt may have been swept before
            case Heartbeat():
                self.heartbeat = event.time
                self.gpus = tuple(event.gpus)
                self.watched = event.engine
            case Stopping():
                self.stopping = True
            case Stalled():
                self.stall = event
            case Recovered():
                self.stall = None
            case Synced():
                self.synced, self.sync_error = (event.time, "") if event.ok else (self.synced, event.detail or "failed")
            case RestartPlanned():
                self.restart = event
            case RestartSettled():
                self.restart = None
            case GeneratorEnded():
                self.exit_code = event.exit_code if event.signal is None else -event.signal
                self.pid = None
            case RunEnded():
                self.end, self.pid = event, None
                self.exit_code = event.exit_code if event.exit_code is not None else self.exit_code
            case PolicyAsked():
                self.policy = event
            case PhaseEntered():
                self.phase = event.phase
                if self.loading is not None and self.loading.time < event.time:  # of the two journals one is read first
                    self.loading = None
                if event.phase == "generating":
                    self.generating_since = event.time
            case GenerationEnded():
                self.outcome = event
            case _:
                self._apply_engine(event)

    def _apply_engine(self, event: AnyEvent) -> None:
        """What concerns the engine behind a run, or a kept one."""
        match event:
            case GeneratorBeat():
                self.told = event.engine
            case LoadProgress():
                self.loading = event
            case EngineReady():
                self.ready, self.loading = event, None
            case EngineUse():
                self.use = event
            case _:
                pass

    def _enter(self, event: Event) -> None:
        """A new attempt: only what belongs to the run as a whole stays."""
        fresh = Course(
            attempt=event.attempt,
            started=self.started or event.time,
            attempt_started=event.time,
            target=self.target,
            max_candidates=self.max_candidates,
            synced=self.synced,
            sync_error=self.sync_error,
        )
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    @property
    def loading_text(self) -> str:
        """`weights 40%`, `downloading 12.1 of 61.0 GB`: how far the model's start is, empty where nothing tells."""
        step = self.loading
        if step is None:
            return ""
        share = f" {step.share:.0%}" if step.share is not None else ""
        return f"{step.stage}{share}" + (f", {step.detail}" if step.detail else "")

    @property
    def startup_s(self) -> float | None:
        """Seconds from the attempt's start to its first phase of generating."""
        return seconds_between(self.attempt_started, self.generating_since)

    @property
    def restart_text(self) -> str:
        """`stalled …; restart 1 of 2 at 03:12:40 UTC`, of the restart that is planned; empty when none is."""
        plan = self.restart
        if plan is None:
            return ""
        try:
            due = datetime.fromisoformat(plan.time) + timedelta(seconds=plan.delay_s)
        except ValueError:
            return plan.reason
        return f"{plan.reason}; restart {plan.number} of {plan.most} at {due:%H:%M:%S} UTC"

    @property
    def exhausted(self) -> bool:
        return self.outcome is not None and self.outcome.outcome == "exhausted"
