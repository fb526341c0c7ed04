"""What a run's name says of it."""

from __future__ import annotations

import re
from typing import Literal

from engine.errors import ConfigurationError

RunKind = Literal["pilot", "iteration", "scale", "engine"]

_ITERATION = re.compile(r"iteration-(\d{1,9})")
_ENGINE = re.compile(r"engine-(\d{1,9})")


def kind_of(run: str) -> RunKind:
    """`scale` for names that start so, `pilot` for `pilot…`, `engine` for `engine-1`, `iteration` for all others."""
    if _ENGINE.fullmatch(run):
        return "engine"
    if run.startswith("scale"):
        return "scale"
    return "pilot" if run.startswith("pilot") else "iteration"


def iteration_number(run: str) -> int | None:
    """2 for `iteration-2`, else None."""
    match = _ITERATION.fullmatch(run)
    return int(match.group(1)) if match else None


def engine_name(number: int) -> str:
    """`engine-1`: what the campaign's first engine is called, and its folder beside those of the runs."""
    return f"engine-{number}"


def engine_number(run: str) -> int | None:
    """2 for `engine-2`, else None."""
    match = _ENGINE.fullmatch(run)
    return int(match.group(1)) if match else None


def check_not_an_engine(run: str) -> None:
    """`ConfigurationError` when `run` is a name that engines have."""
    if engine_number(run) is not None:
        raise ConfigurationError(
            f"{run!r} is what a kept engine is called, not a run",
            remedy="choose another name; `pilothouse engine` starts, shows and stops engines",
        )
