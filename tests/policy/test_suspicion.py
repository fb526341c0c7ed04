"""What makes a detector suspect, and what clears it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.campaign.models import Parameters
from engine.policy.history import PastRun
from engine.policy.suspicion import with_suspicions
from engine.qc.verdicts import DetectorEvidence
from tests.policy.histories import GOOD, RUNAWAY, run

DETECTOR = DetectorEvidence("runaway", "length-v1", ("runaway_rate",), flagged=30)
ALIKE: dict[str, Any] = {"judged": 30, "good": 27, "rest_judged": 70, "rest_good": 64}
UNLIKE: dict[str, Any] = {"judged": 30, "good": 9, "rest_judged": 70, "rest_good": 64}
COOLER = Parameters.model_validate({"seed": 43, "response": {"temperature": 0.3}})
RESEEDED = Parameters(seed=43)


def measured(name: str, counts: dict[str, tuple[int, int]] = RUNAWAY, **of_detector: Any) -> PastRun:
    parameters = of_detector.pop("parameters", Parameters())
    found = run(name, counts, parameters=parameters)
    return replace(found, gate=replace(found.gate, detectors=(replace(DETECTOR, **of_detector),)))


def suspicion(*runs: PastRun) -> str:
    """Of the last run's detector."""
    return with_suspicions(runs)[-1].detectors[0].suspect


@pytest.mark.parametrize(
    ("evidence", "suspect"),
    [
        (ALIKE, True),
        (UNLIKE, False),
        (ALIKE | {"judged": 7, "good": 7}, False),
        (ALIKE | {"rest_judged": 7, "rest_good": 6}, False),
        (ALIKE | {"marked_true": 10, "lower": 0.69, "upper": 1.0}, False),
        (ALIKE | {"marked_true": 5, "marked_false": 5, "lower": 0.19, "upper": 0.81}, True),
        (UNLIKE | {"marked_false": 10, "lower": 0.0, "upper": 0.31}, True),
        (UNLIKE | {"marked_false": 1, "lower": 0.0, "upper": 0.98}, False),
    ],
)
def test_the_critic_and_peoples_marks(evidence: dict[str, Any], suspect: bool) -> None:
    assert bool(suspicion(measured("pilot", **evidence))) is suspect


def test_the_reason_has_the_numbers() -> None:
    assert suspicion(measured("pilot", **ALIKE)) == "the pair critic accepts 27 of 30 flagged, and 64 of 70 others"
    false_alarms = {"marked_true": 1, "marked_false": 9, "lower": 0.003, "upper": 0.45}
    assert suspicion(measured("pilot", **UNLIKE, **false_alarms)) == "9 of 10 marked flags were false alarms"


def test_a_detector_that_lets_its_check_pass_stands_in_nobodys_way() -> None:
    assert not suspicion(measured("pilot", GOOD, **ALIKE))


def test_a_share_that_hardly_moves_while_parameters_do() -> None:
    pilot = measured("pilot", GOOD | {"runaway_rate": (100, 30)})
    same = GOOD | {"runaway_rate": (100, 27)}
    moved = measured("iteration-1", same, parameters=COOLER)
    assert suspicion(pilot, moved) == "it flags 30% in pilot and 27% here, although response.temperature changed"
    assert not suspicion(pilot, measured("iteration-1", same, parameters=RESEEDED)), "the seed alone moves nothing"
    fewer = measured("iteration-1", GOOD | {"runaway_rate": (100, 15)}, parameters=COOLER)
    assert not suspicion(pilot, fewer)
    assert not suspicion(
        pilot, replace(moved, gate=replace(moved.gate, detectors=(replace(DETECTOR, detector="markers-v2"),)))
    )
    assert not suspicion(replace(pilot, imported=True), moved), "an imported run's figures come from another detector"
    few = measured("iteration-1", GOOD | {"runaway_rate": (20, 6)}, parameters=COOLER)
    assert not suspicion(pilot, few)


def test_nothing_else_of_a_gate_is_touched() -> None:
    pilot = measured("pilot", **ALIKE)
    (gate,) = with_suspicions([pilot])
    assert replace(gate, detectors=pilot.gate.detectors) == pilot.gate
    assert with_suspicions([run("pilot", RUNAWAY)]) == [run("pilot", RUNAWAY).gate]


def test_a_share_that_hardly_moves_is_no_doubt_and_the_critics_word_is() -> None:
    pilot = measured("pilot", GOOD | {"runaway_rate": (100, 30)})
    moved = measured("iteration-1", GOOD | {"runaway_rate": (100, 27)}, parameters=COOLER)
    assert not with_suspicions([pilot, moved])[-1].detectors[0].doubted
    assert with_suspicions([measured("pilot", **ALIKE)])[0].detectors[0].doubted
    false_alarms = {"marked_true": 1, "marked_false": 9, "lower": 0.003, "upper": 0.45}
    assert with_suspicions([measured("pilot", **UNLIKE, **false_alarms)])[0].detectors[0].doubted
