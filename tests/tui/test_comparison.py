"""The comparison panel proves and points as `pilothouse compare` does, and against the same run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.policy.compare import compare, partner_of
from engine.report.comparison import comparison_rows
from engine.snapshot import RunSnapshot
from tests.policy.histories import FEWER_RUNAWAYS, GOOD, LONG, RUNAWAY, verdict
from tests.tui import pictures
from tui.cells import Line, plain
from tui.panels.comparison import table_lines
from tui.panels.trends import trend
from tui.screens.compare import comparison_lines
from tui.view import View


def judged(name: str, counts: dict[str, tuple[int, int]], parent: str | None = None, **changes: Any) -> RunSnapshot:
    shares = {metric: failures / n for metric, (n, failures) in counts.items()}
    metrics = {metric: 1 - share if metric.endswith("acceptance") else share for metric, share in shares.items()}
    gate = verdict(counts, 100, ended=True)
    gate = replace(gate, checks=tuple(replace(check, value=metrics[check.metric]) for check in gate.checks))
    return pictures.run(name, gate=gate, metrics=metrics, parent=parent, **changes)


RUNS = (
    judged("pilot", RUNAWAY),
    judged("iteration-1", FEWER_RUNAWAYS, "pilot"),
    judged("iteration-2", RUNAWAY | {"token_limit_rate": LONG["token_limit_rate"]}, "pilot"),
    judged("iteration-3", GOOD),
)


def view(*runs: RunSnapshot) -> View:
    return View(snapshot=pictures.snapshot(pictures.campaign(*runs)), campaign="stage1", now=pictures.NOW)


def bright(line: Line) -> list[str]:
    """The arrows of a row that are not dim."""
    return [cell.text.strip() for cell in line if cell.text.strip() in ("▲", "▼") and cell.role != "dim"]


def test_bright_arrows_are_those_of_the_command_line() -> None:
    _, rows = comparison_rows(pictures.campaign(*RUNS), padded=False)
    printed = {row[0]: [cell[-1] for cell in row[2:] if cell.endswith(("▲", "▼"))] for row in rows}
    lines = table_lines(view(*RUNS), 140, parameter_rows=0)
    drawn = {plain((line,)).strip().split("  ")[0]: bright(line) for line in lines}
    assert drawn["runaway rate"] == printed["runaway"] == ["▲", "▲"]
    assert drawn["token limit rate"] == printed["token limit"] == ["▼", "▲"]
    assert drawn["pair acceptance"] == printed["pair accept"] == []


def test_a_run_is_compared_with_its_parent_and_not_with_the_column_beside_it() -> None:
    """Against iteration-1 it would be worse; against the pilot, from which it started, nothing has changed."""
    again = RUNS[2]
    assert compare(RUNS[1].gate, again.gate).checks[0].change == "worse"
    assert partner_of(RUNS, again) is RUNS[0]
    assert trend("runaway_rate", RUNS[0], again) is None
    lines = table_lines(view(*RUNS[:3]), 140, parameter_rows=0)
    (runaways,) = [line for line in lines if plain((line,)).strip().startswith("runaway")]
    assert bright(runaways) == ["▲"]


def test_figures_that_differ_without_proof_have_a_dim_arrow() -> None:
    slightly = judged("iteration-1", RUNAWAY | {"runaway_rate": (100, 28)}, "pilot")
    found = trend("runaway_rate", RUNS[0], slightly)
    assert found is not None
    assert (found.sign, found.role) == ("△", "dim")
    less = judged("iteration-1", RUNAWAY | {"pair_acceptance": (190, 14)}, "pilot")
    found = trend("pair_acceptance", RUNS[0], less)
    assert found is not None
    assert (found.sign, found.role) == ("▽", "dim")


def test_the_page_lists_repetition_and_diversity_which_have_no_limit() -> None:
    known = {
        "response_repetition_rate": 0.021,
        "exact_duplicate_rate": 0.032,
        "near_duplicate_rate": 0.043,
        "verb_diversity": 0.254,
    }
    run = replace(RUNS[0], metrics={**RUNS[0].metrics, **known})
    lines = [plain((line,)) for line in comparison_lines(view(run), 120)]
    for title, value in (("response", "2.1 %"), ("exact", "3.2 %"), ("near", "4.3 %"), ("verb", "25.4 %")):
        assert any(line.split()[:1] == [title] and value in line for line in lines), title


def test_what_changes_as_a_run_grows_has_no_arrow_between_runs_of_other_sizes() -> None:
    small, large = (
        replace(RUNS[0], metrics={"verb_diversity": value}, counts=replace(RUNS[0].counts, kept=kept))
        for kept, value in ((40, 0.6), (300, 0.2))
    )
    assert trend("verb_diversity", small, large) is None
    found = trend("verb_diversity", replace(small, counts=large.counts), large)
    assert found is not None
    assert (found.sign, found.role) == ("▽", "dim")


def test_the_page_lists_prompts_and_detectors_that_changed_since_the_run_it_is_compared_with() -> None:
    before = replace(RUNS[0], prompts=(("response", "a" * 64),), rules=(("qc.runaway", "markers-v2"),))
    after = replace(RUNS[1], prompts=(("response", "b" * 64),), rules=(("qc.runaway", "length\x1b[2J-v1"),))
    text = plain(comparison_lines(replace(view(before, after), run="iteration-1"), 120))
    assert "Changed · pilot → iteration-1" in text
    assert "aaaaaaaa → bbbbbbbb" in text
    assert "markers-v2 → length-v1" in text
    assert "Changed" not in plain(comparison_lines(replace(view(before, after), run="pilot"), 120))
