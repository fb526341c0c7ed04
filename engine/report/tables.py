"""The comparison of a campaign's runs and the status overview, as text, Markdown and JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from engine.campaign.parameters import flatten
from engine.report.engine import engine_state, figures_text, stop_text
from engine.report.formatting import (
    UNKNOWN,
    VERDICT_SIGNS,
    duration,
    held_text,
    limit_text,
    metric_title,
    metric_value,
    money,
    parameter_value,
    short_parameter,
    state_text,
)
from engine.snapshot import CampaignSnapshot, EngineSnapshot, IdleCountdown, RunSnapshot, Snapshot

SHOWN_METRICS = (
    "runaway_rate",
    "token_limit_rate",
    "delimiter_leakage",
    "median_tokens",
    "instruction_acceptance",
    "pair_acceptance",
    "instruction_yield",
    "pair_yield",
    "duplicate_rate",
)


def differing_parameters(runs: Sequence[RunSnapshot]) -> dict[str, list[Any]]:
    """Dotted parameter names whose value is not the same in all runs that know theirs; one value per run."""
    known = [flatten(run.parameters) if run.parameters_known else None for run in runs]
    first = next((flat for flat in known if flat is not None), None)
    if first is None:
        return {}
    return {
        key: [flat[key] if flat is not None else None for flat in known]
        for key in first
        if len({repr(flat[key]) for flat in known if flat is not None}) > 1
    }


def comparison_rows(campaign: CampaignSnapshot) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the comparison: target column, then one column per run."""
    runs = campaign.runs
    header = ["metric", "target", *(run.name + (" ●" if run.live else "") for run in runs)]
    rows = [
        ["state", "", *(state_text(run) for run in runs)],
        ["verdict", "", *(f"{VERDICT_SIGNS[run.gate.verdict]} {run.gate.verdict}" for run in runs)],
        ["kept", "", *(f"{run.counts.kept} of {run.counts.target}" for run in runs)],
    ]
    names = [
        *SHOWN_METRICS,
        *sorted({c.metric for run in runs for c in run.gate.checks} - {*SHOWN_METRICS, "examples"}),
    ]
    for name in names:
        checks = [next((c for c in run.gate.checks if c.metric == name), None) for run in runs]
        present = next((check for check in reversed(checks) if check is not None), None)
        target = limit_text(present.op, present.limit, percent=present.percent) if present else ""
        cells = [
            (f"{VERDICT_SIGNS[check.verdict]} " if check else "") + metric_value(name, run.metrics.get(name))
            for run, check in zip(runs, checks, strict=True)
        ]
        rows.append([metric_title(name), target, *cells])
    for key, values in differing_parameters(runs).items():
        rows.append([short_parameter(key), "", *(parameter_value(value) for value in values)])
    rows.append(["device time", "", *(duration(run.active_s) if run.active_s else UNKNOWN for run in runs)])
    rows.append(["cost", "", *(money(run.cost_usd) for run in runs)])
    return header, rows


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> str:
    """Columns padded to the widest cell: those numbered in `left` left-aligned, the others right-aligned."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(aligned).rstrip()

    return "\n".join([line(header), "  ".join("─" * width for width in widths), *(line(row) for row in rows)])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as a GitHub Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(header), line(["---", *("---:" for _ in header[1:])]), *(line(row) for row in rows)])


def comparison_json(campaign: CampaignSnapshot) -> dict[str, Any]:
    """Runs side by side: metrics with their checks, the parameters that differ, cost."""
    return {
        "campaign": campaign.name,
        "runs": [run.to_json() for run in campaign.runs],
        "differing_parameters": {
            key: dict(zip((run.name for run in campaign.runs), values, strict=True))
            for key, values in differing_parameters(campaign.runs).items()
        },
    }


def status_text(snapshot: Snapshot) -> str:
    """Campaigns, runs, states, verdicts, money and next actions, a few lines each."""
    if not snapshot.campaigns:
        return "no campaigns here: start in the folder that holds configs/, or run `pilothouse demo`"
    blocks = []
    for campaign in snapshot.campaigns:
        lines = [f"{campaign.name}: {campaign.state}"]
        if campaign.error:
            lines.append(campaign.error)
        if campaign.budget:
            budget = campaign.budget
            lines[0] += (
                f" · spent {money(budget.spent_usd)} of {money(budget.limit_usd)}, left {money(budget.left_usd)}"
            )
        lines += [f"  warning: {warning}" for warning in campaign.warnings]
        if campaign.engine is not None and (campaign.engine.live or campaign.engine.gpu_held):
            lines += _engine_lines(campaign.engine)
        rows = [_status_row(run) for run in campaign.runs]
        if rows:
            header = ["run", "state", "gate", "kept", "runaway", "token limit", "cost"]
            table = text_table(header, rows, left=(0, 1, 2))
            lines += ["  " + line for line in table.splitlines()]
        lines += [f"  {run.name}: {remark}" for run in campaign.runs for remark in _remarks(run)]
        if campaign.idle:
            lines.append(f"  idle: {idle_text(campaign.name, campaign.idle)}")
        if campaign.next:
            lines.append(f"  next: {campaign.next.kind} – {campaign.next.reason}")
            if campaign.next.command:
                lines.append(f"        {campaign.next.command}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _engine_lines(engine: EngineSnapshot) -> list[str]:
    """One line, and another for what it does while it answers."""
    held = f"; GPU memory still held by {'; '.join(engine.gpu_held_by)}" if engine.gpu_held_by else ""
    parts = [engine_state(engine), stop_text(engine), money(engine.cost_usd)]
    lines = [f"  {engine.name}: {' · '.join(part for part in parts if part)}{held}"]
    figures = figures_text(engine.figures) if engine.figures is not None and engine.ready is not None else ""
    return lines + ([f"    {figures}"] if figures else [])


def idle_text(campaign: str, idle: IdleCountdown, now: datetime | None = None) -> str:
    """`nothing runs since 03:12; in 14:10 `runpodctl stop pod` is run; …`, clock times being local ones; at `now`."""
    command = f"`{shlex.join(idle.command)}`"
    match idle.state:
        case "counting":
            left = (datetime.fromisoformat(idle.due) - (now or datetime.now(UTC))).total_seconds()
            since = datetime.fromisoformat(idle.since).astimezone().strftime("%H:%M")
            keep = f"`pilothouse idle {campaign} --cancel` keeps the machine"
            return f"nothing runs since {since}; in {duration(left)} {command} is run; {keep}"
        case "cancelled":
            return f"{command} is not run: {idle.author} cancelled it; the next countdown follows the next run"
        case "running":
            return f"{command} is being run: nothing ran for too long"
        case "done":
            return f"{command} was run: nothing ran for too long" + (f" ({idle.detail})" if idle.detail else "")
        case "failed":
            return f"{command} was run and failed: {idle.detail}; the machine goes on costing money"


def no_idle_text(campaign: CampaignSnapshot) -> str:
    """Why nothing counts down."""
    if campaign.campaign is not None and campaign.campaign.budget.on_idle is None:
        return f"no countdown: {campaign.name} has no budget.on_idle"
    if campaign.live_run is not None:
        return f"no countdown: {campaign.live_run.id} is {campaign.live_run.state}"
    return "no countdown: nothing has run here yet, or the machine is in use"


def _remarks(run: RunSnapshot) -> list[str]:
    """Why a run is in its state, and what is wrong with it."""
    sync = f"sync failed: {run.sync_error}" if run.sync_error else ""
    reason = run.reason if not run.live or run.state == "queued" else ""
    own = run.figures is not None and run.phase == "generating" and not run.engine
    figures = figures_text(run.figures) if own and run.figures is not None else ""
    loading = run.loading if run.state == "starting" else ""
    return [remark for remark in (run.stalled, loading, figures, reason, held_text(run), sync) if remark]


def _status_row(run: RunSnapshot) -> list[str]:
    state = state_text(run) + (f" ({run.phase})" if run.phase and run.live and run.state != "queued" else "")
    return [
        run.name,
        state + (" GPU held" if run.gpu_held else ""),
        f"{VERDICT_SIGNS[run.gate.verdict]} {run.gate.verdict}",
        f"{run.counts.kept} of {run.counts.target}",
        metric_value("runaway_rate", run.metrics.get("runaway_rate")),
        metric_value("token_limit_rate", run.metrics.get("token_limit_rate")),
        money(run.cost_usd),
    ]
