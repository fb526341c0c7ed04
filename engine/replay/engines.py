"""The kept engine of a campaign, from the files of its keeper, and what a run's start takes with or without it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from engine.campaign.models import Campaign
from engine.replay.run import RunReplay
from engine.snapshot import EngineSnapshot, RunSnapshot
from engine.supervise.engines.kept import serves

ASSUMED_START_S = 90.0
"""What vLLM takes to load a model of 7 to 32 billion parameters on one GPU, where no start was measured."""

ATTACH_S = 2.0
"""A run that finds its engine ready generates so soon after its launch."""


def engine_snapshot(replay: RunReplay, config: Campaign | None, attached: tuple[str, ...]) -> EngineSnapshot:
    """The engine of `replay` as its files tell it now; `config` is None while the campaign's file is broken."""
    run, course = replay.snapshot(), replay.course
    idle_since = None
    if run.live and course.ready is not None and not (course.use is not None and course.use.in_use):
        idle_since = _moment(course.use.time if course.use is not None else course.ready.time)
    return EngineSnapshot(
        id=run.id,
        name=run.name,
        state=run.state,
        model=run.model,
        started=course.started,
        ended=run.ended,
        ready=course.ready.time if course.ready is not None else None,
        loading=run.loading or (run.phase or "" if run.live and course.ready is None else ""),
        start_s=course.ready.seconds if course.ready is not None else None,
        in_use=run.live and course.use is not None and course.use.in_use,
        idle_since=idle_since,
        stops_at=_later(idle_since, 60 * replay.spec.engine.idle_stop_minutes),
        attached=attached,
        fits=config is None or serves(replay.spec, config.model),
        figures=run.figures,
        gpus=run.gpus,
        devices=run.devices,
        pid=run.pid,
        reason=run.reason,
        cost_usd=run.cost_usd,
        active_s=run.active_s,
        log=run.log,
        folder=run.folder,
        author=run.author,
        keeper_alive=run.keeper_alive,
        warnings=run.warnings,
        gpu_held=run.gpu_held,
        gpu_held_by=run.gpu_held_by,
        actions=run.actions,
    )


def attached_to(engine: str, runs: Sequence[RunSnapshot]) -> tuple[str, ...]:
    """Names of the live runs that use the engine of that name."""
    return tuple(run.name for run in runs if run.live and run.engine == engine)


def start_of_a_run_s(config: Campaign, engine: EngineSnapshot | None, measured: Sequence[float]) -> float | None:
    """Seconds from launch to generating that the next run takes because of the engine; None where it loads the model
    itself. `measured` are the starts of the campaign's engines so far, the newest last."""
    usable = engine is not None and engine.live and engine.fits
    if not usable and not config.engine.keep_warm:
        return None
    if usable and engine is not None and engine.ready is not None:
        return ATTACH_S
    return (measured[-1] if measured else ASSUMED_START_S) + ATTACH_S


def _moment(text: str) -> str | None:
    """`text` if it is a moment in ISO 8601 that can be compared with others, else None."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return text if found.tzinfo is not None else None


def _later(moment: str | None, seconds: float) -> str | None:
    """`moment` (ISO 8601) and so many seconds, to the second."""
    if moment is None:
        return None
    try:
        later = datetime.fromisoformat(moment) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    return later.isoformat(timespec="seconds").replace("+00:00", "Z")
