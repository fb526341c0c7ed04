"""What the feed and the service calls tell the app. Bursts coalesce: only the newest of each matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import PilothouseError
from engine.snapshot import RunSnapshot, Snapshot

if TYPE_CHECKING:
    from engine.report.samples import Samples, Wanted
    from engine.service import LaunchPlan
    from engine.warm import EnginePlan


class SnapshotArrived(Message):
    """The picture changed."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotArrived)


class LogArrived(Message):
    """The end of the watched log changed: its file, its last lines (sanitised), its size in octets (None: no file)."""

    def __init__(self, path: str, lines: tuple[str, ...], size: int | None) -> None:
        super().__init__()
        self.path = path
        self.lines = lines
        self.size = size

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, LogArrived)


class CallProgress(Message):
    """A service call that is under way says where it is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class CallEnded(Message):
    """A service call returned: `result` says what came of it, or `error` why not."""

    def __init__(self, what: str, result: str = "", error: PilothouseError | None = None) -> None:
        super().__init__()
        self.what = what
        self.result = result
        self.error = error


class ForecastArrived(Message):
    """What resuming `run` is expected to cost, in US dollars; None when that is not known."""

    def __init__(self, run: RunSnapshot, usd: float | None) -> None:
        super().__init__()
        self.run = run
        self.usd = usd


class PlanArrived(Message):
    """What starting an engine for `campaign` would do, or `error` why that is refused."""

    def __init__(self, campaign: str, plan: EnginePlan | None = None, error: PilothouseError | None = None) -> None:
        super().__init__()
        self.campaign = campaign
        self.plan = plan
        self.error = error


class LaunchPlanArrived(Message):
    """What a launch with `assignments` would be, or `error` why that is refused."""

    def __init__(
        self, assignments: tuple[str, ...], plan: LaunchPlan | None = None, error: PilothouseError | None = None
    ) -> None:
        super().__init__()
        self.assignments = assignments
        self.plan = plan
        self.error = error


class SamplesArrived(Message):
    """The `wanted` samples of a run, or `error` why they cannot be read."""

    def __init__(
        self, run_id: str, wanted: Wanted, samples: Samples | None = None, error: PilothouseError | None = None
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self.wanted = wanted
        self.samples = samples
        self.error = error


class MarksEnded(Message):
    """Marks on what the detector `kind` flags were written down, or `error` why they could not be."""

    def __init__(self, run_id: str, kind: str, indices: tuple[int, ...], error: PilothouseError | None = None) -> None:
        super().__init__()
        self.run_id = run_id
        self.kind = kind
        self.indices = indices
        self.error = error
