"""The gate's verdict on the selected run, what it rests on, and how far its detectors can be trusted."""

from __future__ import annotations

from rich.cells import cell_len

from engine.qc.verdicts import DetectorEvidence
from engine.snapshot import RunSnapshot
from tui.cells import Cell, Line, rule, wrap
from tui.panels.states import VERDICTS
from tui.view import View

ROWS_WITH_LIGHTS = 4
MANY = 10
"""So many flagged samples tell a person how good a detector is."""


def gate_lines(view: View, width: int, rows: int) -> tuple[Line, ...]:
    """A suspect detector first, then the verdict in a word and a sentence; then, as room allows, who graded the run
    again, a forecast, and what people's marks say of the detectors."""
    run = view.selected
    if run is None:
        return (rule([Cell("Gate", "strong")], width), (Cell(" nothing to judge yet", "dim"),))
    sign, word, role = VERDICTS[run.gate.verdict]
    title = [Cell("Gate ", "strong"), Cell(f"{sign} {word.upper()}", role)]
    lines: list[Line] = [_suspicion(detector, width) for detector in suspects(run)[: max(1, rows - 1)]]
    if rows >= ROWS_WITH_LIGHTS:
        lines.append(_lights(run))
    sentence = run.gate.sentence.removeprefix(f"{word}: ")
    lines += [(Cell(f" {row}"),) for row in wrap(sentence, width - 1, max(0, rows - len(lines)))]
    for text in _further(view, run):
        lines += [(Cell(f" {row}", "dim"),) for row in wrap(text, width - 1)]
    return (rule(title, width), *lines[:rows])


def suspects(run: RunSnapshot) -> list[DetectorEvidence]:
    """Detectors of the run's gate that may be wrong."""
    return [detector for detector in run.gate.detectors if detector.suspect]


def precision_text(detector: DetectorEvidence) -> str:
    """`markers-v2 right in 7 of 10 marked, 35–93 %`; empty while nobody has marked any of its flags."""
    if not detector.marked:
        return ""
    known = detector.lower is not None and detector.upper is not None
    interval = f", {100 * (detector.lower or 0):.0f}–{100 * (detector.upper or 0):.0f} %" if known else ""
    return f"{detector.detector} right in {detector.marked_true} of {detector.marked} marked{interval}"


def detector_title(kind: str) -> str:
    """`token limit`."""
    return kind.replace("_", " ")


def _suspicion(detector: DetectorEvidence, width: int) -> Line:
    title = detector_title(detector.kind)
    words = f" ⚠ detector suspect: {title}, f shows {'ten' if detector.flagged >= MANY else 'them'}"
    return (Cell(words if cell_len(words) <= width else f" ⚠ suspect: {title} (f)", "warn", action="samples"),)


def _lights(run: RunSnapshot) -> Line:
    """How many checks stand where."""
    cells: list[Cell] = []
    for verdict, (sign, _, role) in VERDICTS.items():
        number = sum(check.verdict == verdict for check in run.gate.checks)
        cells.append(Cell(f" {sign} {number} ", role if number else "dim"))
    return (*cells, Cell(f" of {len(run.gate.checks)}", "dim"))


def _further(view: View, run: RunSnapshot) -> list[str]:
    found = [f"graded again by {note.author}: {note.changed or note.reason}" for note in run.gradings[-1:]]
    if run.gate.verdict == "undecided" and run.gate.forecast is not None:
        config = view.current.campaign if view.current else None
        by = f" by {max(config.policy.extend_to, run.counts.target):,}" if config is not None else ""
        found.append(f"forecast: {_likelihood(run.gate.forecast)} likely to pass{by}")
    found += [f"why suspect: {detector.suspect}" for detector in suspects(run)]
    return found + [text for detector in run.gate.detectors if (text := precision_text(detector))]


def _likelihood(chance: float) -> str:
    """No forecast is certain, and none is shown as if it were."""
    return "<1 %" if chance < 0.01 else ">99 %" if chance > 0.99 else f"{chance * 100:.0f} %"
