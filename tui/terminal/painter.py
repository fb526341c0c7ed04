"""Paints only the cells that differ from what stands on the terminal.

Textual writes every region that a widget calls dirty, with its style stated anew for every segment; most of it stands
there already. A `Painter` keeps two frames: the wanted one, into which Textual's updates go, and what the terminal
shows. What it writes is the difference, with the shortest moves and the fewest changes of the pen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.cells import split_graphemes
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

from tui.terminal.looks import NONE, Look, blank, look_of, turn

Cell = tuple[str, Look]
"""A character with what combines with it, and its look; the second half of a wide character is the empty text."""

UNKNOWN: Cell = ("", Look(ink="unknown"))
"""What nobody has written: it differs from every cell."""
PLANE_OF_PICTURES = "\U0001f000"
SHORTEST_ERASURE = 10
LONGEST_BRIDGE = 4
"""Unchanged cells between two changes that are written again when that is shorter than a move."""

Row = list[Cell]


@dataclass(frozen=True, slots=True)
class Run:
    """What is written at `x`, `y` with one look; the cursor then stands at `end`, for certain if `sure`. What is not
    `inked` shows the look's ground alone."""

    x: int
    y: int
    text: str
    look: Look
    end: int
    inked: bool
    sure: bool = True


class Pen:
    """Writes runs with the shortest moves and turns. `at` is where the cursor stands, None where that is not sure; at
    the right edge only its row is."""

    def __init__(self, at: tuple[int, int] | None, width: int) -> None:
        self.at = at
        self.octets = 0
        self.written: list[str] = []
        self._look = NONE
        self._width = width

    def draw(self, run: Run) -> None:
        self._move(run.x, run.y)
        if run.look != (self._look if run.inked else blank(self._look)):
            self._write(turn(self._look, run.look))
            self._look = run.look
        self._write(run.text)
        self.at = (run.end, run.y) if run.sure else None

    def rest(self, cursor: tuple[int, int]) -> None:
        """Leave the terminal with no look set, and the cursor where it belongs."""
        self._write(turn(self._look, NONE))
        self._move(*cursor)

    def _move(self, x: int, y: int) -> None:
        if self.at == (x, y):
            return
        ways = [f"\x1b[{y + 1}H" if x == 0 else f"\x1b[{y + 1};{x + 1}H"]
        if self.at is not None:
            column, row = self.at
            right = f"\x1b[{x}C" if x else ""
            if row == y:
                ways.append(f"\r{right}")
                if x > column:
                    ways.append(f"\x1b[{x - column}C")
                elif column < self._width:
                    ways.append(f"\x1b[{column - x}D")
            elif row + 1 == y:
                ways.append(f"\r\n{right}")
        self._write(min(ways, key=len))
        self.at = (x, y)

    def _write(self, text: str) -> None:
        self.written.append(text)
        self.octets += len(text)


class UnpaintableError(ValueError):
    """An update that is not as Textual's are known to be."""


