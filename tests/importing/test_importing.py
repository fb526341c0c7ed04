"""Artifacts that another program made become a finished run, every row as it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigurationError, NotFoundError, RefusedError
from engine.files import Workspace
from tests.importing.places import checks_of, clean_rows, look, make_folder, make_workspace, take_in

SUMMARY = {
    "counts": {
        "instructions_generated": 116,
        "instructions_kept": 46,
        "pairs_generated": 46,
        "pairs_kept": 43,
        "hit_token_limit": 24,
    },
    "acceptance": {"instructions_good": 90, "pairs_good": 43},
    "rates": {
        "runaway_rate": 9 / 43,
        "token_limit_rate": 24 / 46,
        "instruction_acceptance": 90 / 116,
        "pair_acceptance": 43 / 46,
        "delimiter_leakage_count": 0,
    },
    "token_stats": {"median": 32},
    "thresholds_passed": False,
}
RATES_ALONE = {"rates": {"runaway_rate": 0.209, "token_limit_rate": 0.522}}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "work")


def seed_folder(folder: Path) -> Path:
    """What the seed's script leaves: duplicates and odd whitespace among its rows, on purpose."""
    lines = [
        json.dumps({"instruction": f"Task {n // 2}", "response": f"  Answer {n // 2}. \n", "extra": {"n": n}})
        for n in range(43)
    ]
    rows = "".join(line + "\n" for line in lines).encode()
    return make_folder(folder, rows=rows, summary=SUMMARY, manifest={"git_commit": "abc"})


# --- figures and verdicts ----------------------------------------------------------------------------------------


def test_the_scripts_own_figures_stand_and_ours_beside_them(workspace: Workspace, tmp_path: Path) -> None:
    assert take_in(workspace, seed_folder(tmp_path / "pilot1")) == "stage1/pilot"
    run = look(workspace)
    assert (run.state, run.imported, run.kind) == ("succeeded", True, "pilot")
    assert run.metrics["runaway_rate"] == pytest.approx(9 / 43)
    assert run.metrics["instruction_yield"] == pytest.approx(46 / 116)
    assert run.counts.kept == 43
    assert run.computed is not None
    assert run.computed["examples"] == 43
    assert run.computed["runaway_rate"] == 0.0
    checks = checks_of(run)
    assert (checks["runaway_rate"].n, checks["runaway_rate"].failures) == (43, 9)
    assert checks["runaway_rate"].verdict == "fail"
    assert checks["token_limit_rate"].verdict == "fail"
    assert run.gate.verdict == "fail"


def test_a_rate_without_a_count_behind_it_decides_nothing(workspace: Workspace, tmp_path: Path) -> None:
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(200), summary=RATES_ALONE))
    run = look(workspace)
    check = checks_of(run)["runaway_rate"]
    assert run.metrics["runaway_rate"] == check.value == 0.209
    assert (check.verdict, check.n, check.failures) == ("undecided", 0, 0)
    assert run.computed is not None
    assert run.computed["runaway_rate"] == 0.0
    assert {check.verdict for check in run.gate.checks} == {"undecided"}
    assert run.metrics["examples"] == 200


@pytest.mark.parametrize("kept", [0, 200])
def test_a_metric_that_the_summary_does_not_state_is_not_known_and_its_check_undecided(
    workspace: Workspace, tmp_path: Path, kept: int
) -> None:
    summary = {"counts": {"pairs_kept": kept}}
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(200), summary=summary))
    run = look(workspace)
    assert run.metrics["examples"] == kept
    for check in run.gate.checks:
        assert (check.metric, check.value, check.verdict) == (check.metric, None, "undecided")


@pytest.mark.parametrize(
    "summary", [{}, {"rates": {"runaway_rate": None}}, {"rates": []}, {"counts": {"pairs_kept": -1}}]
)
def test_a_summary_without_one_usable_figure_counts_as_none(
    workspace: Workspace, tmp_path: Path, summary: dict[str, Any]
) -> None:
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(200), summary=summary))
    run = look(workspace)
    check = checks_of(run)["runaway_rate"]
    assert (run.metrics["runaway_rate"], check.n, check.verdict) == (0.0, 200, "pass")
    assert run.counts.kept == 200


