"""What the screen asks of the service, and nothing more: a test's stand-in has to offer only this."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.figures import RunProcesses
from engine.policy.actions import NextAction
from engine.snapshot import IdleCountdown, RunSnapshot, Snapshot

if TYPE_CHECKING:
    from engine.grader import Tries
    from engine.report.events import RunEvents
    from engine.report.regrade import Regraded
    from engine.report.samples import Samples, Wanted
    from engine.report.series import RunSeries
    from engine.service import LaunchPlan
    from engine.warm import EnginePlan


class Cockpit(Protocol):
    """`engine.service.Service`, as far as the screen knows it. Every call may block: never from the event loop.

    All of them raise `PilothouseError` with what, where and remedy.
    """

    root: Path

    def poll(self) -> Snapshot:
        """The present picture; reads only what was appended since the last call."""

    def stop(self, run_id: str, *, now: bool = False, on_progress: Callable[[str], None] | None = None) -> str:
        """Stop a run and return its final state once that is verified."""

    def restart(self, run_id: str, *, fresh: bool = False) -> str:
        """Resume a run, or begin it anew; its id."""

    def extend(self, run_id: str, examples: int) -> str:
        """Raise the target of a finished run and go on in it; its id."""

    def do_next(self, campaign: str, say: Callable[[str], None], assignments: Sequence[str]) -> NextAction:
        """Carry out what the policy says now, with `assignments` in place of values it proposes; the action that was
        carried out."""

    def plan_launch(self, campaign: str, run: str | None, assignments: Sequence[str]) -> LaunchPlan:
        """What a launch would start, with its forecast; refuses as that would, but starts nothing."""

    def draft_own(self, campaign: str) -> NextAction:
        """The next iteration as the campaign or the policy has it, whether or not it is due, for values of one's own;
        refuses as a launch would."""

    def launch(self, campaign: str, run: str | None, assignments: Sequence[str], say: Callable[[str], None]) -> str:
        """Start a run, detached; its id, once its keeper has it."""

    def cancel_idle(self, campaign: str) -> IdleCountdown:
        """Cancel the countdown of an idle machine; returns once that is sure."""

    def forecast_restart(self, run_id: str) -> float | None:
        """US dollars that a restart is expected to cost; None when unknown."""

    def samples(self, run_id: str, wanted: Wanted, most: int, *, near: int = 0) -> Samples:
        """`most` records of a run that are wanted, the first ones or those around record `near`, with their flags, the
        flagged spans, and marks; how many each detector flags."""

    def metric_series(self, run_id: str) -> Callable[[RunSnapshot], RunSeries]:
        """What gives a run's metrics over its samples, each time it is called with the run's present picture; all that
        it gives can be kept by one thread alone."""

    def events(self, run_id: str) -> Callable[[RunSnapshot], RunEvents]:
        """As `metric_series`, what happened to the run."""

    def processes(self, run_id: str) -> Callable[[RunSnapshot], RunProcesses]:
        """As `metric_series`, who lives of the run, and what that uses since the last call."""

    def rulers(self) -> Sequence[Path]:
        """The workspace's own files to grade by."""

    def regrade(self, run_id: str, ruler: Path, *, reason: str | None = None) -> Regraded:
        """A run under the detectors and limits of the file `ruler`; with a `reason` it is judged by them from now on,
        which spends one of the campaign's tries."""

    def tries(self, run_id: str) -> Tries:
        """What saving a grading of that run would be one more of."""

    def mark(self, run_id: str, kind: str, marks: Mapping[int, bool], *, detector: str | None = None) -> str:
        """Mark what the run's detector of that kind flags, by record: right, or a false alarm; what all marks make of
        the detector, in a sentence. `OtherDetectorError` where it is not the `detector` of that id any more."""

    def plan_engine(self, campaign: str) -> EnginePlan:
        """What `start_engine` would do, and what it is forecast to cost; refuses as that would, but starts nothing."""

    def start_engine(self, campaign: str, say: Callable[[str], None]) -> str:
        """Start the campaign's engine, or find it up; its id, once its keeper has it."""

    def stop_engine(self, campaign: str, *, now: bool, on_progress: Callable[[str], None]) -> tuple[str, str]:
        """Stop the campaign's engine: its id and final state once nothing of it lives and its GPU is free."""
