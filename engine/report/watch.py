"""Plain lines as things happen: the difference of two snapshots, said in words."""

from __future__ import annotations

from collections.abc import Iterator

from engine.report.formatting import duration, headline, metric_title, metric_value, money, signs
from engine.snapshot import CampaignSnapshot, RunSnapshot

LIVE_METRICS = ("runaway_rate", "token_limit_rate", "instruction_acceptance", "pair_acceptance")


class RunLines:
    """Lines for one run: state, phase, progress at every tenth of the target, verdict changes, end."""

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
        if before is None or (before.state, before.phase) != (run.state, run.phase):
            yield f"{run.id}: {run.state}" + (f", {run.phase}" if run.phase and run.live else "")
        for check in run.gate.checks:
            old = next((c for c in before.gate.checks if c.metric == check.metric), None) if before else None
            if check.verdict != (old.verdict if old else "undecided"):
                yield f"{run.id}: gate: {metric_title(check.metric)} {check.verdict.upper()}: {signs(check.sentence)}"
        tenth = 10 * run.counts.kept // max(1, run.counts.target)
        if run.live and tenth > self._tenth:
            self._tenth = tenth
            yield f"{run.id}: {progress(run)}"
        if not run.live and (before is None or before.live):
            yield f"{run.id}: ended {run.state}: {run.reason}"
            yield f"{run.id}: {progress(run)}"
            yield (f"{run.id}: gate {headline(run.gate)} ({duration(run.active_s)}, {money(run.cost_usd)})")
        for warning in run.warnings:
            if before is None or warning not in before.warnings:
                yield f"{run.id}: warning: {warning}"


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