def test_runaways_that_are_counted_are_judged_over_generated_responses(workspace: Workspace, tmp_path: Path) -> None:
    counts = {"pairs_generated": 100, "pairs_kept": 60, "runaway": 30}
    summary = {"counts": counts, "rates": {"runaway_rate": 0.3}}
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(60), summary=summary))
    check = checks_of(look(workspace))["runaway_rate"]
    assert (check.value, check.n, check.failures, check.verdict) == (0.3, 100, 30, "fail")


def test_counts_that_contradict_the_stated_rate_prove_nothing(workspace: Workspace, tmp_path: Path) -> None:
    counts = {"pairs_generated": 200, "pairs_kept": 200, "runaway": 0}
    summary = {"counts": counts, "rates": {"runaway_rate": 0.209}}
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(200), summary=summary))
    check = checks_of(look(workspace))["runaway_rate"]
    assert (check.value, check.verdict, check.n) == (0.209, "undecided", 0)


def test_checks_that_a_summary_lists_count_only_where_they_fit_its_figures(
    workspace: Workspace, tmp_path: Path
) -> None:
    def listed(metric: str, limit: float, n: int, failures: int) -> dict[str, Any]:
        return {"metric": metric, "op": "<", "limit": limit, "n": n, "failures": failures}

    summary = {
        "rates": {"runaway_rate": 0.209, "token_limit_rate": 0.01},
        "token_stats": {"median": 20},
        "gate": {
            "checks": [
                listed("runaway_rate", 0.05, 200, 0),
                listed("token_limit_rate", 0.5, 200, 2),
                listed("median_tokens", 40, 200, 3),
                "nonsense",
                listed("no such metric", 1, 1, 1),
            ]
        },
    }
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(200), summary=summary))
    checks = checks_of(look(workspace))
    assert (checks["runaway_rate"].verdict, checks["runaway_rate"].n) == ("undecided", 0), "contradicts its rate"
    assert (checks["token_limit_rate"].verdict, checks["token_limit_rate"].n) == ("undecided", 0), "another limit"
    assert (checks["median_tokens"].verdict, checks["median_tokens"].n) == ("pass", 200)


@pytest.mark.parametrize(("stated", "verdict", "n"), [(20, "pass", 50), (55, "undecided", 0), (None, "undecided", 0)])
def test_the_rows_sizes_stand_behind_a_stated_median_only_when_they_have_it(
    workspace: Workspace, tmp_path: Path, stated: int | None, verdict: str, n: int
) -> None:
    rows = b"".join(b'{"instruction": "a", "response": "b", "response_tokens": 20}\n' for _ in range(50))
    summary = {"counts": {"pairs_kept": 50}, "token_stats": {"median": stated}}
    take_in(workspace, make_folder(tmp_path / "in", rows=rows, summary=summary))
    check = checks_of(look(workspace))["median_tokens"]
    assert (check.value, check.verdict, check.n) == (stated, verdict, n)


@pytest.mark.parametrize(
    ("place", "metric"),
    [
        ("rates.runaway_rate", "runaway_rate"),
        ("rates.delimiter_leakage_count", "delimiter_leakage"),
        ("token_stats.median", "median_tokens"),
    ],
)
@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-1", "1e999", pytest.param("9" * 400, id="huge"), '"5%"', "true", "[[]]"]
)
def test_a_figure_that_is_none_is_not_known(
    workspace: Workspace, tmp_path: Path, place: str, metric: str, text: str
) -> None:
    part, key = place.split(".")
    raw = f'{{"counts": {{"pairs_kept": 5, "pairs_generated": {10**20}}}, "{part}": {{"{key}": {text}}}}}'
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(5), raw=raw.encode()))
    run = look(workspace)
    assert run.metrics[metric] is None
    assert checks_of(run)[metric].verdict == "undecided"
    assert (run.counts.kept, run.counts.generated) == (5, 5), "a count of 10^20 is none"
    json.dumps(run.to_json(), allow_nan=False)


