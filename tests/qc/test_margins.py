"""The spread of margins: exact for a run of usual size, close and bounded for any other, whatever the order."""

from __future__ import annotations

import random
import statistics
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.qc.margins import ACCURACY, EXACT, LEAST, Spread

MARGINS = st.floats(-1e15, 1e15) | st.floats(-10, 10) | st.sampled_from([0.0, -0.0, 1e-9, 2.5, -2.5])


def spread(values: list[float]) -> dict[str, float | None]:
    found = Spread()
    for value in values:
        found.add(value)
    return found.summary()


@given(st.lists(MARGINS, min_size=1, max_size=40))
def test_few_values_are_summarised_exactly(values: list[float]) -> None:
    assert spread(values) == {
        "n": len(values),
        "mean": pytest.approx(statistics.fmean(values)),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


@settings(max_examples=25, deadline=None)
@given(st.lists(MARGINS, min_size=3, max_size=12), st.integers(0, 99))
def test_many_values_are_summarised_closely_and_in_any_order_alike(values: list[float], seed: int) -> None:
    many = values * (EXACT // len(values) + 7)
    shuffled = random.Random(seed).sample(many, len(many))
    found = spread(many)
    assert found == spread(shuffled)
    assert (found["n"], found["min"], found["max"]) == (len(many), min(many), max(many))
    assert found["mean"] == pytest.approx(statistics.fmean(many), rel=1e-12, abs=1e-9)
    ordered = sorted(many)
    low, high = ordered[(len(many) - 1) // 2], ordered[len(many) // 2]
    error = 1.01 * ACCURACY * (abs(low) + abs(high)) / 2 + 2 * LEAST
    assert found["median"] == pytest.approx((low + high) / 2, abs=error)


def test_its_memory_does_not_grow() -> None:
    draw, found = random.Random(2), Spread()
    for _ in range(30_000):
        found.add(draw.lognormvariate(0, 1))
    tracemalloc.start()
    for _ in range(60_000):
        found.add(draw.lognormvariate(0, 1))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 200_000


def test_without_values_nothing_is_known() -> None:
    assert spread([float("nan"), float("inf"), 1e300]) == dict.fromkeys(("mean", "median", "min", "max")) | {"n": 0}
