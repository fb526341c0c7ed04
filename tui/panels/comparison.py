"""The comparison table: metric, target, one column per run (newest right), and what the gate makes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.campaign.parameters import flatten
from engine.policy.compare import partner_of
from engine.qc.metrics import metric_of
from engine.qc.verdicts import CheckVerdict
from engine.report import differences
from engine.snapshot import RunSnapshot
from tui import formatting
from tui.cells import Cell, Line, Role, fit
from tui.panels.states import VERDICTS
from tui.panels.trends import Trend, trend
from tui.view import View

RUN_WIDTH = 12
TARGET_WIDTH = 9
VALUE_WIDTH = 7
UNIT_WIDTH = 2
LEAST_EVIDENCE = 12
NARROW = 70
"""Below it a run more is worth more than the evidence of one, which the gate's panel tells as well."""
ALWAYS_LAST = ("seed",)
FIRST = ("response.stop", "response.max_tokens", "response.temperature", "instruction.temperature")
SHORTENINGS = (
    (r" \(limit [^)]*\)$", ""),
    (", decided at the end", ""),
    ("not yet proven, ", ""),
    (r" (rejected|(at|over|under) [\d.]+( or (more|fewer))?|not [\d.]+):", ":"),
    (r"^\d[^:]*: ", ""),
)
Look = tuple[str, str, Role]
NO_VERDICT: Look = ("", "", "dim")
FURTHER_METRICS = (
    "instruction_yield",
    "pair_yield",
    "duplicate_rate",
    "exact_duplicate_rate",
    "near_duplicate_rate",
    "response_repetition_rate",
    "verb_diversity",
)

WIDEST_PROGRESS = 7


@dataclass(frozen=True, slots=True)
class Columns:
    """What fits into `width`: which runs, and how wide the columns around them are."""

    runs: tuple[RunSnapshot, ...]
    hidden: int
    label: int
    evidence: int

    @property
    def long(self) -> bool:
        return self.label > 20