def test_a_share_beyond_one_is_no_rate_and_half_a_delimiter_no_count(workspace: Workspace, tmp_path: Path) -> None:
    summary = {"counts": {"pairs_kept": 50}, "rates": {"runaway_rate": 20.9, "delimiter_leakage_count": 0.4}}
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(50), summary=summary))
    run = look(workspace)
    assert (run.metrics["runaway_rate"], run.metrics["delimiter_leakage"]) == (None, None)
    assert {check.verdict for check in run.gate.checks} == {"undecided"}


def test_counts_near_the_largest_are_shown_and_judged(workspace: Workspace, tmp_path: Path) -> None:
    n = 999_999_999_999_999
    summary = {"counts": {"pairs_kept": n, "pairs_generated": n}, "rates": {"runaway_rate": 0.5}}
    take_in(workspace, make_folder(tmp_path / "in", summary=summary))
    run = look(workspace)
    assert run.counts.kept == n
    assert checks_of(run)["runaway_rate"].verdict == "fail"


# --- rows, byte for byte -----------------------------------------------------------------------------------------


def test_every_row_is_kept_as_it_is(workspace: Workspace, tmp_path: Path) -> None:
    source = seed_folder(tmp_path / "pilot1")
    odd = b'{"instruction":"a",   "response":"\\u0041",\t"x":1.0e0}\r\n\n  {"response":"b"}\n'
    (source / "pilot_data.jsonl").write_bytes(odd)
    take_in(workspace, source)
    files = workspace.run_files("stage1", "pilot")
    assert files.records.read_bytes() == odd
    for mine in (files.pilot_data, files.qc_summary, files.session_manifest):
        assert mine.read_bytes() == (source / mine.name).read_bytes()


def test_a_half_written_last_line_is_no_row_and_stays_in_the_artifact(workspace: Workspace, tmp_path: Path) -> None:
    torn = clean_rows(2) + b'{"instruction": "Gr\xc3'
    take_in(workspace, make_folder(tmp_path / "in", rows=torn))
    files = workspace.run_files("stage1", "pilot")
    assert files.records.read_bytes() == clean_rows(2)
    assert files.pilot_data.read_bytes() == torn
    assert look(workspace).counts.kept == 2


def test_a_last_line_without_its_line_break_is_a_row(workspace: Workspace, tmp_path: Path) -> None:
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(3).rstrip()))
    assert workspace.run_files("stage1", "pilot").records.read_bytes() == clean_rows(3)
    assert look(workspace).counts.kept == 3


def test_a_bare_jsonl_has_only_what_we_compute(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"instruction":"a","response":"b\\n\\nInstruction: c"}\n{"instruction":"d","response":"e"}\n{"torn'
    )
    take_in(workspace, path, "old")
    run = look(workspace)
    assert run.counts.kept == 2
    assert run.metrics["runaway_rate"] == 0.5
    assert run.metrics["token_limit_rate"] is None
    assert checks_of(run)["token_limit_rate"].verdict == "undecided"


def test_a_folder_can_be_taken_in_where_it_lies(workspace: Workspace) -> None:
    files = workspace.run_files("stage1", "pilot")
    files.folder.parent.mkdir(parents=True)
    make_folder(files.folder, rows=clean_rows(3), summary=SUMMARY)
    take_in(workspace, files.folder)
    assert files.pilot_data.read_bytes() == clean_rows(3)
    assert look(workspace).metrics["examples"] == 43


# --- parameters --------------------------------------------------------------------------------------------------

DOTTED = {
    "instruction.temperature": 0.6,
    "instruction.top_p": 0.85,
    "instruction.repetition_penalty": 1.15,
    "response.temperature": 0.3,
    "response.top_p": 0.85,
    "response.repetition_penalty": 1.15,
    "response.max_tokens": 90,
}
NESTED = {
    "instruction": {"temperature": 0.6, "top_p": 0.85, "repetition_penalty": 1.15},
    "response": {"temperature": 0.3, "top_p": 0.85, "repetition_penalty": 1.15, "max_tokens": 90},
}


