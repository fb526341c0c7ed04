"""One record with what flags it: the flagged span stands in ⟦ ⟧ in the text as it was generated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from rich.cells import cell_len, set_cell_size

from engine.qc.detectors import Record, Span
from engine.qc.verdicts import DetectorEvidence
from engine.report.samples import Sample
from tui.cells import Cell, Line, Role, clean, cut, gap, rule, spread, width_of, wrap
from tui.panels.gate import detector_title, precision_text

OPEN, CLOSE = "⟦", "⟧"
LABEL = 13
LONGEST_PIECE = 4000
"""Characters shown of a text before, within and after a flagged span."""
MOST_ROWS = 400
MARKS: dict[bool | None, tuple[str, Role]] = {
    True: ("✓ right", "good"),
    False: ("✗ false alarm", "bad"),
    None: ("– not marked", "dim"),
}
TEXTS = (("instruction", "instruction"), ("response", "response"), ("raw_response", "generated"))
CRITICS = (("instruction_critic", "instruction"), ("pair_critic", "pair"))
NONSENSE = 1e15
"""Margins in nats beyond this are no margins."""

_BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_TOKENS = re.compile(r" +|[^ ]+")
_Piece = tuple[str, bool]


def sample_lines(sample: Sample, kind: str, mark: bool | None, width: int) -> tuple[tuple[Line, ...], int]:
    """All of a sample, and the number of the line on which what `kind` flags begins. What is known of it comes first,
    because its texts may be long."""
    record = sample.record
    word, role = MARKS[mark]
    title = [Cell(f"#{sample.index}", "strong"), Cell(f" {_text(record.get('outcome')) or 'record'}")]
    lines: list[Line] = [rule(title, width, [Cell(word, role)])]
    for label, parts in (("critics", _critics(record)), ("ended", _end(sample, kind))):
        lines += _block(label, [(Cell(row),) for row in wrap(" · ".join(parts), width - LABEL - 1)] if parts else [])
    first = 0
    for field, label in TEXTS:
        text = record.get(field)
        if not isinstance(text, str) or (field == "raw_response" and text == record.get("response")):
            continue
        spans = [(start, end) for where, start, end in _spans(sample, kind) if where == field]
        block = _block(label, marked_rows(text, spans, width - LABEL - 1))
        if spans and not first:
            first = len(lines) + next((number for number, line in enumerate(block) if _opens(line)), 0)
        lines += block
    return tuple(lines), first


def _spans(sample: Sample, kind: str) -> list[Span]:
    """What is flagged; of a raw completion that nothing was cut from, in the response, which stands there alone."""
    record = sample.record
    whole = record.get("raw_response") == record.get("response")
    renamed = {"raw_response": "response"} if whole else {}
    return [(renamed.get(field, field), start, end) for field, start, end in sample.spans.get(kind, [])]


def kind_line(kinds: Sequence[str], chosen: str, width: int) -> Line:
    """The detectors one can look at, the chosen one in ▸ ◂; where it is narrow the ones before it give way."""
    keys = [Cell("← →", "key"), Cell(" detector ", "dim")]
    place = kinds.index(chosen)
    cells: list[Cell] = []
    for first in range(place + 1):
        cells = [cell for kind in kinds[first:] for cell in _kind(kind, chosen=kind == chosen)]
        reach = width_of(cells[: 2 * (place - first) + 1])
        if reach <= width - width_of(keys) - 2:
            break
    return spread(cells, keys, width)


def evidence_lines(detector: DetectorEvidence | None, name: str, flagged: int, records: int, width: int) -> list[Line]:
    """How often a detector flags, what people's marks say of it, and why it may be wrong."""
    marks = precision_text(detector) if detector is not None else ""
    told = marks.removeprefix(detector.detector).strip() if detector is not None else ""
    line = cut(
        [
            Cell(f" {name}", "strong"),
            Cell(f" flags {flagged:,} of {records:,} records"),
            Cell(f" · {told}" if told else "", "accent"),
        ],
        width,
    )
    suspect = detector.suspect if detector is not None else ""
    rows = wrap(f"suspect: {suspect}", width - 4, 2) if suspect else []
    return [line, *((Cell(" ⚠ " if not number else "   ", "warn"), Cell(row)) for number, row in enumerate(rows))]


