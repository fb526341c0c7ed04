"""Detectors of a campaign's own: named in its file, refused with the line, and found again when a run is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.models import Target
from engine.campaign.spec import RunSpec, create_spec, read_spec
from engine.errors import EXIT_USAGE, ConfigurationError
from engine.files import RunFiles
from engine.generate.artifacts import Session, write_artifacts
from engine.generate.prompts import PromptBuilder
from engine.generate.session import check
from engine.qc.tally import RunTally
from engine.replay.campaigns import load_checked
from engine.replay.foreign import foreign_check_counts, foreign_figures
from engine.replay.run import RunReplay
from engine.report.gate import read_ruler
from tests.generate.conftest import PROMPTS, contents, make_spec, run_pipeline
from tests.generate.scripted import ScriptedBackend

HEAD = "name: c\nprompts: {instructions: i.txt, response: r.txt, instruction_critic: a.txt, pair_critic: b.txt}\n"
OWN = "qc:\n  custom:\n    refusal: {call: 'names_checks:is_refusal'}\n"


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """Where a campaign file may be written; the module of its detectors stands beside `configs/`."""
    (tmp_path / "names_checks.py").write_text("def is_refusal(record):\n    return record['response'] == 'no'\n")
    (tmp_path / "configs").mkdir()
    return tmp_path / "configs" / "c.yaml"


def test_a_campaign_has_detectors_of_its_own_and_gates_on_them(campaign: Path) -> None:
    campaign.write_text(f"{HEAD}{OWN}gate:\n  checks:\n    refusal_rate: '< 5%'\n")
    found = load_checked(campaign)
    assert found.qc.custom["refusal"].over == "generated"
    assert str(found.gate.checks["refusal_rate"]) == "< 5%"


OWN_ERRORS: list[tuple[str, int, str, tuple[str, ...]]] = [
    (
        "qc:\n  custom:\n    refusal: {call: 'names_checks:is_refusl'}\n",
        3,
        "qc.custom.refusal: there is no is_refusl in ",
        ("look at", "names_checks.py"),
    ),
    (
        "qc:\n  custom:\n    refusal:\n      call: absent_checks:f\n",
        3,
        "absent_checks:f cannot be imported: ModuleNotFoundError",
        ("absent_checks.py", "install the package"),
    ),
    (
        "qc:\n  custom:\n    refusal:\n      call: names_checks.is_refusal\n",
        4,
        "it names no function; write it module:function",
        ("qc.custom.refusal.call",),
    ),
    (
        "qc:\n  custom:\n    refusal:\n      over: all\n      call: names_checks:is_refusal\n",
        4,
        "qc.custom.refusal.over: should be 'parsed', 'candidates', 'generated' or 'kept'",
        (),
    ),
    ("qc:\n  custom:\n    refusal: {over: kept}\n", 3, "needs either call: module:function or entry_point", ()),
    (
        "qc:\n  custom:\n    refusal: {entry_point: nowhere}\n",
        3,
        "there is no entry point 'nowhere' in pilothouse.detectors",
        ("install the package",),
    ),
    ("qc:\n  custom:\n    runaway: {call: 'a:b'}\n", 3, "there is a built-in detector of that name", ()),
    ("qc:\n  custom:\n    Refusal!: {call: 'a:b'}\n", 3, "small letters, digits and _", ()),
    (
        "qc:\n  custom:\n    near_duplicate: {call: 'names_checks:is_refusal'}\n",
        3,
        "there is a built-in metric near_duplicate_rate",
        ("another name",),
    ),
    (
        f"{OWN}gate:\n  checks:\n    refusl_rate: '< 5%'\n",
        6,
        "there is no metric 'refusl_rate'",
        ("did you mean 'refusal_rate'?",),
    ),
    (f"{OWN}gate:\n  checks:\n    refusal_rate: '< 5'\n", 6, "write its limit in percent", ()),
    ("gate:\n  checks:\n    verb_diversity: '>= 20'\n", 3, "write its limit in percent", ()),
    ("gate:\n  checks:\n    refusal_rate: '< 5%'\n", 3, "there is no metric 'refusal_rate'", ()),
]


@pytest.mark.parametrize(("text", "line", "message", "words"), OWN_ERRORS, ids=[row[2] for row in OWN_ERRORS])
def test_what_is_wrong_with_a_detector_of_its_own_is_said_with_its_line(
    campaign: Path, text: str, line: int, message: str, words: tuple[str, ...]
) -> None:
    campaign.write_text(HEAD + text)
    with pytest.raises(ConfigurationError) as caught:
        load_checked(campaign)
    assert caught.value.exit_code == EXIT_USAGE
    assert message in caught.value.what
    assert (caught.value.where or "").startswith(f"{campaign}:{2 + line}, ")
    for word in words:
        assert word in str(caught.value)


def test_a_ruler_may_gate_on_a_detector_that_the_run_has(tmp_path: Path, campaign: Path) -> None:
    files = RunFiles(tmp_path / "artifacts" / "c" / "own")
    files.folder.mkdir(parents=True)
    campaign.write_text(HEAD + OWN)
    qc = load_checked(campaign).qc
    create_spec(files, RunSpec(campaign="c", run="own", kind="pilot", qc=qc, workspace=str(tmp_path)))
    rows = [{"index": index, "outcome": "kept", "kept": True, "response": "no"} for index in range(60)]
    files.records.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ruler = tmp_path / "ruler.yaml"
    for text in ("", OWN):
        ruler.write_text(f"{text}gate: {{checks: {{refusal_rate: '< 5%'}}}}\n")
        replay = RunReplay(files, read_ruler(ruler, read_spec(files)), own_figures=True)
        replay.refresh()
        (found,) = replay.snapshot().gate.checks
        assert (found.verdict, found.n, found.failures) == ("fail", 60, 60)


def test_a_run_that_was_copied_elsewhere_finds_the_module_beside_it(tmp_path: Path, campaign: Path) -> None:
    files = RunFiles(tmp_path / "artifacts" / "c" / "own")
    files.folder.mkdir(parents=True)
    campaign.write_text(HEAD + OWN.replace("names_checks", "copied_checks"))
    (tmp_path / "copied_checks.py").write_text("def is_refusal(record):\n    return True\n")
    qc = load_checked(campaign).qc
    create_spec(files, RunSpec(campaign="c", run="own", kind="pilot", qc=qc, workspace="/gone/elsewhere"))
    files.records.write_text('{"index": 0, "outcome": "kept", "kept": true, "response": "no"}\n')
    replay = RunReplay(files, read_spec(files))
    replay.refresh()
    assert replay.snapshot().metrics["refusal_rate"] == 1
    assert replay.snapshot().warnings == ()


def test_an_old_run_whose_module_is_gone_is_still_looked_at(tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "artifacts" / "c" / "own")
    files.folder.mkdir(parents=True)
    qc = QcConfig.model_validate({"custom": {"refusal": {"call": "vanished_checks:is_refusal"}}})
    gate = GateConfig.model_validate({"checks": {"refusal_rate": "< 5%"}})
    create_spec(files, RunSpec(campaign="c", run="own", kind="pilot", qc=qc, gate=gate, workspace=str(tmp_path)))
    files.records.write_text('{"index": 0, "outcome": "kept", "kept": true, "response": "no"}\n')
    replay = RunReplay(files, read_spec(files))
    replay.refresh()
    seen = replay.snapshot()
    assert seen.gate.verdict == "undecided"
    assert seen.metrics["refusal_rate"] is None
    assert any(
        warning.startswith("custom detector refusal failed on 1 record: vanished_checks:is_refusal cannot be imported")
        for warning in seen.warnings
    )


def test_a_run_is_flagged_and_summed_up_by_them_and_comes_back_by_import(tmp_path: Path) -> None:
    (tmp_path / "made_checks.py").write_text("def is_long(record):\n    return len(record['response']) > 20\n")
    qc = QcConfig.model_validate({"custom": {"long": {"call": "made_checks:is_long", "over": "kept"}}})
    gate = GateConfig.model_validate({"checks": {"long_rate": "< 5%", "verb_diversity": ">= 1%"}})
    spec = make_spec().model_copy(update={"qc": qc, "gate": gate, "workspace": str(tmp_path)})
    target, source = Target(examples=12, max_candidates=60), tmp_path / "made"
    run_pipeline(source, target, ScriptedBackend(), spec=spec)
    kept = [record for record in contents(source).values() if record["kept"]]
    assert {record["flags"]["long"] for record in kept} == {True, False}
    assert all("repetition" in record["flags"] for record in kept)
    session = Session(target, 1, "2025-10-07T18:05:41Z", "completed", "", {}, None)
    write_artifacts(RunFiles(source), spec, PromptBuilder.of(PROMPTS, 2), session)
    summary = json.loads(RunFiles(source).qc_summary.read_text())
    assert summary["rates"]["long_rate"] == sum(record["flags"]["long"] for record in kept) / len(kept)
    assert summary["detectors"]["long"] == "made_checks:is_long"
    figures = foreign_figures(summary, gate, kept_rows=None, source="")
    for name in ("long_rate", "verb_diversity", "response_repetition_rate", "near_duplicate_rate"):
        assert figures.metrics[name] == summary["rates"][name]
    counts = foreign_check_counts(figures, RunTally(qc, gate, "###END###"), gate)
    stated = {check["metric"]: (check["n"], check["failures"]) for check in summary["gate"]["checks"]}
    assert counts == stated
    assert counts["long_rate"][0] == len(kept)


def test_a_generator_does_not_start_with_a_detector_that_is_not_there(tmp_path: Path) -> None:
    qc = QcConfig.model_validate({"custom": {"long": {"call": "unmade_checks:is_long"}}})
    with pytest.raises(ConfigurationError, match="unmade_checks:is_long cannot be imported"):
        check(make_spec().model_copy(update={"qc": qc, "workspace": str(tmp_path)}))
