"""The only way of text to the screen: cells of sanitised text with a role, laid out on lines.

A panel is a pure function from plain values to lines of cells; the widget that shows them compares old and new and
repaints the cells that differ. Nothing here parses markup, and no text gets by `clean`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, chop_cells, set_cell_size

from engine.logs.sanitise import sanitise

Role = Literal["text", "dim", "strong", "good", "bad", "warn", "accent", "rule", "key", "title", "hit"]
ROLES: tuple[Role, ...] = ("text", "dim", "strong", "good", "bad", "warn", "accent", "rule", "key", "title", "hit")

MAX_TEXT = 4096


def clean(text: object, limit: int = MAX_TEXT) -> str:
    """`text` on one line, without anything a terminal could obey, at most `limit` characters."""
    lines = str(text).splitlines() or [""]
    whole = lines[0] if len(lines) == 1 else " ".join(line.strip() for line in lines)
    return sanitise(whole, limit).replace("\t", " ")


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of a line. Without `width` it takes what its text needs; `tint` lifts it off the ground (a selected
    column, a band); `action` names the action that a click on it does."""

    text: str
    role: Role = "text"
    width: int | None = None
    align: Literal["<", ">", "^"] = "<"
    tint: bool = False
    underline: bool = False
    action: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean(self.text))

    @property
    def shown(self) -> str:
        """The text at exactly its width."""
        return self.text if self.width is None else fit(self.text, self.width, self.align)


Line = tuple[Cell, ...]


def fit(text: str, width: int, align: Literal["<", ">", "^"] = "<") -> str:
    """`text` in exactly `width` cells: padded, or cut with `…`. Wide characters count as two."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    room = width - length
    if align == ">":
        return " " * room + text
    if align == "^":
        return " " * (room // 2) + text + " " * (room - room // 2)
    return text + " " * room


def width_of(cells: Iterable[Cell]) -> int:
    return sum(cell_len(cell.shown) for cell in cells)


def gap(width: int, *, tint: bool = False) -> Cell:
    return Cell(" " * max(0, width), tint=tint)


def spread(left: Sequence[Cell], right: Sequence[Cell], width: int) -> Line:
    """`left` and `right` at the two ends of a line of `width`; the left side is cut where they would touch."""
    room = width - width_of(right) - (2 if right else 0)
    kept = cut(left, max(0, room))
    return (*kept, gap(width - width_of(kept) - width_of(right)), *right)


def cut(cells: Sequence[Cell], width: int) -> Line:
    """The cells that fit into `width`; the one that does not is shortened with `…`."""
    kept: list[Cell] = []
    left = width
    for cell in cells:
        length = cell_len(cell.shown)
        if length > left:
            if left > 0:
                kept.append(Cell(fit(cell.shown, left), cell.role, tint=cell.tint, action=cell.action))
            break
        kept.append(cell)
        left -= length
    return tuple(kept)


def rule(title: Sequence[Cell], width: int, right: Sequence[Cell] = ()) -> Line:
    """`── title ───────── right ──`: what opens a panel."""
    head: tuple[Cell, ...] = (Cell("── ", "rule"), *cut(title, max(0, width - 6)), Cell(" ", "rule"))
    tail: tuple[Cell, ...] = (Cell(" ", "rule"), *right, Cell(" ──", "rule")) if right else ()
    room = width - width_of(head) - width_of(tail)
    if room < 2 and tail:
        tail, room = (), width - width_of(head)
    return (*head, Cell("─" * max(0, room), "rule"), *tail)


def wrap(text: object, width: int, lines: int | None = None) -> list[str]:
    """Words of `text` on lines of at most `width` cells; beyond `lines` the last one ends in `…`."""
    width = max(1, width)
    rows: list[str] = []
    row = ""
    for word in clean(text).split(" "):
        if row and cell_len(row) + 1 + cell_len(word) <= width:
            row = f"{row} {word}"
            continue
        if row:
            rows.append(row)
        *full, row = chopped(word, width)
        rows += full
    if row:
        rows.append(row)
    if lines is not None and len(rows) > lines:
        return [*rows[: lines - 1], fit(" ".join(rows[lines - 1 :]), width)] if lines else []
    return rows


def chopped(word: str, width: int) -> list[str]:
    """`word` in pieces of at most `width` cells, in time that grows with its length alone."""
    return chop_cells(word, max(2, width)) if cell_len(word) > width else [word]


def plain(lines: Iterable[Line]) -> str:
    """The lines as text, for tests and the clipboard."""
    return "\n".join("".join(cell.shown for cell in line).rstrip() for line in lines)
