"""Whether a keeper starts its run again by itself: bounded, with back-off, and never in a loop that burns money."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from engine.campaign.spec import RunSpec
from engine.errors import EXIT_NOT_FOUND, EXIT_REFUSED, EXIT_USAGE
from engine.files import RunFiles
from engine.journal.events import RestartPlanned, RestartSettled, dump_event, parse_event
from engine.journal.reader import JournalReader
from engine.journal.writer import JournalWriter
from engine.supervise.ending import Ending, StopOrder
from engine.supervise.generator import Exit
from engine.supervise.keeper_journal import KeeperJournal

WATCHDOG = "watchdog"
"""The author of attempts that a keeper started by itself."""

HOPELESS = (EXIT_USAGE, EXIT_NOT_FOUND, EXIT_REFUSED)
"""Exit codes of the builtin generator that another try would end with, too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Restart `number` of at most `most`, `delay_s` seconds after the end."""

    number: int
    most: int
    delay_s: float
    reason: str


def plan_restart(
    spec: RunSpec,
    ending: Ending,
    order: StopOrder | None,
    ended: Exit,
    *,
    progressed: bool | None,
    journal: KeeperJournal,
) -> tuple[Ending, Plan | None]:
    """The restart that follows an attempt, if one does; else its end, with the reason why none does where one might.

    `most` restarts are allowed since a person started the run, and none after two attempts in a row that finished
    nothing: what fails at its start fails again.
    """
    config = spec.supervision.restarts
    stalled = order is not None and order.restart
    failed = config.after_failure and order is None and ending.state == "failed"
    if ending.state != "failed" or not (stalled or failed) or spec.kind == "engine":
        return ending, None  # an engine is started by the next run that needs it
    if failed and spec.generator.kind == "builtin" and ended.code in HOPELESS:
        return ending, None
    attempt = max(journal.authors, default=1)
    made = 0
    while journal.authors.get(attempt - made) == WATCHDOG:
        made += 1
    if made >= config.most:
        spent = f"all {config.most} restarts are spent" if config.most else "supervision.restarts.most is 0"
        return replace(ending, reason=f"{ending.reason}; not restarted: {spent}"), None
    if progressed is False and journal.progressed.get(attempt - 1) is False:
        twice = "two attempts in a row finished nothing"
        return replace(ending, reason=f"{ending.reason}; not restarted: {twice}"), None
    return ending, Plan(made + 1, config.most, config.backoff_s * 2**made, ending.reason)


def announce_restart(files: RunFiles, plan: Plan, attempt: int) -> None:
    """Write the plan into the journal of the attempt's aftermath, which carries it out."""
    event = RestartPlanned(
        attempt=attempt, number=plan.number, most=plan.most, delay_s=plan.delay_s, reason=plan.reason
    )
    with contextlib.suppress(OSError), JournalWriter(files.aftermath(attempt)) as journal:
        journal.append(dump_event(event), sync=True)


def pending_restart(files: RunFiles, attempt: int) -> RestartPlanned | None:
    """The restart that the keeper of `attempt` has planned and not settled yet, if it lives."""
    planned: RestartPlanned | None = None
    for value in JournalReader(files.aftermath(attempt)).read_new():
        event = parse_event(value)
        if isinstance(event, RestartPlanned):
            planned = event
        elif isinstance(event, RestartSettled):
            planned = None
    return planned
