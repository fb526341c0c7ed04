"""What the pair critic is heard to say about a detector's flags, and when it says nothing."""

from __future__ import annotations

from typing import Any

from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.qc.gate import judge
from engine.qc.tally import RunTally
from engine.qc.verdicts import DetectorEvidence

LOOP = "no no no no no no no no no"


def record(index: int, raw: str, response: str, good: bool | None) -> dict[str, Any]:
    made = {"index": index, "outcome": "kept", "kept": True, "raw_response": raw, "response": response}
    return made if good is None else made | {"pair_critic": {"good": good, "confident": True}}


def tally(records: list[dict[str, Any]], **qc: str) -> RunTally:
    result = RunTally(QcConfig.model_validate(qc), GateConfig(), "###END###")
    for one in records:
        result.add(one)
    return result


def found(records: list[dict[str, Any]], kind: str, **qc: str) -> DetectorEvidence:
    return next(one for one in tally(records, **qc).detector_counts() if one.kind == kind)


def test_the_critic_is_heard_where_what_is_flagged_reached_it() -> None:
    rows = [
        record(0, LOOP, LOOP, good=True),
        record(1, LOOP, LOOP, good=False),
        record(2, f"yes\n\n{LOOP}", "yes", good=True),  # cleaned away: the critic saw a good answer
        record(3, LOOP, LOOP, good=None),
        record(4, "yes", "yes", good=True),
        record(5, "yes", "yes", good=False),
        record(6, "yes", "yes", good=None),
        record(7, LOOP, LOOP, good=True) | {"outcome": "failed", "kept": False},
    ]
    repetition = found(rows, "repetition")
    assert (repetition.detector, repetition.metrics) == ("ngram-v1", ("response_repetition_rate",))
    assert (repetition.flagged, repetition.judged, repetition.good) == (4, 2, 1)
    assert (repetition.rest_judged, repetition.rest_good) == (2, 1)
    assert (repetition.suspect, repetition.marked) == ("", 0)


def test_a_detector_that_flags_what_the_critic_saw_is_told_from_one_whose_flags_cleaning_removed() -> None:
    explanation = "Water boils. Steam rises. It cools. Rain falls."
    rows = [record(0, explanation, explanation, good=True), record(1, "4\nQ: 5", "4", good=True)]
    crude, better = found(rows, "runaway", runaway="length-v1"), found(rows, "runaway")
    assert (crude.flagged, crude.judged, crude.good, crude.rest_judged) == (1, 1, 1, 1)
    assert (better.flagged, better.judged, better.rest_judged) == (1, 0, 1)


def test_a_loop_that_its_server_cut_short_and_cleaning_removed_was_never_seen_by_the_critic() -> None:
    cut = {"finish_reason": "repetition"}
    rows = [record(0, f"yes\n\n{LOOP}", "yes", good=True) | cut, record(1, LOOP, LOOP, good=False) | cut]
    rows.append(record(2, f"{LOOP}\n\n{LOOP}", LOOP, good=False) | cut)
    for kind, judged in (("repetition", 2), ("runaway", 1)):
        evidence = found(rows, kind)
        assert (evidence.flagged, evidence.judged, evidence.good) == (3, judged, 0), kind


def test_only_rules_of_thumb_are_told_of() -> None:
    assert [one.kind for one in tally([]).detector_counts()] == ["runaway", "repetition"]
    verdict = judge(GateConfig(), PolicyConfig(), tally([record(0, LOOP, LOOP, good=True)]), ended=False, target=9)
    assert verdict.detector_of("response_repetition_rate") is not None
    assert verdict.detector_of("token_limit_rate") is None
    assert verdict.to_json()["detectors"][1]["flagged"] == 1
