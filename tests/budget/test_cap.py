"""What an attempt may cost, alone and together with those who use the same engine."""

from __future__ import annotations

import pytest

from engine.budget.cap import Cap, all_are_spent

AN_HOUR = 3600.0
RATE = 3.0 / AN_HOUR


@pytest.mark.parametrize(
    ("cap", "spent"),
    [(Cap(0.0, 3.0), True), (Cap(0.0, 3.01), False), (Cap(1.0, 3.0), False), (Cap(0.0, None), False)],
)
def test_a_cap_is_spent_once_its_time_has_cost_that_much(cap: Cap, spent: bool) -> None:
    assert cap.is_spent(AN_HOUR, RATE) is spent


def test_nothing_is_ever_spent_on_devices_that_cost_nothing() -> None:
    assert not Cap(0.0, 0.0).is_spent(AN_HOUR, 0.0)


def test_whoever_came_within_a_raised_limit_keeps_the_engine_for_all() -> None:
    old, new = Cap(0.0, 1.0), Cap(AN_HOUR - 60, 100.0)
    assert all_are_spent([old], AN_HOUR, RATE)
    assert not all_are_spent([old, new], AN_HOUR, RATE)
    assert all_are_spent([old, new], 40 * AN_HOUR, RATE)
