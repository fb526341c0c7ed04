"""What a server's metrics page says of its work, looked at every other second while it works for us."""

from __future__ import annotations

from engine.figures import EngineFigures
from engine.generate.backends.counters import FigureMeter, parse_metrics
from engine.generate.backends.server.client import Client, Trouble

EVERY_S = 2.0
STALE_S = 10.0
"""Figures older than that say nothing about just now."""

METRICS = "/metrics"


class MetricsPage:
    """`exists` until the server has answered that it has none, or one without figures of an engine."""

    def __init__(self) -> None:
        self.exists = True
        self._meter = FigureMeter()
        self._seen: tuple[float, EngineFigures] | None = None

    async def look(self, client: Client, clock_s: float) -> None:
        """Read the page once; `clock_s` is now, on the monotonic clock. A server that is away may come back."""
        try:
            reply = await client.get(METRICS)
        except Trouble:
            return
        if reply.status >= 500 or reply.status == 429:
            return
        text = reply.body.decode("utf-8", "replace") if reply.status == 200 and reply.body is not None else ""
        counters = parse_metrics(text)
        if counters is None:
            self.exists = False
            self._seen = None
        else:
            self._seen = (clock_s, self._meter.figures(counters, clock_s))

    def latest(self, clock_s: float) -> EngineFigures | None:
        """What the last look found, unless that is long ago."""
        seen = self._seen
        return seen[1] if seen is not None and clock_s - seen[0] <= STALE_S else None
