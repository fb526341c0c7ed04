"""Marks that people set on flagged samples: the flag is right, or it is a false alarm.

One file per mark in `marks/`, whose names sort by time: the newest on a record counts. A mark belongs to the detector
whose flag was looked at (`markers-v2`), so another one starts without any.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, StrictBool, StrictInt, ValidationError

from engine.campaign.fields import Strict
from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError
from engine.files import RunFiles, make_private_folder, storage_error, write_json
from engine.journal.events import utc_now
from engine.journal.folder import FolderReader
from engine.records import detector_of, detectors_of_run, numbered_records

MARK_VERSION = 1
NAMED_FLAGGED = 20
"""So many flagged records are named to someone who marks another."""


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

    def counts(self) -> dict[str, tuple[int, int]]:
        """By detector id that has marks: flags that are right, and false alarms."""
        found: dict[str, tuple[int, int]] = {}
        for (detector, _), right in self.right.items():
            rights, wrongs = found.get(detector, (0, 0))
            found[detector] = rights + right, wrongs + (not right)
        return found


class MarksReader:
    """A run's marks, kept up to date; what was read once is not read again."""

    def __init__(self, files: RunFiles) -> None:
        self._folder = FolderReader(files.marks)
        self.marks = Marks()

    def refresh(self) -> bool:
        """Look for marks that came or went; whether there were any."""
        if not self._folder.refresh():
            return False
        read = [_mark(value) for value in self._folder.values.values()]
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


def set_marks(files: RunFiles, spec: RunSpec, kind: str, marks: Mapping[int, bool], author: str) -> str:
    """Mark flags of the detector of that kind, by record: true for a right one; returns the detector's id.

    `spec` is the one that the run is judged by (`engine.gradings.graded_spec`). All are marked or none:
    `ConfigurationError` for a kind that there is not and for a record that is not flagged, `RefusedError` where the
    folder cannot be written.
    """
    detector = detector_of(kind, detectors_of_run(files, spec))
    flagged = {index for index, record in numbered_records(files, spec) if detector.flag(record)}
    for index in marks:
        if index not in flagged:
            raise ConfigurationError(
                f"record {index} of {spec.id} is not flagged {kind} by {detector.id}: there is no flag to mark",
                where=str(files.records),
                remedy=_named(flagged),
            )
    folder = make_private_folder(files.marks)
    for index, right in marks.items():
        mark = _Mark(
            v=MARK_VERSION,
            time=utc_now(),
            author=author,
            index=index,
            kind=kind,
            detector=detector.id,
            right=right,
        )
        try:
            write_json(folder / f"{time.time_ns():020d}-{uuid.uuid4().hex}.json", mark.model_dump(mode="json"))
        except OSError as error:
            raise storage_error(error, folder) from error
    return detector.id


def _named(flagged: set[int]) -> str:
    if not flagged:
        return "it flags no record of this run"
    first = ", ".join(map(str, sorted(flagged)[:NAMED_FLAGGED]))
    more = len(flagged) - NAMED_FLAGGED
    return f"it flags {first}" + (f" and {more} more" if more > 0 else "")
