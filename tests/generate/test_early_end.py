"""A run ends by itself once its gate says that going on is worth nothing; what was generated stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.campaign.grading import GateConfig, Limit
from engine.campaign.models import Target
from engine.campaign.policy import PolicyConfig
from engine.campaign.spec import RunSpec, create_spec
from engine.files import RunFiles
from engine.generate.gate_watch import GateWatch
from engine.generate.history import read_history
from engine.generate.prompts import PromptBuilder
from engine.generate.session import _Attempt
from engine.generate.stopping import StopRequests
from engine.gradings import next_number, save_grading
from engine.journal.writer import JournalWriter
from engine.qc.gate import judge
from engine.qc.tally import RunTally
from tests.generate.conftest import PROMPTS, contents, make_spec, run_pipeline
from tests.generate.scripted import ScriptedBackend

TARGET = Target(examples=200, max_candidates=2000)
LOOSE = GateConfig(checks={"token_limit_rate": Limit.parse("< 60%")})


def spec(gate: GateConfig | None = None, **early: object) -> RunSpec:
    """A run whose every response goes on into a new prompt; the gate forbids that unless another is given."""
    policy = PolicyConfig.model_validate({"early_end": {"after": 30, **early}})
    made = make_spec(4, policy=policy)
    return made if gate is None else made.model_copy(update={"gate": gate})


def judged_items(folder: Path, made: RunSpec) -> int:
    tally = RunTally(made.qc, made.gate, made.pipeline.delimiter)
    for row in contents(folder).values():
        tally.add(row)
    return tally.judged_items


@pytest.mark.parametrize("scramble", range(4))
def test_a_run_whose_gate_fails_ends_early_and_keeps_what_it_made(tmp_path: Path, scramble: int) -> None:
    ending = run_pipeline(tmp_path, TARGET, ScriptedBackend(scramble), spec=spec())
    assert ending.outcome == "decided"
    assert "its gate ended it early: fail: runaway" in ending.reason
    assert 30 <= judged_items(tmp_path, spec()) < 60, "not before it may, and soon after it could"
    rows = contents(tmp_path)
    assert sorted(rows) == list(range(len(rows))), "what was in flight was finished: there are no holes"


class DecidedAtTheVeryEnd(GateWatch):
    """The gate's word comes with the last pair: so it is on a wide device, where all of a small run is in flight."""

    def look(self) -> None:
        if self._tally.counts()["kept"] >= self._target:
            self.reason = "its gate ended it early"


def test_a_target_that_was_reached_all_the_same_is_a_target_reached(tmp_path: Path) -> None:
    small = Target(examples=12, max_candidates=200)
    ending = run_pipeline(tmp_path, small, ScriptedBackend(), spec=spec(), watch=DecidedAtTheVeryEnd)
    assert (ending.outcome, ending.reason) == ("completed", "")


