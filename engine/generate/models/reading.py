"""Reads what stands in a model's folder, whoever put it there: bounded, regular files only, errors with the file."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from engine.campaign.document import reason_of
from engine.errors import ConfigurationError
from engine.logs.sanitise import sanitise

LARGEST_JSON = 64 << 20


class MissingFileError(ConfigurationError):
    """Something that belongs to the model is not there: of a snapshot, that it was not downloaded to its end."""


class DamagedFileError(ConfigurationError):
    """The file `path` is there and cannot be right: it was cut while it was copied, or holds something else."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(sanitise(what, 400), where=shown(path), remedy="copy or download that file again")
        self.path = path


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in the file `path`, whoever wrote it; `MissingFileError` or `DamagedFileError`."""
    try:
        value = json.loads(read_bytes(path, LARGEST_JSON).decode("utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{shown(path.name)} is missing", where=shown(path.parent), remedy="copy or download the whole model again"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else reason_of(error)
        raise DamagedFileError(path, f"{path.name} cannot be read: {reason}") from error
    if not isinstance(value, dict):
        raise DamagedFileError(path, f"{path.name} holds no JSON object")
    return value


def shown(path: Path | str) -> str:
    """A path in a message: safe for a terminal."""
    return sanitise(str(path), 300)


def read_bytes(path: Path, most: int) -> bytes:
    """Bytes of a regular file of `most` bytes at most; `OSError`, or a `ValueError` that says what is wrong with it."""
    with os.fdopen(open_regular(path), "rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return data


def open_regular(path: Path) -> int:
    """A descriptor of the regular file `path`; a pipe in its place would wait for its writer for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is not a regular file")
    return descriptor
