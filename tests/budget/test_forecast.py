"""What runs are forecast to cost, and when the limit refuses one."""

from __future__ import annotations

from typing import Any

import pytest

from engine.budget.forecast import (
    campaign_budget,
    check_affordable,
    extension_forecast,
    launch_forecast,
    rest_forecast,
    shortage,
)
from engine.budget.ledger import Meter
from engine.budget.money import Budget
from engine.errors import EXIT_REFUSED, RefusedError
from tests.budget.test_ledger import beat, meter
from tests.policy.histories import OPEN, campaign, run

MEASURED: dict[str, Any] = {"active_s": 360.0, "cost_usd": 0.3, "examples_per_second": 0.5, "startup_s": 60.0}


def test_before_any_run_a_gpu_pilot_is_40_minutes_and_scale_6_hours() -> None:
    pilot = launch_forecast(campaign(), [], examples=100)
    assert (pilot.duration_s, pilot.cost_usd) == (pytest.approx(2400), pytest.approx(2.0))
    scale = launch_forecast(campaign(), [], examples=15_000)
    assert (scale.duration_s, scale.cost_usd) == (pytest.approx(21_600), pytest.approx(18.0))


def test_the_cpu_model_is_not_forecast_like_a_rented_gpu() -> None:
    small = campaign(model={"path": "pocket"}, generator={"kind": "builtin"})
    assert launch_forecast(small, [], examples=100).duration_s < 120


def test_a_measured_run_sets_the_pace() -> None:
    runs = [run("pilot", OPEN, **MEASURED)]
    forecast = launch_forecast(campaign(), runs, examples=100)
    assert forecast.duration_s == pytest.approx(60 + 200)
    assert forecast.cost_usd == pytest.approx(260 * 3 / 3600)
    assert "pilot" in forecast.basis
    assert extension_forecast(campaign(), runs, examples=60).duration_s == pytest.approx(60 + 120)


def test_several_devices_are_paid_for_as_they_were() -> None:
    runs = [run("pilot", OPEN, **MEASURED | {"cost_usd": 1.2})]
    assert launch_forecast(campaign(), runs, examples=100).cost_usd == pytest.approx(260 * 12 / 3600)


def test_the_newest_own_run_with_a_rate_counts() -> None:
    runs = [
        run("pilot", OPEN, **MEASURED),
        run("iteration-1", OPEN, **MEASURED | {"examples_per_second": 1.0}),
        run("iteration-2", OPEN),
        run("other", OPEN, imported=True, **MEASURED | {"examples_per_second": 99.0}),
    ]
    assert launch_forecast(campaign(), runs, examples=100).duration_s == pytest.approx(160)


def test_a_live_run_is_committed_to_the_rest_of_its_target() -> None:
    live = run("pilot", OPEN, "running", kept=40, **MEASURED)
    assert rest_forecast(campaign(), [live], live).duration_s == pytest.approx(120)
    fresh = run("pilot", OPEN, "starting", kept=0, active_s=400.0)
    assert rest_forecast(campaign(), [fresh], fresh).duration_s == pytest.approx(2000)
    full = run("pilot", OPEN, "running", kept=100)
    assert rest_forecast(campaign(), [full], full).cost_usd == 0
    late = run("pilot", OPEN, "running", kept=0, active_s=9000.0)
    assert rest_forecast(campaign(), [late], late).duration_s == pytest.approx(100 * 19_200 / 14_900)


def test_the_campaigns_money() -> None:
    runs = [run("pilot", OPEN), run("iteration-1", OPEN, "running", kept=90, **MEASURED)]
    meters = [meter(beat(0), beat(3600)), meter(beat(1800), beat(5400))]
    budget = campaign_budget(campaign(), runs, meters)
    assert budget.device_hours == pytest.approx(1.5)
    assert budget.spent_usd == pytest.approx(4.5)
    assert budget.rate_usd_per_hour == 3.0
    assert budget.committed_usd == pytest.approx(20 * 3 / 3600, abs=1e-5)
    assert budget.left_usd == pytest.approx(300 - 4.5 - 20 * 3 / 3600, abs=1e-5)


def test_two_live_runs_on_one_device_are_paid_for_once_an_hour() -> None:
    runs = [run("pilot", OPEN, "running"), run("iteration-1", OPEN, "running")]
    meters = [meter(beat(0)), meter(beat(5))]
    assert campaign_budget(campaign(), runs, meters).rate_usd_per_hour == 3.0


def test_no_runs_have_cost_nothing() -> None:
    budget = campaign_budget(campaign(), [], list[Meter]())
    assert (budget.spent_usd, budget.committed_usd, budget.rate_usd_per_hour, budget.left_usd) == (0, 0, 0, 300)


TIGHT = Budget(limit_usd=10, spent_usd=7, committed_usd=1.5, rate_usd_per_hour=3, device_hours=2.3, warn_at=0.8)


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(RefusedError) as error:
        check_affordable(TIGHT, 2.0, what="launching c/pilot")
    assert error.value.exit_code == EXIT_REFUSED
    assert str(error.value).startswith("launching c/pilot does not fit the budget")
    for number in ("$2.00", "$1.50 of $10.00", "$7.00 spent", "$1.50 committed"):
        assert number in str(error.value)


def test_what_fits_exactly_is_allowed() -> None:
    check_affordable(TIGHT, 1.5)
    assert shortage(TIGHT, 1.51) is not None


def test_an_overdrawn_budget_refuses_even_what_costs_nothing_known() -> None:
    overdrawn = Budget(limit_usd=10, spent_usd=11, committed_usd=0, rate_usd_per_hour=0, device_hours=4, warn_at=0.8)
    assert shortage(overdrawn, None) is not None


def test_a_free_device_is_never_refused() -> None:
    free = campaign(budget={"limit_usd": 0, "gpu_usd_per_hour": 0})
    budget = campaign_budget(free, [], [])
    check_affordable(budget, launch_forecast(free, [], examples=15_000).cost_usd)