class Painter:
    """`erases`: the terminal fills what it erases with the pen's ground, as xterm and all that claim to be it do."""

    def __init__(self, colors: ColorSystem, *, erases: bool = True) -> None:
        self._colors = colors
        self._erases = erases
        self._wanted: list[Row] = []
        self._shown: list[Row] = []
        self._touched: set[int] = set()
        self._cursor: tuple[int, int] | None = None

    def forget(self) -> None:
        """What stands on the terminal is not known any more, and what is wanted comes anew."""
        self._wanted, self._shown = [], []
        self._touched.clear()
        self._cursor = None

    def take(self, update: CompositorUpdate, width: int, height: int) -> None:
        """Let `update` into the wanted frame of that size. `UnpaintableError` when it is not as expected."""
        if len(self._wanted) != height or len(self._wanted[0]) != width:
            self.forget()
            self._wanted, self._shown = ([[UNKNOWN] * width for _ in range(height)] for _ in range(2))
        for x, y, strip in pieces(update):
            if not 0 <= y < height or not 0 <= x <= width:
                raise UnpaintableError(f"{x}, {y} is not on the screen")
            self._place(self._wanted[y], x, list(self._cells(strip))[: width - x])
            self._touched.add(y)

    def paint(self, cursor: tuple[int, int]) -> str:
        """What has to be written so that the terminal shows the wanted frame; "" when it does. The cursor ends up at
        `cursor`, its x and y."""
        runs: list[Run] = []
        for y in sorted(self._touched):
            wanted, shown = self._wanted[y], self._shown[y]
            if wanted != shown:
                runs += self._runs(y, wanted, shown)
                self._shown[y] = wanted.copy()
        self._touched.clear()
        by_look = sorted(runs, key=lambda run: run.look.order)
        pen = min((self._drawn(order, cursor) for order in (runs, by_look)), key=lambda pen: pen.octets)
        self._cursor = pen.at
        return "".join(pen.written)

    def _drawn(self, runs: Iterable[Run], cursor: tuple[int, int]) -> Pen:
        pen = Pen(self._cursor, len(self._wanted[0]) if self._wanted else 0)
        for run in runs:
            pen.draw(run)
        pen.rest(cursor)
        return pen

    def _place(self, row: Row, x: int, cells: Row) -> None:
        """Put cells into a row; of a wide character that they cut in two, the other half becomes a space."""
        end = x + len(cells)
        if x < end:
            if x and _is_tail(row[x]):
                row[x - 1] = (" ", blank(row[x - 1][1]))
            if end < len(row) and _is_tail(row[end]):
                row[end] = (" ", blank(row[end][1]))
            row[x:end] = cells

    def _runs(self, y: int, wanted: Row, shown: Row) -> Iterator[Run]:
        """What is to be written in a row."""
        if any(map(_fickle, {text for text, _ in wanted} | {text for text, _ in shown})):
            shown = [UNKNOWN] * len(wanted)
        end = self._erased_from(wanted, shown)
        x = 0
        while x < end:
            if not _differs(wanted, shown, x):
                x += _span(wanted, x)
            elif (blanks := self._blanks(wanted, x, end)) >= SHORTEST_ERASURE:
                yield Run(x, y, f"\x1b[{blanks}X", wanted[x][1], x, inked=False)
                x += blanks
            else:
                run = self._run(x, y, end, wanted, shown)
                yield run
                x = run.end
        if end < len(wanted):
            yield Run(end, y, "\x1b[K", wanted[end][1], end, inked=False)

    def _run(self, x: int, y: int, end: int, wanted: Row, shown: Row) -> Run:
        """From `x` to the last cell that differs and can be written with the same pen; a few that do not differ, and
        would have to be jumped over, are written again."""
        look, inked = wanted[x][1], False
        at = stop = x
        sure = True
        while at < end and at - stop <= LONGEST_BRIDGE:
            text, own = wanted[at]
            differs = _differs(wanted, shown, at)
            if not differs and not (text and text.isascii()):
                break
            if text == " " and at > x and (own != blank(look) or self._blanks(wanted, at, end) >= SHORTEST_ERASURE):
                break
            if text != " ":
                if own != look and (inked or blank(own) != look):
                    break
                look, inked = own, True
            at += _span(wanted, at)
            stop = at if differs else stop
            if _fickle(text):
                sure = False
                break
        written = "".join(text for text, _ in wanted[x:stop])
        if not sure and _span(wanted, stop - 2) == 2:  # where the terminal makes it one cell, nothing old stands beside
            last = wanted[stop - 2][0]
            written = f"{written.removesuffix(last)}  \x1b[{y + 1};{stop - 1}H{last}"
        return Run(x, y, written, look, stop, inked=inked, sure=sure)

    def _blanks(self, row: Row, x: int, end: int) -> int:
        """How many equal spaces stand from `x` on, if erasing leaves such."""
        first = row[x]
        if not self._erases or first[0] != " " or not first[1].plain_ground:
            return 0
        stop = x
        while stop < end and row[stop] == first:
            stop += 1
        return stop - x

    def _erased_from(self, wanted: Row, shown: Row) -> int:
        """Where the equal spaces at the row's end begin, if it is shorter to erase them than to write those that
        changed; else the row's width."""
        width = len(wanted)
        last = wanted[-1]
        if not self._erases or last[0] != " " or not last[1].plain_ground:
            return width
        start = width
        while start and wanted[start - 1] == last:
            start -= 1
        while start < width and shown[start] == last:
            start += 1
        changed = sum(cell != last for cell in shown[start:])
        return start if changed > LONGEST_BRIDGE else width

    def _cells(self, strip: Strip) -> Iterator[Cell]:
        for text, style, control in strip:
            if control:
                raise UnpaintableError("a control segment")
            look = look_of(style, self._colors)
            space = blank(look)
            if text.isascii():
                if not text.isprintable():
                    raise UnpaintableError("a control character")
                yield from ((character, look if character != " " else space) for character in text)
                continue
            spans, _ = split_graphemes(text)
            for start, end, width in spans:
                grapheme = text[start:end]
                if not width or ("\x7f" <= grapheme[0] < "\xa0"):
                    raise UnpaintableError(f"{grapheme!r} takes no cell")
                yield grapheme, look if grapheme != " " else space
                if width > 1:
                    yield "", look


def _is_tail(cell: Cell) -> bool:
    return not cell[0] and cell is not UNKNOWN


def _span(row: Row, x: int) -> int:
    """Cells of the character that begins at `x`."""
    return 2 if x + 1 < len(row) and _is_tail(row[x + 1]) else 1


def _differs(wanted: Row, shown: Row, x: int) -> bool:
    end = x + _span(wanted, x)
    return wanted[x] is not UNKNOWN and wanted[x:end] != shown[x:end]


def _fickle(text: str) -> bool:
    """Terminals do not agree on how wide it is: pictures, and whatever is made of several code points."""
    return len(text) > 1 or text >= PLANE_OF_PICTURES


def pieces(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """The strips of an update of Textual 8.2 and the x and y of each, as its `render_segments` places them."""
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in line:
                yield x, y, strip
                x += strip.cell_length
    elif isinstance(update, ChopsUpdate):
        for y, left, right in update.spans:
            for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if chop is None or x > right or end <= left:
                    continue
                yield x, y, chop if end <= right else chop.crop(0, right - x)
    else:
        raise UnpaintableError(type(update).__name__)
