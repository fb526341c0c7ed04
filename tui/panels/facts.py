"""Gate, budget and run side by side: is it fine, what does it cost, how far is it."""

from __future__ import annotations

import re

from rich.cells import cell_len

from engine.report.formatting import saved_text
from engine.snapshot import RunSnapshot
from tui import formatting
from tui.cells import Cell, Line, clean, cut, fit, gap, rule, spread, width_of, wrap
from tui.panels.bars import bar
from tui.panels.gate import gate_lines
from tui.panels.states import process_look
from tui.view import View

GAP = 2
BAR_ROWS = 4
MOST_ROWS = 8
MOST_RUN_ROWS = 6
LEAST_FOR_THREE = 76


def fact_lines(view: View, width: int, rows: int) -> tuple[Line, ...]:
    """Three panels of `rows` lines under their titles; where it is narrow the run's gives way (its stage says most)."""
    if width < LEAST_FOR_THREE:
        gate = width - GAP - 26
        beside_it = budget_lines(view, 26, rows) if view.budget is not None else run_lines(view, 26, rows)
        return beside([(gate_lines(view, gate, rows), gate), (beside_it, 26)], rows + 1)
    gate, budget, run = _widths(width)
    panels = [
        (gate_lines(view, gate, rows), gate),
        (budget_lines(view, budget, rows), budget),
        (run_lines(view, run, rows), run),
    ]
    return beside(panels, rows + 1)


def useful_rows(view: View, width: int) -> int:
    """So many lines the gate's panel can fill, up to `MOST_ROWS`, or the run's, whose reason repeats much of it."""
    gate, run = (width - GAP - 26, 26) if width < LEAST_FOR_THREE else _widths(width)[::2]
    longest = max(len(gate_lines(view, gate, MOST_ROWS)), len(run_lines(view, run, MOST_RUN_ROWS))) - 1
    return max(BAR_ROWS, longest)


