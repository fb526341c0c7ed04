"""Records of any shape are counted or passed over; none of them breaks grading, replay or a generator's restart."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.campaign.grading import GateConfig, Limit, QcConfig
from engine.campaign.models import Target
from engine.campaign.policy import PolicyConfig
from engine.files import RunFiles, read_json
from engine.generate.history import read_history
from engine.qc.detectors import DETECTOR_KINDS, flags_of, known_detectors, resolve_detectors
from engine.qc.gate import judge
from engine.qc.metrics import METRICS
from engine.qc.tally import RunTally
from tests.generate.conftest import contents, run_pipeline
from tests.generate.scripted import ScriptedBackend

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**399, -(10**399), 2**53, "kept", "failed", "\nUser:", "###END###", "length", "\ud800"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
CRITIC = JSON | st.fixed_dictionaries(
    {}, optional={"good": JSON | st.booleans(), "confident": JSON | st.booleans(), "margin": JSON | st.floats()}
)
TEXTS = ("instruction", "response", "raw_response")
KEYS = (*TEXTS, "index", "outcome", "kept", "response_tokens", "generated_tokens", "finish_reason")
RECORD = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(KEYS, JSON), "instruction_critic": CRITIC, "pair_critic": CRITIC, "extra": JSON}
)
SHARES = st.sampled_from(["< 5%", "<= 40%", ">= 50%", "> 1%", "= 0%", "= 100%"]).map(Limit.parse)
SIZES = st.sampled_from(["< 5", "<= 40", ">= 50", "> 1", "= 0", "= 30"]).map(Limit.parse)


@settings(max_examples=300, deadline=None)
@given(
    records=st.lists(RECORD, max_size=8),
    share=SHARES,
    size=SIZES,
    runaway=st.sampled_from(known_detectors("runaway")),
    foreign=st.booleans(),
    ended=st.booleans(),
)
def test_no_record_breaks_tally_or_gate(
    records: list[dict[str, Any]], share: Limit, size: Limit, runaway: str, *, foreign: bool, ended: bool
) -> None:
    shares = ("rate", "acceptance")
    gate = GateConfig(checks={name: share if metric.kind in shares else size for name, metric in METRICS.items()})
    qc = QcConfig(runaway=runaway)
    tally = RunTally(qc, gate, "###END###", in_line_order=foreign)
    detectors = resolve_detectors(qc, "###END###")
    for record in records:
        tally.add(record)
        assert set(flags_of(record, detectors)) <= set(DETECTOR_KINDS)
    figures = [tally.metrics(), tally.counts(), tally.token_statistics(), tally.margins(), tally.outcomes()]
    json.dumps(figures, allow_nan=False)
    verdict = judge(gate, PolicyConfig(), tally, ended=ended, target=100)
    json.dumps(verdict.to_json(), allow_nan=False)
    if foreign:
        assert tally.counts()["records"] == len(records)


@pytest.mark.parametrize("tokens", [-1, 2**53 + 1, pytest.param(10**399, id="huge"), 3.5, True, "7", math.nan])
def test_a_number_of_tokens_that_can_be_none_is_passed_over(tokens: Any) -> None:
    tally = RunTally(QcConfig(), GateConfig(), "###END###")
    tally.add({"outcome": "kept", "kept": True, "response_tokens": tokens, "generated_tokens": tokens})
    tally.add({"outcome": "kept", "kept": True, "response_tokens": 12, "generated_tokens": 20})
    assert tally.metrics()["median_tokens"] == 12
    assert tally.counts()["tokens"] == 20
    assert tally.metrics()["examples"] == 2


@pytest.mark.parametrize("margin", [math.nan, math.inf, -math.inf, 1e308, "2", None])
def test_a_margin_that_is_no_number_is_passed_over(margin: Any) -> None:
    tally = RunTally(QcConfig(), GateConfig(), "###END###")
    for value in (margin, 2.5, margin):
        tally.add({"instruction_critic": {"good": True, "confident": True, "margin": value}})
    assert tally.margins()["instruction_critic"] == {"n": 1, "mean": 2.5, "median": 2.5, "min": 2.5, "max": 2.5}


def test_a_foreign_row_with_an_outcome_that_is_no_word_is_still_a_row() -> None:
    tally = RunTally(QcConfig(), GateConfig(), "###END###", in_line_order=True)
    assert tally.add({"outcome": ["a"], "response": "b"})
    assert (tally.metrics()["examples"], tally.outcomes()) == (1, {})


@pytest.mark.parametrize("outcome", [["a"], {}, 3, True])
def test_a_generator_makes_an_item_anew_whose_record_is_garbage(tmp_path: Path, outcome: Any) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    target = Target(examples=6, max_candidates=60)
    for folder in (whole, broken):
        assert run_pipeline(folder, target, ScriptedBackend()).outcome == "completed"
    path = broken / "records.jsonl"
    lines = path.read_text().splitlines()
    lost = json.loads(lines[2])
    lines[2] = json.dumps(lost | {"outcome": outcome})
    path.write_text("".join(line + "\n" for line in lines))
    assert lost["index"] not in read_history(RunFiles(broken)).done
    assert run_pipeline(broken, target, ScriptedBackend(), attempt=2).outcome == "completed"
    lines = path.read_text().splitlines()
    assert json.loads(lines[-1])["index"] == lost["index"]
    tally, undisturbed = (RunTally(QcConfig(), GateConfig(), "###END###") for _ in range(2))
    for line in lines:
        tally.add(json.loads(line))
    for record in contents(whole).values():
        undisturbed.add(record)
    assert tally.counts() == undisturbed.counts()
    assert tally.repeated == 0


DEEP, HUGE = "[" * 100_000 + "]" * 100_000, "9" * 5000


@pytest.mark.parametrize("text", [DEEP, HUGE, "[1]", "{", ""], ids=["deep", "huge", "list", "torn", "empty"])
def test_a_file_that_is_no_json_object_reads_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert read_json(tmp_path / "x.json") is None
