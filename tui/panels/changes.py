"""In what two runs differ, and what a run was made and judged by."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from rich.cells import cell_len

from engine.campaign.grading import Limit
from engine.campaign.parameters import flatten
from engine.policy.compare import partner_of
from engine.report.comparison import HASH_DIGITS
from engine.report.differences import differing_parameters, differing_prompts, differing_rules
from engine.report.formatting import limit_text
from engine.snapshot import RunSnapshot
from tui.cells import Cell, Line, Role, rule, wrap
from tui.view import View

NAME_WIDTH = 36
NARROW_NAME = 28
NARROW = 70


def changes(partner: RunSnapshot, run: RunSnapshot) -> list[tuple[str, str, str]]:
    """Parameters, prompts (by the start of their hash) and rules that differ, with both values."""
    runs = (partner, run)
    found = [(name, _shown(old), _shown(new)) for name, (old, new) in differing_parameters(runs).items()]
    hashes = differing_prompts(runs).items()
    found += [(f"prompt {name}", _start(old), _start(new)) for name, (old, new) in hashes]
    return found + [(name, _rule(old), _rule(new)) for name, (old, new) in differing_rules(runs).items()]


def change_lines(found: list[tuple[str, str, str]], width: int) -> Iterator[Line]:
    """`≠ response.temperature  0.4 → 0.3`, one after the other."""
    for name, before, after in found:
        yield from _lines("≠", name, f"{before} → {after}", width)


def parameters_lines(run: RunSnapshot, view: View, width: int) -> tuple[Line, ...]:
    """What differs from the run before it first, then all that is the same in both."""
    partner = compared_with(view, run)
    found = changes(partner, run) if partner is not None else []
    lines: list[Line] = [*_about(run, partner, bool(found), width), *change_lines(found, width)]
    differ = {name for name, *_ in found}
    for title, values in _parts(run):
        same = [(name, value) for name, value in values if name not in differ]
        if same:
            note = [Cell(" · the same", "dim")] if partner is not None else []
            lines += [(), rule([Cell(title, "strong"), *note], width)]
            for name, value in same:
                lines += _lines(" ", name, value, width)
    return tuple(lines)


def compared_with(view: View, run: RunSnapshot) -> RunSnapshot | None:
    """The run that it is compared with elsewhere, else the one before it; None for the first."""
    names = [other.name for other in view.runs]
    place = names.index(run.name) if run.name in names else 0
    return partner_of(view.runs, run) or (view.runs[place - 1] if place else None)


def _about(run: RunSnapshot, partner: RunSnapshot | None, differs: bool, width: int) -> Iterator[Line]:
    if partner is None:
        yield from _said(f"{run.name} is the first run: there is none to lay beside it", width)
        return
    began = "it began from it" if run.parent == partner.name else "the one before it"
    title = [Cell(f"Differs · {partner.name} → {run.name}", "strong"), Cell(f" · {began}", "dim")]
    yield rule(title, width)
    unknown = next((one for one in (run, partner) if not one.parameters_known), None)
    if unknown is not None:
        yield from _said(f"the parameters of {unknown.name} are not known: another program made it", width)
    if not differs:
        yield from _said("nothing that is known of both differs", width)


def _parts(run: RunSnapshot) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """All that is known of how it was made and judged, by part."""
    known = flatten(run.parameters) if run.parameters_known else {}
    yield "Parameters", [(name, _shown(value)) for name, value in known.items()]
    yield "Prompts", [(f"prompt {name}", _start(digest)) for name, digest in run.prompts]
    yield "Model, detectors, gate", [(name, _rule(value)) for name, value in run.rules]


def _lines(sign: str, name: str, value: str, width: int) -> Iterator[Line]:
    column = NAME_WIDTH if width >= NARROW else NARROW_NAME
    role: Role = "strong" if sign.strip() else "text"
    rows = zip_longest(_named(name, column - 4), wrap(value, width - column - 1), fillvalue="")
    for number, (label, text) in enumerate(rows):
        yield Cell(f" {sign if number == 0 else ' '} ", "warn"), Cell(label, "text", column - 3), Cell(text, role)


def _named(name: str, width: int) -> list[str]:
    """A name that is too long for a line goes on after its last dot."""
    group, dot, last = name.rpartition(".")
    return wrap(name, width) if cell_len(name) <= width or not dot else [*wrap(group + dot, width), *wrap(last, width)]


def _said(text: str, width: int) -> Iterator[Line]:
    for row in wrap(text, width - 2):
        yield (Cell(f" {row}", "dim"),)


def _start(digest: str | None) -> str:
    return digest[:HASH_DIGITS] if digest else "–"


def _rule(value: object) -> str:
    """A limit as it is written elsewhere on the screen, `≥ 50 %`; anything else as it is."""
    try:
        limit = Limit.parse(value)
    except ValueError:
        return _shown(value)
    return limit_text(limit.op, limit.value, percent=limit.percent)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(repr(item) for item in value) or "none"
    return "–" if value is None else str(value)
