"""What vLLM's own log lines tell: how far a start is, what the engine does, and why it did not come up.

Lines are those of vLLM 0.25 to 0.33; one that is not known tells nothing. They are taken as they come from
`engine.logs.tail`: sanitised, of a progress bar what was written last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.figures import EngineFigures


@dataclass(frozen=True, slots=True)
class Loading:
    """A step of the engine's start; `share` of it that is done from 0 to 1, None where it does not tell."""

    stage: str
    share: float | None = None

    def __str__(self) -> str:
        return self.stage if self.share is None else f"{self.stage} {self.share:.0%}"


_SHARES = (
    (re.compile(r"Loading (?:\w+ )*checkpoint shards?: +(\d+)% Completed"), "weights"),
    (re.compile(r"Capturing CUDA graphs[^:]*: +(\d+)%"), "CUDA graphs"),
)
_STEPS = (
    (re.compile(r"Starting to load model"), Loading("weights", 0.0)),
    (re.compile(r"Loading weights took|Model loading took"), Loading("weights", 1.0)),
    (re.compile(r"for vLLM's torch\.compile|Dynamo bytecode transform time|Compiling a graph"), Loading("compiling")),
    (re.compile(r"Directly load (?:the compiled graph|AOT compilation)"), Loading("compiled before")),
    (re.compile(r"torch\.compile(?: and initial profiling/warmup)?[^\n]* took"), Loading("warming up")),
    (re.compile(r"Graph capturing finished|init engine \(profile, create kv cache, warmup model\)"), Loading("warm")),
    (re.compile(r"Application startup complete"), Loading("answering")),
)

_ENGINE = re.compile(
    r"Avg prompt throughput: (?P<prompt>[\d.]+) tokens/s, Avg generation throughput: (?P<generation>[\d.]+) tokens/s, "
    r"Running: (?P<running>\d+) reqs, Waiting: (?P<waiting>\d+) reqs,"
    r"(?:.*? KV cache usage: (?P<cache>[\d.]+)%)?(?:.*?Prefix cache hit rate: (?P<hits>[\d.]+)%)?"
)

_ERROR = re.compile(r"(?:^|\s)((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)): (?P<words>\S.*)")
_NOT_THE_ROOT = "See root cause above"


def loading_of(line: str) -> Loading | None:
    """The step of a start that `line` tells of, None for any other line."""
    for pattern, stage in _SHARES:
        match = pattern.search(line)
        if match is not None:
            return Loading(stage, min(int(match[1]), 100) / 100)
    return next((step for pattern, step in _STEPS if pattern.search(line)), None)


def figures_of(line: str) -> EngineFigures | None:
    """The figures in one of the engine's periodic lines (`Engine 000: Avg prompt throughput: …`), else None."""
    match = _ENGINE.search(line)
    if match is None:
        return None
    try:
        return EngineFigures(
            prompt_tokens_per_s=float(match["prompt"]),
            generation_tokens_per_s=float(match["generation"]),
            running=int(match["running"]),
            waiting=int(match["waiting"]),
            kv_cache_usage=_share(match["cache"]),
            prefix_cache_hit_rate=_share(match["hits"]),
        )
    except ValueError:  # digits and points that are no number, or a number that is no figure
        return None


def root_cause(lines: Sequence[str]) -> str | None:
    """The error that ended a start, of a log whose last lines are `lines`: `ValueError: Free memory on device …`.

    The engine's core reports it, and whoever started the core then only says that it did not start.
    """
    for line in reversed(lines):
        match = _ERROR.search(line)
        if match is not None and _NOT_THE_ROOT not in line:
            return f"{match[1].rpartition('.')[2]}: {match['words']}"
    return None


def _share(per_cent: str | None) -> float | None:
    return None if per_cent is None else min(float(per_cent) / 100, 1.0)
