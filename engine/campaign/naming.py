"""What a run's name says of it."""

from __future__ import annotations

import re
from typing import Literal

RunKind = Literal["pilot", "iteration", "scale"]

_ITERATION = re.compile(r"iteration-(\d{1,9})")


def kind_of(run: str) -> RunKind:
    """`scale` for names that start so, `pilot` for `pilot…`, `iteration` for all others."""
    if run.startswith("scale"):
        return "scale"
    return "pilot" if run.startswith("pilot") else "iteration"


def iteration_number(run: str) -> int | None:
    """2 for `iteration-2`, else None."""
    match = _ITERATION.fullmatch(run)
    return int(match.group(1)) if match else None
