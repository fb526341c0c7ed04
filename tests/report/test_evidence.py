"""`pilothouse gate RUN --trace`: a picture that says what the evidence was, in characters every terminal has."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.grading import GateConfig
from engine.campaign.policy import PolicyConfig
from engine.campaign.spec import ForeignFigures, RunSpec, create_spec
from engine.cli import run as command_line
from engine.files import RunFiles, Workspace
from engine.gradings import next_number, save_grading
from engine.replay.run import RunReplay
from engine.report.evidence import MOST_POINTS, ROWS, WIDTH, Evidence, evidence_text, trace_run
from engine.report.gate import read_ruler

CLEAN, RUNAWAY = " Blue.", " Blue.\nInstruction: Name a tree."
ONE_CHECK = {"checks": {"runaway_rate": "< 5%"}}


def row(index: int, raw: str = CLEAN) -> dict[str, Any]:
    given: dict[str, Any] = {"v": 1, "index": index, "list": index // 5, "outcome": "kept", "kept": True}
    given |= {"instruction": f"Do {index}.", "response": "Blue.", "raw_response": raw, "finish_reason": "stop"}
    critic = {"good": True, "confident": True, "label": "A", "margin": 2.0}
    return given | {"response_tokens": 3, "instruction_critic": critic, "pair_critic": critic}


def stored(root: Path, rows: list[dict[str, Any]], **fields: Any) -> RunFiles:
    files = Workspace(root).run_files("c", "pilot")
    files.folder.mkdir(parents=True)
    create_spec(files, RunSpec.model_validate({"campaign": "c", "run": "pilot", "kind": "pilot", **fields}))
    files.records.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return files


def evidence(files: RunFiles, *, max_retries: int = 2) -> Evidence:
    replay = RunReplay(files, RunSpec.model_validate_json(files.spec.read_text()))
    replay.refresh()
    return trace_run(files, replay.snapshot(PolicyConfig(max_retries=max_retries)).gate)


def picture(files: RunFiles) -> str:
    return evidence_text(evidence(files))


def curve(text: str, panel: int) -> list[int]:
    """Per column the highest row, from below, on which the curve stands: of the first check's panel 0 or 1."""
    lines = text.splitlines()[2 : 2 + ROWS]
    start = 7 if panel == 0 else WIDTH // 2 + 8
    plots = [line[start : start + 31].ljust(31) for line in lines]
    return [
        max((ROWS - 1 - place for place, plot in enumerate(plots) if plot[column] in "─│┌┐└┘"), default=-1)
        for column in range(31)
    ]


def threshold_row(text: str, panel: int) -> int:
    lines = text.splitlines()[2 : 2 + ROWS]
    half = [line[:38] if panel == 0 else line[40:] for line in lines]
    return next(ROWS - 1 - place for place, line in enumerate(half) if "·" in line)


def test_a_passing_run_climbs_over_the_line_for_passing_and_never_over_that_for_failing(tmp_path: Path) -> None:
    text = picture(stored(tmp_path, [row(index) for index in range(140)], gate=ONE_CHECK))
    assert text.splitlines()[0] == "✓ runaway < 5 % · 0 of 140: proven < 5%"
    assert "passes when E ≥ 60: at 100" in text
    assert "fails when E ≥ 20: not reached" in text
    rising = curve(text, 0)
    assert rising == sorted(rising)
    assert rising[-1] > threshold_row(text, 0) > rising[0]
    assert max(curve(text, 1)) < threshold_row(text, 1)
    assert text.splitlines()[-1] == "PASS: its check is proven at 95%"


def test_a_curve_reaches_the_line_exactly_where_the_threshold_is_reached(tmp_path: Path) -> None:
    """99 clean ones lack one: 1.774 of 1.778 would be drawn on the line if it were only rounded."""
    lacking = picture(stored(tmp_path / "a", [row(index) for index in range(99)], gate=ONE_CHECK))
    assert "passes when E ≥ 60: not reached" in lacking
    assert max(curve(lacking, 0)) < threshold_row(lacking, 0)
    enough = picture(stored(tmp_path / "b", [row(index) for index in range(100)], gate=ONE_CHECK))
    assert max(curve(enough, 0)) >= threshold_row(enough, 0)


def test_a_failing_run_climbs_over_the_line_for_failing(tmp_path: Path) -> None:
    rows = [row(index, RUNAWAY if index % 2 else CLEAN) for index in range(40)]
    text = picture(stored(tmp_path, rows, gate=ONE_CHECK))
    assert text.splitlines()[0].startswith("✗ runaway < 5 % · 20 of 40: proven too high")
    assert curve(text, 1)[-1] > threshold_row(text, 1)
    assert curve(text, 0)[-1] == 0 < threshold_row(text, 0)


def test_every_check_is_drawn_within_the_width_and_counts_are_said(tmp_path: Path) -> None:
    rows = [row(index, RUNAWAY if index in (7, 30) else CLEAN) for index in range(300)]
    text = picture(stored(tmp_path, rows))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count("log10E") == 2 * 5
    assert "✓ delimiter = 0" not in text, "the run has not ended"
    assert "◐ delimiter = 0 · 0 in 300: holds so far, decided at the end" in text
    assert set(text) - set("─│┌┐└┘┤·") <= set("✓✗◐…≥−") | {chr(code) for code in range(32, 127)} | {"\n"}
    assert "300 samples" in text


