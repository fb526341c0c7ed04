"""Time that a changed wall clock cannot move: seconds of this boot, comparable only within it."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

from engine.figures import EngineFigures
from engine.journal.events import GeneratorBeat

BEAT_S = 2.0


@cache
def boot_id() -> str:
    """Which boot of the machine this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def generator_beat(attempt: int, engine: EngineFigures | None = None) -> GeneratorBeat:
    """The generator's sign of life, now, with its backend's figures."""
    return GeneratorBeat(attempt=attempt, boot_id=boot_id(), monotonic=time.monotonic(), engine=engine)
