"""A run's parameters beside those of the run before it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from engine.snapshot import RunSnapshot
from tui.cells import Line
from tui.panels.changes import parameters_lines
from tui.screens.base import bindings
from tui.screens.run_page import RunPageScreen
from tui.view import View


class ParametersScreen(RunPageScreen):
    SCOPE = "parameters"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("parameters")]

    def run_lines(self, run: RunSnapshot, view: View, width: int) -> tuple[Line, ...]:
        return parameters_lines(run, view, width)
