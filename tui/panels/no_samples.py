"""Where there is no record to show: why, and what to do about it."""

from __future__ import annotations

from engine.errors import PilothouseError
from engine.report.samples import Samples, Wanted
from engine.snapshot import RunSnapshot
from tui.cells import Cell, Line, wrap
from tui.panels.errors import error_lines
from tui.panels.sample_filters import filter_title

OWN_PROGRAM = ("generator.kind", "command")


def empty_lines(
    run: RunSnapshot | None, samples: Samples | None, wanted: Wanted, error: PilothouseError | None, width: int
) -> tuple[Line, ...]:
    """`samples` is None while they are being read, and where `error` says why they cannot be."""
    if error is not None:
        return ((), *error_lines(error, width))
    if samples is None:
        told = ["reading the records …"]
    elif not samples.records:
        told = _no_records(run)
    else:
        told = _none_wanted(samples, wanted)
    return ((), *((Cell(f" {row}", "dim"),) for text in told for row in wrap(text, width - 1)))


def _no_records(run: RunSnapshot | None) -> list[str]:
    if run is not None and OWN_PROGRAM in run.rules:
        return [
            "The generator of this run is a program of its own, and it has written no records.jsonl into the run's "
            "folder: there is nothing to look at here.",
            "Its log may tell more: l on the dashboard. What it left elsewhere, `pilothouse import` takes in.",
        ]
    if run is not None and not run.live:
        return [f"There are no records: the run is {run.state} and finished no item. Its log may say why."]
    return ["There are no records yet: the run has finished no item. r reads again."]


def _none_wanted(samples: Samples, wanted: Wanted) -> list[str]:
    title = filter_title(wanted)
    if wanted.marked is False:
        flagged = title if wanted.flag is not None else f"({title})"
        return [f"Nothing that is flagged {flagged} is unmarked: m shows all."]
    what = f"flagged {title}" if wanted.flag is not None else title
    return [f"None of {samples.records:,} records is {what}.", "← and → turn to other filters."]
