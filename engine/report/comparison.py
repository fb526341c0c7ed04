"""A campaign's runs side by side, and what is proven better or worse, as text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.logs.sanitise import sanitise
from engine.policy.compare import CONFIDENCE, CheckChange, Comparison, compare, partner_of
from engine.qc.metrics import METRICS, metric_of
from engine.qc.verdicts import CheckVerdict
from engine.report.differences import differing_parameters, differing_prompts, differing_rules
from engine.report.formatting import (
    UNKNOWN,
    VERDICT_SIGNS,
    duration,
    ending_text,
    limit_text,
    metric_title,
    metric_value,
    money,
    parameter_value,
    short_parameter,
    state_text,
)
from engine.report.tables import grading_text, text_table, wrapped
from engine.snapshot import CampaignSnapshot, RunSnapshot

ARROWS = {"better": "▲", "worse": "▼"}
HASH_DIGITS = 8
WIDEST_VALUE = 24

Row = list[str]


@dataclass(frozen=True, slots=True)
class Against:
    """How `run` moved from the run `partner` that it is compared with."""

    run: RunSnapshot
    partner: RunSnapshot
    comparison: Comparison

    def change(self, metric: str) -> CheckChange | None:
        return next((check for check in self.comparison.checks if check.metric == metric), None)

    @property
    def sentence(self) -> str:
        """`iteration-1 against pilot: runaway better by 36.4 to 65.1 points; the others not distinguishable`."""
        checks = self.comparison.checks
        said = [_movement(check) for check in checks if check.proven] or [self.comparison.sentence]
        parts = [", ".join(said)]
        if any(check.proven for check in checks) and any(check.change == "not distinguishable" for check in checks):
            parts.append("the others not distinguishable")
        sizes = [metric_title(check.metric) for check in checks if check.other_sizes]
        unlike = [metric_title(check.metric) for check in checks if self._measured_otherwise(check)]
        for titles, why in ((unlike, "other limits or detectors"), (sizes, "other sizes")):
            if titles:
                parts.append(f"{', '.join(titles)} not comparable ({why})")
        return f"{self.run.name} against {self.partner.name}: {'; '.join(parts)}"

    def _measured_otherwise(self, check: CheckChange) -> bool:
        """Whether it is judged in both runs, as a share of samples, on enough of them, and yet says nothing."""
        both = [_check(run, check.metric) for run in (self.partner, self.run)]
        metric = metric_of(check.metric)
        judged = all(one is not None and one.n for one in both)
        share = metric is not None and metric.kind != "count"
        return check.change == "not known" and judged and share and not check.other_sizes


def _movement(check: CheckChange) -> str:
    least, most = (check.lower, check.upper) if check.change == "better" else (-check.upper, -check.lower)
    return f"{metric_title(check.metric)} {check.change} by {least * 100:.1f} to {most * 100:.1f} points"


def comparisons(runs: Sequence[RunSnapshot]) -> list[Against | None]:
    """For each of `runs`, in the order they were created, the comparison with its partner; None without one."""
    found: list[Against | None] = []
    for run in runs:
        partner = partner_of(runs, run)
        found.append(Against(run, partner, compare(partner.gate, run.gate)) if partner is not None else None)
    return found


# --- the table ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Figure:
    """What a run shows of a metric: the verdict's sign, the value, failures of samples judged, an arrow if proven."""

    sign: str = ""
    value: str = UNKNOWN
    evidence: str = ""
    arrow: str = ""


