"""One record: how it ended, what both critics said, what flags it, and its texts with the flagged parts marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.qc.detectors import Record
from engine.qc.metrics import critic
from engine.report.samples import Sample
from tui.cells import Cell, Line, Role, clean, gap, rule, wrap
from tui.panels.gate import detector_title
from tui.panels.marked_text import Highlight, marked_rows, opens

LABEL, CRITIC = 13, 13
MARKS: dict[bool | None, tuple[str, Role]] = {
    True: ("✓ right", "good"),
    False: ("✗ false alarm", "bad"),
    None: ("– not marked", "dim"),
}
TEXTS = (("instruction", "instruction"), ("response", "response"), ("raw_response", "generated"))
CRITICS = (("instruction_critic", "instruction"), ("pair_critic", "pair"))
NONSENSE = 1e15
"""Margins in nats, and numbers of tokens, beyond this are none."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A record as a person looks at it: `flagged` kinds of detector, of which a mark is set on the first, people's
    `marks` by kind, and the critics' `threshold` in nats, None where it is not known."""

    sample: Sample
    flagged: Sequence[str] = ()
    marks: Mapping[str, bool | None] | None = None
    threshold: float | None = None

    def mark(self, kind: str) -> bool | None:
        return self.marks.get(kind) if self.marks is not None else None


def sample_lines(shown: Shown, width: int) -> tuple[tuple[Line, ...], int]:
    """All of a record, and the number of the line on which the first of what flags it begins. What is known of it comes
    before its texts, which may be long."""
    sample, record = shown.sample, shown.sample.record
    title = [Cell(f"#{sample.index}", "strong"), Cell(f" {_text(record.get('outcome')) or 'record'}")]
    lines: list[Line] = [rule(title, width, _state(shown))]
    room = width - LABEL - 1
    lines += _block("critics", _critic_rows(record, shown.threshold, room))
    lines += _block("ended", [(Cell(row),) for row in wrap(_end(record), room) if row])
    lines += _block("flagged", [(Cell(row),) for row in wrap(_flags(shown), room) if row])
    chosen = shown.flagged[0] if shown.flagged else ""
    first = 0
    for field, label in TEXTS:
        text = record.get(field)
        if not isinstance(text, str) or (field == "raw_response" and text == record.get("response")):
            continue
        highlights = _highlights(sample, field)
        block = _block(label, marked_rows(text, highlights, room))
        if not first and any(name == detector_title(chosen) for *_, name in highlights):
            first = len(lines) + next((number for number, line in enumerate(block) if opens(line)), 0)
        lines += block
    return tuple(lines), first


def _state(shown: Shown) -> list[Cell]:
    """What a mark would be set on, and the mark that there is."""
    if not shown.flagged:
        return [Cell("not flagged", "dim")]
    kind = shown.flagged[0]
    word, role = MARKS[shown.mark(kind)]
    return [Cell(f"{detector_title(kind)}: ", "dim"), Cell(word, role)]


def _highlights(sample: Sample, field: str) -> list[Highlight]:
    """What is flagged in a text; of a raw completion that nothing was cut from, in the response, which stands alone."""
    record = sample.record
    whole = record.get("raw_response") == record.get("response")
    fields = (field, "raw_response") if whole and field == "response" else (field,)
    return [
        (start, end, detector_title(kind))
        for kind, spans in sample.spans.items()
        for where, start, end in spans
        if where in fields
    ]


def _critic_rows(record: Record, threshold: float | None, width: int) -> list[Line]:
    """A line for each critic: its word, and its margin beside the threshold that it has to reach."""
    if all(critic(record, field) is None for field, _ in CRITICS):
        return [(Cell(row, "dim"),) for row in wrap("this record holds no critic's verdict, and no margin", width)]
    rows: list[Line] = []
    for field, label in CRITICS:
        verdict = critic(record, field)
        words, role = _verdict(verdict, threshold) if verdict is not None else ("no verdict in this record", "dim")
        for number, row in enumerate(wrap(words, width - CRITIC)):
            rows.append((Cell("" if number else f"{label}:", "dim", CRITIC), Cell(row, role)))
    return rows


def _verdict(verdict: Mapping[str, Any], threshold: float | None) -> tuple[str, Role]:
    """`good, confident: 3.52 nats, 1.00 wanted`."""
    confident = verdict.get("confident")
    words = "good" if verdict["good"] else "bad"
    words += {True: ", confident", False: ", unsure"}.get(confident, "") if isinstance(confident, bool) else ""
    margin = verdict.get("margin")
    if isinstance(margin, int | float) and not isinstance(margin, bool) and abs(margin) < NONSENSE:
        wanted = f", {threshold:.2f} wanted" if threshold is not None else ""
        words += f": margin {margin:.2f} nats{wanted}"
    else:
        words += ", no margin in this record"
    return words, "warn" if confident is False else "text" if verdict["good"] else "bad"


def _end(record: Record) -> str:
    """`length after 80 tokens`: how the completion ended."""
    reason, tokens = _text(record.get("finish_reason")), record.get("generated_tokens")
    counted = isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens < NONSENSE
    return f"{reason} after {tokens:,} tokens" if reason and counted else reason


def _flags(shown: Shown) -> str:
    """Each detector that flags it, whether it says where, and the mark on that."""
    told = []
    for kind in shown.flagged:
        whole = "" if shown.sample.spans.get(kind) else " as a whole"
        mark = shown.mark(kind)
        told.append(f"{detector_title(kind)}{whole}" + (f" {MARKS[mark][0]}" if mark is not None else ""))
    return " · ".join(told)


def _block(label: str, rows: Sequence[Line]) -> list[Line]:
    return [(Cell(f" {label}" if not number else "", "dim", LABEL), gap(1), *row) for number, row in enumerate(rows)]


def _text(value: Any) -> str:
    """A short word of a record; empty where it is none."""
    return clean(value, 60) if isinstance(value, str) else ""
