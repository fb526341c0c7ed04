"""When a gate ends a run: a table of what it says, and what the campaign allows."""

from __future__ import annotations

from typing import Any

import pytest

from engine.campaign.grading import GateConfig, Limit
from engine.campaign.naming import RunKind
from engine.campaign.policy import PolicyConfig
from engine.qc.early_end import early_end
from engine.qc.gate import judge_figures
from engine.qc.verdicts import GateVerdict

GATE = GateConfig(checks={"runaway_rate": Limit.parse("< 5%"), "delimiter_leakage": Limit.parse("= 0")})
FAILS, HOPELESS, OPEN, UNLIKELY, PROVEN = (100, 30), (150, 8), (60, 0), (100, 3), (190, 0)
ALL = {"proven": True, "forecast_below": 0.5}


def verdict(runaway: tuple[int, int], *, ended: bool, gate: GateConfig = GATE, kept: int = 100) -> GateVerdict:
    counts = {"runaway_rate": runaway, "delimiter_leakage": (60, 0)}
    values = {name: failures / n for name, (n, failures) in counts.items()}
    return judge_figures(gate, PolicyConfig(), values, counts, kept=kept, ended=ended, target=100)


@pytest.mark.parametrize(
    ("runaway", "early", "kind", "ends"),
    [
        (FAILS, {}, "pilot", "its gate ended it early: fail"),
        (FAILS, {}, "scale", "its gate ended it early: fail"),
        (FAILS, {"unreachable": False}, "pilot", None),
        (HOPELESS, {}, "pilot", "its gate ended it early: undecided: runaway cannot pass by 300"),
        (HOPELESS, {"unreachable": False, "proven": True}, "pilot", None),
        (OPEN, {}, "pilot", None),
        (OPEN, {"proven": True}, "pilot", None),
        (PROVEN, {}, "pilot", None),
        (PROVEN, {"proven": True}, "pilot", "its gate is proven, and ended it early: pass"),
        (PROVEN, {"proven": True}, "iteration", "its gate is proven, and ended it early: pass"),
        (PROVEN, ALL, "scale", None),
        (UNLIKELY, {}, "pilot", None),
        (UNLIKELY, {"forecast_below": 0.5}, "pilot", "ended early by a forecast: "),
        (UNLIKELY, {"forecast_below": 0.01}, "pilot", None),
    ],
)
def test_what_ends_a_run(runaway: tuple[int, int], early: dict[str, Any], kind: RunKind, ends: str | None) -> None:
    policy = PolicyConfig.model_validate({"early_end": early})
    live, if_ended = (
        verdict(runaway, ended=ended, kept=290 if runaway == HOPELESS else 100) for ended in (False, True)
    )
    reason = early_end(policy, kind, live, if_ended, judged=200, target=100)
    assert (reason is None) if ends is None else (reason or "").startswith(ends)
    assert early_end(policy, kind, live, if_ended, judged=policy.early_end.after - 1, target=100) is None


def test_the_forecast_is_the_one_that_the_next_action_goes_by() -> None:
    """Once a run has ended, what only its end settles is settled: the policy must not want to extend it at once."""
    live, if_ended = verdict(UNLIKELY, ended=False), verdict(UNLIKELY, ended=True)
    assert live.forecast is not None
    assert if_ended.forecast is not None
    assert live.forecast < if_ended.forecast
    between = (live.forecast + if_ended.forecast) / 2
    policy = PolicyConfig.model_validate({"early_end": {"forecast_below": between}})
    assert early_end(policy, "pilot", live, if_ended, judged=200, target=100) is None


def test_a_plain_comparison_ends_nothing() -> None:
    plain = GATE.model_copy(update={"confidence": None})
    verdicts = (verdict(FAILS, ended=ended, gate=plain) for ended in (False, True))
    assert early_end(PolicyConfig(), "pilot", *verdicts, judged=200, target=100) is None