def marked_rows(text: str, spans: Iterable[tuple[int, int]], width: int) -> list[Line]:
    """`text` on lines of at most `width` cells, its own line breaks kept, each span in ⟦ ⟧. An empty line would take
    room: it is a `⏎` at the end of the one before."""
    paragraphs: list[list[_Piece]] = [[]]
    for piece, flagged in _pieces(text, spans):
        for number, part in enumerate(_BREAKS.split(piece)):
            if number and not any(before.strip() for before, _ in paragraphs[-1]) and len(paragraphs) > 1:
                paragraphs.pop()
                paragraphs[-1].append((" ⏎", False))
            if number:
                paragraphs.append([])
            paragraphs[-1].append((clean(part, LONGEST_PIECE + 2), flagged))
    rows: list[Line] = []
    for paragraph in paragraphs:
        rows += _wrapped(paragraph, max(1, width))
        if len(rows) > MOST_ROWS:
            return [*rows[:MOST_ROWS], (Cell("…", "dim"),)]
    return rows


def _pieces(text: str, spans: Iterable[tuple[int, int]]) -> list[_Piece]:
    """The text in order, flagged parts with their brackets; blanks that a span begins with stand before it."""
    pieces: list[_Piece] = []
    done = 0
    for start, stop in sorted(spans):
        end = min(stop, len(text))
        first = start + len(text[start:end]) - len(text[start:end].lstrip())
        first = first if first < end else start
        if first < done or first >= end:
            continue
        before = text[done:first]
        pieces.append((f"…{before[-LONGEST_PIECE:]}" if len(before) > LONGEST_PIECE else before, False))
        pieces.append((f"{OPEN}{_start_of(text[first:end])}{CLOSE}", True))
        done = end
    return [*pieces, (_start_of(text[done:]), False)]


def _start_of(text: str) -> str:
    return text if len(text) <= LONGEST_PIECE else f"{text[:LONGEST_PIECE]}…"


def _wrapped(pieces: list[_Piece], width: int) -> list[Line]:
    """Words on lines; a flagged one keeps its look wherever the line breaks."""
    rows: list[list[_Piece]] = [[]]
    used = 0
    for text, flagged in pieces:
        for token in _TOKENS.findall(text):
            rest = token
            if used and used + cell_len(rest) > width:
                rows.append([])
                used = 0
                if rest.isspace():
                    continue
            while cell_len(rest) > width:
                part = set_cell_size(rest, width).rstrip()
                rows[-1].append((part, flagged))
                rows.append([])
                rest = rest[len(part) :] if part else ""
            rows[-1].append((rest, flagged))
            used += cell_len(rest)
    return [_joined(row) for row in rows]


def _joined(row: list[_Piece]) -> Line:
    parts = [(flagged, "".join(text for text, _ in group)) for flagged, group in groupby(row, key=itemgetter(1))]
    return tuple(Cell(text, "warn" if flagged else "text", underline=flagged) for flagged, text in parts)


def _opens(line: Line) -> bool:
    return any(cell.underline and OPEN in cell.text for cell in line)


def _block(label: str, rows: Sequence[Line]) -> list[Line]:
    return [(Cell(f" {label}" if not number else "", "dim", LABEL), gap(1), *row) for number, row in enumerate(rows)]


def _kind(kind: str, *, chosen: bool) -> list[Cell]:
    title = detector_title(kind)
    return [Cell(f" ▸ {title} ◂", "accent") if chosen else Cell(f" {title}", "dim"), Cell(" ")]


def _critics(record: Record) -> list[str]:
    """`instruction: good, 3.01 nats`, `pair: bad, unsure, 0.20 nats`."""
    found = []
    for field, label in CRITICS:
        verdict = record.get(field)
        if isinstance(verdict, dict) and isinstance(verdict.get("good"), bool):
            margin = verdict.get("margin")
            words = ["good" if verdict["good"] else "bad"] + (["unsure"] if verdict.get("confident") is False else [])
            if isinstance(margin, int | float) and not isinstance(margin, bool) and abs(margin) < NONSENSE:
                words.append(f"{margin:.2f} nats")
            found.append(f"{label}: {', '.join(words)}")
    return found


def _end(sample: Sample, kind: str) -> list[str]:
    """`length after 80 tokens`: how the completion ended; and what else of it is flagged."""
    record = sample.record
    reason, tokens = _text(record.get("finish_reason")), record.get("generated_tokens")
    counted = isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens < NONSENSE
    found = [f"{reason} after {tokens:,} tokens" if counted else reason] if reason else []
    if not sample.spans.get(kind):
        found.append(f"flagged {detector_title(kind)} as a whole")
    others = [detector_title(other) for other, flag in sample.flags.items() if flag and other != kind]
    return found + ([f"also flagged {', '.join(others)}"] if others else [])


def _text(value: Any) -> str:
    """A short word of a record; empty where it is none."""
    return clean(value, 60) if isinstance(value, str) else ""
