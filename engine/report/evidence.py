"""`pilothouse gate RUN --trace`: a run's evidence growing with its samples, drawn in characters."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.campaign.spec import read_spec
from engine.files import RunFiles
from engine.gradings import graded_spec
from engine.journal.reader import JournalReader
from engine.qc.trace import CheckTrace, in_item_order, thinned, trace
from engine.qc.verdicts import CheckVerdict, GateVerdict
from engine.replay.run import RunReplay
from engine.report.formatting import VERDICT_SIGNS, headline, limit_text, metric_title, signs
from engine.report.gate import read_ruler

NOTHING_TO_TRACE = "it was imported, and its gate judges the figures of its own summary: there are no samples to trace"
MOST_POINTS = 400
WIDTH = 78
ROWS = 8
GAP = "  "
LABEL = 6
PANEL = (WIDTH - len(GAP)) // 2
COLUMNS = PANEL - LABEL - 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """`checks` that the rule decides, and why there are none where there are none; `gate` is the verdict on the run."""

    run: str
    gate: GateVerdict
    checks: tuple[CheckTrace, ...]
    nothing: str = ""

    def to_json(self) -> dict[str, Any]:
        """Points are [n, failures, log10 E for passing, log10 E for failing]; thresholds are those of E itself."""
        return {
            "run": self.run,
            "nothing": self.nothing or None,
            "checks": [
                {
                    "metric": one.metric,
                    "threshold_pass": one.threshold_pass,
                    "threshold_fail": one.threshold_fail,
                    "passes_at": one.passes_at,
                    "fails_at": one.fails_at,
                    "points": [
                        [point.n, round(point.failures, 3), round(point.log_pass, 4), round(point.log_fail, 4)]
                        for point in thinned(one, MOST_POINTS)
                    ],
                }
                for one in self.checks
            ],
        }


def trace_run(files: RunFiles, gate: GateVerdict, ruler: Path | None = None) -> Evidence:
    """The evidence behind `gate`, the verdict on a run's records, by the detectors and limits that it is judged by, or
    by those in `ruler`, a file as `gate --qc` takes; raises as `read_ruler` does."""
    frozen = read_spec(files)
    spec = graded_spec(files, frozen)
    if ruler is not None:
        spec = read_ruler(ruler, spec)
    elif spec == frozen and spec.imported is not None and spec.imported.metrics:
        return Evidence(spec.id, gate, (), NOTHING_TO_TRACE)
    records = JournalReader(files.records).read_new()
    ordered = records if spec.imported is not None else in_item_order(records)
    checks = trace(ordered, RunReplay(files, spec, own_figures=True).new_tally(), gate)
    if checks:
        return Evidence(spec.id, gate, tuple(checks))
    why = "its gate compares plainly" if gate.confidence is None else "its gate has no check on a rate"
    return Evidence(spec.id, gate, (), f"{why}: there is no evidence to trace")


# --- drawn -----------------------------------------------------------------------------------------------------------


def evidence_text(evidence: Evidence) -> str:
    """Two panels a check, `WIDTH` wide: log10 E for passing and for failing, over the samples judged; then the
    verdict."""
    gate = evidence.gate
    if not evidence.checks:
        return f"{evidence.run}: {evidence.nothing}\n{headline(gate)}"
    traces = {one.metric: one for one in evidence.checks}
    drawn = [_drawn(check, traces[check.metric]) for check in gate.checks if check.metric in traces]
    counted = [_title(check) for check in gate.checks if check.metric not in traces]
    return "\n\n".join([*drawn, *(["\n".join(counted)] if counted else []), headline(gate)])


def _drawn(check: CheckVerdict, one: CheckTrace) -> str:
    title = _title(check)
    if not one.points:
        return title
    unit = "lists" if check.by_list else "samples"
    passing = _panel([point.log_pass for point in one.points], one.threshold_pass, unit)
    failing = _panel([point.log_fail for point in one.points], one.threshold_fail, unit)
    heads = _head("passes", one.threshold_pass, one.passes_at), _head("fails", one.threshold_fail, one.fails_at)
    rows = [heads, *zip(passing, failing, strict=True)]
    return "\n".join([title, *(f"{left:<{PANEL}}{GAP}{right}".rstrip() for left, right in rows)])


def _title(check: CheckVerdict) -> str:
    limit = limit_text(check.op, check.limit, percent=check.percent)
    title = f"{VERDICT_SIGNS[check.verdict]} {metric_title(check.metric)} {limit} · {signs(check.sentence)}"
    return textwrap.fill(title, WIDTH, subsequent_indent="  ")


def _head(verb: str, threshold: float, at: int | None) -> str:
    reached = f"at {at}" if at is not None else "not reached"
    return f"{'':<{LABEL}} {verb} when E ≥ {threshold:.4g}: {reached}"


def _panel(logs: Sequence[float], threshold: float, unit: str) -> list[str]:
    """`ROWS` rows with the curve, from no sample on, and the threshold as dots; below them the axis of samples."""
    needed = math.log10(threshold)
    values = [0.0, *logs]
    shown = [values[round(column * (len(values) - 1) / (COLUMNS - 1))] for column in range(COLUMNS)]
    low, high = min(0.0, *shown), max(needed, *shown)
    line = max(1, round((needed - low) / (high - low) * (ROWS - 1)))

    def row(value: float) -> int:
        """Its row from below; on or above the dots exactly what reaches the threshold."""
        place = round((value - low) / (high - low) * (ROWS - 1))
        return max(place, line) if value >= needed else min(place, line - 1)

    grid = [["·" if place == line else " " for _ in range(COLUMNS)] for place in range(ROWS)]
    _draw(grid, [row(value) for value in shown])
    labels = {row(0.0): "0", 0: _written(low), ROWS - 1: _written(high), line: f"{needed:.2f}"}
    rows = [
        f"{labels.get(place, ''):>{LABEL}}{'┤' if place in labels else '│'}{''.join(grid[place])}"
        for place in reversed(range(ROWS))
    ]
    last = f"{len(logs)} {unit}"
    rows.append(f"{'':>{LABEL}}└{'─' * COLUMNS}")
    rows.append(f"{'log10E':>{LABEL}} 0{last:>{COLUMNS - 1}}")
    return rows


def _written(log: float) -> str:
    return f"{log:.{0 if log == 0 or abs(log) >= 100 else 1}f}".replace("-", "−")


def _draw(grid: list[list[str]], curve: Sequence[int]) -> None:
    """`curve`: the row of each column; a step between two of them stands in the later one."""
    before = curve[0]
    for column, place in enumerate(curve):
        for between in range(min(before, place) + 1, max(before, place)):
            grid[between][column] = "│"
        if place == before:
            grid[place][column] = "─"
        else:
            grid[before][column], grid[place][column] = ("┘", "┌") if place > before else ("┐", "└")
        before = place
