"""Gradings that were saved after a run's own: the newest of them is what the run is judged by from then on.

`gradings/N.json` holds one, numbered from 1. The run's spec, and a generator that still works by it, stay as they are.

Each is one of the campaign's tries, so that those who save for several runs at once must not all count the same ones.
They stand in a row: `../.gradings/N.json` holds the campaign's N-th saved grading, of whichever run, and whoever links
a written file to that name first is next; the others look and count again. Only then does it go to its run, and
`N.done` says that it did: what a crash left without that is brought there by whoever saves next.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from engine.campaign.fields import Count, Strict
from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError, RefusedError
from engine.files import (
    NAME,
    RunFiles,
    make_private_folder,
    read_json,
    storage_error,
    sync_folder,
    well_formed,
    write_json,
)
from engine.journal.events import utc_now
from engine.journal.folder import FolderReader
from engine.qc.detectors import resolve_detectors
from engine.qc.verdicts import GateVerdict, Verdict

GRADING_VERSION = 1
MOST_GRADINGS = 10_000
"""A file with a higher number is none of ours."""
SAVE_AGAIN = "save it again"
_NUMBERED = re.compile(r"([1-9][0-9]{0,4})\.json")


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


class _Save(Strict):
    """A grading in the campaign's row, and the name of the run that it is for."""

    run: str = Field(pattern=f"^{NAME.pattern}$")
    grading: Grading


class Number(NamedTuple):
    """What the next grading would be: the so-manieth of its run, and of all that were saved in the campaign."""

    of_run: int
    of_campaign: int


@dataclass(frozen=True, slots=True)
class Gradings:
    """Those of one run, `saved` from the oldest to the newest; `damaged` names files that cannot be read as one."""

    saved: tuple[Grading, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """How many of the damaged ones have a grading's number: each was saved, and so a try."""
        return sum(_number(name) is not None for name in self.damaged)


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


def _number(name: str) -> int | None:
    """The number in a grading's file name; None where it is no such name."""
    match = _NUMBERED.fullmatch(name)
    number = int(match[1]) if match is not None else 0
    return number if 1 <= number <= MOST_GRADINGS else None


def _grading(name: str, value: dict[str, Any] | None) -> Grading | None:
    """The grading in a file; None when it is none, or names detectors that there are not here."""
    number = _number(name)
    if number is None or value is None or value.get("v") != GRADING_VERSION:
        return None
    try:
        grading = Grading.model_validate(value)
        resolve_detectors(grading.qc, delimiter="")
    except (ValidationError, ConfigurationError):
        return None
    return grading if grading.number == number else None


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


# --- saving one --------------------------------------------------------------------------------------------------


def next_number(files: RunFiles) -> Number:
    """Which the next grading of the run would be. To be asked before the run is looked at and its campaign's tries are
    counted: who saves under it can be sure that no grading has come since.

    `RefusedError` where one that was left half saved cannot be brought to its run, and where no number is left.
    """
    row = files.saves
    last = _last(row)
    if last and not _done(row, last).exists():
        _finish(files, last)
    number = Number(_last(files.gradings) + 1, last + 1)
    for folder, wanted in zip((files.gradings, row), number, strict=True):
        if wanted > MOST_GRADINGS:
            raise RefusedError(
                f"no grading can be saved after the {MOST_GRADINGS:,}th",
                where=str(folder / f"{MOST_GRADINGS}.json"),
                remedy="if somebody put that file there by hand, take it away",
            )
    return number


def save_grading(
    files: RunFiles, spec: RunSpec, *, before: GateVerdict, after: GateVerdict, reason: str, author: str, number: Number
) -> Path | None:
    """Record that the run is judged by the detectors and limits of `spec` from now on; the path of the new file.

    `number` is what `next_number` gave before the run was looked at. None when a grading was saved since, of this run
    or another: the verdict before may be another now, and so may the tries that are left. `RefusedError` where the
    folder cannot be written, and where what was written cannot be read again.
    """
    grading = Grading(
        number=number.of_run,
        time=utc_now(),
        author=well_formed(author),
        reason=well_formed(reason),
        qc=spec.qc,
        gate=spec.gate,
        before=Said(verdict=before.verdict, sentence=before.sentence),
        after=Said(verdict=after.verdict, sentence=after.sentence),
    )
    save = _Save(run=files.folder.name, grading=grading)
    if not _link(files.saves, f"{number.of_campaign}.json", save):
        return None
    _finish(files, number.of_campaign)
    path = files.gradings / f"{grading.number}.json"
    standing = read_gradings(files)
    if grading in standing.saved:
        return path
    if path.name in standing.damaged:
        raise RefusedError(
            "the grading was written and cannot be read again",
            where=str(path),
            remedy="look at the folder and its disk, take the file away, then save it again",
        )
    return None


def _finish(files: RunFiles, place: int) -> None:
    """Bring the grading at `place` of the campaign's row to its run, where that has not been done."""
    row = files.saves
    kept = row / f"{place}.json"
    try:
        save = _Save.model_validate(read_json(kept) if kept.is_file() else None)
    except ValidationError:
        save = None  # damaged: nobody can tell what it was
    if save is not None and (run := files.neighbour(save.run)).spec.is_file():
        _link(run.gradings, f"{save.grading.number}.json", save.grading)
    try:
        _done(row, place).touch(mode=0o600)
    except OSError as error:
        raise storage_error(error, row, then=SAVE_AGAIN) from error


def _link(folder: Path, name: str, value: Strict) -> bool:
    """Write `value` as `name`, whole or not at all; False where there is such a file already."""
    make_private_folder(folder, then=SAVE_AGAIN)
    written = folder / f".{uuid.uuid4().hex}"
    try:
        write_json(written, value.model_dump(mode="json"))
        os.link(written, folder / name)
        sync_folder(folder)
    except FileExistsError:
        return False
    except OSError as error:
        raise storage_error(error, folder, then=SAVE_AGAIN) from error
    finally:
        written.unlink(missing_ok=True)
    return True


def _done(row: Path, place: int) -> Path:
    return row / f"{place}.done"


def _last(folder: Path) -> int:
    """The highest number that is taken in `folder`, 0 for none."""
    names: Iterable[str] = os.listdir(folder) if folder.is_dir() else ()
    return max((number for name in names if (number := _number(name)) is not None), default=0)
