"""A run's parameters beside those of the run before it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from tui.cells import Cell, Line
from tui.panels.changes import parameters_lines
from tui.screens.base import bindings
from tui.screens.run_page import RunPageScreen
from tui.view import View


class ParametersScreen(RunPageScreen):
    SCOPE = "parameters"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("parameters")]

    def body_lines(self, view: View, width: int) -> tuple[Line, ...]:
        run = self.run_in(view)
        if run is None:
            return ((Cell(" there is no such run any more", "dim"),),)
        return parameters_lines(run, view, width)
