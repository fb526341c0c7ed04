"""`pilothouse samples`: records of a run in item order, with what flags them and where."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.campaign.spec import RunSpec, read_spec
from engine.errors import ConfigurationError
from engine.files import RunFiles
from engine.journal.reader import JournalReader
from engine.logs.sanitise import sanitise
from engine.qc.detectors import DETECTOR_KINDS, Detector, Record, Span, flags_of, resolve_detectors
from engine.qc.metrics import is_garbage, is_kept
from engine.report.gate import read_ruler

BEFORE, WITHIN, WHOLE = 100, 160, 400
"""Characters shown before a flagged span, of the span, and of a text without one."""

_BREAKS = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: `kept` true or false for only those, `flag` for those that a detector of that kind flags."""

    kept: bool | None = None
    flag: str | None = None

    def __post_init__(self) -> None:
        if self.flag is not None and self.flag not in DETECTOR_KINDS:
            raise ConfigurationError(
                f"--flag: there is no detector for {self.flag!r}", remedy=f"use one of: {', '.join(DETECTOR_KINDS)}"
            )

    def takes(self, record: Record, flags: Mapping[str, bool]) -> bool:
        if self.kept is not None and is_kept(record) != self.kept:
            return False
        return self.flag is None or flags.get(self.flag, False)

    def words(self) -> str:
        """Empty for all, else "kept", "rejected and flagged runaway"."""
        state = {None: "", True: "kept", False: "rejected"}[self.kept]
        flagged = f"flagged {self.flag}" if self.flag is not None else ""
        return " and ".join(filter(None, (state, flagged)))


@dataclass(frozen=True, slots=True)
class Sample:
    """A record, its number among the run's items, its flags, and by detector kind the spans that were struck."""

    index: int
    record: Record
    flags: dict[str, bool]
    spans: dict[str, list[Span]]


@dataclass(frozen=True, slots=True)
class Samples:
    """The first ones that were `wanted`, how many of those there are, and of how many records."""

    run: str
    wanted: Wanted
    detectors: dict[str, str]
    first: list[Sample]
    matching: int
    records: int

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "detectors": self.detectors,
            "records": self.records,
            "matching": self.matching,
            "samples": [_sample_json(sample) for sample in self.first],
        }


def find_samples(files: RunFiles, wanted: Wanted, *, most: int, ruler: Path | None = None) -> Samples:
    """The first `most` records in item order that are `wanted`, in memory that does not grow with the run.

    With `ruler`, a file as `gate --qc` takes, flags are those of its detectors. Raises as `read_ruler` does.
    """
    spec = read_spec(files)
    if ruler is not None:
        spec = read_ruler(ruler, spec)
    detectors = resolve_detectors(spec.qc, spec.pipeline.delimiter)
    counted = matching = 0

    def matches() -> Iterator[tuple[int, Record, dict[str, bool]]]:
        nonlocal counted, matching
        for index, record in _records(files, spec):
            counted += 1
            flags = flags_of(record, detectors)
            if wanted.takes(record, flags):
                matching += 1
                yield index, record, flags

    first = heapq.nsmallest(most, matches(), key=lambda found: found[0])
    return Samples(
        run=spec.id,
        wanted=wanted,
        detectors={kind: detector.id for kind, detector in detectors.items()},
        first=[Sample(index, record, flags, _spans(record, flags, detectors)) for index, record, flags in first],
        matching=matching,
        records=counted,
    )


def _records(files: RunFiles, spec: RunSpec) -> Iterator[tuple[int, Record]]:
    """Every record with its item's number; rows of a foreign file are numbered as they stand there."""
    for number, record in enumerate(JournalReader(files.records).read_new()):
        index = record.get("index")
        if spec.imported is not None or type(index) is not int:
            yield number, record
        elif not is_garbage(record):
            yield index, record


def _spans(record: Record, flags: Mapping[str, bool], detectors: Mapping[str, Detector]) -> dict[str, list[Span]]:
    return {kind: detectors[kind].spans(record) for kind, flag in flags.items() if flag}


def _sample_json(sample: Sample) -> dict[str, Any]:
    record = sample.record
    spans = [
        {"detector": kind, "field": field, "start": start, "end": end, "text": record[field][start:end]}
        for kind, found in sample.spans.items()
        for field, start, end in found
    ]
    texts = {key: record.get(key) for key in ("instruction", "response", "raw_response", "finish_reason", "outcome")}
    return {"index": sample.index, "kept": is_kept(record), **texts, "flags": sample.flags, "spans": spans}


# --- in words ----------------------------------------------------------------------------------------------------


def samples_text(samples: Samples) -> str:
    """Each record in a few lines, what is flagged in ⟦ ⟧."""
    shown = len(samples.first)
    more = "" if shown == samples.matching else f", the first {shown} here"
    head = f"{samples.run}: {samples.matching} of {samples.records} records {samples.wanted.words()}".rstrip() + more
    return "\n\n".join([head, *(_sample_text(sample) for sample in samples.first)])


def _sample_text(sample: Sample) -> str:
    record, flagged = sample.record, [kind for kind, flag in sample.flags.items() if flag]
    outcome = record.get("outcome")
    state = sanitise(outcome, 40) if isinstance(outcome, str) else "kept" if is_kept(record) else "–"
    lines = [f"#{sample.index} · {state}" + (f" · flagged {', '.join(flagged)}" if flagged else "")]
    for name in ("instruction", "response"):
        text = record.get(name)
        if isinstance(text, str):
            lines.append(f"  {name:<12} {_plain(text, WHOLE)}")
    for kind, spans in sample.spans.items():
        lines += [f"  {kind:<12} {_marked(record[field], start, end)}" for field, start, end in spans[:3]]
    return "\n".join(lines)


def _marked(text: str, start: int, end: int) -> str:
    before = text[max(0, start - BEFORE) : start]
    left = "…" if start > BEFORE else ""
    right = "…" if end < len(text) else ""
    return f"{left}{_plain(before, BEFORE * 2)}⟦{_plain(text[start:end], WITHIN)}⟧{right}"


def _plain(text: str, limit: int) -> str:
    """One safe line; line breaks are shown."""
    return sanitise(_BREAKS.sub(" ⏎ ", text), limit)