def columns(view: View, width: int) -> Columns:
    """The pilot, and beside it as many of the newest runs as there is room for, the selected one among them."""
    label = 32 if width >= 110 else 15
    least_evidence = LEAST_EVIDENCE if width < 80 else 20 if width < 110 else 34
    runs = view.runs
    room = max(1, (width - label - TARGET_WIDTH - least_evidence) // RUN_WIDTH)
    if width < NARROW and len(runs) > room:
        room = (width - label - TARGET_WIDTH) // RUN_WIDTH
    shown = runs
    if len(runs) > room:
        rest, kept = runs[1:], room - 1
        selected = next((place for place, run in enumerate(rest) if run == view.selected), len(rest))
        start = min(max(0, len(rest) - kept), selected)
        shown = (runs[0], *rest[start : start + kept])
        if view.selected == runs[0] and not kept:
            shown = (runs[0],)
        elif not kept and view.selected is not None:
            shown = (view.selected,)
    evidence = width - label - TARGET_WIDTH - RUN_WIDTH * len(shown)
    return Columns(shown, len(runs) - len(shown), label, evidence if evidence >= LEAST_EVIDENCE else 0)


def table_lines(view: View, width: int, *, parameter_rows: int, further_metrics: bool = False) -> tuple[Line, ...]:
    """Head, `kept`, one line per check of the gate, and up to `parameter_rows` lines of parameters that differ."""
    shape = columns(view, width)
    lines = [_head(view, shape), _kept(view, shape)]
    lines += [_metric(view, shape, metric) for metric in check_names(view)]
    if further_metrics:
        lines += [_metric(view, shape, metric) for metric in further_metric_names(view)]
    return (*lines, *_parameters(view, shape, parameter_rows))


def check_names(view: View) -> list[str]:
    """Metrics that the gate looks at: those of the campaign, and others that some run was judged by."""
    names = list(view.current.campaign.gate.checks) if view.current and view.current.campaign else []
    for run in view.runs:
        names += [check.metric for check in run.gate.checks if check.metric not in names]
    return names


def further_metric_names(view: View) -> list[str]:
    """Metrics without a limit that some run knows."""
    checked = check_names(view)
    return [
        name
        for name in FURTHER_METRICS
        if name not in checked and any(run.metrics.get(name) is not None for run in view.runs)
    ]


def differing_parameters(runs: tuple[RunSnapshot, ...], selected: RunSnapshot | None) -> list[str]:
    """Dotted names that are not the same in all `runs`; what the selected run changed stands first."""
    names = list(differences.differing_parameters(runs))
    known = [run for run in runs if run.parameters_known]
    flat = [flatten(run.parameters) for run in known]
    place = next((number for number, run in enumerate(known) if run == selected), 0)
    changed = {name for name in names if place and flat[place][name] != flat[place - 1][name]}

    def rank(name: str) -> tuple[bool, bool, int]:
        return name in ALWAYS_LAST, name not in changed, FIRST.index(name) if name in FIRST else len(FIRST)

    return sorted(names, key=rank)


def _selected(view: View, run: RunSnapshot) -> bool:
    return len(view.runs) > 1 and view.selected is not None and run.name == view.selected.name


def _head(view: View, shape: Columns) -> Line:
    hidden = f"{shape.hidden} more (c)" if shape.hidden else "metric"
    cells = [Cell(f" {hidden}", "dim", shape.label, tint=True), Cell("target", "dim", TARGET_WIDTH - 2, ">", tint=True)]
    cells.append(Cell("  ", tint=True))
    for run in shape.runs:
        selected = _selected(view, run)
        name = formatting.run_label(run.name, RUN_WIDTH - 3)
        cells += [
            Cell(fit("", 1), tint=True),
            Cell(" " * max(0, RUN_WIDTH - 3 - len(name)), tint=True),
            Cell(name, "strong" if selected else "text", min(len(name), RUN_WIDTH - 3), tint=True, underline=selected),
            _going(run),
        ]
    if shape.evidence:
        whose = formatting.run_label(view.selected.name, 10) if view.selected and len(view.runs) > 1 else ""
        title = f"evidence · {whose}" if whose else "evidence"
        cells.append(Cell(f"  {title}", "dim", shape.evidence, tint=True))
    return tuple(cells)


def _going(run: RunSnapshot) -> Cell:
    if formatting.is_stalled(run):
        return Cell(" ⚠", "warn", tint=True)
    return Cell(" ●", "accent", tint=True) if run.live else Cell("  ", tint=True)


def _row(label: str, target: tuple[str, str], groups: list[list[Cell]], evidence: Cell, shape: Columns) -> Line:
    text, unit = target
    return (
        Cell(f" {label}", "text", shape.label),
        Cell(f"{text:>{TARGET_WIDTH - 4}}{unit:<{UNIT_WIDTH}}  ", "dim", TARGET_WIDTH),
        *(cell for group in groups for cell in group),
        *((evidence,) if shape.evidence else ()),
    )


def _evidence(text: str, shape: Columns, role: Role = "dim") -> Cell:
    return Cell(f"  {shortened(text, shape.evidence - 2)}", role, shape.evidence)


def shortened(sentence: str, width: int) -> str:
    """A check's sentence in `width` cells: first what the target column says anyway gives way, then the counts."""
    sentence = formatting.signs(sentence)
    for pattern, replacement in SHORTENINGS:
        if len(sentence) <= width:
            break
        sentence = re.sub(pattern, replacement, sentence)
    return sentence


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run shows in one row. The unit stands in a column of its own, so that the numbers line up."""

    number: str
    unit: str = ""
    look: Look = NO_VERDICT
    change: Trend | None = None
    role: Role = "text"


def _value(view: View, run: RunSnapshot, figure: Figure) -> list[Cell]:
    """One run's cells, `RUN_WIDTH` wide: verdict sign, number and unit, arrow."""
    tint = _selected(view, run)
    fits = len(figure.number) + UNIT_WIDTH <= VALUE_WIDTH
    value = f"{figure.number}{figure.unit:<{UNIT_WIDTH}}" if fits else figure.number
    change = figure.change
    return [
        Cell(" "),
        Cell(figure.look[0], figure.look[2], 2, tint=tint),
        Cell(value, figure.role, VALUE_WIDTH, ">", tint=tint),
        Cell(f" {change.sign}" if change else "  ", change.role if change else "dim", 2, tint=tint),
    ]


def _kept(view: View, shape: Columns) -> Line:
    campaign = view.current.campaign if view.current else None
    target = campaign.target.examples if campaign else None
    groups = []
    for run in shape.runs:
        number = formatting.progress(run.counts.kept, run.counts.target)
        if target == run.counts.target or run.counts.kept >= run.counts.target or len(number) > WIDEST_PROGRESS:
            number = formatting.count(run.counts.kept)
        change = trend("examples", partner_of(view.runs, run), run)
        groups.append(_value(view, run, Figure(number, change=change)))
    note = ""
    if view.selected is not None and not view.selected.live and view.selected.counts.kept < view.selected.counts.target:
        note = f"{view.selected.counts.target - view.selected.counts.kept:,} short of its target"
    return _row(
        formatting.metric_label("examples", long=shape.long),
        (formatting.count(target) if target else "", ""),
        groups,
        _evidence(note, shape),
        shape,
    )


def _check(run: RunSnapshot, metric: str) -> CheckVerdict | None:
    return next((check for check in run.gate.checks if check.metric == metric), None)


def _metric(view: View, shape: Columns, metric: str) -> Line:
    campaign, known = view.current.campaign if view.current else None, metric_of(metric)
    limit = campaign.gate.checks.get(metric) if campaign else None
    target = formatting.limit(limit.op, limit.value, as_percent=limit.percent) if limit else ("", "")
    groups = []
    for run in shape.runs:
        check = _check(run, metric)
        if not target[0] and check:
            target = formatting.limit(check.op, check.limit, as_percent=check.percent)
        value = check.value if check else run.metrics.get(metric)
        percent = check.percent if check else known is not None and known.unit == "%"
        number, unit = _number(value, percent=percent)
        look = VERDICTS[check.verdict] if check and (value is not None or check.n) else NO_VERDICT
        role: Role = "dim" if value is None else "bad" if check and check.verdict == "fail" else "text"
        change = trend(metric, partner_of(view.runs, run), run)
        groups.append(_value(view, run, Figure(number, unit, look, change, role)))
    own = _check(view.selected, metric) if view.selected else None
    evidence = _evidence(own.sentence if own else "", shape, "bad" if own and own.verdict == "fail" else "dim")
    return _row(formatting.metric_label(metric, long=shape.long), target, groups, evidence, shape)


def _number(value: float | None, *, percent: bool) -> tuple[str, str]:
    if value is None:
        return "–", ""
    return (f"{value * 100:.1f}", " %") if percent else (formatting.number(value), "")


def _parameters(view: View, shape: Columns, rows: int) -> list[Line]:
    names = differing_parameters(shape.runs, view.selected)
    if not names or rows <= 0:
        return []
    shown = names if len(names) <= rows else names[: rows - 1] if rows > 1 else []
    lines = [_parameter(view, shape, name) for name in shown]
    if len(shown) < len(names):
        more = f" {len(names) - len(shown)} {'more ' if shown else ''}parameters differ: "
        lines.append((Cell(more, "dim"), Cell("c", "key", action="compare"), Cell(" compare", "dim", action="compare")))
    return lines


def _parameter(view: View, shape: Columns, name: str) -> Line:
    groups = []
    before: object = None
    note = ""
    for place, run in enumerate(shape.runs):
        value = flatten(run.parameters)[name] if run.parameters_known else None
        changed = bool(place) and value is not None and before is not None and value != before
        text = formatting.parameter_value(value, VALUE_WIDTH) if value is not None else "–"
        groups.append(_value(view, run, Figure(text, role="strong" if changed else "dim")))
        if changed and view.selected is not None and run.name == view.selected.name:
            note = "changed"
        before = value if value is not None else before
    label = formatting.parameter_label(name, long=shape.long)
    return _row(label, ("", ""), groups, _evidence(note, shape), shape)
