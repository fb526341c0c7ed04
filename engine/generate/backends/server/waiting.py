"""What waits to be sent, and what is sent together."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from engine.generate.backends.base import SamplingParameters

Labels = Mapping[str, int]


@dataclass(slots=True, eq=False)
class Job:
    """One completion or one score that somebody waits for.

    `number` counts in the order in which they were asked for. `prompt` is JSON, of `tokens` tokens. `wanted` says what
    follows it: a completion with these parameters, or scores of these labels. `strikes`: how often in a row the server
    failed at it while it served others, `served_then` how many it had served when that was last looked at. `alone`: to
    be sent by itself, because something failed that it was sent together with.
    """

    number: int
    future: Future[Any]
    wanted: SamplingParameters | Labels
    prompt: str = ""
    tokens: int = 0
    strikes: int = 0
    served_then: int = -1
    alone: bool = False


@dataclass(slots=True)
class Queue:
    """First in, first out, but for scores that go along with an older one. Jobs whose future is done drop out."""

    _completions: deque[Job] = field(default_factory=deque)
    _scores: deque[Job] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return any(_next(waiting) for waiting in (self._completions, self._scores))

    def add(self, job: Job) -> None:
        (self._completions if isinstance(job.wanted, SamplingParameters) else self._scores).append(job)

    def take(self, most: int) -> list[Job]:
        """The oldest job; when it is a score, with up to `most` - 1 more of the same labels. Empty when none waits."""
        heads = [waiting for waiting in (self._completions, self._scores) if _next(waiting)]
        if not heads:
            return []
        waiting = min(heads, key=lambda one: one[0].number)
        taken = [waiting.popleft()]
        if waiting is self._scores and not taken[0].alone:
            while len(taken) < most and (job := _next(waiting)) and not job.alone and job.wanted is taken[0].wanted:
                taken.append(waiting.popleft())
        return taken


def _next(waiting: deque[Job]) -> Job | None:
    while waiting and waiting[0].future.done():
        waiting.popleft()
    return waiting[0] if waiting else None
