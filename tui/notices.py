"""What has happened between two pictures that a person waits for, and how it is told outside of the screen.

Only what changed is news: what was already so when the screen was opened is on the screen.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.budget.money import Budget
from engine.report.formatting import ending_text, held_text, is_stalled, signs
from engine.snapshot import CampaignSnapshot, EngineSnapshot, RunSnapshot, Snapshot
from tui import formatting
from tui.cells import clean

Severity = Literal["information", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("information", "warning", "error")

MOST_TOLD = 4
"""Notices that are told in full at once."""
LONGEST = 200
LONGEST_OSC = 160


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened, in a sentence. `ends` is the id of the run or engine whose end it tells."""

    text: str
    severity: Severity = "information"
    ends: str = ""


def events_between(old: Snapshot, new: Snapshot) -> tuple[Notice, ...]:
    """What happened from `old` to `new`, in campaigns that were already there."""
    notices: list[Notice] = []
    for after in new.campaigns:
        before = old.campaign(after.name)
        if before is not None:
            notices += _of_campaign(before, after)
    return tuple(notices)


def remembered(old: Snapshot, new: Snapshot) -> Snapshot:
    """`new`, with what `old` knew of what is out of sight just now, and of a budget that was worse: a file system that
    was away comes back, a forecast wavers, and nothing of it is news twice."""
    campaigns = [_with_memory(old.campaign(campaign.name), campaign) for campaign in new.campaigns]
    gone = [campaign for campaign in old.campaigns if new.campaign(campaign.name) is None]
    return replace(new, campaigns=(*campaigns, *gone))


def _with_memory(old: CampaignSnapshot | None, new: CampaignSnapshot) -> CampaignSnapshot:
    if old is None:
        return new
    runs = [run for run in old.runs if new.run(run.name) is None]
    engines = [engine for engine in old.engines if engine.name not in {present.name for present in new.engines}]
    return replace(
        new,
        runs=(*runs, *new.runs),
        engines=(*engines, *new.engines),
        budget=_worse(old.budget, new.budget),
        idle=new.idle or old.idle,
    )


def _worse(old: Budget | None, new: Budget | None) -> Budget | None:
    if old is None or new is None:
        return new or old
    return min(new, old, key=lambda budget: budget.left_usd) if old.limit_usd == new.limit_usd else new


def coalesced(notices: Sequence[Notice]) -> Notice:
    """Several as one, the gravest first, a line each; how many more there are."""
    ordered = sorted(notices, key=lambda notice: -SEVERITIES.index(notice.severity))
    lines = [clean(notice.text, LONGEST) for notice in ordered[:MOST_TOLD]]
    more = len(ordered) - MOST_TOLD
    return Notice("\n".join([*lines, *([f"and {more} more"] if more > 0 else [])]), ordered[0].severity)


# --- what happened -------------------------------------------------------------------------------------------------


def _of_campaign(old: CampaignSnapshot, new: CampaignSnapshot) -> Iterator[Notice]:
    for run in new.runs:
        yield from _of_run(old.run(run.name), run)
    engines = {engine.name: engine for engine in old.engines}
    for engine in new.engines:
        yield from _of_engine(engines.get(engine.name), engine)
    yield from _of_money(old, new)
    if new.idle is not None and new.idle.state == "counting" and (old.idle is None or old.idle.since != new.idle.since):
        command = shlex.join(new.idle.command)
        due = formatting.clock(new.idle.due)
        yield Notice(f"{new.name}: the machine is idle; at {due} this is run: {command}; i cancels it", "warning")


def _of_run(old: RunSnapshot | None, new: RunSnapshot) -> Iterator[Notice]:
    """Of a run that was not there before only its end is news; an imported one was never waited for."""
    if new.imported:
        return
    if not new.live and (old is None or old.live or old.attempt != new.attempt):
        yield _ending(new)
    if old is None:
        return
    if new.awaits_restart and not old.awaits_restart:
        yield Notice(f"{new.id}: {new.reason or 'its attempt ended, and it awaits a restart'}", "warning")
    if is_stalled(new) and not is_stalled(old):
        yield Notice(f"{new.id}: {new.stalled}", "warning")
    if new.gpu_held and not old.gpu_held:
        yield Notice(f"{new.id}: {new.state}, {held_text(new) or 'GPU memory still held'}", "error")


def _ending(run: RunSnapshot) -> Notice:
    reason = ending_text(run)
    match run.state:
        case "succeeded":
            severity: Severity = "information" if run.gate.verdict == "pass" else "warning"
            words = reason if run.saved_usd is not None else f"done; gate {run.gate.sentence}"
            return Notice(f"{run.id}: {signs(words)}", severity, run.id)
        case "failed":
            told = run.exit_code is None or reason.startswith("exit ")
            code = "" if told else f" with exit {run.exit_code}"
            return Notice(f"{run.id} failed{code}" + (f": {reason}" if reason else ""), "error", run.id)
        case "lost":
            return Notice(f"{run.id} is lost" + (f": {reason}" if reason else ""), "error", run.id)
        case _:
            return Notice(f"{run.id} is {run.state}" + (f": {reason}" if reason else ""), "warning", run.id)


def _of_engine(old: EngineSnapshot | None, new: EngineSnapshot) -> Iterator[Notice]:
    if new.live and new.ready and not (old is not None and old.ready):
        yield Notice(f"{new.id} is ready")
    if not new.live and (old is None or old.live):
        bad = new.state in ("failed", "lost")
        words = f"{new.id} is {new.state}" + (f": {new.reason}" if new.reason else "")
        yield Notice(words, "error" if bad else "information", new.id)
    if new.gpu_held and old is not None and not old.gpu_held:
        yield Notice(f"{new.id}: {new.state}, GPU memory still held", "error")


def _of_money(old: CampaignSnapshot, new: CampaignSnapshot) -> Iterator[Notice]:
    """Spent and bound to be spent: what the budget panel warns of."""
    before, after = old.budget, new.budget
    if before is None or after is None or not after.warning:
        return
    of_limit = f"of {formatting.money(after.limit_usd)}"
    if after.left_usd <= 0 < before.left_usd:
        yield Notice(f"{new.name}: the budget {of_limit} is spent or committed", "error")
    elif not before.warning:
        spent = formatting.money(after.spent_usd + after.committed_usd)
        yield Notice(f"{new.name}: {spent} {of_limit} spent or committed, past {after.warn_at:.0%}", "warning")


# --- outside of the screen -----------------------------------------------------------------------------------------


def terminal_notification(text: str, *, tmux: bool) -> str:
    """The sequence by which a terminal shows `text` as a notification of the desktop (OSC 9).

    A semicolon would let some terminals take the text for a command of theirs. `tmux` hands on only what is wrapped.
    """
    words = clean(" · ".join(text.splitlines()), LONGEST_OSC).replace(";", ",")
    sequence = f"\x1b]9;Pilothouse: {words}\x07"
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\" if tmux else sequence
