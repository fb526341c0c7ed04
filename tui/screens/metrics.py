"""A run's metrics over its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from engine.snapshot import RunSnapshot
from tui.cells import Line
from tui.panels.metrics import metrics_lines
from tui.screens.base import bindings
from tui.screens.page import closed_by
from tui.screens.watched_page import WatchedPage
from tui.view import View
from tui.watch import Look

if TYPE_CHECKING:
    from engine.report.series import RunSeries

FRAME_ROWS = 2


class MetricsScreen(WatchedPage["RunSeries"]):
    SCOPE = "metrics"
    EVERY_S = 5.0
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("metrics"), closed_by("metrics")]

    def look(self) -> Look[RunSeries]:
        return self.pilothouse.service.metric_series(self.run_id)

    def run_lines(self, run: RunSnapshot, view: View, width: int) -> tuple[Line, ...]:  # noqa: ARG002
        height = self.app.size.height - FRAME_ROWS
        seen = (run.name, run.gate, run.counts, run.examples_per_second)
        return self.laid_out(lambda: metrics_lines(run, self.found, width, height), width, height, seen)

    def news(self, run: RunSnapshot) -> object:
        """While nothing can be drawn yet, whatever is counted."""
        drawn = self.found is not None and self.found.checks
        return (run.state, None) if drawn else (run.state, run.counts, run.gate)
