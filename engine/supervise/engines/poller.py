"""Asks an engine whether it answers and what it counts, on a thread of its own: a keeper waits for nobody."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from engine.figures import EngineFigures
from engine.generate.backends.counters import EngineCounters, FigureMeter, parse_metrics
from engine.supervise.engines.local_http import get

STARTING_S = 0.5
ANSWERING_S = 2.0
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said last: `answered_at` (monotonic, None: never yet), and its figures and counters then."""

    answered_at: float | None = None
    figures: EngineFigures | None = None
    counters: EngineCounters | None = None


class EnginePoller:
    """`latest` is replaced at every answer; reading it never waits."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._ended = threading.Event()
        self.latest = Answer()
        threading.Thread(target=self._run, name="engine poller", daemon=True).start()

    def close(self) -> None:
        """Ask no more; a question that is under way is not waited for."""
        self._ended.set()

    def _run(self) -> None:
        meter = FigureMeter()
        while not self._ended.wait(STARTING_S if self.latest.answered_at is None else ANSWERING_S):
            health = get(self._socket, "/health", timeout_s=TIMEOUT_S)
            if health is None or health[0] != 200:
                continue
            page = get(self._socket, "/metrics", timeout_s=TIMEOUT_S)
            counters = parse_metrics(page[1].decode("utf-8", "replace")) if page is not None else None
            now = time.monotonic()
            figures = meter.figures(counters, now) if counters is not None else None
            self.latest = Answer(now, figures, counters)
