"""A run's metrics over its samples: a plot for each check of its gate, and one of the kept pairs."""

from __future__ import annotations

from collections.abc import Sequence

from engine.campaign.grading import Limit
from engine.qc.metrics import metric_of
from engine.qc.series import CheckSeries
from engine.qc.verdicts import CheckVerdict, GateVerdict
from engine.report.formatting import limit_text
from engine.report.series import RunSeries
from engine.snapshot import RunSnapshot
from tui import formatting
from tui.cells import Cell, Line, spread, wrap
from tui.panels.facts import beside
from tui.panels.plot import Curve, Point, plot
from tui.panels.states import VERDICTS

LEAST_FOR_TWO, LEAST_FOR_THREE = 70, 150
LEAST_FOR_LONG = 46
"""From here on a block's title has room for the long name of its metric, and for what decided it."""
LEAST_HEIGHT, MOST_HEIGHT = 7, 14
SENTENCE_ROWS = 2
GAP = 2
AT = {"pass": "passes at {:,}", "fail": "fails at {:,}", "undecided": ""}


def metrics_lines(run: RunSnapshot, series: RunSeries | None, width: int, height: int) -> tuple[Line, ...]:
    """All plots, as many beside each other as `width` has room for, low enough for two above each other in `height`
    lines; then the checks that nothing can be drawn of."""
    if series is None:
        return ((Cell(" reading the records …", "dim"),),)
    drawn = {one.metric: one for one in series.checks}
    number = 1 if width < LEAST_FOR_TWO else 2 if width < LEAST_FOR_THREE else 3
    room = (width - GAP * (number - 1)) // number
    plot_height = min(MOST_HEIGHT, max(LEAST_HEIGHT, (height - 1) // 2 - 3))
    blocks = [
        check_block(check, drawn[check.metric], room, plot_height) for check in run.gate.checks if check.metric in drawn
    ]
    if series.kept:
        blocks.append(_kept_block(run, series, room, plot_height))
    lines: list[Line] = []
    if series.nothing:
        lines += [(Cell(f" {row}", "dim"),) for row in wrap(f"{run.name}: {series.nothing}", width - 2)]
    else:
        lines += _legend(run.gate, series.checks, width)
    for first in range(0, len(blocks), number):
        row = blocks[first : first + number]
        if lines:
            lines.append(())
        lines += beside([(block, room) for block in row], max(map(len, row)))
    rest = [check for check in run.gate.checks if check.metric not in drawn]
    for check in rest:
        lines += [(), *_told(check, width)]
    return tuple(lines)


def check_block(check: CheckVerdict, series: CheckSeries, width: int, height: int) -> tuple[Line, ...]:
    """Verdict and figures of a check, its plot, and its sentence."""
    sign, word, role = VERDICTS[check.verdict]
    at = AT[check.verdict].format(series.decided_at) if series.decided_at is not None else word
    limit = limit_text(check.op, check.limit, percent=check.percent)
    label = formatting.metric_label(check.metric, long=width >= LEAST_FOR_LONG)
    value, decided = Cell(_figure(check, check.value), "strong"), Cell(at, role)
    beside_it = [value, Cell("  "), decided] if width >= LEAST_FOR_LONG else [value]
    title = spread([Cell(f" {sign} ", role), Cell(label, "strong"), Cell(f" {limit}", "warn")], beside_it, width)
    curve = Curve(
        [Point(point.n, point.value, point.lower, point.upper) for point in series.points],
        x_text=lambda n: f"{n:,.0f}",
        y_text=lambda value: _axis_figure(check, value),
        over=_counted(check),
        limit=Limit(op=check.op, value=check.limit, percent=check.percent),
        limit_text=limit,
        most=1.0 if check.percent else None,
        mark=(series.decided_at, role) if series.decided_at is not None else None,
    )
    return (title, *plot(curve, width, height), *_sentence(check, decided, width))


def _sentence(check: CheckVerdict, decided: Cell, width: int) -> list[Line]:
    """The check's own; where the title had no room for it, what decided it goes first."""
    sentence = formatting.signs(check.sentence)
    if width >= LEAST_FOR_LONG:
        return [(Cell(f"   {row}", "dim"),) for row in wrap(sentence, width - 3, SENTENCE_ROWS)]
    rows = wrap(f"{decided.text} · {sentence}", width - 3, SENTENCE_ROWS)
    first = (Cell("   "), decided, Cell(rows[0][len(decided.text) :], "dim"))
    return [first, *((Cell(f"   {row}", "dim"),) for row in rows[1:])]


def _kept_block(run: RunSnapshot, series: RunSeries, width: int, height: int) -> tuple[Line, ...]:
    kept, target = series.kept[-1][1], run.counts.target
    rate = formatting.per_second(run.examples_per_second)
    title = spread(
        [Cell("   "), Cell("kept over time", "strong")],
        [Cell(f"{kept:,} of {target:,}"), Cell(f"  {rate}" if rate else "", "dim")],
        width,
    )
    curve = Curve(
        [Point(seconds, number) for seconds, number in series.kept],
        x_text=formatting.duration,
        y_text=lambda value: formatting.count(round(value)),
        over="since the first record",
        limit=Limit(op=">=", value=target),
        limit_text=f"≥ {formatting.count(target)}",
    )
    return (title, *plot(curve, width, height))


def _told(check: CheckVerdict, width: int) -> list[Line]:
    """A check in words alone."""
    sign, word, role = VERDICTS[check.verdict]
    limit = limit_text(check.op, check.limit, percent=check.percent)
    head = [Cell(f" {sign} ", role), Cell(formatting.metric_label(check.metric, long=True), "strong")]
    title = spread(
        [*head, Cell(f" {limit}", "warn")], [Cell(f"{_figure(check, check.value)}  "), Cell(word, role)], width
    )
    return [title, *((Cell(f"   {row}", "dim"),) for row in wrap(formatting.signs(check.sentence), width - 3))]


def _counted(check: CheckVerdict) -> str:
    """What stands along the horizontal axis."""
    known = metric_of(check.metric)
    return "lists" if check.by_list else known.over if known is not None else ""


def _is_mean(check: CheckVerdict) -> bool:
    """Whether its curve is the mean of its lists' shares, which is what such a gate proves; its value is over all."""
    return check.by_list and check.percent


def _legend(gate: GateVerdict, drawn: Sequence[CheckSeries], width: int) -> list[Line]:
    """The signs in the plots that are `drawn`."""
    metrics = {series.metric for series in drawn}
    mean = any(_is_mean(check) for check in gate.checks if check.metric in metrics)
    bounded = any(point.lower is not None for series in drawn for point in series.points)
    signs = ["█ so far, over lists their mean" if mean else "█ so far"]
    if bounded and gate.confidence is not None:
        signs.append(f"░ exact {gate.confidence * 100:g} % bounds")
    return [(Cell(f" {row}", "dim"),) for row in wrap("  ".join([*signs, "╌ limit", "▲ decided"]), width - 1)]


def _figure(check: CheckVerdict, value: float | None) -> str:
    return formatting.percent(value) if check.percent else formatting.number(value)


def _axis_figure(check: CheckVerdict, value: float) -> str:
    """Short enough for the axis."""
    if not check.percent:
        return formatting.count(round(value)) if value >= 10 or value == int(value) else f"{value:.1f}"
    return f"{value * 100:.0f} %" if value >= 0.1 or value == 0 else f"{value * 100:.1f} %"
