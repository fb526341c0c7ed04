"""Shows lines of cells and repaints only what changed: over SSH a ticking figure costs its line up to there, 0.3 kB.

(Textual writes a changed region from the widget's left edge on. A widget per cell would cost the cell alone, and a
hundred widgets at the start; a whole DataTable costs 6 kB for one cell.)
"""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.cells import ROLES, Cell, Line, cut, plain


class ActionClicked(Message):
    """A cell that names an action was clicked."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action


class CellLines(Widget):
    """A widget of lines of cells; `show` replaces them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"cells--{role}" for role in ROLES), "cells--tint"}
    DEFAULT_CSS = "CellLines { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._lines: tuple[Line, ...] = ()
        self._strips: dict[int, Strip] = {}
        self._styles_by_look: dict[tuple[str, bool, bool], Style] = {}

    @property
    def lines(self) -> tuple[Line, ...]:
        return self._lines

    @property
    def text(self) -> str:
        """What stands on the widget, as plain text."""
        return plain(self._lines)

    def show(self, lines: tuple[Line, ...]) -> None:
        """Replace the lines; equal cells are not painted again."""
        before, self._lines = self._lines, lines
        if before == lines:
            return
        if len(before) != len(lines):
            self._strips.clear()
            self.refresh(layout=True)
            return
        regions = []
        for y, (old, new) in enumerate(zip(before, lines, strict=True)):
            if old != new:
                self._strips.pop(y, None)
                regions.extend(_changed(y, old, new, self.size.width))
        if regions:
            self.refresh(*regions)

    def notify_style_update(self) -> None:
        self._strips.clear()
        self._styles_by_look.clear()
        super().notify_style_update()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(self._lines)

    def on_resize(self) -> None:
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        strip = self._strips.get(y)
        if strip is None:
            line = self._lines[y] if y < len(self._lines) else ()
            segments = [Segment(cell.shown, self._look(cell)) for cell in cut(line, width)]
            strip = Strip(segments).simplify().adjust_cell_length(width, self.rich_style)
            self._strips[y] = strip
        return strip

    def _look(self, cell: Cell) -> Style:
        key = (cell.role, cell.tint, cell.underline)
        style = self._styles_by_look.get(key)
        if style is None:
            role = self.get_component_rich_style(f"cells--{cell.role}")
            dim = role.dim and not cell.tint
            look = Style(color=role.color, bold=role.bold, dim=dim, underline=cell.underline, reverse=role.reverse)
            style = self.rich_style + look
            if cell.tint:
                tint = self.get_component_rich_style("cells--tint")
                style += Style(bgcolor=tint.bgcolor, reverse=tint.reverse)
            self._styles_by_look[key] = style
        return style

    def on_click(self, event: events.Click) -> None:
        if not 0 <= event.y < len(self._lines):
            return
        x = 0
        for cell in self._lines[event.y]:
            x += cell_len(cell.shown)
            if event.x < x:
                if cell.action:
                    event.stop()
                    self.post_message(ActionClicked(cell.action))
                return


def _changed(y: int, old: Line, new: Line, width: int) -> list[Region]:
    """The parts of line `y` that differ: cell by cell where the cells stand in the same places, else from the first
    difference to the end."""
    regions: list[Region] = []
    x = 0
    for number in range(max(len(old), len(new))):
        before = old[number] if number < len(old) else None
        after = new[number] if number < len(new) else None
        if before is None or after is None:
            return [*regions, Region(x, y, max(0, width - x), 1)]
        length, length_before = cell_len(after.shown), cell_len(before.shown)
        if length != length_before:
            return [*regions, Region(x, y, max(0, width - x), 1)]
        if before != after and x < width:
            regions.append(Region(x, y, min(length, width - x), 1))
        x += length
    return regions
