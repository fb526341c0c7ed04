"""Which records of a run are looked at: the filters with what each holds, and how far a detector can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

from engine.qc.verdicts import DetectorEvidence
from engine.report.samples import Samples, Wanted
from engine.snapshot import RunSnapshot
from tui.cells import Cell, Line, cut, spread, width_of, wrap
from tui.panels.gate import detector_title, precision_text

ALIKE = {None: "all", True: "kept", False: "rejected"}


def filter_title(wanted: Wanted) -> str:
    """`all`, `rejected`, `token limit`."""
    return ALIKE[wanted.kept] if wanted.flag is None else detector_title(wanted.flag)


def filter_line(filters: Sequence[Wanted], chosen: Wanted, samples: Samples | None, width: int) -> Line:
    """The filters, the chosen one in ▸ ◂, each with its number of records once they were read; where it is narrow the
    ones before it give way."""
    keys = [Cell("← →", "key"), Cell(" filter ", "dim")]
    place = filters.index(chosen)
    cells: list[Cell] = []
    for first in range(place + 1):
        cells = [cell for each in filters[first:] for cell in _filter(each, samples, chosen=each == chosen)]
        reach = width_of(cells[: 3 * (place - first) + 2])
        if reach <= width - width_of(keys) - 2:
            break
    return spread(cells, keys, width)


def _filter(wanted: Wanted, samples: Samples | None, *, chosen: bool) -> list[Cell]:
    number = f"{_records(wanted, samples):,}" if samples is not None else ""
    title = filter_title(wanted)
    if chosen:
        return [Cell(f" ▸ {title}", "accent"), Cell(f" {number} ◂" if number else " ◂", "accent"), Cell(" ")]
    none = number == "0"
    return [Cell(f" {title}", "dim" if none else "text"), Cell(f" {number}" if number else "", "dim"), Cell(" ")]


def _records(wanted: Wanted, samples: Samples) -> int:
    """How many records of the run a filter lets through, marked or not."""
    if wanted.flag is not None:
        return samples.flagged.get(wanted.flag, 0)
    return {None: samples.records, True: samples.kept, False: samples.records - samples.kept}[wanted.kept]


def initial_filter(run: RunSnapshot) -> Wanted:
    """What is worth a first look: the flags of a detector that is suspect, else of the first that flags anything, else
    all records."""
    detectors = run.gate.detectors
    chosen = next((each for each in detectors if each.suspect), None)
    chosen = chosen or next((each for each in detectors if each.flagged), None)
    return Wanted(flag=chosen.kind if chosen is not None else None)


def run_lines(samples: Samples, width: int) -> list[Line]:
    """What all records of the run are, in a sentence."""
    kinds = [detector_title(kind) for kind, number in samples.flagged.items() if number]
    told = f"flagged by {', '.join(kinds)}" if kinds else "no detector flags any"
    words = f" {samples.records:,} records, {samples.kept:,} kept"
    return [cut([Cell(words), Cell(f" · {told}", "dim" if kinds else "good")], width)]


def evidence_lines(detector: DetectorEvidence | None, name: str, flagged: int, records: int, width: int) -> list[Line]:
    """How often a detector flags, what people's marks say of it, and why it may be wrong."""
    marks = precision_text(detector) if detector is not None else ""
    told = marks.removeprefix(detector.detector).strip() if detector is not None else ""
    line = cut(
        [
            Cell(f" {name}", "strong"),
            Cell(f" flags {flagged:,} of {records:,} records"),
            Cell(f" · {told}" if told else "", "accent"),
        ],
        width,
    )
    suspect = detector.suspect if detector is not None else ""
    rows = wrap(f"suspect: {suspect}", width - 4, 2) if suspect else []
    return [line, *((Cell(" ⚠ " if not number else "   ", "warn"), Cell(row)) for number, row in enumerate(rows))]