def test_records_lost_from_the_middle_are_made_anew_before_the_gate_ends_it(tmp_path: Path) -> None:
    early = spec(after=60)
    assert (
        run_pipeline(
            tmp_path, Target(examples=20, max_candidates=2000), ScriptedBackend(), spec=spec(unreachable=False)
        ).outcome
        == "completed"
    )
    lines = (tmp_path / "records.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "records.jsonl").write_bytes(b"".join(lines[:2] + lines[5:]))
    assert run_pipeline(tmp_path, TARGET, ScriptedBackend(1), spec=early, attempt=2).outcome == "decided"
    rows = contents(tmp_path)
    assert sorted(rows) == list(range(len(rows)))


def test_it_goes_on_to_its_target_where_the_campaign_says_so(tmp_path: Path) -> None:
    small = Target(examples=30, max_candidates=2000)
    assert run_pipeline(tmp_path, small, ScriptedBackend(), spec=spec(unreachable=False)).outcome == "completed"


def test_a_proven_gate_ends_a_pilot_only_if_the_campaign_says_so_and_scale_never(tmp_path: Path) -> None:
    small = Target(examples=60, max_candidates=2000)
    proven = run_pipeline(tmp_path / "a", small, ScriptedBackend(), spec=spec(LOOSE, proven=True))
    assert proven.outcome == "decided"
    assert "proven" in proven.reason
    assert run_pipeline(tmp_path / "b", small, ScriptedBackend(), spec=spec(LOOSE)).outcome == "completed"
    scale = spec(LOOSE, proven=True).model_copy(update={"run": "scale", "kind": "scale"})
    assert run_pipeline(tmp_path / "c", small, ScriptedBackend(), spec=scale).outcome == "completed"


def test_a_forecast_ends_a_run_only_if_the_campaign_says_so(tmp_path: Path) -> None:
    gate = GateConfig(checks={"pair_acceptance": Limit.parse(">= 75%")})
    small = Target(examples=60, max_candidates=2000)
    told = run_pipeline(tmp_path / "a", small, ScriptedBackend(), spec=spec(gate, forecast_below=0.999, after=20))
    assert told.outcome == "decided"
    assert "forecast" in told.reason
    assert run_pipeline(tmp_path / "b", small, ScriptedBackend(), spec=spec(gate, after=20)).outcome == "completed"


def test_a_gate_without_confidence_proves_nothing_and_ends_nothing(tmp_path: Path) -> None:
    plain = GateConfig(confidence=None)
    small = Target(examples=30, max_candidates=2000)
    assert run_pipeline(tmp_path, small, ScriptedBackend(), spec=spec(plain)).outcome == "completed"


def test_a_person_who_goes_on_in_spite_of_the_gate_gets_the_samples(tmp_path: Path) -> None:
    assert run_pipeline(tmp_path, TARGET, ScriptedBackend(), spec=spec()).outcome == "decided"
    more = Target(examples=40, max_candidates=2000)
    again = run_pipeline(tmp_path, more, ScriptedBackend(1), spec=spec(), attempt=2)
    assert again.outcome == "completed"
    rows = contents(tmp_path)
    assert sorted(rows) == list(range(len(rows)))


@pytest.mark.parametrize("examples", [4, 8])
def test_an_attempt_that_begins_beyond_hope_is_not_ended_again_however_few_items_it_has(
    tmp_path: Path, examples: int
) -> None:
    """Four pairs leave fewer flags than a detector could be doubted by."""
    few = Target(examples=examples, max_candidates=99)
    assert run_pipeline(tmp_path, few, ScriptedBackend(), spec=spec(unreachable=False)).outcome == "completed"
    assert judged_items(tmp_path, spec()) < 40
    again = run_pipeline(
        tmp_path, Target(examples=30, max_candidates=2000), ScriptedBackend(1), spec=spec(after=40), attempt=2
    )
    assert again.outcome == "completed"


def flagged(index: int) -> dict[str, object]:
    raw = "Yes.\n\nInstruction: Go on.\nResponse: No."
    return {"index": index, "outcome": "kept", "kept": True, "response": "Yes.", "raw_response": raw}


@pytest.mark.parametrize("graded", [False, True])
def test_a_new_attempt_goes_by_the_ruler_that_the_run_is_judged_by_now(tmp_path: Path, *, graded: bool) -> None:
    made, files = spec(after=10), RunFiles(tmp_path / "c" / "pilot")
    files.folder.mkdir(parents=True)
    create_spec(files, made)
    if graded:
        ruled = made.model_copy(update={"gate": LOOSE})
        verdict = judge(made.gate, made.policy, RunTally(made.qc, made.gate, "###END###"), ended=False, target=200)
        assert save_grading(
            files, ruled, before=verdict, after=verdict, reason="why", author="ann", number=next_number(files)
        )
    with JournalWriter(files.generator_journal) as journal, JournalWriter(files.records) as records:
        attempt = _Attempt(
            files,
            made,
            TARGET,
            1,
            StopRequests(),
            None,
            PromptBuilder.of(PROMPTS, 2),
            None,
            journal,
            records,
            read_history(files),
        )
        tally = RunTally(made.qc, made.gate, made.pipeline.delimiter)
        watch = attempt._gate_watch(tally)
        for index in range(40):
            tally.add(flagged(index))
            watch.take(flagged(index))
            watch.look()
    assert (watch.reason is None) is graded