def comparison_rows(campaign: CampaignSnapshot, *, padded: bool = True) -> tuple[Row, list[Row]]:
    """Header and rows: label, target, then one column per run. `padded`: figures stand below each other."""
    runs, against = campaign.runs, comparisons(campaign.runs)
    header = ["metric", "target", *(run.name + (" ●" if run.live else "") for run in runs)]
    rows = [
        ["state", "", *(state_text(run) for run in runs)],
        ["verdict", "", *(f"{VERDICT_SIGNS[run.gate.verdict]} {run.gate.verdict}" for run in runs)],
    ]
    if any(against):
        rows.append(["against", "", *(one.partner.name if one else UNKNOWN for one in against)])
    rows.append(["kept", "", *(f"{run.counts.kept} of {run.counts.target}" for run in runs)])
    names = _metric_names(runs)
    figures = [[_figure(name, run, one) for name in names] for run, one in zip(runs, against, strict=True)]
    columns = [_written(column, padded=padded) for column in figures]
    rows += [
        [metric_title(name), _target(name, runs), *(column[place] for column in columns)]
        for place, name in enumerate(names)
    ]
    return header, [*rows, *_differing_rows(runs), *_money_rows(runs)]


def _metric_names(runs: Sequence[RunSnapshot]) -> list[str]:
    """What some run knows or was judged by, in the order of the metrics; kept pairs have a row of their own."""
    known = {name for run in runs for name, value in run.metrics.items() if value is not None}
    known |= {check.metric for run in runs for check in run.gate.checks}
    names = dict.fromkeys([*METRICS, *(name for run in runs for name in run.metrics), *sorted(known)])
    return [name for name in names if name in known and name != "examples"]


def _check(run: RunSnapshot, metric: str) -> CheckVerdict | None:
    return next((check for check in run.gate.checks if check.metric == metric), None)


def _target(metric: str, runs: Sequence[RunSnapshot]) -> str:
    """The newest run's limit; where they differ, `differing_rules` has them all."""
    check = next((check for run in reversed(runs) if (check := _check(run, metric)) is not None), None)
    return limit_text(check.op, check.limit, percent=check.percent) if check is not None else ""


def _figure(metric: str, run: RunSnapshot, against: Against | None) -> _Figure:
    value, check = metric_value(metric, run.metrics.get(metric)), _check(run, metric)
    if check is None:
        return _Figure(value=value)
    change = against.change(metric) if against is not None else None
    failures = f"{round(check.failures, 1):g}" if check.by_list else f"{check.failures:.0f}"
    return _Figure(
        VERDICT_SIGNS[check.verdict],
        value,
        f"{failures}/{check.n}" if check.n else "",
        ARROWS.get(change.change, "") if change is not None else "",
    )


def _written(figures: Sequence[_Figure], *, padded: bool) -> list[str]:
    """One run's figures; with `padded` signs, values, evidence and arrows each below each other."""
    if not padded:
        return [" ".join(filter(None, (one.sign, one.value, one.evidence, one.arrow))) for one in figures]
    value = max((len(one.value) for one in figures), default=0)
    evidence = max((len(one.evidence) for one in figures), default=0)
    arrow = max((len(one.arrow) for one in figures), default=0)
    return [
        f"{one.sign:<1} {one.value:>{value}}"
        + (f" {one.evidence:>{evidence}}" if evidence else "")
        + (f" {one.arrow:<{arrow}}" if arrow else "")
        for one in figures
    ]


def _differing_rows(runs: Sequence[RunSnapshot]) -> list[Row]:
    rows = [
        [short_parameter(key), "", *(parameter_value(value) for value in values)]
        for key, values in differing_parameters(runs).items()
    ]
    rows += [
        [f"prompt {key}", "", *(value[:HASH_DIGITS] if value else UNKNOWN for value in values)]
        for key, values in differing_prompts(runs).items()
    ]
    rows += [
        [key, "", *(_shortened(value) if value is not None else UNKNOWN for value in values)]
        for key, values in differing_rules(runs).items()
    ]
    return rows


def _shortened(value: str) -> str:
    """Both ends of what is too wide for a column: where two paths differ may be at either."""
    value = sanitise(value)
    half = WIDEST_VALUE // 2
    return value if len(value) <= WIDEST_VALUE else f"{value[: half - 1]}…{value[-half:]}"


