"""Plain lines as things happen: the difference of two snapshots, said in words."""

from __future__ import annotations

from collections.abc import Iterator

from engine.report.formatting import (
    duration,
    ending_text,
    headline,
    held_text,
    is_stalled,
    metric_title,
    metric_value,
    money,
    signs,
)
from engine.snapshot import CampaignSnapshot, RunSnapshot

SAID_BY_ITSELF = "noticed that it stalled"
"""What the watchdog does at every stall; the stall has a line of its own."""
LIVE_METRICS = ("runaway_rate", "token_limit_rate", "instruction_acceptance", "pair_acceptance")


class RunLines:
    """Lines for one run: state, phase, progress at every tenth of the target, verdict changes, stalls, what somebody
    did to it, copies off the machine that fail, end."""

    def __init__(self) -> None:
        self._last: RunSnapshot | None = None
        self._tenth = 0

    def update(self, run: RunSnapshot) -> Iterator[str]:
        """The lines that `run` adds to what was said before."""
        if run.attempt == 0 and run.live:
            return  # claimed, and its keeper about to write
        before, self._last = self._last, run
        if before is None or before.attempt != run.attempt:
            started = f"{run.id}: attempt {run.attempt} for {run.counts.target} examples"
            if run.counts.kept:
                started += f", {run.counts.kept} kept before"
            yield started
            self._tenth = 0
        yield from _actions(before, run)
        if before is None or (before.state, before.phase) != (run.state, run.phase):
            yield f"{run.id}: {_state(run)}"
        yield from _stall(before, run)
        for check in run.gate.checks:
            old = next((c for c in before.gate.checks if c.metric == check.metric), None) if before else None
            if check.verdict != (old.verdict if old else "undecided"):
                yield f"{run.id}: gate: {metric_title(check.metric)} {check.verdict.upper()}: {signs(check.sentence)}"
        tenth = 10 * run.counts.kept // max(1, run.counts.target)
        if run.live and tenth > self._tenth:
            self._tenth = tenth
            yield f"{run.id}: {progress(run)}"
        if not run.live and (before is None or before.live):
            yield f"{run.id}: ended {run.state}: {ending_text(run)}"
            yield f"{run.id}: {progress(run)}"
            yield (f"{run.id}: gate {headline(run.gate)} ({duration(run.active_s)}, {money(run.cost_usd)})")
        for warning in run.warnings:
            if before is None or warning not in before.warnings:
                yield f"{run.id}: warning: {warning}"
        held = held_text(run)
        if held and (before is None or not before.gpu_held_by):
            yield f"{run.id}: {held}"
        yield from _sync(before, run)


def _state(run: RunSnapshot) -> str:
    """`running, generating`; of a run that waits for its restart, which one and when."""
    more = run.reason if run.state == "queued" else run.phase if run.live else ""
    return f"{run.state}, {more}" if more else run.state


def _actions(before: RunSnapshot | None, run: RunSnapshot) -> Iterator[str]:
    """What was done since; what was done before one began to watch only while it waits to be taken."""
    known = {(action.time, action.author, action.action) for action in before.actions} if before else set()
    for action in run.actions:
        news = action.pending if before is None else (action.time, action.author, action.action) not in known
        if news and action.action != SAID_BY_ITSELF:
            yield f"{run.id}: {action.author} {action.action}"


def _stall(before: RunSnapshot | None, run: RunSnapshot) -> Iterator[str]:
    before = before if before is not None and before.attempt == run.attempt else None
    if run.stalled and not (before and before.stalled):
        yield f"{run.id}: {run.stalled}"
    elif before and is_stalled(before) and not run.stalled and run.state in ("starting", "running"):
        yield f"{run.id}: goes on again after its stall"


def _sync(before: RunSnapshot | None, run: RunSnapshot) -> Iterator[str]:
    failed = before is not None and bool(before.sync_error)
    if run.sync_error and not failed:
        yield f"{run.id}: sync failed: {run.sync_error}"
    elif failed and not run.sync_error:
        yield f"{run.id}: sync works again"


class CampaignLines:
    """Lines for a whole campaign: those of its runs, and the next action when it changes."""

    def __init__(self) -> None:
        self._runs: dict[str, RunLines] = {}
        self._next: tuple[str, str | None] | None = None

    def update(self, campaign: CampaignSnapshot) -> Iterator[str]:
        for run in campaign.runs:
            yield from self._runs.setdefault(run.id, RunLines()).update(run)
        action = campaign.next
        if action is not None and (action.kind, action.run) != self._next:
            self._next = (action.kind, action.run)
            if action.kind != "wait":
                yield f"{campaign.name}: next: {action.kind}: {action.reason}"


def progress(run: RunSnapshot) -> str:
    """`kept 61 of 100 · runaway 1.6 % · token limit 14.8 % · …`."""
    parts = [f"kept {run.counts.kept} of {run.counts.target}"]
    parts += [f"{metric_title(name)} {metric_value(name, run.metrics.get(name))}" for name in LIVE_METRICS]
    return " · ".join(parts)
