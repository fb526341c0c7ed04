"""Marks that people set on flagged samples: the flag is right, or it is a false alarm.

One file per mark in `marks/`, whose names begin with a number: nanoseconds of the time, or one more than the newest
there where a clock is behind. The mark with the highest number on a record counts. It belongs to the detector whose
flag was looked at (`markers-v2`), so another one starts without any.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, StrictBool, StrictInt, ValidationError

from engine.campaign.fields import Strict
from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError, RefusedError
from engine.files import RunFiles, make_private_folder, storage_error, write_json
from engine.journal.events import utc_now
from engine.journal.folder import FolderReader
from engine.records import detector_of, detectors_of_run, numbered_records

MARK_VERSION = 1
NAMED_FLAGGED = 20
"""So many flagged records are named to someone who marks another."""
MARK_AGAIN = "mark again: nothing was marked"
_NUMBER = re.compile(r"[0-9]{1,30}")


class OtherDetectorError(RefusedError):
    """The run is judged by another detector by now than the one whose flags were looked at (exit 4)."""


class _Mark(Strict):
    """As it stands in its file: `right` is whether `detector` flags the record `index` rightly."""

    v: int
    time: str
    author: str
    index: StrictInt = Field(ge=0)
    kind: str
    detector: str
    right: StrictBool


@dataclass(frozen=True, slots=True)
class Marks:
    """The standing marks of one run by (detector id, index), true for a right flag; `damaged` counts files that cannot
    be read as a mark."""

    right: Mapping[tuple[str, int], bool] = field(default_factory=dict)
    damaged: int = 0

    def of(self, detector: str, index: int) -> bool | None:
        """The mark on that detector's flag of record `index`; None for none."""
        return self.right.get((detector, index))

    def indexes(self, detector: str) -> set[int]:
        """The records on which that detector's flag is marked."""
        return {index for of, index in self.right if of == detector}

    def counts(self, detector: str, flagged: Collection[int]) -> tuple[int, int]:
        """Of the records that the detector of that id has `flagged`: flags that are right, and false alarms."""
        found = [right for (of, index), right in self.right.items() if of == detector and index in flagged]
        return sum(found), len(found) - sum(found)


class MarksReader:
    """A run's marks, kept up to date; what was read once is not read again."""

    def __init__(self, files: RunFiles) -> None:
        self._folder = FolderReader(files.marks)
        self.marks = Marks()

    def refresh(self) -> bool:
        """Look for marks that came or went; whether there were any."""
        if not self._folder.refresh():
            return False
        values = self._folder.values
        read = [_mark(values[name]) for name in sorted(values, key=_place)]
        standing = {(mark.detector, mark.index): mark.right for mark in read if mark is not None}
        self.marks = Marks(standing, read.count(None))
        return True


def _mark(value: dict[str, Any] | None) -> _Mark | None:
    try:
        mark = _Mark.model_validate(value)
    except ValidationError:
        return None
    return mark if mark.v == MARK_VERSION else None


def read_marks(files: RunFiles) -> Marks:
    """The run's marks as they are now."""
    reader = MarksReader(files)
    reader.refresh()
    return reader.marks


def _place(name: str) -> tuple[int, str]:
    """Where a mark stands in time, by its file's name."""
    match = _NUMBER.match(name)
    return (int(match[0]) if match is not None else 0), name


def set_marks(
    files: RunFiles,
    spec: RunSpec,
    kind: str,
    marks: Mapping[int, bool],
    author: str,
    *,
    detector: str | None = None,
) -> tuple[str, set[int]]:
    """Mark flags of the detector of that kind, by record: true for a right one; its id and all records that it flags.

    `spec` is the one that the run is judged by (`engine.gradings.graded_spec`), `detector` the id of the one whose
    flags were looked at. All are marked or none: `ConfigurationError` for a kind that there is not and for a record
    that is not flagged, `OtherDetectorError` where `detector` is not the one, `RefusedError` where the folder cannot be
    written.
    """
    found = detector_of(kind, detectors_of_run(files, spec))
    if detector is not None and found.id != detector:
        raise OtherDetectorError(
            f"{spec.id} is judged by {found.id} now, and what was looked at are flags of {detector}",
            where=str(files.gradings),
            remedy="look at the samples again",
        )
    flagged = {index for index, record in numbered_records(files, spec) if found.flag(record)}
    for index in marks:
        if index not in flagged:
            raise ConfigurationError(
                f"record {index} of {spec.id} is not flagged {kind} by {found.id}: there is no flag to mark",
                where=str(files.records),
                remedy=_named(flagged),
            )
    now = utc_now()
    _write(
        make_private_folder(files.marks, then=MARK_AGAIN),
        [
            _Mark(v=MARK_VERSION, time=now, author=author, index=index, kind=kind, detector=found.id, right=right)
            for index, right in marks.items()
        ],
    )
    return found.id, flagged


def _write(folder: Path, marks: list[_Mark]) -> None:
    """Every mark into a file of its own, in order, after all that stand there; or none."""
    newest = max((_place(name)[0] for name in os.listdir(folder)), default=0)
    written: list[Path] = []
    try:
        for number, mark in enumerate(marks, start=max(time.time_ns(), newest + 1)):
            path = folder / f"{number:020d}-{uuid.uuid4().hex}.json"
            write_json(path, mark.model_dump(mode="json"))
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise storage_error(error, folder, then=MARK_AGAIN) from error


def _named(flagged: set[int]) -> str:
    if not flagged:
        return "it flags no record of this run"
    first = ", ".join(map(str, sorted(flagged)[:NAMED_FLAGGED]))
    more = len(flagged) - NAMED_FLAGGED
    return f"it flags {first}" + (f" and {more} more" if more > 0 else "")
