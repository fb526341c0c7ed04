"""Parameters for an iteration that the campaign does not list: one thin rule per failing check, each with its reason.

Tightening is a guess, not a law. The next run's comparison says whether it helped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.campaign.models import Campaign, Parameters
from engine.campaign.parameters import flatten, overlay
from engine.policy.history import PastRun, trials
from engine.qc.metrics import METRICS
from engine.qc.verdicts import CheckVerdict

STOP_STRINGS = ("\nInstruction", "\nQ:", "\n###", "\nUser:", "\nResponse:")
TOKENS_FACTOR, TOKENS_STEP, MOST_TOKENS = 1.25, 5, 32_768
INSTRUCTION_STEP, LEAST_INSTRUCTION_TEMPERATURE, MOST_INSTRUCTION_TEMPERATURE = 0.1, 0.2, 1.5
RESPONSE_STEP, LEAST_RESPONSE_TEMPERATURE = 0.05, 0.05


def parent_of(runs: Sequence[PastRun]) -> PastRun | None:
    """The run that an iteration starts from: the newest pilot or iteration that has ended."""
    found = trials(runs)
    return found[-1] if found else None


def parent_parameters(campaign: Campaign, parent: PastRun | None) -> Parameters:
    """The parent's parameters; the campaign's own where there is none, or they were never written down."""
    return parent.parameters if parent is not None and parent.parameters_known else campaign.parameters


def propose(campaign: Campaign, runs: Sequence[PastRun]) -> tuple[Parameters, dict[str, str]]:
    """What to try next, and a reason per changed parameter (dotted name). The seed always moves on."""
    parent = parent_of(runs)
    base = parent_parameters(campaign, parent)
    flat, why = flatten(base), {}
    wanting = _wanting(parent)
    changes: dict[str, Any] = {}
    if parent is not None and wanting:
        for name, value, reason in _steps(base, wanting):
            if name not in changes and value != flat[name]:
                changes[name], why[name] = value, f"{reason} in {parent.name}"
    changes["seed"] = (base.seed + 1) % 2**63
    why["seed"] = "new samples: the parent's seed and one"
    return overlay(base, _nested(changes), where="the proposal"), why


def _wanting(parent: PastRun | None) -> dict[str, CheckVerdict]:
    """The checks that fail or cannot pass any more; where there are none, those that are not proven yet."""
    if parent is None:
        return {}
    checks = parent.gate.checks
    bad = [check for check in checks if check.verdict == "fail" or not check.reachable]
    return {check.metric: check for check in bad or [check for check in checks if check.verdict == "undecided"]}


def _steps(base: Parameters, wanting: dict[str, CheckVerdict]) -> list[tuple[str, Any, str]]:
    """(dotted name, new value, reason), most telling first."""
    response, instruction = base.response, base.instruction
    steps: list[tuple[str, Any, str]] = []
    cooler = round(max(min(LEAST_RESPONSE_TEMPERATURE, response.temperature), response.temperature - RESPONSE_STEP), 4)
    unstopped = "runaway_rate" in wanting and not response.stop
    if unstopped:
        steps.append(("response.stop", list(STOP_STRINGS), f"{_words(wanting['runaway_rate'])} without stop strings"))
    elif "runaway_rate" in wanting:
        reason = f"{_words(wanting['runaway_rate'])} although stop strings are set"
        steps.append(("response.temperature", cooler, reason))
    if "token_limit_rate" in wanting and not unstopped:
        more = math.ceil(response.max_tokens * TOKENS_FACTOR / TOKENS_STEP) * TOKENS_STEP
        steps.append(("response.max_tokens", min(more, MOST_TOKENS), _words(wanting["token_limit_rate"])))
    if found := _first(wanting, "instruction_acceptance", "instruction_yield"):
        least = min(LEAST_INSTRUCTION_TEMPERATURE, instruction.temperature)
        calmer = round(max(least, instruction.temperature - INSTRUCTION_STEP), 4)
        steps.append(("instruction.temperature", calmer, _words(found)))
    elif "duplicate_rate" in wanting:
        most = max(MOST_INSTRUCTION_TEMPERATURE, instruction.temperature)
        livelier = round(min(most, instruction.temperature + INSTRUCTION_STEP), 4)
        steps.append(("instruction.temperature", livelier, _words(wanting["duplicate_rate"])))
    if found := _first(wanting, "pair_acceptance", "pair_yield"):
        steps.append(("response.temperature", cooler, _words(found)))
    return steps or [("response.temperature", cooler, _words(next(iter(wanting.values()))))]


def _first(wanting: dict[str, CheckVerdict], *metrics: str) -> CheckVerdict | None:
    return next((wanting[metric] for metric in metrics if metric in wanting), None)


def _words(check: CheckVerdict) -> str:
    """ "token limit 24 of 46"."""
    metric = METRICS.get(check.metric)
    title = metric.title if metric else check.metric
    return f"{title} {'fails' if check.verdict == 'fail' else 'is not proven'} ({check.failures:.4g} of {check.n})"


def _nested(changes: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in changes.items():
        group, dot, inner = name.partition(".")
        if dot:
            nested.setdefault(group, {})[inner] = value
        else:
            nested[name] = value
    return nested
