"""Histories for the tables: runs as the policy sees them, judged by the real gate."""

from __future__ import annotations

from typing import Any

from engine.budget.money import Budget
from engine.campaign.grading import GateConfig
from engine.campaign.models import Campaign, Parameters
from engine.campaign.naming import kind_of
from engine.campaign.policy import PolicyConfig
from engine.policy.history import PastRun
from engine.qc.gate import judge_figures
from engine.qc.verdicts import GateVerdict

RICH = Budget(300.0, 10.0, 0.0, 0.0, 3.3, 0.8)
LIVE = {"queued", "starting", "running", "stopping"}

# (n, failures) per check
GOOD = {
    "runaway_rate": (190, 0),
    "token_limit_rate": (190, 1),
    "delimiter_leakage": (150, 0),
    "median_tokens": (150, 10),
    "instruction_acceptance": (300, 40),
    "pair_acceptance": (190, 10),
}
OPEN = GOOD | {"runaway_rate": (60, 0)}
RUNAWAY = GOOD | {"runaway_rate": (100, 30)}
FEWER_RUNAWAYS = GOOD | {"runaway_rate": (100, 16)}
MORE_RUNAWAYS = GOOD | {"runaway_rate": (100, 60)}
HOPELESS = GOOD | {"runaway_rate": (150, 8)}
LONG = GOOD | {"token_limit_rate": (100, 40)}


def campaign(**changes: Any) -> Campaign:
    value: dict[str, Any] = {"name": "c", "model": {"path": "m", "backend": "vllm"}}
    return Campaign.model_validate(value | {"generator": {"kind": "command", "argv": ["x"]}} | changes)


def verdict(counts: dict[str, tuple[int, int]], kept: int, *, ended: bool, target: int = 100) -> GateVerdict:
    values = {metric: failures / n if n else None for metric, (n, failures) in counts.items()}
    return judge_figures(GateConfig(), PolicyConfig(), values, counts, kept=kept, ended=ended, target=target)


def run(name: str, counts: dict[str, tuple[int, int]], state: str = "succeeded", **more: Any) -> PastRun:
    kept, live = more.pop("kept", 100), state in LIVE
    target = more.pop("target", 100)
    return PastRun(
        name=name,
        kind=kind_of(name),
        state=state,
        live=live,
        parameters=more.pop("parameters", Parameters()),
        gate=verdict(counts, kept, ended=not live, target=target),
        kept=kept,
        target=target,
        candidates=more.pop("candidates", 300),
        **more,
    )
