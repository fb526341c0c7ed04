"""Requests of viewers to the keeper of a run: one file each, written whole, acknowledged in the keeper's journal."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from engine.errors import PilothouseError
from engine.files import RunFiles, make_private_folder, read_json, storage_error, write_json
from engine.journal.events import RequestKind, utc_now

REQUEST_VERSION = 1
ALREADY_ENDED = "the generator had already ended"
"""What is answered to a stop that came too late: not carried out, and needless."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was found; `kind` and `attempt` are empty and 0 when the file cannot be read as one."""

    file: str
    kind: str
    attempt: int
    author: str
    time: str
    wanted: dict[str, Any] = field(default_factory=dict)


def write_request(files: RunFiles, kind: RequestKind, attempt: int, author: str, **wanted: Any) -> str:
    """Leave a request for the keeper and return its file's name; names sort by time.

    Raises `RefusedError` where the folder cannot be written.
    """
    folder = make_private_folder(files.requests)
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex}.json"
    request = {"v": REQUEST_VERSION, "kind": kind, "attempt": attempt, "author": author, "time": utc_now(), **wanted}
    try:
        write_json(folder / name, request)
    except OSError as error:
        raise storage_error(error, folder) from error
    return name


def pending(files: RunFiles, handled: Collection[str]) -> list[Request]:
    """Requests whose file names are not in `handled`, oldest first. Half-written ones are not seen."""
    try:
        names = sorted(os.listdir(files.requests))
    except OSError:
        return []
    return [
        _read(files, name)
        for name in names
        if name.endswith(".json") and not name.startswith(".") and name not in handled
    ]


def _read(files: RunFiles, name: str) -> Request:
    try:
        value = read_json(files.requests / name) or {}
    except (OSError, PilothouseError):
        value = {}
    head = {key: value.pop(key, None) for key in ("v", "kind", "attempt", "author", "time")}
    attempt = head["attempt"]
    return Request(
        file=name,
        kind=str(head["kind"] or ""),
        attempt=attempt if isinstance(attempt, int) else 0,
        author=str(head["author"] or ""),
        time=str(head["time"] or ""),
        wanted=value,
    )
