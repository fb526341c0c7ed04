"""The status overview in plain text, and tables of aligned columns."""

from __future__ import annotations

import shlex
import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

from engine.report.engine import engine_state, figures_text, stop_text
from engine.report.formatting import (
    VERDICT_SIGNS,
    duration,
    ending_text,
    held_text,
    metric_value,
    money,
    signs,
    state_text,
)
from engine.snapshot import CampaignSnapshot, EngineSnapshot, GradingNote, IdleCountdown, RunSnapshot, Snapshot

PROSE_WIDTH = 78
"""Where sentences break when nothing says how wide the paper is."""


def wrapped(note: str, width: int | None = None, *, indent: str = "") -> str:
    """`note` on lines of at most `width` characters after `indent`, all but the first two further in."""
    prose = PROSE_WIDTH if width is None else max(40, width)
    return textwrap.fill(note, prose, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


def cells_of(text: str) -> int:
    """How many cells of a terminal `text` takes, which is one safe line."""
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, `…` where it was cut."""
    if cells_of(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += _cells(character)
        if used > width:
            break
        kept += character
    return f"{kept}…"


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


def status_text(snapshot: Snapshot, width: int | None = None) -> str:
    """Campaigns, runs, states, verdicts, money and next actions, a few lines each; `width` is for sentences."""
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
        for run in campaign.runs:
            lines += [wrapped(f"{run.name}: {grading_text(note)}", width, indent="  ") for note in run.gradings]
            lines += [f"  {run.name}: {remark}" for remark in _remarks(run)]
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


def grading_text(note: GradingNote) -> str:
    """`graded again by ann@host (the old ruler flags good answers): qc.runaway length-v1 → markers-v2; before: fail:
    …`, on one line."""
    changed = f": {note.changed}" if note.changed else ""
    return f"graded again by {note.author} ({note.reason}){changed}; before: {signs(note.sentence_before)}"


def _remarks(run: RunSnapshot) -> list[str]:
    """Why a run is in its state, and what is wrong with it."""
    sync = f"sync failed: {run.sync_error}" if run.sync_error else ""
    reason = ending_text(run) if not run.live or run.state == "queued" else ""
    own = run.figures is not None and run.phase == "generating" and not run.engine
    figures = figures_text(run.figures) if own and run.figures is not None else ""
    loading = run.loading if run.state == "starting" else ""
    warnings = (f"warning: {warning}" for warning in run.warnings)
    remarks = (run.stalled, loading, figures, reason, held_text(run), sync, *warnings)
    return [remark for remark in remarks if remark]


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