def rows_with(*provenances: dict[str, Any]) -> bytes:
    rows = ({"instruction": "a", "response": "b", "provenance": provenance} for provenance in provenances)
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize("sampling", [DOTTED, NESTED])
def test_the_rows_provenance_tells_the_parameters(
    workspace: Workspace, tmp_path: Path, sampling: dict[str, Any]
) -> None:
    provenance = {"seed": 43, "sampling": sampling}
    take_in(workspace, make_folder(tmp_path / "in", rows=rows_with(provenance, provenance)))
    run = look(workspace)
    assert run.parameters_known
    assert (run.parameters.seed, run.parameters.response.temperature) == (43, 0.3)
    assert (run.parameters.response.max_tokens, run.parameters.instruction.top_p) == (90, 0.85)


@pytest.mark.parametrize(
    "provenances",
    [
        [{"seed": 43, "sampling": {"temperature": 0.3, "top_p": 0.85}}],
        [{"seed": 43, "sampling": {"response.temperature": 0.3}}],
        [{"sampling": DOTTED}],
        [{"seed": 43, "sampling": DOTTED | {"response.temperature": 99}}],
        [{"seed": 43, "sampling": DOTTED | {"response": 3}}],
        [{"seed": int("9" * 400), "sampling": DOTTED}],
        [{"seed": 43, "sampling": DOTTED}, {"seed": 44, "sampling": DOTTED}],
        [{"seed": 43, "sampling": DOTTED}, {}],
    ],
)
def test_parameters_that_are_not_stated_in_full_and_alike_are_not_known(
    workspace: Workspace, tmp_path: Path, provenances: list[dict[str, Any]]
) -> None:
    take_in(workspace, make_folder(tmp_path / "in", rows=rows_with(*provenances), manifest={"seed": 5, "args": {}}))
    assert not look(workspace).parameters_known


# --- what cannot be taken in -------------------------------------------------------------------------------------


def test_what_cannot_be_taken_in_is_said_with_its_place(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        take_in(workspace, tmp_path / "none", "old")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"instruction":"a"}\nnot json\n{"instruction":"b"}\n')
    with pytest.raises(ConfigurationError) as caught:
        take_in(workspace, bad, "old")
    assert f"{bad}:2" in (caught.value.where or "")
    assert list(workspace.runs_of("stage1")) == []
    source = seed_folder(tmp_path / "pilot1")
    take_in(workspace, source)
    with pytest.raises(RefusedError):
        take_in(workspace, source)


@pytest.mark.parametrize(("rows", "summary"), [(None, {}), (b"", None), (b'{"torn', {"rates": {}})])
def test_a_folder_without_a_row_and_a_figure_is_nothing(
    workspace: Workspace, tmp_path: Path, rows: bytes | None, summary: Any
) -> None:
    with pytest.raises(NotFoundError, match="nothing to import"):
        take_in(workspace, make_folder(tmp_path / "in", rows=rows, summary=summary))
    assert not workspace.artifacts.exists()


def test_a_folder_in_the_place_of_a_file_is_said(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("pilot_data.jsonl", "qc_summary.json", "session_manifest.json"):
        source = make_folder(tmp_path / name.replace(".", "-"))
        (source / "rows.jsonl").write_bytes(clean_rows(3))
        (source / name).mkdir()
        with pytest.raises(ConfigurationError, match="is not a file") as caught:
            take_in(workspace, source)
        assert name in (caught.value.where or "")


def test_a_pipe_in_the_place_of_a_file_does_not_hang(workspace: Workspace, tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", summary=SUMMARY)
    os.mkfifo(source / "pilot_data.jsonl")
    with pytest.raises(ConfigurationError, match="is not a file"):
        take_in(workspace, source)
