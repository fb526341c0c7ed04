"""What marked flags make of a detector: exact bounds, held to scipy's."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from engine.qc.precision import precision_bounds, precision_sentence, with_marks
from engine.qc.verdicts import DetectorEvidence


@pytest.mark.parametrize(("right", "wrong"), [(0, 1), (1, 0), (0, 10), (10, 0), (7, 3), (1, 99), (250, 13)])
def test_bounds_are_exact_and_two_sided(right: int, wrong: int) -> None:
    expected = binomtest(right, right + wrong).proportion_ci(0.95, "exact")
    assert precision_bounds(right, wrong) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_in_words() -> None:
    assert precision_sentence("markers-v2", 7, 3) == (
        "markers-v2: 7 of 10 marked flags are right, precision 70 % (35–93 %)"
    )
    assert precision_sentence("markers-v2", 0, 0) == "markers-v2: no flag is marked"


def test_marks_belong_to_the_detector_they_name() -> None:
    evidence = (
        DetectorEvidence("runaway", "markers-v2", ("runaway_rate",), flagged=20),
        DetectorEvidence("repetition", "ngram-v1", ("response_repetition_rate",), flagged=3),
    )
    marked, other = with_marks(evidence, {"markers-v2": (7, 3), "length-v1": (1, 9)})
    assert (marked.marked_true, marked.marked_false, marked.flagged) == (7, 3, 20)
    assert (marked.lower, marked.upper) == precision_bounds(7, 3)
    assert other == evidence[1]
