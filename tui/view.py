"""What the dashboard shows at one moment, as one immutable value: a snapshot and what the person looks at in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.budget.money import Budget
from engine.figures import GpuFigures
from engine.policy.actions import NextAction
from engine.snapshot import CampaignSnapshot, EngineSnapshot, IdleCountdown, RunSnapshot, Snapshot

STALE_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class View:
    """`snapshot` is None until the first one arrives. `run` is the selected run's name, None to follow the live or
    newest one. `now` is unix time, to the second while something ticks and else to the minute; `stale_s` the
    snapshot's age once it is too old to pass for the present; `problem` why it could not be renewed; `busy` what a
    call to the service is doing."""

    snapshot: Snapshot | None = None
    campaign: str | None = None
    run: str | None = None
    now: float = 0.0
    stale_s: float | None = None
    problem: str = ""
    busy: str = ""

    @property
    def current(self) -> CampaignSnapshot | None:
        """The campaign in sight: the named one, or the only one there is."""
        if self.snapshot is None:
            return None
        if self.campaign is not None:
            return self.snapshot.campaign(self.campaign)
        return self.snapshot.campaigns[0] if len(self.snapshot.campaigns) == 1 else None

    @property
    def runs(self) -> tuple[RunSnapshot, ...]:
        return self.current.runs if self.current else ()

    @property
    def selected(self) -> RunSnapshot | None:
        """The run that actions apply to: the chosen one, else the live one, else the newest."""
        current = self.current
        if current is None or not current.runs:
            return None
        chosen = current.run(self.run) if self.run is not None else None
        return chosen or current.live_run or current.runs[-1]

    def of(self, run: RunSnapshot) -> View:
        """The same picture with `run` selected."""
        return replace(self, run=run.name)

    @property
    def next(self) -> NextAction | None:
        return self.current.next if self.current else None

    @property
    def budget(self) -> Budget | None:
        return self.current.budget if self.current else None

    @property
    def idle(self) -> IdleCountdown | None:
        return self.current.idle if self.current else None

    @property
    def engine(self) -> EngineSnapshot | None:
        return self.current.engine if self.current else None

    @property
    def gpus(self) -> tuple[GpuFigures, ...]:
        """All GPUs of the workspace that something is known of just now, by their number."""
        known: dict[str, GpuFigures] = {}
        for campaign in self.snapshot.campaigns if self.snapshot else ():
            for user in (*campaign.runs, *((campaign.engine,) if campaign.engine else ())):
                known.update({gpu.uuid: gpu for gpu in user.gpus} if user.live else {})
        return tuple(sorted(known.values(), key=lambda gpu: (gpu.index, gpu.uuid)))

    @property
    def ticks(self) -> bool:
        """Something in sight changes from second to second."""
        return (
            any(run.live for run in self.runs)
            or (self.idle is not None and self.idle.state == "counting")
            or (self.engine is not None and self.engine.live and (not self.engine.ready or bool(self.engine.stops_at)))
        )

    def neighbour(self, step: int, of: RunSnapshot | None = None) -> str | None:
        """Name of the run `step` columns to the right of the selected one, or of another, kept within the ends."""
        names = [run.name for run in self.runs]
        origin = of or self.selected
        if origin is None or origin.name not in names:
            return None
        place = names.index(origin.name) + step
        return names[min(max(place, 0), len(names) - 1)]


Refusal = Callable[[View], str | None]