def _widths(width: int) -> tuple[int, int, int]:
    """Of gate, budget and run side by side."""
    room = width - 2 * GAP
    budget = 26 if width < 110 else 36
    run = min(max(24, room * 2 // 7), 44)
    return room - budget - run, budget, run


def beside(panels: list[tuple[tuple[Line, ...], int]], height: int) -> tuple[Line, ...]:
    """Panels next to each other, each cut and padded to its width."""
    lines: list[Line] = []
    for y in range(height):
        cells: list[Cell] = []
        for number, (panel, width) in enumerate(panels):
            if number:
                cells.append(gap(GAP))
            line = cut(panel[y], width) if y < len(panel) else ()
            cells += [*line, gap(width - width_of(line))]
        lines.append(tuple(cells))
    return tuple(lines)


def budget_lines(view: View, width: int, rows: int) -> tuple[Line, ...]:
    """Spent of the limit, rate, committed, left, and what the next action is expected to cost."""
    budget = view.budget
    if budget is None:
        return (rule([Cell("Budget", "strong")], width), (Cell(" not known", "dim"),))
    over = budget.left_usd < 0
    left = formatting.money_left(budget.left_usd, budget.limit_usd)
    title = [Cell("Budget", "strong")]
    if over or budget.warning:
        used = (budget.spent_usd + budget.committed_usd) / budget.limit_usd if budget.limit_usd else 1.0
        title.append(Cell(" ⚠ over the limit" if over else f" ⚠ {used * 100:.0f} % used", "bad" if over else "warn"))
    upcoming = view.next.cost_usd if view.next and view.next.argv else None
    rate = Cell(f"{formatting.money(budget.rate_usd_per_hour)}/h", "text" if budget.rate_usd_per_hour > 0 else "dim")
    used_hours = Cell(f"{budget.device_hours:.2f} h{' used' if width >= 32 else ''}", "dim")
    lines = [
        spread(
            [
                Cell(f" {formatting.money(budget.spent_usd)}", "strong"),
                Cell(f" of {formatting.money(budget.limit_usd).removesuffix('.00')}", "dim"),
            ],
            [used_hours if rows > 2 else rate],
            width,
        ),
        spread(
            [Cell(" left ", "dim"), Cell(left, "bad" if over else "text")],
            [Cell("next ≈ " if width >= 30 else "next ", "dim"), Cell(formatting.money(upcoming))]
            if upcoming is not None
            else [],
            width,
        ),
        spread([Cell(" committed ", "dim"), Cell(formatting.money(budget.committed_usd))], [rate], width),
    ]
    if rows >= BAR_ROWS and budget.limit_usd > 0:
        used = (budget.spent_usd + budget.committed_usd) / budget.limit_usd
        lines.insert(0, bar(used, width, "warn" if budget.warning else "dim"))
    return (rule(title, width), *lines[:rows])


def run_lines(view: View, width: int, rows: int) -> tuple[Line, ...]:
    """How far the selected run is, how fast, at what cost, and why it is in this state."""
    run = view.selected
    if run is None:
        return (rule([Cell("Run", "strong")], width), (Cell(" none yet", "dim"),))
    sign, word, role = process_look(run)
    title = [Cell(f"{formatting.run_label(run.name, width - 18)} ", "strong"), Cell(f"{sign} {word}", role)]
    speed = formatting.per_second(run.examples_per_second)
    kept = [
        Cell(f" {formatting.count(run.counts.kept)}", "strong"),
        Cell(f" of {formatting.count(run.counts.target)}", "dim"),
    ]
    if width_of(kept) + len(" kept  ") + len(speed) < width:
        kept.append(Cell(" kept", "dim"))
    left = formatting.remaining(run)
    seconds = formatting.elapsed(run, view.now)
    if run.awaits_restart:
        time = [Cell(" awaits restart", "dim")]
    elif run.live and left is not None:
        time = [Cell(f" {formatting.duration(left)}"), Cell(" left", "dim")]
    elif run.live:
        time = [Cell(f" {formatting.loading(run.loading, run.engine) or 'no rate yet'}", "dim")]
    else:
        time = [Cell(" took ", "dim"), Cell(formatting.duration(seconds))]
    lines = [
        spread(kept, [Cell(speed)] if speed else [], width - 1),
        spread(time, [Cell(formatting.money(run.cost_usd))], width - 1),
    ]
    if rows >= BAR_ROWS and run.counts.target and pairs_file(run) is None:
        lines.insert(0, bar(run.counts.kept / run.counts.target, width - 1, "accent" if run.live else "dim"))
    lines += _remarks(run, width, rows - len(lines))
    return (rule(title, width), *lines[:rows])


def _remarks(run: RunSnapshot, width: int, rows: int) -> list[Line]:
    """What an early end saved, the reason of its state, or where its pairs are, then what the process is doing."""
    saved = saved_text(run)
    remarks: list[Line] = [(Cell(f" {saved}", "good"),)] if saved else []
    pairs = pairs_file(run)
    if pairs is not None:
        remarks += [(Cell(f" {row}"),) for row in wrap_path(pairs, width - 1, max(1, rows - len(remarks)))]
    elif run.reason and not run.live:
        remarks += [(Cell(f" {row}", "dim"),) for row in wrap(run.reason, width - 1, max(1, rows - len(remarks)))]
    doing = [
        part
        for part in (
            run.phase if run.live and not run.awaits_restart else None,
            f"attempt {run.attempt}" if run.attempt > 1 or not run.live else None,
            f"pid {run.pid}" if run.live and run.pid else None,
            run.reason if run.live and not run.awaits_restart else None,
        )
        if part
    ]
    if doing:
        remarks.append((Cell(f" {' · '.join(doing)}", "dim"),))
    return remarks[: max(0, rows)]


def pairs_file(run: RunSnapshot) -> str | None:
    """Where the pairs of a run that reached its target are, relative to the workspace; None for other runs."""
    if run.state != "succeeded" or run.imported or run.counts.kept < run.counts.target:
        return None
    return f"{run.folder.rstrip('/')}/pilot_data.jsonl"


def wrap_path(path: str, width: int, rows: int) -> list[str]:
    """A path on at most `rows` lines, broken after slashes; where it does not fit its beginning gives way to `…`."""
    parts = [part for part in re.split(r"(?<=/)", clean(path)) if part]
    for first in range(len(parts)):
        lines = ["…/" if first else ""]
        for part in parts[first:]:
            if cell_len(lines[-1]) + cell_len(part) > width and lines[-1]:
                lines.append("")
            lines[-1] += part
        if len(lines) <= rows and all(cell_len(line) <= width for line in lines):
            return lines
    return [fit(parts[-1] if parts else "", width).rstrip()]
