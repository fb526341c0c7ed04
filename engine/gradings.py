"""Gradings that were saved after a run's own: the newest of them is what the run is judged by from then on.

`gradings/N.json` holds one, numbered from 1; whoever links a written file to such a name first has the number. The
run's spec, and a generator that still works by it, stay as they are.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.campaign.fields import Count, Strict
from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError
from engine.files import RunFiles, make_private_folder, storage_error, sync_folder, write_json
from engine.journal.events import utc_now
from engine.journal.folder import FolderReader
from engine.qc.detectors import resolve_detectors
from engine.qc.verdicts import GateVerdict, Verdict

GRADING_VERSION = 1
_NUMBERED = re.compile(r"([1-9][0-9]{0,8})\.json")


class Said(Strict):
    """A gate's verdict in short."""

    verdict: Verdict
    sentence: str


class Grading(Strict):
    """One saved grading: who graded again, when (UTC, ISO 8601), why, by which detectors and limits, and what the
    verdict was before and after."""

    v: int = GRADING_VERSION
    number: Count
    time: str
    author: str
    reason: str
    qc: QcConfig
    gate: GateConfig
    before: Said
    after: Said


@dataclass(frozen=True, slots=True)
class Gradings:
    """Those of one run, `saved` from the oldest to the newest; `damaged` names files that cannot be read as one."""

    saved: tuple[Grading, ...] = ()
    damaged: tuple[str, ...] = ()


class GradingsReader:
    """A run's gradings, kept up to date; what was read once is not read again."""

    def __init__(self, files: RunFiles) -> None:
        self._folder = FolderReader(files.gradings)
        self.gradings = Gradings()

    def refresh(self) -> bool:
        """Look for gradings that came or went; whether there were any."""
        if not self._folder.refresh():
            return False
        read = {name: _grading(name, value) for name, value in self._folder.values.items()}
        saved = sorted((one for one in read.values() if one is not None), key=lambda one: one.number)
        self.gradings = Gradings(tuple(saved), tuple(name for name, one in read.items() if one is None))
        return True


def _grading(name: str, value: dict[str, Any] | None) -> Grading | None:
    """The grading in a file; None when it is none, or names detectors that there are not here."""
    match = _NUMBERED.fullmatch(name)
    if match is None or value is None or value.get("v") != GRADING_VERSION:
        return None
    try:
        grading = Grading.model_validate(value)
        resolve_detectors(grading.qc, delimiter="")
    except (ValidationError, ConfigurationError):
        return None
    return grading if grading.number == int(match[1]) else None


def read_gradings(files: RunFiles) -> Gradings:
    """The run's saved gradings as they are now."""
    reader = GradingsReader(files)
    reader.refresh()
    return reader.gradings


def judged_by(spec: RunSpec, grading: Grading | None) -> RunSpec:
    """`spec` with the detectors and limits of `grading`; as it is for none."""
    return spec if grading is None else spec.model_copy(update={"qc": grading.qc, "gate": grading.gate})


def graded_spec(files: RunFiles, spec: RunSpec) -> RunSpec:
    """`spec`, the run's frozen one, with the detectors and limits that the run is judged by now."""
    saved = read_gradings(files).saved
    return judged_by(spec, saved[-1] if saved else None)


def save_grading(
    files: RunFiles, spec: RunSpec, *, before: GateVerdict, after: GateVerdict, reason: str, author: str, number: int
) -> Path | None:
    """Record that the run is judged by the detectors and limits of `spec` from now on; the path of the new file.

    `number` is what `next_number` gave before the run was looked at. None when it was taken by somebody else since:
    the verdict before may be another now. `RefusedError` where the folder cannot be written.
    """
    grading = Grading(
        number=number,
        time=utc_now(),
        author=author,
        reason=reason,
        qc=spec.qc,
        gate=spec.gate,
        before=Said(verdict=before.verdict, sentence=before.sentence),
        after=Said(verdict=after.verdict, sentence=after.sentence),
    )
    folder = make_private_folder(files.gradings)
    path, written = folder / f"{number}.json", folder / f".{uuid.uuid4().hex}"
    try:
        write_json(written, grading.model_dump(mode="json"))
        os.link(written, path)
        sync_folder(folder)
    except FileExistsError:
        return None
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        written.unlink(missing_ok=True)
    return path


def next_number(files: RunFiles) -> int:
    """The number that the next grading would have: one more than any that is taken."""
    if not files.gradings.is_dir():
        return 1
    taken = (_NUMBERED.fullmatch(entry.name) for entry in files.gradings.iterdir())
    return 1 + max((int(match[1]) for match in taken if match is not None), default=0)
