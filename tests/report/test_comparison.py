"""`pilothouse compare`: what differs, what is proven and against which run; readable at 80 columns and in a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.grading import GateConfig
from engine.campaign.loading import Prompts
from engine.campaign.models import Parameters
from engine.campaign.parameters import assign
from engine.campaign.policy import PolicyConfig
from engine.campaign.spec import ForeignFigures, RunSpec, create_spec
from engine.cli import run as command_line
from engine.files import Workspace
from engine.qc.gate import judge_figures
from engine.replay.run import RunReplay
from engine.report.comparison import (
    comparison_json,
    comparison_markdown,
    comparison_rows,
    comparison_text,
    markdown_table,
)
from engine.report.differences import differing_parameters, differing_prompts, differing_rules
from engine.snapshot import CampaignSnapshot, Counts, RunSnapshot
from tests.policy.histories import FEWER_RUNAWAYS, GOOD, LONG, RUNAWAY, verdict

HASHES = (("instructions", "a" * 64), ("response", "b" * 64))


def run(name: str, counts: dict[str, tuple[int, int]], **changes: Any) -> RunSnapshot:
    """An ended run that was judged on `counts`, (n, failures) by metric."""
    shares = {metric: failures / n if n else None for metric, (n, failures) in counts.items()}
    accepted = {metric: 1 - share for metric, share in shares.items() if share and metric.endswith("acceptance")}
    base = RunSnapshot(
        id=f"c/{name}",
        name=name,
        kind="iteration",
        attempt=1,
        state="succeeded",
        phase=None,
        pid=None,
        started=None,
        ended=None,
        exit_code=0,
        parameters=Parameters(),
        parameters_known=True,
        parent=None,
        counts=Counts(target=100, max_candidates=400, kept=100),
        metrics={**shares, **accepted, "delimiter_leakage": 0.0, "median_tokens": 30.0},
        computed=None,
        gate=verdict(counts, 100, ended=True),
        reason="completed: kept 100",
        cost_usd=2.0,
        active_s=2400,
        examples_per_second=None,
        log="run.log",
        folder=".",
        model="m",
        prompts=HASHES,
        rules=(("model.path", "m"), ("qc.runaway", "markers-v2"), ("gate.runaway_rate", "< 5%")),
    )
    return replace(base, **changes)


def campaign(*runs: RunSnapshot) -> CampaignSnapshot:
    return CampaignSnapshot("c", "waiting", "c.yaml", None, None, None, runs)


def cells(*runs: RunSnapshot) -> dict[str, list[str]]:
    """Row label → its cells without the padding, target first."""
    _, rows = comparison_rows(campaign(*runs), padded=False)
    return {label: found for label, *found in rows}


PILOT, FIRST = run("pilot", RUNAWAY), run("iteration-1", FEWER_RUNAWAYS, parent="pilot")
GOOD_RUN = run("iteration-2", GOOD, parent="pilot")


# --- metrics and arrows ------------------------------------------------------------------------------------------


def test_a_cell_has_verdict_value_evidence_and_an_arrow_where_proven() -> None:
    found = cells(PILOT, FIRST)
    assert found["runaway"] == ["< 5 %", "✗ 30.0 % 30/100", "✗ 16.0 % 16/100 ▲"]
    assert found["token limit"] == ["< 10 %", "✓ 0.5 % 1/190", "✓ 0.5 % 1/190"]
    assert found["against"] == ["", "–", "pilot"]
    assert cells(FIRST, run("iteration-2", RUNAWAY))["runaway"][2] == "✗ 30.0 % 30/100 ▼"


def test_a_metric_without_a_limit_has_its_value_alone_and_one_that_nobody_knows_no_row() -> None:
    yielding = replace(PILOT, metrics={**PILOT.metrics, "pair_yield": 0.4})
    found = cells(yielding, FIRST)
    assert found["pair yield"] == ["", "40.0 %", "–"]
    assert "inst. yield" not in found


def test_runs_are_compared_with_their_parent_and_each_line_says_what_is_proven() -> None:
    last = run("iteration-3", GOOD | {"token_limit_rate": LONG["token_limit_rate"]})
    text = comparison_text(campaign(PILOT, FIRST, GOOD_RUN, last))
    lines = " ".join(text.split())
    assert "iteration-1 against pilot: runaway better by 2.3 to 25.3 points; the others not distinguishable" in lines
    assert "iteration-2 against pilot: runaway better by" in lines
    assert "iteration-3 against iteration-2: token limit worse by 30.1 to 49.3 points; the others" in lines
    assert "▲ better, ▼ worse than the run it is against, proven at 95 %" in lines


def test_bounds_of_the_proof_are_those_of_the_difference() -> None:
    (check,) = [
        one
        for one in comparison_json(campaign(PILOT, FIRST))["changes"]["iteration-1"]["checks"]
        if one["metric"] == "runaway_rate"
    ]
    assert check["change"] == "better"
    assert (round(check["lower"], 3), round(check["upper"], 3)) == (0.023, 0.253)


def test_what_was_measured_otherwise_is_said_to_be_not_comparable() -> None:
    stricter = tuple(
        replace(check, limit=0.02) if check.metric == "runaway_rate" else check for check in FIRST.gate.checks
    )
    other = replace(FIRST, gate=replace(FIRST.gate, checks=stricter))
    lines = " ".join(comparison_text(campaign(PILOT, other)).split())
    assert (
        "iteration-1 against pilot: no difference is proven; runaway not comparable (other limits or detectors)"
        in lines
    )
    assert "▲" not in cells(PILOT, other)["runaway"][2]


def test_what_changes_as_a_run_grows_is_not_comparable_for_the_sizes_alone() -> None:
    gate = GateConfig.model_validate({"checks": {"verb_diversity": "> 5%", "runaway_rate": "< 5%"}})

    def of(name: str, n: int, failures: int) -> RunSnapshot:
        counts = {"verb_diversity": (n, failures), "runaway_rate": (n, 0)}
        judged = judge_figures(
            gate, PolicyConfig(), {"verb_diversity": 1 - failures / n}, counts, kept=n, ended=True, target=n
        )
        return run(name, {}, gate=judged)

    lines = " ".join(comparison_text(campaign(of("pilot", 40, 4), of("scale", 300, 250))).split())
    assert "scale against pilot: no difference is proven; verb diversity not comparable (other sizes)" in lines
    assert "other limits" not in lines


def test_one_run_is_compared_with_nothing() -> None:
    text = comparison_text(campaign(PILOT))
    assert "against" not in text
    assert "▲" not in text
    assert comparison_json(campaign(PILOT))["changes"] == {}


# --- what differs ------------------------------------------------------------------------------------------------


def test_only_parameters_that_differ_are_shown() -> None:
    assert differing_parameters((PILOT, FIRST)) == {}
    hotter = replace(FIRST, parameters=assign(Parameters(), ["response.temperature=0.3"]))
    assert differing_parameters((PILOT, hotter)) == {"response.temperature": [0.4, 0.3]}
    unknown = replace(FIRST, parameters=hotter.parameters, parameters_known=False)
    assert differing_parameters((PILOT, unknown)) == {}
    found = cells(PILOT, hotter, replace(unknown, name="x"))
    assert found["resp. temperature"] == ["", "0.4", "0.3", "–"]
    assert "resp. top_p" not in found


def test_prompts_that_differ_are_shown_by_the_start_of_their_hash() -> None:
    other = replace(FIRST, prompts=(HASHES[0], ("response", "0123456789abcdef" * 4)))
    foreign = replace(FIRST, name="foreign", prompts=())
    found = cells(PILOT, other, foreign)
    assert found["prompt response"] == ["", "bbbbbbbb", "01234567", "–"]
    assert "prompt instructions" not in found
    assert differing_prompts((PILOT, foreign)) == {}


def test_detectors_limits_and_the_model_are_shown_where_they_differ() -> None:
    other = replace(FIRST, rules=(("model.path", "m"), ("qc.runaway", "length-v1"), ("gate.runaway_rate", "< 2%")))
    found = cells(PILOT, other)
    assert found["qc.runaway"] == ["", "markers-v2", "length-v1"]
    assert found["gate.runaway_rate"] == ["", "< 5%", "< 2%"]
    assert "model.path" not in found


def test_a_limit_that_only_one_run_has_differs_but_what_a_run_says_nothing_of_does_not() -> None:
    more = replace(FIRST, rules=(*PILOT.rules, ("gate.median_tokens", "< 40")))
    assert differing_rules((PILOT, more)) == {"gate.median_tokens": [None, "< 40"]}
    foreign = replace(FIRST, rules=(("gate.runaway_rate", "< 5%"),))
    assert differing_rules((PILOT, foreign)) == {}


def test_what_is_too_wide_for_a_column_shows_both_its_ends() -> None:
    rules = [(("model.path", f"/models/{'deep/' * 20}{name}"),) for name in ("base", "instruct")]
    found = cells(replace(PILOT, rules=rules[0]), replace(FIRST, rules=rules[1]))["model.path"]
    assert found[1].endswith("base")
    assert found[2].endswith("instruct")
    assert max(map(len, found)) <= 24
    assert (
        differing_rules((replace(PILOT, rules=rules[0]), replace(FIRST, rules=rules[1])))["model.path"][0]
        == rules[0][0][1]
    )


def test_a_runs_spec_says_what_it_was_made_and_judged_by(tmp_path: Path) -> None:
    def stored(name: str, **fields: Any) -> RunSnapshot:
        files = Workspace(tmp_path).run_files("c", name)
        files.folder.mkdir(parents=True)
        create_spec(files, RunSpec.model_validate({"campaign": "c", "run": name, "kind": "iteration", **fields}))
        return RunReplay(files, RunSpec.model_validate_json(files.spec.read_text())).snapshot()

    def prompts(text: str) -> dict[str, Any]:
        one = {"path": "p", "sha256": text * 64, "text": ""}
        return dict.fromkeys(Prompts.model_fields, one)

    ours = stored("pilot", prompts=prompts("a"))
    other = stored(
        "iteration-1",
        prompts=prompts("a") | {"response": {"path": "p", "sha256": "b" * 64, "text": ""}},
        qc={"runaway": "length-v1"},
        gate={"checks": {"runaway_rate": "< 2%"}},
        model={"path": "big", "backend": "vllm", "options": {"max_model_len": 512}},
    )
    foreign = stored("iteration-2", imported=ForeignFigures(source="x", metrics={"runaway_rate": 0.1}).model_dump())
    runs = (ours, other, foreign)
    assert differing_prompts(runs) == {"response": ["a" * 64, "b" * 64, None]}
    rules = differing_rules(runs)
    assert rules["qc.runaway"] == ["markers-v2", "length-v1", None]
    assert rules["model.path"] == ["pocket", "big", None]
    assert rules["model.options.max_model_len"] == [None, "512", None]
    assert rules["gate.runaway_rate"] == ["< 5%", "< 2%", "< 5%"]
    assert rules["gate.pair_acceptance"] == [">= 50%", None, ">= 50%"]
    assert "qc.duplicate" not in rules
    assert "pipeline.delimiter" not in rules


# --- money and endings -------------------------------------------------------------------------------------------


def test_money_is_told_per_thousand_pairs_and_as_saved() -> None:
    early = replace(
        PILOT,
        counts=Counts(target=100, max_candidates=400, kept=40),
        saved_usd=1.1,
        reason="its gate ended it early: fail",
    )
    foreign = replace(FIRST, name="foreign", imported=True, cost_usd=0.0)
    empty = replace(FIRST, name="empty", counts=Counts(target=100, max_candidates=400), cost_usd=0.5)
    found = cells(early, FIRST, foreign, empty)
    assert found["cost"] == ["", "$2.00", "$2.00", "–", "$0.50"]
    assert found["cost per 1,000"] == ["", "$50.00", "$20.00", "–", "–"]
    assert found["saved (forecast)"] == ["", "$1.10", "–", "–", "–"]
    assert "pilot: its gate ended it early: fail" in comparison_text(campaign(early, FIRST))
    assert "saved (forecast)" not in cells(PILOT, FIRST)


def test_how_a_run_ended_is_said_where_it_did_not_simply_finish() -> None:
    lost = replace(FIRST, state="lost", reason="the machine rebooted")
    text = comparison_text(campaign(PILOT, lost))
    assert "iteration-1: the machine rebooted" in text
    assert "completed: kept 100" not in text


# --- on paper ----------------------------------------------------------------------------------------------------

FIVE = [PILOT, FIRST, *(run(f"iteration-{number}", GOOD, parent="iteration-1") for number in (2, 3, 4))]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("width", [80, 100, 132])
def test_no_line_is_wider_than_the_terminal_and_no_run_is_left_out(number: int, width: int) -> None:
    runs = [replace(one, parameters=assign(one.parameters, [f"seed={place}"])) for place, one in enumerate(FIVE)][
        :number
    ]
    text = comparison_text(campaign(*runs), width)
    assert max(map(len, text.splitlines())) <= width
    heads = [line for line in text.splitlines() if line.startswith("metric")]
    assert [name for line in heads for name in line.split()[2:]] == [one.name for one in runs]


def test_runs_that_do_not_fit_go_on_in_a_table_below_with_labels_and_targets() -> None:
    lines = comparison_text(campaign(*FIVE), 80).splitlines()
    assert sum(line.startswith("metric") for line in lines) == 2
    rows = [line for line in lines if line.startswith("runaway ")]
    assert len(rows) == 2
    assert all("< 5 %" in row for row in rows)


def test_a_file_gets_one_table_whatever_the_terminal() -> None:
    lines = comparison_text(campaign(*FIVE)).splitlines()
    assert sum(line.startswith("metric") for line in lines) == 1


def test_values_evidence_and_arrows_stand_below_each_other() -> None:
    _, rows = comparison_rows(campaign(PILOT, FIRST))
    figures = [row[3] for row in rows if row[3].startswith(("✓", "✗")) and "/" in row[3]]
    assert len({len(figure) for figure in figures}) == 1
    assert len({figure.rindex("/") for figure in figures}) <= 3
    assert len({figure.index("%") for figure in figures if "%" in figure}) == 1


def test_the_live_run_is_marked_and_markdown_is_a_table_with_a_list() -> None:
    live = replace(FIRST, state="running")
    header, _ = comparison_rows(campaign(PILOT, live))
    assert header == ["metric", "target", "pilot", "iteration-1 ●"]
    lines = comparison_markdown(campaign(PILOT, live)).splitlines()
    assert lines[:2] == ["| metric | target | pilot | iteration-1 ● |", "| --- | ---: | ---: | ---: |"]
    assert "| runaway | < 5 % | ✗ 30.0 % 30/100 | ✗ 16.0 % 16/100 ▲ |" in lines
    assert any(line.startswith("- iteration-1 against pilot: runaway better") for line in lines)
    assert markdown_table(["a|b"], [["c|d"]]).splitlines()[-1] == "| c\\|d |"


def test_json_names_what_differs_by_run() -> None:
    other = replace(
        FIRST,
        parameters=assign(Parameters(), ["seed=43"]),
        prompts=(HASHES[0], ("response", "c" * 64)),
        rules=(("model.path", "m"), ("qc.runaway", "length-v1"), ("gate.runaway_rate", "< 5%")),
    )
    value = json.loads(json.dumps(comparison_json(campaign(PILOT, other))))
    assert [one["name"] for one in value["runs"]] == ["pilot", "iteration-1"]
    assert value["differing_parameters"] == {"seed": {"pilot": 42, "iteration-1": 43}}
    assert value["differing_prompts"] == {"response": {"pilot": "b" * 64, "iteration-1": "c" * 64}}
    assert value["differing_rules"] == {"qc.runaway": {"pilot": "markers-v2", "iteration-1": "length-v1"}}
    assert value["changes"]["iteration-1"]["against"] == "pilot"
    assert value["changes"]["iteration-1"]["change"] == "better"
    assert set(value["changes"]) == {"iteration-1"}


def test_the_command_prints_each_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "20")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "c.yaml").write_text("name: c\ngenerator: {kind: command, argv: [x]}\n")
    for name in ("pilot", "iteration-1"):
        files = Workspace(tmp_path).run_files("c", name)
        files.folder.mkdir(parents=True)
        create_spec(files, RunSpec.model_validate({"campaign": "c", "run": name, "kind": "iteration"}))
    outputs = []
    for form in ([], ["--markdown"], ["--json"]):
        assert command_line(["compare", "c", *form]) == 0
        outputs.append(capfd.readouterr().out)
    text, markdown, as_json = outputs
    assert text.splitlines()[0].split() == ["metric", "target", "pilot", "iteration-1"], "a pipe knows no COLUMNS"
    assert markdown.startswith("| metric | target | pilot | iteration-1 |")
    assert json.loads(as_json)["campaign"] == "c"
