"""The processes of a run, as they are now."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from engine.figures import RunProcesses
from engine.snapshot import RunSnapshot
from tui.cells import Line
from tui.panels.processes import processes_lines
from tui.screens.base import bindings
from tui.screens.watched_page import WatchedPage
from tui.view import View
from tui.watch import Look


class ProcessesScreen(WatchedPage[RunProcesses]):
    SCOPE = "processes"
    EVERY_S = 2.0
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("processes")]

    def look(self) -> Look[RunProcesses]:
        return self.pilothouse.service.processes(self.run_id)

    def run_lines(self, run: RunSnapshot, view: View, width: int) -> tuple[Line, ...]:
        return processes_lines(run, self.found, width, view.now)