def test_a_run_without_records_has_titles_only(tmp_path: Path) -> None:
    text = picture(stored(tmp_path, []))
    assert "runaway < 5 % · no samples yet" in text
    assert "│" not in text


def test_items_are_traced_in_their_order_whatever_that_of_completion(tmp_path: Path) -> None:
    rows = [row(index, RUNAWAY if index < 3 else CLEAN) for index in range(60)]
    scrambled = random.Random(5).sample(rows, len(rows))
    first, second = evidence(stored(tmp_path / "a", rows)), evidence(stored(tmp_path / "b", scrambled))
    assert first.checks == second.checks


def test_json_is_thinned_and_ends_with_what_the_gate_says(tmp_path: Path) -> None:
    files = stored(tmp_path, [row(index, RUNAWAY if index % 3 == 0 else CLEAN) for index in range(2000)])
    value = json.loads(json.dumps(evidence(files).to_json()))
    assert value["run"] == "c/pilot"
    by_metric = {one["metric"]: one for one in value["checks"]}
    assert len(by_metric) == 5
    runaway = by_metric["runaway_rate"]
    assert 300 < len(runaway["points"]) <= MOST_POINTS
    n, failures, log_pass, log_fail = runaway["points"][-1]
    assert (n, failures) == (2000, 667)
    assert log_pass < 0 < log_fail
    assert runaway["fails_at"] in [point[0] for point in runaway["points"]]
    assert runaway["threshold_pass"] == pytest.approx(60)
    assert runaway["threshold_fail"] == pytest.approx(120)


def test_an_imported_run_with_a_summary_has_no_samples_and_a_bare_file_has(tmp_path: Path) -> None:
    rows = [row(index) for index in range(20)]
    figures = ForeignFigures(source="x", metrics={"runaway_rate": 0.2}, counts={"kept": 20})
    summary = stored(tmp_path / "a", rows, imported=figures.model_dump())
    assert evidence(summary).checks == ()
    assert "imported" in picture(summary)
    assert "no samples to trace" in picture(summary)
    bare = evidence(stored(tmp_path / "b", rows, imported=ForeignFigures(source="x").model_dump()))
    assert [len(one.points) for one in bare.checks if one.metric == "runaway_rate"] == [20]


def test_a_plain_gate_has_no_evidence_and_says_so(tmp_path: Path) -> None:
    text = picture(stored(tmp_path, [row(0)], gate={"confidence": "none", **ONE_CHECK}))
    assert "its gate compares plainly: there is no evidence to trace" in text


def test_lists_are_samples_where_the_gate_takes_them_for_such(tmp_path: Path) -> None:
    files = stored(tmp_path, [row(index) for index in range(103)], gate={"group_by": "list", **ONE_CHECK})
    assert "20 lists" in picture(files)


def test_another_ruler_is_traced_by_its_own_limits(tmp_path: Path) -> None:
    files = stored(tmp_path, [row(index) for index in range(40)])
    ruler = tmp_path / "ruler.yaml"
    ruler.write_text("gate: {checks: {token_limit_rate: '< 10%'}}\n")
    other = RunReplay(files, read_ruler(ruler, RunSpec.model_validate_json(files.spec.read_text())), own_figures=True)
    other.refresh()
    assert [one.metric for one in trace_run(files, other.snapshot().gate, ruler).checks] == ["token_limit_rate"]


def test_more_tries_ask_for_more_evidence(tmp_path: Path) -> None:
    files = stored(tmp_path, [row(index) for index in range(140)], gate=ONE_CHECK)
    usual, raised = evidence(files).checks[0], evidence(files, max_retries=9).checks[0]
    assert (usual.threshold_pass, raised.threshold_pass) == (pytest.approx(60), pytest.approx(200))
    assert usual.passes_at == 100
    assert raised.passes_at is not None
    assert raised.passes_at > 120


def test_a_saved_grading_is_what_is_traced(tmp_path: Path) -> None:
    figures = ForeignFigures(source="x", metrics={"runaway_rate": 0.2}).model_dump()
    files = stored(tmp_path, [row(index) for index in range(20)], imported=figures)
    before = evidence(files).gate
    spec = RunSpec.model_validate_json(files.spec.read_text())
    judged = spec.model_copy(update={"gate": GateConfig.model_validate({"checks": {"token_limit_rate": "< 10%"}})})
    save_grading(files, judged, before=before, after=before, reason="why", author="me", number=next_number(files))
    (one,) = evidence(files).checks
    assert (one.metric, len(one.points)) == ("token_limit_rate", 20)


def test_the_command_draws_prints_json_and_ends_as_the_gate_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "c.yaml").write_text("name: c\n")
    stored(tmp_path, [row(index, RUNAWAY) for index in range(40)], gate=ONE_CHECK)
    assert command_line(["gate", "c/pilot", "--trace"]) == 10
    assert "fails when E ≥ 20: at" in capfd.readouterr().out
    assert command_line(["gate", "c/pilot", "--trace", "--json"]) == 10
    assert [one["metric"] for one in json.loads(capfd.readouterr().out)["checks"]] == ["runaway_rate"]
