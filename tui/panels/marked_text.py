"""Texts with what detectors flag in them: it stands in ⟦ ⟧, with the detectors' names where there are several."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter

from rich.cells import cell_len

from tui.cells import Cell, Line, chopped, clean

OPEN, CLOSE, NAMED = "⟦", "⟧", "│"
LONGEST_PIECE = 4000
"""Characters shown of a text before, within and after what is flagged."""
MOST_ROWS = 400

Highlight = tuple[int, int, str]
"""First character, character after the last, name of the detector."""

_BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_TOKENS = re.compile(r" +|[^ ]+")
_Piece = tuple[str, bool]


def marked_rows(text: str, highlights: Iterable[Highlight], width: int) -> list[Line]:
    """`text` on lines of at most `width` cells, its own line breaks kept, what is flagged in ⟦ ⟧; where several
    detectors flag something, each piece begins with their names, ⟦runaway│ …⟧. An empty line would take room: it is a
    `⏎` at the end of the one before."""
    paragraphs: list[list[_Piece]] = [[]]
    for piece, flagged in _pieces(text, highlights):
        for number, part in enumerate(_BREAKS.split(piece)):
            if number and not any(before.strip() for before, _ in paragraphs[-1]) and len(paragraphs) > 1:
                paragraphs.pop()
                paragraphs[-1].append((" ⏎", False))
            if number:
                paragraphs.append([])
            paragraphs[-1].append((clean(part, LONGEST_PIECE + 200), flagged))
    rows: list[Line] = []
    for paragraph in paragraphs:
        rows += islice(_wrapped(paragraph, max(1, width)), MOST_ROWS + 1)
        if len(rows) > MOST_ROWS:
            return [*rows[:MOST_ROWS], (Cell("…", "dim"),)]
    return rows


def opens(line: Line) -> bool:
    """Whether something that is flagged begins on it."""
    return any(cell.underline and OPEN in cell.text for cell in line)


def _pieces(text: str, highlights: Iterable[Highlight]) -> list[_Piece]:
    """The text in order, flagged parts with their brackets; blanks that such a part begins with stand before it."""
    parts = list(_parts(highlights, len(text)))
    several = len({name for *_, names in parts for name in names}) > 1
    pieces: list[_Piece] = []
    done = 0
    for start, end, names in parts:
        first = start + len(text[start:end]) - len(text[start:end].lstrip())
        first = first if first < end else start
        before = text[done:first]
        pieces.append((f"…{before[-LONGEST_PIECE:]}" if len(before) > LONGEST_PIECE else before, False))
        title = f"{', '.join(names)}{NAMED} " if several else ""
        pieces.append((f"{OPEN}{title}{_start_of(text[first:end])}{CLOSE}", True))
        done = end
    return [*pieces, (_start_of(text[done:]), False)]


def _parts(highlights: Iterable[Highlight], length: int) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """The flagged parts of a text in order, none over another, each with the names of all that flag it."""
    edges: list[tuple[int, int, str]] = []
    for first, stop, name in highlights:
        start, end = max(0, first), min(stop, length)
        if start < end:
            edges += [(start, 1, name), (end, -1, name)]
    active: Counter[str] = Counter()
    start, names = 0, tuple[str, ...]()
    for place, changes in groupby(sorted(edges), key=itemgetter(0)):
        for _, change, name in changes:
            active[name] += change
        now = tuple(name for name, count in active.items() if count > 0)
        if now != names:
            if names:
                yield start, place, names
            start, names = place, now


def _start_of(text: str) -> str:
    return text if len(text) <= LONGEST_PIECE else f"{text[:LONGEST_PIECE]}…"


def _wrapped(pieces: list[_Piece], width: int) -> Iterator[Line]:
    """Words on lines; a flagged one keeps its look wherever the line breaks."""
    row: list[_Piece] = []
    used = 0
    for text, flagged in pieces:
        for token in _TOKENS.findall(text):
            blank = token.isspace()
            if used and used + cell_len(token) > width:
                yield _joined(row)
                row, used = [], 0
                if blank:
                    continue
            if blank and cell_len(token) > width:  # an indentation that leaves no room
                yield _joined(row)
                row = []
                continue
            *full, last = chopped(token, width)
            for part in full:
                yield _joined([*row, (part, flagged)])
                row = []
            row.append((last, flagged))
            used += cell_len(last)
    yield _joined(row)


def _joined(row: list[_Piece]) -> Line:
    parts = [(flagged, "".join(text for text, _ in group)) for flagged, group in groupby(row, key=itemgetter(1))]
    return tuple(Cell(text, "warn" if flagged else "text", underline=flagged) for flagged, text in parts)
