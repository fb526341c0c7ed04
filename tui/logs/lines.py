"""What a log line says of itself: when it was written, and how bad it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
Stamps = Literal["time", "written", "none"]
STAMPS: tuple[Stamps, ...] = ("time", "written", "none")
HEAD = 160
"""Characters of a line in which its level is looked for."""

ERROR_WORDS = ("ERROR", "CRITICAL", "FATAL", "Traceback", "Exception", "Error:")
WARNING_WORDS = ("WARN",)

_BAD = re.compile(r"\b(?:ERROR|CRITICAL|FATAL|Traceback|Exception)\b|(?:Error|Exception):")
_WARN = re.compile(r"\bWARN(?:ING)?\b")
_STAMP = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[ T](?P<time>\d{2}:\d{2}:\d{2})(?:[,.]\d+)?(?: +- +| +)\[?(?P<level>[A-Z]{4,8})\b\]?"
    r"(?: +- +|:? *)"
)
_VLLM_STAMP = re.compile(
    r"(?P<source>(?:\([^()]{1,60}\) )*)(?P<level>[A-Z]{4,8}) (?P<day>\d\d-\d\d) (?P<time>\d\d:\d\d:\d\d)(?:\.\d+)? *"
)
_QUIET = ("DEBUG", "INFO")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Date, time and level that a line begins with: `rest` is where the line goes on, `time_at` where the time of day
    stands in it, `source` the length of what stands before them."""

    day: str
    time: str
    level: str
    time_at: int
    rest: int
    source: int = 0

    @property
    def loud(self) -> str:
        """The level where it is more than `INFO`."""
        return "" if self.level in _QUIET else self.level


def stamp_of(text: str) -> Stamp | None:
    """The stamp of a line, as Python's logging or vLLM writes one."""
    found = _STAMP.match(text)
    if found is not None:
        return Stamp(found["day"], found["time"], found["level"], found.start("time"), found.end())
    found = _VLLM_STAMP.match(text)
    if found is None:
        return None
    return Stamp(found["day"], found["time"], found["level"], found.start("time"), found.end(), found.end("source"))


def severity_of(text: str) -> Severity | None:
    """How bad a line is, by the level word that it holds near its beginning."""
    head = text[:HEAD]
    if _BAD.search(head):
        return "error"
    return "warning" if _WARN.search(head) else None
