"""A folder of our own generator, imported, says of itself what it said before."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.campaign.grading import GateConfig, Limit
from engine.campaign.models import Target
from engine.campaign.policy import PolicyConfig
from engine.files import RunFiles
from engine.generate.artifacts import Session, write_artifacts
from engine.generate.history import read_records
from engine.generate.prompts import PromptBuilder
from engine.qc.gate import judge
from engine.qc.tally import RunTally
from tests.generate.conftest import PROMPTS, make_spec, run_pipeline
from tests.generate.scripted import ScriptedBackend
from tests.importing.places import checks_of, look, make_workspace, take_in

TARGET = Target(examples=60, max_candidates=500)
RESPONSE = {"temperature": 0.3, "stop": ["\nQ:"], "max_tokens": 33}


@pytest.mark.parametrize("without", ["nothing", "manifest"])
def test_its_own_folder_comes_back_with_its_own_figures(tmp_path: Path, without: str) -> None:
    workspace, source = make_workspace(tmp_path / "work"), tmp_path / "own"
    spec = make_spec(seed=7, response=RESPONSE).model_copy(update={"gate": GateConfig()})
    backend = ScriptedBackend(fails=lambda prompt: "Sort" in prompt and prompt.endswith("Response:"))
    run_pipeline(source, TARGET, backend, spec=spec)
    files = RunFiles(source)
    session = Session(TARGET, 1, "2025-10-07T18:05:41Z", "completed", "", {}, None)
    write_artifacts(files, spec, PromptBuilder.of(PROMPTS, 2), session)
    tally = RunTally(spec.qc, spec.gate, spec.pipeline.delimiter)
    for record in read_records(files):
        tally.add(record)
    own = judge(spec.gate, spec.policy, tally, ended=True, target=TARGET.examples)
    files.records.unlink()
    files.generator_journal.unlink()
    if without == "manifest":
        files.session_manifest.unlink()
    take_in(workspace, source)
    run = look(workspace)
    assert run.metrics == tally.metrics()
    assert run.gate.verdict == own.verdict
    assert {name: (check.verdict, check.n, check.failures) for name, check in checks_of(run).items()} == {
        check.metric: (check.verdict, check.n, check.failures) for check in own.checks
    }
    counts = tally.counts()
    for name in ("parsed", "dropped", "failed", "candidates", "instructions_good", "generated", "pairs_good", "kept"):
        assert getattr(run.counts, name) == counts[name], name
    assert counts["failed"] > 0
    assert run.counts.target == (60 if without == "nothing" else 100)
    assert run.parameters_known
    assert run.parameters == spec.parameters


def test_under_other_limits_its_runaways_are_still_judged_over_its_responses(tmp_path: Path) -> None:
    workspace, source = make_workspace(tmp_path / "work"), tmp_path / "own"
    gate = GateConfig(checks={"runaway_rate": Limit.parse("< 90%")})
    spec = make_spec().model_copy(update={"gate": gate, "policy": PolicyConfig()})
    run_pipeline(source, TARGET, ScriptedBackend(), spec=spec)
    session = Session(TARGET, 1, "2025-10-07T18:05:41Z", "completed", "", {}, None)
    write_artifacts(RunFiles(source), spec, PromptBuilder.of(PROMPTS, 2), session)
    tally = RunTally(spec.qc, spec.gate, spec.pipeline.delimiter)
    for record in read_records(RunFiles(source)):
        tally.add(record)
    take_in(workspace, source)
    check = checks_of(look(workspace))["runaway_rate"]
    assert (check.n, check.failures) == (tally.counts()["generated"], tally.counts()["runaway"])
    assert check.n > tally.counts()["kept"]
