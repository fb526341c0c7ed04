"""What the screen asks of the service, and nothing more: a test's stand-in has to offer only this."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from engine.policy.actions import NextAction
from engine.snapshot import IdleCountdown, Snapshot


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

    def do_next(self, campaign: str) -> NextAction:
        """Carry out what the policy says now; the action that was carried out."""

    def cancel_idle(self, campaign: str) -> IdleCountdown:
        """Cancel the countdown of an idle machine; returns once that is sure."""

    def forecast_restart(self, run_id: str) -> float | None:
        """US dollars that a restart is expected to cost; None when unknown."""
