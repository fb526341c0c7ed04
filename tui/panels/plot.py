"""A curve in cells: half blocks for the curve, shade for its band, dashes for the limit.

It can be read without colour, and every common font has these characters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from engine.campaign.grading import Limit
from tui.cells import Cell, Line, Role, fit, gap

LABEL = 8
"""Cells of the labels beside the vertical axis."""
LEAST_ROWS = 3
SETTLED = 0.1
"""The part of a curve that says little, its beginning, does not set the scale."""
Glyph = tuple[str, Role]
Label = tuple[str, Role]
_BLOCKS = {0b01: "▄", 0b10: "▀", 0b11: "█"}
_SHADE, _DASH, _MARK = "░", "╌", "▲"


class Point(NamedTuple):
    """`y` at `x`, and the band it may be in, where one is known."""

    x: float
    y: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """`points` by rising x, from 0 on. `x_text` and `y_text` write a figure on its axis, `over` names what x counts.
    `most`: the largest y there can be. `mark`: the x of something that happened, and how it is to be taken."""

    points: Sequence[Point]
    x_text: Callable[[float], str]
    y_text: Callable[[float], str]
    over: str = ""
    limit: Limit | None = None
    limit_text: str = ""
    most: float | None = None
    mark: tuple[float, Role] | None = None


def plot(curve: Curve, width: int, height: int) -> tuple[Line, ...]:
    """`height` lines, each `width` wide: the curve, and two for the horizontal axis."""
    rows, columns = max(LEAST_ROWS, height - 2), max(1, width - LABEL - 1)
    scale = _Scale(curve, rows)
    places = _places(curve, columns)
    grid: list[list[Glyph]] = [[(" ", "text")] * columns for _ in range(rows)]
    for column, place in enumerate(places):
        if place is not None:
            _shade(grid, column, curve.points[place], scale)
    if scale.limit_row is not None:
        grid[scale.limit_row] = [(_DASH, "warn")] * columns
    before: int | None = None
    for column, place in enumerate(places):
        if place is not None:
            pixel = scale.pixel(curve.points[place].y)
            _draw(grid, column, pixel, pixel if before is None else before)
            before = pixel
    labels = scale.labels()
    lines = [_row(labels.get(row), grid[row]) for row in reversed(range(rows))]
    return (*lines, *_axis(curve, columns))


class _Scale:
    """From figures to rows of cells, counted from below, each of two pixels. The limit stands between the two pixels of
    its row, so that the curve is always seen on the side of it that it is on."""

    def __init__(self, curve: Curve, rows: int) -> None:
        self._curve, self._rows = curve, rows
        last = curve.points[-1] if curve.points else Point(0.0, 0.0)
        shown = [point.y for point in curve.points if point.x >= SETTLED * last.x] or [last.y]
        shown += [bound for bound in (last.lower, last.upper) if bound is not None]
        if curve.limit is not None:
            shown.append(curve.limit.value)
        low, high = min(shown), max(shown)
        room = (high - low) / 8 or (high or 1.0) / 8
        self.low = 0.0 if low - room < high / 4 else low - room
        self.high = max(1.0, high + room) if curve.most is None else min(curve.most, high + room)
        self.limit_row = self._raw(curve.limit.value) // 2 if curve.limit is not None else None

    def _raw(self, value: float) -> int:
        last = 2 * self._rows - 1
        return min(last, max(0, round((value - self.low) / (self.high - self.low) * last)))

    def pixel(self, value: float) -> int:
        limit, row, place = self._curve.limit, self.limit_row, self._raw(value)
        if limit is None or row is None:
            return place
        above = value > limit.value or (value == limit.value and limit.op in ("<", ">="))
        return max(place, 2 * row + 1) if above else min(place, 2 * row)

    def row(self, value: float) -> int:
        return self._raw(value) // 2

    def labels(self) -> dict[int, Label]:
        """By row: both ends of the scale, and the limit."""
        text = self._curve.y_text
        found: dict[int, Label] = {0: (text(self.low), "dim"), self._rows - 1: (text(self.high), "dim")}
        if self.limit_row is not None:
            found[self.limit_row] = (self._curve.limit_text, "warn")
        return found


def _places(curve: Curve, columns: int) -> list[int | None]:
    """For each column the last point up to it; None before the first one."""
    xs = [point.x for point in curve.points]
    if not xs:
        return [None] * columns
    step = xs[-1] / max(1, columns - 1)
    found = (bisect_right(xs, column * step + 1e-9 * xs[-1]) - 1 for column in range(columns))
    return [place if place >= 0 else None for place in found]


def _shade(grid: list[list[Glyph]], column: int, point: Point, scale: _Scale) -> None:
    if point.lower is not None and point.upper is not None:
        for row in range(scale.row(point.lower), scale.row(point.upper) + 1):
            grid[row][column] = (_SHADE, "dim")


def _draw(grid: list[list[Glyph]], column: int, pixel: int, before: int) -> None:
    """The curve's pixel, joined to that of the column before."""
    if before < pixel:
        pixels = range(before + 1, pixel + 1)
    elif before > pixel:
        pixels = range(pixel, before)
    else:
        pixels = range(pixel, pixel + 1)
    for row, of_row in groupby(pixels, key=lambda each: each // 2):
        grid[row][column] = (_BLOCKS[sum(1 << each % 2 for each in of_row)], "accent")


def _row(label: Label | None, glyphs: list[Glyph]) -> Line:
    text, role = label or ("", "dim")
    cells = [Cell(f"{fit(text, LABEL - 1, '>')} ", role), Cell("┤" if label else "│", "rule")]
    for look, alike in groupby(glyphs, key=lambda glyph: glyph[1]):
        cells.append(Cell("".join(glyph for glyph, _ in alike), look))
    return tuple(cells)


def _axis(curve: Curve, columns: int) -> tuple[Line, Line]:
    """The axis, with the mark on it; its ends, and the mark, in figures."""
    last = curve.points[-1].x if curve.points else 0.0
    end = curve.x_text(last)
    if curve.over and len(end) + len(curve.over) + 8 <= columns:
        end = f"{end} {curve.over}"
    start = curve.x_text(0.0)
    below = [Cell(start, "dim"), gap(columns - len(start) - len(end)), Cell(end, "dim")]
    ruler = [Cell("└", "rule"), Cell("─" * columns, "rule")]
    if curve.mark is not None and last > 0:
        x, role = curve.mark
        place = min(columns - 1, round(x / last * (columns - 1)))
        ruler = [Cell("└" + "─" * place, "rule"), Cell(_MARK, role), Cell("─" * (columns - place - 1), "rule")]
        text = curve.x_text(x)
        before = max(len(start) + 1, place - len(text) // 2)
        if before + len(text) + 1 + len(end) <= columns:
            after = columns - before - len(text) - len(end)
            below = [Cell(start, "dim"), gap(before - len(start)), Cell(text, role), gap(after), Cell(end, "dim")]
    return (gap(LABEL), *ruler), (gap(LABEL + 1), *below)
