"""`pilothouse samples`: records of a run in item order, with what flags them, where, and what people said of it."""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from engine.campaign.spec import RunSpec, read_spec
from engine.files import RunFiles
from engine.gradings import graded_spec
from engine.logs.sanitise import sanitise
from engine.marks import Marks, read_marks
from engine.qc.detectors import Detector, Record, Span, flags_of
from engine.qc.metrics import is_kept
from engine.qc.verdicts import DetectorEvidence
from engine.records import detector_homes, detector_of, detectors_of_run, located_records, numbered_records
from engine.report.gate import read_ruler
from engine.report.tables import cells_of, cut, wrapped

BEFORE, WITHIN, WHOLE = 100, 160, 400
"""Characters shown before a flagged span, of the span, and of a text without one."""
LINE_TEXT, LINE_BEFORE = 60, 20
"""The same where a sample has one line: of a text or a flagged span, and before the span."""
LEAST_ASKED = 12
"""Cells that a line leaves of the instruction."""
SUSPECTS_SHOWN = 10

MARK_WORDS = {True: "✓ right", False: "✗ false alarm"}

_BREAKS = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: `kept` true or false for only those, `flag` for those that the detector of that kind flags;
    `marked` true for those with a mark on that flag (on any, without `flag`), false for flagged ones without."""

    kept: bool | None = None
    flag: str | None = None
    marked: bool | None = None

    def takes(self, record: Record, flags: Mapping[str, bool], marks: Mapping[str, bool]) -> bool:
        if self.kept is not None and is_kept(record) != self.kept:
            return False
        flagged = {kind for kind, flag in flags.items() if flag and self.flag in (None, kind)}
        if self.flag is not None and not flagged:
            return False
        return self.marked is None or (bool(flagged) and bool(flagged & marks.keys()) == self.marked)

    def words(self) -> str:
        """Empty for all, else "kept", "rejected and flagged runaway and not marked"."""
        state = {None: "", True: "kept", False: "rejected"}[self.kept]
        flagged = f"flagged {self.flag}" if self.flag is not None else ""
        marked = {None: "", True: "marked", False: "not marked"}[self.marked]
        if self.marked is False and self.flag is None:
            marked = "flagged and not marked"
        return " and ".join(filter(None, (state, flagged, marked)))


@dataclass(frozen=True, slots=True)
class Sample:
    """A record, its number among the run's items, its flags, by detector kind the spans that were struck, by kind
    whether a person marked the flag as right, and its line in the file of records, from 1 (0: not known)."""

    index: int
    record: Record
    flags: dict[str, bool]
    spans: dict[str, list[Span]]
    marks: dict[str, bool] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Samples:
    """Some of those that were `wanted`, in item order, how many there are (`matching`), and of how many records.

    `start` of those that are wanted come before the first that was `found`. Of all records so many are `kept`, and by
    kind of detector `flagged`.
    """

    run: str
    wanted: Wanted
    detectors: dict[str, str]
    found: list[Sample]
    matching: int
    records: int
    start: int = 0
    kept: int = 0
    flagged: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "detectors": self.detectors,
            "records": self.records,
            "matching": self.matching,
            "samples": [_sample_json(sample, self.wanted.flag) for sample in self.found],
        }


class _Match(NamedTuple):
    number: int
    line: int
    record: Record
    flags: dict[str, bool]
    marks: dict[str, bool]


class _Around:
    """Of the matches that are added, in whatever order, the `most` around record `near`: at least half of them from it
    on, and at most half before it, where there are as many."""

    def __init__(self, near: int, most: int) -> None:
        self._near, self._most = near, most
        self._before: list[tuple[int, int, _Match]] = []
        self._after: list[tuple[int, int, _Match]] = []
        self._earlier = 0
        self.matching = 0

    def add(self, match: _Match) -> None:
        self.matching += 1
        if match.number < self._near:
            self._earlier += 1
            self._keep(self._before, (match.number, self.matching, match))
        else:
            self._keep(self._after, (-match.number, -self.matching, match))

    def _keep(self, heap: list[tuple[int, int, _Match]], entry: tuple[int, int, _Match]) -> None:
        if len(heap) < self._most:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def taken(self) -> tuple[int, list[_Match]]:
        """How many come before the first of them, and they themselves, in item order."""
        before = [match for *_, match in sorted(self._before)]
        after = [match for *_, match in sorted(self._after, reverse=True)]
        earlier = min(len(before), max(self._most - len(after), self._most // 2))
        taken = [*before[len(before) - earlier :], *after[: self._most - earlier]]
        return self._earlier - earlier, taken


def find_samples(files: RunFiles, wanted: Wanted, *, most: int, ruler: Path | None = None, near: int = 0) -> Samples:
    """`most` records in item order that are `wanted`, the first ones or those around the record `near`, in memory that
    does not grow with the run.

    Flags are those of the detectors that the run is judged by; with `ruler`, a file as `gate --qc` takes, of those in
    it. Raises `ConfigurationError` for a flag that none of them raises, and as `read_ruler` does.
    """
    spec = graded_spec(files, read_spec(files))
    if ruler is not None:
        spec = read_ruler(ruler, spec, detector_homes(files, spec))
    detectors = detectors_of_run(files, spec)
    if wanted.flag is not None:
        detector_of(wanted.flag, detectors)
    marks = read_marks(files)
    around = _Around(near, most)
    flagged = dict.fromkeys(detectors, 0)
    records = kept = 0
    for line, index, record in located_records(files, spec):
        flags = flags_of(record, detectors)
        marked = _marks_on(index, flags, detectors, marks)
        records += 1
        kept += is_kept(record)
        for kind, flag in flags.items():
            flagged[kind] += flag
        if wanted.takes(record, flags, marked):
            around.add(_Match(index, line, record, flags, marked))
    start, found = around.taken()
    return Samples(
        run=spec.id,
        wanted=wanted,
        detectors={kind: detector.id for kind, detector in detectors.items()},
        found=[
            Sample(index, record, flags, _spans(record, flags, detectors), marked, line)
            for index, line, record, flags, marked in found
        ],
        matching=around.matching,
        records=records,
        start=start,
        kept=kept,
        flagged=flagged,
    )


def samples_at(files: RunFiles, spec: RunSpec, indexes: Collection[int]) -> dict[int, Sample]:
    """The records of those numbers, by number, with what the detectors of `spec` flag in them."""
    detectors = detectors_of_run(files, spec)
    found: dict[int, Sample] = {}
    for index, record in numbered_records(files, spec) if indexes else ():
        if index in indexes and index not in found:
            flags = flags_of(record, detectors)
            found[index] = Sample(index, record, flags, _spans(record, flags, detectors))
    return found


def _marks_on(
    index: int, flags: Mapping[str, bool], detectors: Mapping[str, Detector], marks: Marks
) -> dict[str, bool]:
    """By kind of detector, the marks on what it flags in record `index`."""
    if not marks.right:
        return {}
    found = ((kind, marks.of(detectors[kind].id, index)) for kind, flag in flags.items() if flag)
    return {kind: mark for kind, mark in found if mark is not None}


def _spans(record: Record, flags: Mapping[str, bool], detectors: Mapping[str, Detector]) -> dict[str, list[Span]]:
    return {kind: detectors[kind].spans(record) for kind, flag in flags.items() if flag}


def _sample_json(sample: Sample, flag: str | None) -> dict[str, Any]:
    """`mark` is that on the flag which was asked for; where none was, the first of `marks`."""
    record = sample.record
    spans = [
        {"detector": kind, "field": field, "start": start, "end": end, "text": record[field][start:end]}
        for kind, found in sample.spans.items()
        for field, start, end in found
    ]
    texts = {key: record.get(key) for key in ("instruction", "response", "raw_response", "finish_reason", "outcome")}
    mark = sample.marks.get(flag) if flag is not None else next(iter(sample.marks.values()), None)
    marks = {"mark": mark, "marks": sample.marks}
    return {"index": sample.index, "kept": is_kept(record), **texts, "flags": sample.flags, **marks, "spans": spans}


# --- in words ----------------------------------------------------------------------------------------------------


def samples_text(samples: Samples) -> str:
    """Each record in a few lines, what is flagged in ⟦ ⟧."""
    shown = len(samples.found)
    more = "" if shown == samples.matching else f", the first {shown} here"
    head = f"{samples.run}: {samples.matching} of {samples.records} records {samples.wanted.words()}".rstrip() + more
    return "\n\n".join([head, *(_sample_text(sample) for sample in samples.found)])


def _sample_text(sample: Sample) -> str:
    record, flagged = sample.record, [_flag_text(sample, kind) for kind, flag in sample.flags.items() if flag]
    lines = [f"#{sample.index} · {_state(record)}" + (f" · flagged {', '.join(flagged)}" if flagged else "")]
    for name in ("instruction", "response"):
        text = record.get(name)
        if isinstance(text, str):
            lines.append(f"  {name:<12} {_plain(text, WHOLE)}")
    for kind, spans in sample.spans.items():
        lines += [f"  {kind:<12} {_marked(record[field], start, end)}" for field, start, end in spans[:3]]
    return "\n".join(lines)


def _flag_text(sample: Sample, kind: str) -> str:
    mark = sample.marks.get(kind)
    return kind if mark is None else f"{kind} ({MARK_WORDS[mark]})"


def _state(record: Record) -> str:
    outcome = record.get("outcome")
    return sanitise(outcome, 40) if isinstance(outcome, str) else "kept" if is_kept(record) else "–"


def sample_line(sample: Sample, kind: str, width: int | None = None, *, lead: str = "") -> str:
    """One line: `#12 · kept · Name a colour. → Blue. ⟦ ⏎ Instruction: Name a tree.⟧`, with what that kind flags.

    It begins with `lead`, and takes at most `width` cells: the instruction gives way first, the flagged span last.
    """
    record = sample.record
    instruction, response = record.get("instruction"), record.get("response")
    asked = _plain(instruction, LINE_TEXT) if isinstance(instruction, str) else "–"
    answered = _plain(response, LINE_TEXT) if isinstance(response, str) else "–"
    for name, start, end in sample.spans.get(kind, [])[:1]:
        answered = _marked(record[name], start, end, before=LINE_BEFORE, within=LINE_TEXT)
    head, tail = f"{lead}#{sample.index} · {_state(record)} · ", f" → {answered.lstrip()}"
    if width is not None:
        room = width - cells_of(head) - cells_of(tail)
        asked = cut(asked, max(room, LEAST_ASKED))
        room = width - cells_of(head) - cells_of(asked)
        if cells_of(tail) > room:
            tail = f"{cut(tail, room - 1)}⟧" if "⟦" in tail else cut(tail, room)
    return f"{head}{asked}{tail}"


def suspect_text(files: RunFiles, detector: DetectorEvidence, width: int | None = None) -> str:
    """Why a detector may be wrong, some of what it flags that nobody has marked yet, and how to mark that; samples are
    cut, and sentences broken, at `width` cells."""
    samples = find_samples(files, Wanted(flag=detector.kind, marked=False), most=SUSPECTS_SHOWN)
    lines = [wrapped(f"detector suspect: {detector.detector}: {detector.suspect}", width)]
    lines += [sample_line(sample, detector.kind, width, lead="  ") for sample in samples.found]
    if samples.found:
        indexes = [sample.index for sample in samples.found]
        ways = f"--mark {indexes[0]}=true" + "".join(f" --mark {index}=false" for index in indexes[1:2])
        lines.append(f"  right or a false alarm? pilothouse samples {samples.run} --flag {detector.kind} {ways} …")
    return "\n".join(lines)


def _marked(text: str, start: int, end: int, *, before: int = BEFORE, within: int = WITHIN) -> str:
    leading = text[max(0, start - before) : start]
    left = "…" if start > before else ""
    right = "…" if end < len(text) else ""
    return f"{left}{_plain(leading, before * 2)}⟦{_plain(text[start:end], within)}⟧{right}"


def _plain(text: str, limit: int) -> str:
    """One safe line; line breaks are shown."""
    return sanitise(_BREAKS.sub(" ⏎ ", text), limit)
