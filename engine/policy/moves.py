"""Which parameter moves may mend a failing check: thin rules, each with its reason, the most telling first.

A move changes what is generated, never how it is measured: limits and detectors are the ruler, and no move touches
them. Tightening is a guess, not a law; what the next run shows decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.campaign.models import Campaign, Parameters
from engine.campaign.parameters import flatten
from engine.qc.metrics import title_of
from engine.qc.verdicts import CheckVerdict

STOP_STRINGS = ("\nInstruction", "\nQ:", "\n###", "\nUser:", "\nResponse:")
MOST_STOPS = 16
TOKENS_FACTOR, TOKENS_STEP = 1.25, 5
STEPS = {
    "instruction.temperature": 0.1,
    "response.temperature": 0.05,
    "instruction.repetition_penalty": 0.05,
    "response.repetition_penalty": 0.05,
}
TIGHTER = {"temperature": -1, "top_p": -1, "repetition_penalty": 1}
"""Which way each sampling parameter is tightened."""


@dataclass(frozen=True, slots=True)
class Move:
    """One hypothesis: `values` (dotted names) might mend the check on `metric`, because of `reason`."""

    metric: str
    values: tuple[tuple[str, Any], ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What rules look at: the campaign, the parameters to go on from, the checks that want mending by metric, and the
    parameters that its first run had."""

    campaign: Campaign
    base: Parameters
    wanting: Mapping[str, CheckVerdict]
    first: Parameters


Rule = Callable[[Situation, CheckVerdict], Iterator[Move]]


def moves_for(situation: Situation, check: CheckVerdict) -> Iterator[Move]:
    """Moves that may mend `check`, within the campaign's bounds, those that change nothing left out."""
    flat = flatten(situation.base)
    for rule in RULES.get(check.metric, (_response_cooler, _response_warmer)):
        for move in rule(situation, check):
            values = tuple((name, value) for name, value in move.values if value != flat[name])
            if values:
                yield Move(move.metric, values, move.reason)


def words(check: CheckVerdict) -> str:
    """ "token limit fails (24 of 46)"."""
    standing = "fails" if check.verdict == "fail" else "is not proven"
    return f"{title_of(check.metric)} {standing} ({check.failures:.4g} of {check.n})"


# --- rules -------------------------------------------------------------------------------------------------------


def _stop_strings(situation: Situation, check: CheckVerdict) -> Iterator[Move]:
    present = situation.base.response.stop
    missing = [text for text in STOP_STRINGS if text not in present]
    value = [*present, *missing][:MOST_STOPS]
    how = "without stop strings" if not present else f"with only {len(present)} stop strings"
    yield Move(check.metric, (("response.stop", value),), f"{words(check)} {how}")


def _stop_strings_where_it_runs_on(situation: Situation, check: CheckVerdict) -> Iterator[Move]:
    """What runs on into new prompts hits the token limit, too: the cause comes before the symptom."""
    if "runaway_rate" in situation.wanting and not situation.base.response.stop:
        yield from _stop_strings(situation, check)


def _delimiter_stops(situation: Situation, check: CheckVerdict) -> Iterator[Move]:
    present, delimiter = situation.base.response.stop, situation.campaign.pipeline.delimiter
    if delimiter not in present and len(present) < MOST_STOPS:
        reason = f"{words(check)}: stopping at the delimiter keeps it out"
        yield Move(check.metric, (("response.stop", [*present, delimiter]),), reason)


def _more_tokens(situation: Situation, check: CheckVerdict) -> Iterator[Move]:
    now = situation.base.response.max_tokens
    wanted = math.ceil(now * TOKENS_FACTOR / TOKENS_STEP) * TOKENS_STEP
    more = int(_within(situation.campaign, "response.max_tokens", wanted))
    if more > now:
        yield Move(check.metric, (("response.max_tokens", more),), words(check))


def _step(name: str, direction: int) -> Rule:
    """`name` a step up or down, or two, as far as the campaign's bounds allow."""

    def rule(situation: Situation, check: CheckVerdict) -> Iterator[Move]:
        now = flatten(situation.base)[name]
        for steps in (1, 2):
            value = _within(situation.campaign, name, now + steps * direction * STEPS[name])
            if (value - now) * direction > 0:
                yield Move(check.metric, ((name, value),), words(check))

    return rule


def _within(campaign: Campaign, name: str, value: float) -> float:
    least, most = campaign.policy.bounds_of(name)
    return round(min(max(value, least), most), 4)


def _undo_tightening(group: str) -> Rule:
    """Back to what the first run had, in what has been tightened of `group` since."""

    def rule(situation: Situation, check: CheckVerdict) -> Iterator[Move]:
        now, first = flatten(situation.base), flatten(situation.first)
        values = tuple(
            (name, _within(situation.campaign, name, first[name]))
            for inner, tighter in TIGHTER.items()
            for name in (f"{group}.{inner}",)
            if (now[name] - first[name]) * tighter > 0
        )
        if values:
            yield Move(check.metric, values, f"{words(check)}: undo the tightening of {group} sampling")

    return rule


_response_cooler, _response_warmer = _step("response.temperature", -1), _step("response.temperature", 1)
_instruction_cooler = _step("instruction.temperature", -1)
_instruction_warmer = _step("instruction.temperature", 1)
_LIVELIER: Sequence[Rule] = (_instruction_warmer, _step("instruction.repetition_penalty", 1))
_INSTRUCTIONS: Sequence[Rule] = (_undo_tightening("instruction"), _instruction_cooler, _instruction_warmer)
_PAIRS: Sequence[Rule] = (_undo_tightening("response"), _response_cooler, _response_warmer)

RULES: Mapping[str, Sequence[Rule]] = {
    "runaway_rate": (_stop_strings, _response_cooler, _step("response.repetition_penalty", 1)),
    "token_limit_rate": (_stop_strings_where_it_runs_on, _more_tokens, _response_cooler),
    "delimiter_leakage": (_delimiter_stops,),
    "median_tokens": (_response_cooler, _stop_strings, _response_warmer),
    "instruction_acceptance": _INSTRUCTIONS,
    "instruction_yield": _INSTRUCTIONS,
    "pair_acceptance": _PAIRS,
    "pair_yield": _PAIRS,
    "examples": (*_PAIRS, *_INSTRUCTIONS),
    "duplicate_rate": _LIVELIER,
    "exact_duplicate_rate": (*_LIVELIER, _response_warmer),
    "near_duplicate_rate": (*_LIVELIER, _response_warmer),
    "verb_diversity": _LIVELIER,
    "response_repetition_rate": (_step("response.repetition_penalty", 1), _response_warmer),
}
"""By metric; any other, one's own among them, gets a cooler and then a warmer response."""
