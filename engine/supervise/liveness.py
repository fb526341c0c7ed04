"""Who keeps a run, and whether keeper and generator live, from `keeper.json` and `/proc` alone."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.files import RunFiles, read_json, write_json
from engine.journal.events import (
    GeneratorStarted,
    Heartbeat,
    KeeperStarted,
    ProcessIdentity,
    RunEnded,
    parse_event,
    utc_now,
)
from engine.journal.reader import JournalReader
from engine.supervise.identity import here, is_alive

HEARTBEAT_S = 2.0
SILENT_S = 120.0
"""A keeper that cannot be seen from here, and has not beaten for so long, is taken for dead; it beats every other
second."""

FRESH_S = 30.0
_TELLING = ("keeper_started", "generator_started", "heartbeat", "run_ended")


class KeeperRecord(BaseModel):
    """`keeper.json`. `adoption` counts the keepers that took this attempt over; `ended` is set once the run's end is
    recorded and the journal free for the next attempt's keeper. `memory_before` is bytes used per GPU before launch,
    `budget_left` what the attempt may cost in US dollars (None: no cap), `began` when, in seconds of that boot.
    `engine` is the kept engine that the attempt is attached to, empty for none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = 1
    run: str
    run_id: str
    attempt: int
    adoption: int = 0
    author: str = ""
    started: str = Field(default_factory=utc_now)
    keeper: ProcessIdentity
    generator: ProcessIdentity | None = None
    devices: tuple[str, ...] = ()
    memory_before: dict[str, int] = Field(default_factory=dict)
    budget_left: float | None = None
    began: float = 0.0
    engine: str = ""
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class RunLiveness:
    """Who lives, as far as it can be known from here (None: another host or container).

    `attempt` is the one that a keeper took last, None when no keeper ever did; `ended` whether that keeper has
    recorded the attempt's end; `silent_s` seconds since the keeper's journal grew, by the wall clock; `keeper` who it
    is.
    """

    keeper_alive: bool | None
    generator_alive: bool | None
    attempt: int | None = None
    ended: bool = False
    silent_s: float = 0.0
    keeper: ProcessIdentity | None = None

    @property
    def live(self) -> bool:
        """Whether a keeper or a generator of the run may be at work."""
        return not self.ended and (self.keeper_alive is not False or self.generator_alive is not False)

    @property
    def out_of_sight(self) -> bool:
        """Whether it was kept where nobody can look from here, and has not been heard of for `SILENT_S`."""
        return self.keeper_alive is None and not self.ended and self.silent_s > SILENT_S


def read_keeper(files: RunFiles) -> KeeperRecord | None:
    """Who keeps or kept the run; None when no keeper ever took it. Where `keeper.json` is lost or damaged, the journal
    tells."""
    try:
        value: dict[str, Any] | None = read_json(files.keeper)
        return KeeperRecord.model_validate(value) if value is not None else _from_journal(files)
    except (OSError, ValidationError):
        return _from_journal(files)


def _from_journal(files: RunFiles) -> KeeperRecord | None:
    """Who kept the run last by its keeper's journal; what the levels of GPU memory were is not in it."""
    record: KeeperRecord | None = None
    adoptions = 0
    try:
        values = [value for value in JournalReader(files.keeper_journal).read_new() if value.get("event") in _TELLING]
    except OSError:
        return None
    for value in values:
        event = parse_event(value)
        match event:
            case KeeperStarted():
                adoptions = adoptions + 1 if event.adopted else 0
                generator = record.generator if record is not None and event.adopted else None
                campaign, run = files.folder.parts[-2:]
                record = KeeperRecord(
                    run=f"{campaign}/{run}",
                    run_id=_run_id(files),
                    attempt=event.attempt,
                    adoption=adoptions,
                    author=event.author,
                    started=event.time,
                    keeper=event.keeper,
                    generator=generator,
                    engine=event.engine,
                )
            case GeneratorStarted() if record is not None:
                record = record.model_copy(update={"generator": event.process})
            case Heartbeat() if record is not None and event.devices:
                record = record.model_copy(update={"devices": tuple(event.devices)})
            case RunEnded() if record is not None:
                record = record.model_copy(update={"ended": event.time})
            case _:
                pass
    return record


def _run_id(files: RunFiles) -> str:
    value = read_json(files.spec)
    return str(value.get("run_id", "")) if value is not None else ""


def write_keeper(files: RunFiles, record: KeeperRecord) -> None:
    write_json(files.keeper, record.model_dump(mode="json"))


def run_liveness(files: RunFiles) -> RunLiveness:
    """Liveness of the run's last keeper and generator; a few small reads."""
    record = read_keeper(files)
    if record is None:
        return RunLiveness(keeper_alive=False, generator_alive=False)
    silent = _silent_s(files)
    keeper = is_alive(record.keeper)
    generator = is_alive(record.generator) if record.generator is not None else False
    if record.keeper.boot_id != here().boot_id and keeper is False and silent < FRESH_S and not record.ended:
        # This host's name, another boot, and its journal grows: another machine of that name, not a boot of the past.
        keeper = generator = None
    return RunLiveness(keeper, generator, record.attempt, record.ended is not None, silent, record.keeper)


def is_silent(files: RunFiles, heartbeats: int = 3) -> bool:
    """Whether the keeper's journal is still, watched for as long as `heartbeats` heartbeats take."""

    def size() -> int:
        try:
            return os.stat(files.keeper_journal).st_size
        except OSError:
            return 0

    before, deadline = size(), time.monotonic() + heartbeats * HEARTBEAT_S
    while time.monotonic() < deadline:
        if size() != before:
            return False
        time.sleep(0.1)
    return True


def _silent_s(files: RunFiles) -> float:
    try:
        return abs(time.time() - os.stat(files.keeper_journal).st_mtime)
    except OSError:
        return float("inf")
