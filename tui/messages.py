"""What the feed and the service calls tell the app. Bursts coalesce: only the newest of each matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import PilothouseError
from engine.policy.actions import NextAction
from engine.snapshot import RunSnapshot, Snapshot

if TYPE_CHECKING:
    from engine.report.samples import Samples
    from engine.service import LaunchPlan
    from engine.warm import EnginePlan
    from tui.browsing import Wish
    from tui.regrade_operations import Regrade


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
    """What resuming `run` is expected to cost, in US dollars (None when that is not known), or `error` why it cannot
    be resumed."""

    def __init__(self, run: RunSnapshot, usd: float | None, error: PilothouseError | None = None) -> None:
        super().__init__()
        self.run = run
        self.usd = usd
        self.error = error


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


class OwnLaunchDrafted(Message):
    """The launch that values of one's own begin from, or `error` why that is refused."""

    def __init__(self, campaign: str, action: NextAction | None = None, error: PilothouseError | None = None) -> None:
        super().__init__()
        self.campaign = campaign
        self.action = action
        self.error = error


class SamplesArrived(Message):
    """The samples of a run that were wished for, or `error` why they cannot be read."""

    def __init__(
        self, run_id: str, wish: Wish, samples: Samples | None = None, error: PilothouseError | None = None
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self.wish = wish
        self.samples = samples
        self.error = error


class RulersArrived(Message):
    """The workspace's files to grade a run by, as paths from its folder."""

    def __init__(self, rulers: tuple[str, ...]) -> None:
        super().__init__()
        self.rulers = rulers


class RegradeArrived(Message):
    """What came of grading a run again by the file `ruler`, or `error` why it cannot be."""

    def __init__(
        self, run_id: str, ruler: str, found: Regrade | None = None, error: PilothouseError | None = None
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self.ruler = ruler
        self.found = found
        self.error = error


class GradingSaved(Message):
    """The run is judged by another ruler from now on."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


class MarksEnded(Message):
    """Marks on what the detector `kind` flags were written down, or `error` why they could not be."""

    def __init__(self, run_id: str, kind: str, indices: tuple[int, ...], error: PilothouseError | None = None) -> None:
        super().__init__()
        self.run_id = run_id
        self.kind = kind
        self.indices = indices
        self.error = error


class Looked(Message):
    """What the `watch` of a page found anew, or `error` why it cannot look."""

    def __init__(self, watch: object, found: object = None, error: PilothouseError | None = None) -> None:
        super().__init__()
        self.watch = watch
        self.found = found
        self.error = error