def _money_rows(runs: Sequence[RunSnapshot]) -> list[Row]:
    def row(label: str, cell: Callable[[RunSnapshot], str]) -> Row:
        return [label, "", *(UNKNOWN if run.imported else cell(run) for run in runs)]

    rows = [
        row("device time", lambda run: duration(run.active_s) if run.active_s else UNKNOWN),
        row("cost", lambda run: money(run.cost_usd)),
        row("cost per 1,000", lambda run: money(1000 * run.cost_usd / run.counts.kept) if run.counts.kept else UNKNOWN),
    ]
    if any(run.saved_usd is not None for run in runs):
        rows.append(row("saved (forecast)", lambda run: money(run.saved_usd)))
    return rows


# --- as text, Markdown, JSON ----------------------------------------------------------------------------------------


def comparison_text(campaign: CampaignSnapshot, width: int | None = None) -> str:
    """The table and what is proven. Where it is wider than `width` cells the runs go on in a further table below;
    without a `width`, for a file or a pipe, it is one table as wide as it comes."""
    header, rows = comparison_rows(campaign)
    tables = [
        text_table([header[column] for column in columns], [[row[column] for column in columns] for row in rows])
        for columns in _blocks(header, rows, width)
    ]
    notes = [wrapped(note, width) for note in _notes(campaign.runs)]
    return "\n\n".join([*tables, *(["\n".join(notes)] if notes else [])])


def _blocks(header: Row, rows: Sequence[Row], width: int | None) -> list[list[int]]:
    """Numbers of the columns of each table: label and target, and as many runs as `width` takes."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    blocks: list[list[int]] = [[0, 1]]
    for column in range(2, len(header)):
        wide = sum(widths[other] + 2 for other in blocks[-1]) + widths[column]
        if width is not None and wide > width and len(blocks[-1]) > 2:
            blocks.append([0, 1])
        blocks[-1].append(column)
    return blocks


def comparison_markdown(campaign: CampaignSnapshot) -> str:
    """The same as a GitHub Markdown table and a list."""
    header, rows = comparison_rows(campaign, padded=False)
    notes = "\n".join(f"- {note}" for note in _notes(campaign.runs))
    return markdown_table(header, rows) + (f"\n\n{notes}" if notes else "")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A GitHub Markdown table, its first column left-aligned."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(header), line(["---", *("---:" for _ in header[1:])]), *(line(row) for row in rows)])


def _notes(runs: Sequence[RunSnapshot]) -> list[str]:
    """What the arrows mean, what is proven of each run, by whom it was graded again, what is wrong with it, and how one
    ended that did not simply finish."""
    against = [one for one in comparisons(runs) if one is not None]
    notes = []
    if against:
        notes.append(
            f"▲ better, ▼ worse than the run it is against, proven at {CONFIDENCE * 100:g} % by an interval on the "
            "difference in failure rates (in percentage points); failures/samples stand beside each value"
        )
    notes += [one.sentence for one in against]
    notes += [f"{run.name}: {grading_text(note)}" for run in runs for note in run.gradings]
    notes += [f"{run.name}: warning: {warning}" for run in runs for warning in run.warnings]
    ended = [run for run in runs if not run.live and run.reason]
    return notes + [f"{run.name}: {ending_text(run)}" for run in ended if run.state != "succeeded" or run.saved_usd]


def comparison_json(campaign: CampaignSnapshot) -> dict[str, Any]:
    """Runs side by side: metrics with their checks, what differs (by name, then run), what is proven, cost."""
    runs = campaign.runs

    def by_run(differing: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
        return {name: dict(zip((run.name for run in runs), values, strict=True)) for name, values in differing.items()}

    return {
        "campaign": campaign.name,
        "runs": [run.to_json() for run in runs],
        "differing_parameters": by_run(differing_parameters(runs)),
        "differing_prompts": by_run(differing_prompts(runs)),
        "differing_rules": by_run(differing_rules(runs)),
        "changes": {
            one.run.name: {
                "against": one.partner.name,
                "change": one.comparison.change,
                "checks": [
                    {"metric": check.metric, "change": check.change, "lower": check.lower, "upper": check.upper}
                    for check in one.comparison.checks
                ],
            }
            for one in comparisons(runs)
            if one is not None
        },
    }
