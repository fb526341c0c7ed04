"""`engine.json`: where a kept engine answers, and whether it does yet. Its keeper writes it, who attaches reads it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.files import RunFiles, read_json, write_json


class EngineRecord(BaseModel):
    """`state` is `starting` until it answers, `stopping` while it is to go and its keeper looks who uses it, and
    `ended` once it is gone, `reason` says why then. `socket` is the Unix socket it listens on, `model` the name it
    serves the model under; `progress` says in words how far it is. `in_use`: a run is attached, or requests are in
    flight."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    v: int = 1
    state: Literal["starting", "ready", "stopping", "ended"] = "starting"
    socket: str
    model: str
    progress: str = ""
    in_use: bool = False
    reason: str = ""


def read_engine(files: RunFiles) -> EngineRecord | None:
    """The record as it stands; None when there is none yet, or it is damaged."""
    try:
        value: dict[str, Any] | None = read_json(files.engine)
        return EngineRecord.model_validate(value) if value is not None else None
    except (OSError, ValidationError):
        return None


def write_engine(files: RunFiles, record: EngineRecord) -> None:
    """Replace the record. Raises `OSError` as the file system does."""
    write_json(files.engine, record.model_dump(mode="json"))
