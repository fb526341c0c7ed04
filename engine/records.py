"""A run's records by the number of their item, and the detectors that look at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError
from engine.files import RunFiles
from engine.journal.reader import JournalReader
from engine.qc.custom import detectors_of
from engine.qc.detectors import Detector, Record
from engine.qc.metrics import is_garbage


def numbered_records(files: RunFiles, spec: RunSpec) -> Iterator[tuple[int, Record]]:
    """Every record with its item's number, in file order; rows of a foreign file are numbered as they stand there."""
    return ((index, record) for _, index, record in located_records(files, spec))


def located_records(files: RunFiles, spec: RunSpec) -> Iterator[tuple[int, int, Record]]:
    """Every record with the line of the file that it stands on, from 1, and its item's number."""
    reader = JournalReader(files.records)
    for number, record in enumerate(reader.read_new()):
        index = record.get("index")
        if spec.imported is not None or type(index) is not int:
            yield reader.lines, number, record
        elif not is_garbage(record):
            yield reader.lines, index, record


def detector_homes(files: RunFiles, spec: RunSpec) -> tuple[str, ...]:
    """Folders that the run's custom detectors may be found in: the workspace it lies in, and the one it was made in."""
    return tuple(dict.fromkeys((*map(str, files.folder.absolute().parents[2:3]), spec.workspace)))


def detectors_of_run(files: RunFiles, spec: RunSpec) -> dict[str, Detector]:
    """The detectors that `spec` names, custom ones included, by kind; `ConfigurationError` for an unknown one."""
    return detectors_of(spec.qc, spec.pipeline.delimiter, detector_homes(files, spec))


def detector_of(kind: str, detectors: Mapping[str, Detector]) -> Detector:
    """The detector of that kind; `ConfigurationError`, which says which there are, for none."""
    found = detectors.get(kind)
    if found is None:
        raise ConfigurationError(
            f"--flag: there is no detector for {kind!r}", remedy=f"use one of: {', '.join(detectors)}"
        )
    return found
