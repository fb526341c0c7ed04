"""What a log tells while it grows: how far a model's start is, and what an engine does."""

from __future__ import annotations

import time
from pathlib import Path

from engine.figures import EngineFigures
from engine.journal.events import LoadProgress
from engine.logs.tail import LogTail
from engine.logs.vllm_lines import Loading, figures_of, loading_of

LOOK_S = 1.0
LINES = 2000
FIGURES_LAST_S = 30.0
"""vLLM writes its figures every ten seconds; older ones tell nothing of the present."""

STEP = 0.05


class LogWatch:
    """Reads what was appended to `log` since it was made, once a second at most."""

    def __init__(self, log: Path, now: float) -> None:
        self._tail = LogTail(log, line_limit=500)
        self._tail.last(0)
        self._next = now
        self._told: Loading | None = None
        self._figures: tuple[float, EngineFigures] | None = None

    def look(self, now: float) -> LoadProgress | None:
        """A step of the start that was not told before; None when there is none."""
        if now < self._next:
            return None
        self._next = now + LOOK_S
        found: Loading | None = None
        lines = self._tail.read_new(LINES)
        for line in lines:
            figures = figures_of(line)
            if figures is not None:
                self._figures = (now, figures)
        for line in (*lines, self._tail.partial):  # a progress bar has no line break yet; half a line has no figures
            found = loading_of(line) or found
        if found is None or not self._is_news(found):
            return None
        self._told = found
        return LoadProgress(stage=found.stage, share=found.share)

    def figures(self) -> EngineFigures | None:
        """The engine's figures as its log told them last; None when that is too long ago."""
        if self._figures is None or time.monotonic() - self._figures[0] > FIGURES_LAST_S:
            return None
        return self._figures[1]

    def _is_news(self, found: Loading) -> bool:
        told = self._told
        if told is None or told.stage != found.stage or told.share is None or found.share is None:
            return told != found
        return found.share == 1.0 > told.share or abs(found.share - told.share) >= STEP
