"""What the critics miss: responses that break off, and bare true/false statements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from engine.qc.detectors import Detector

_BARE_BOOLEAN = re.compile(
    r"""["'(]*(?:(?:it|this|that|the statement|the answer) is )?(?:true|false)["')]*[.!]*""", re.IGNORECASE
)
FilterOutcome = Literal["truncated", "bare_boolean"]


def is_bare_boolean(response: str) -> bool:
    return _BARE_BOOLEAN.fullmatch(response.strip()) is not None


def filtered(record: Mapping[str, Any], detectors: Mapping[str, Detector]) -> FilterOutcome | None:
    """Why a pair that both critics accepted is dropped all the same; None when it is not.

    Truncation is what the run's own truncation detector says it is; an empty response has nothing to keep either.
    """
    response = str(record.get("response") or "")
    if not response or detectors["truncation"].flag(record):
        return "truncated"
    return "bare_boolean" if is_bare_boolean(response) else None
