"""Who keeps a run, and whether keeper and generator live, from `keeper.json` and `/proc` alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.files import RunFiles, read_json, write_json
from engine.journal.events import ProcessIdentity, utc_now
from engine.supervise.identity import is_alive


class KeeperRecord(BaseModel):
    """`keeper.json`. `adoption` counts the keepers that took this attempt over; `ended` is set once the run's end is
    recorded and the journal free for the next attempt's keeper. `memory_before` is bytes used per GPU before launch.
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
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class RunLiveness:
    """Who lives, as far as it can be known from here (None: another host or container).

    `attempt` is the one that a keeper took last, None when no keeper ever did; `ended` whether that keeper has
    recorded the attempt's end.
    """

    keeper_alive: bool | None
    generator_alive: bool | None
    attempt: int | None = None
    ended: bool = False

    @property
    def live(self) -> bool:
        """Whether a keeper or a generator of the run may be at work."""
        return not self.ended and (self.keeper_alive is not False or self.generator_alive is not False)


def read_keeper(files: RunFiles) -> KeeperRecord | None:
    """Who keeps or kept the run; None when no keeper ever took it, or the file is damaged."""
    try:
        value: dict[str, Any] | None = read_json(files.keeper)
        return KeeperRecord.model_validate(value) if value is not None else None
    except (OSError, ValidationError):
        return None


def write_keeper(files: RunFiles, record: KeeperRecord) -> None:
    write_json(files.keeper, record.model_dump(mode="json"))


def run_liveness(files: RunFiles) -> RunLiveness:
    """Liveness of the run's last keeper and generator; three small reads."""
    record = read_keeper(files)
    if record is None:
        return RunLiveness(keeper_alive=False, generator_alive=False)
    generator = is_alive(record.generator) if record.generator is not None else False
    return RunLiveness(is_alive(record.keeper), generator, record.attempt, record.ended is not None)
