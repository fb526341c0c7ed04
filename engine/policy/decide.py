"""The next action: a pure function of a campaign, its history and its money."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.budget.forecast import Forecast, extension_forecast, launch_forecast, rest_forecast, shortage
from engine.budget.money import Budget
from engine.campaign.models import Campaign
from engine.campaign.naming import iteration_number
from engine.campaign.parameters import difference, flatten
from engine.policy.actions import NextAction, NextKind
from engine.policy.compare import Change, compare
from engine.policy.history import PastRun, passing, trials, tries_spent
from engine.policy.parameters import parameters_for
from engine.policy.proposals import parent_of, parent_parameters, propose
from engine.qc.metrics import METRICS

__all__ = ["next_action", "parameters_for"]

LEAST_EXTENSION = 20
TELLING = ("stop", "max_tokens")


def next_action(campaign: Campaign, runs: Sequence[PastRun], budget: Budget) -> NextAction:
    """What comes next. `runs`: all of the campaign, in the order they were created.

    What would not fit the budget comes back as `blocked`, with the numbers.
    """
    return _within(budget, _due(campaign, runs))


def _due(campaign: Campaign, runs: Sequence[PastRun]) -> NextAction:
    live = next((run for run in reversed(runs) if run.live), None)
    if live is not None:
        return _wait(campaign, runs, live)
    if not runs:
        return _start(campaign, runs, "launch", "pilot", "nothing has run yet: the pilot comes first")
    scale = next((run for run in reversed(runs) if not run.trial), None)
    if scale is not None and (scale is runs[-1] or _finished(scale)):
        return _after_scale(campaign, scale)
    return _after_trial(campaign, runs, trials(runs)[-1])


def _within(budget: Budget, action: NextAction) -> NextAction:
    lacking = shortage(budget, action.cost_usd) if action.argv else None
    if lacking is None:
        return action
    reason = f"{action.kind} {action.run} is due ({action.reason}), but {lacking}; raise budget.limit_usd to go on"
    return replace(action, kind="blocked", argv=None, reason=reason)


# --- by what there is -------------------------------------------------------------------------------------------


def _wait(campaign: Campaign, runs: Sequence[PastRun], live: PastRun) -> NextAction:
    rest = rest_forecast(campaign, runs, live)
    reason = f"{live.name} is {live.state}: {live.kept} of {live.target} kept; gate {live.gate.sentence}"
    return NextAction("wait", reason, run=live.name, duration_s=round(rest.duration_s, 1))


def _finished(scale: PastRun) -> bool:
    return scale.state == "succeeded" and scale.kept >= scale.target and scale.gate.verdict != "fail"


def _after_scale(campaign: Campaign, scale: PastRun) -> NextAction:
    count = f"{scale.name} kept {scale.kept} of {scale.target}"
    if _finished(scale):
        pairs = f"its pairs are in artifacts/{campaign.name}/{scale.name}/pilot_data.jsonl"
        return NextAction("done", f"{count}; gate {scale.gate.sentence}; {pairs}", run=scale.name)
    if scale.state in ("stopped", "failed", "lost"):
        return _interrupted(campaign, scale)
    if scale.gate.verdict == "fail" or not scale.gate.reachable:
        return _review(campaign, scale, f"{count}, and its gate says {scale.gate.sentence}")
    if scale.exhausted:
        ended = (
            f"all {scale.max_candidates} candidates are spent; raise scale.max_candidates, launch under another name"
        )
    else:
        ended = f"it ended before its target ({scale.reason or 'without a reason'})"
    remedy = f"or take more: pilothouse extend {campaign.name}/{scale.name} --examples {scale.target + LEAST_EXTENSION}"
    return NextAction("blocked", f"{count}: {ended}, {remedy}", run=scale.name)


def _after_trial(campaign: Campaign, runs: Sequence[PastRun], last: PastRun) -> NextAction:
    if last.state in ("failed", "lost") or (last.state == "stopped" and _could_still_be_decided(last)):
        return _interrupted(campaign, last)
    if last.gate.verdict == "pass" and passing(runs) is last:
        return _scale(campaign, runs, last)
    if last.gate.verdict == "pass":
        lacking = "its parameters are not known" if not last.parameters_known else "what it ran has changed since"
        return _iterate(campaign, runs, f"{last.name} passes, but {lacking}: scale needs a run that stands behind it")
    if last.gate.verdict == "fail":
        return _after_fail(campaign, runs, last)
    return _after_undecided(campaign, runs, last)


def _could_still_be_decided(run: PastRun) -> bool:
    """Whether going on with a stopped run could change what its gate says: neither proven nor out of reach."""
    return run.gate.verdict == "undecided" and run.gate.reachable


def _interrupted(campaign: Campaign, run: PastRun) -> NextAction:
    """A run that broke is never started again by itself: a loop would burn money."""
    why = f" ({run.reason})" if run.reason else ""
    verb = "has" if run.state == "failed" else "was"
    reason = (
        f"{run.name} {verb} {run.state}{why} with {run.kept} of {run.target} kept; "
        f"`pilothouse restart {campaign.name}/{run.name}` goes on with it"
    )
    if run.kept == 0 and run.state == "failed":
        reason += " as it was launched; after a change to the campaign file, launch under another --run name"
    if run.gate.verdict == "fail":
        reason += f", but its gate says {run.gate.sentence}: launch another --run instead"
    return NextAction("blocked", reason, run=run.name)


def _after_undecided(campaign: Campaign, runs: Sequence[PastRun], last: PastRun) -> NextAction:
    open_checks = [check for check in last.gate.checks if check.verdict == "undecided"]
    unmeasured = [check.metric for check in open_checks if check.n == 0]
    if unmeasured and not last.imported and (last.kept > 0 or last.candidates == 0):
        titles = ", ".join(METRICS[name].title if name in METRICS else name for name in unmeasured)
        return _review(campaign, last, f"{last.name} left nothing to judge by: {titles} not known")
    if last.gate.reachable and not last.imported and max(last.kept, last.target) < campaign.policy.extend_to:
        return _extend(campaign, runs, last)
    if last.imported:
        why = "it was imported and can't be extended"
    elif not last.gate.reachable:
        why = f"more samples cannot prove it by {campaign.policy.extend_to}"
    else:
        why = f"it has its {campaign.policy.extend_to} pairs already"
    reason = f"{last.name}: gate {last.gate.sentence}; {why}"
    return _retry_or_review(campaign, runs, last, reason + _compared(runs, last)[1])


def _after_fail(campaign: Campaign, runs: Sequence[PastRun], last: PastRun) -> NextAction:
    change, words = _compared(runs, last)
    reason = f"{last.name}: gate {last.gate.sentence}{words}"
    if change == "worse":
        return _review(campaign, last, reason)
    return _retry_or_review(campaign, runs, last, reason)


def _compared(runs: Sequence[PastRun], last: PastRun) -> tuple[Change, str]:
    """How `last` did against the judged trial before it, and that in words."""
    before = next((run for run in reversed(trials(runs)[:-1]) if run.candidates or run.kept or run.imported), None)
    if before is None:
        return "not known", ""
    comparison = compare(before.gate, last.gate)
    return comparison.change, f"; against {before.name}: {comparison.sentence}"


def _retry_or_review(campaign: Campaign, runs: Sequence[PastRun], last: PastRun, reason: str) -> NextAction:
    spent, allowed = tries_spent(runs), campaign.policy.max_retries + 1
    if spent < allowed:
        return _iterate(campaign, runs, f"{reason}; try {spent + 1} of {allowed}")
    return _review(campaign, last, f"{reason}; all {allowed} tries are spent (policy.max_retries {allowed - 1})")


# --- what can be done -------------------------------------------------------------------------------------------


def _scale(campaign: Campaign, runs: Sequence[PastRun], proven: PastRun) -> NextAction:
    name = _free_name("scale", runs)
    reason = f"{proven.name}: gate {proven.gate.sentence}; {campaign.scale.examples} examples with its parameters"
    return _start(campaign, runs, "scale", name, reason, examples=campaign.scale.examples)


def _extend(campaign: Campaign, runs: Sequence[PastRun], run: PastRun) -> NextAction:
    examples = min(campaign.policy.extend_to, max(run.kept + _more_pairs(run), run.target + LEAST_EXTENSION))
    forecast = extension_forecast(campaign, runs, examples=examples - run.kept)
    action = NextAction(
        "extend",
        f"{run.name}: gate {run.gate.sentence}; the same parameters, {run.target} → {examples} examples",
        run=run.name,
        argv=("pilothouse", "extend", f"{campaign.name}/{run.name}", "--examples", str(examples)),
        parameters=run.parameters,
        examples=examples,
    )
    return _priced(action, forecast)


def _more_pairs(run: PastRun) -> int:
    """Kept pairs that bring every open check the clean samples it lacks, at its present samples per pair."""
    more = 0
    for check in run.gate.checks:
        clean = check.needs.clean_to_pass
        if check.verdict == "undecided" and clean is not None:
            more = max(more, math.ceil(clean * run.kept / check.n) if check.n and run.kept else clean)
    return more


def _iterate(campaign: Campaign, runs: Sequence[PastRun], reason: str) -> NextAction:
    name = _next_iteration(campaign, runs)
    return _start(campaign, runs, "iterate", name, reason)


def _start(
    campaign: Campaign,
    runs: Sequence[PastRun],
    kind: NextKind,
    name: str,
    reason: str,
    *,
    examples: int | None = None,
) -> NextAction:
    """Launch `name`: with the campaign's own parameters for it by name alone, with proposed ones spelled out."""
    examples = examples if examples is not None else campaign.target.examples
    parameters, parent = parameters_for(campaign, name, runs)
    source = parent_of(runs) if kind == "iterate" else next((run for run in runs if run.name == parent), None)
    before = parent_parameters(campaign, source)
    changes = dict(sorted(difference(before, parameters).items(), key=lambda change: _telling(change[0])))
    argv: tuple[str, ...] = ("pilothouse", "launch", campaign.name, "--run", name)
    why = dict.fromkeys(changes, f"the campaign lists it for {name}")
    if kind == "iterate" and name not in campaign.iterations:
        _, why = propose(campaign, runs)
        flat = flatten(parameters)
        for key in changes:
            argv += ("--set", f"{key}={_as_yaml(flat[key])}")
    elif kind == "scale":
        why = dict.fromkeys(changes, "scale.base_seed of the campaign")
    action = NextAction(
        kind,
        reason + _in_words(changes),
        run=name,
        argv=argv,
        parameters=parameters,
        examples=examples,
        changes=changes,
        why={key: text for key, text in why.items() if key in changes},
    )
    return _priced(action, launch_forecast(campaign, runs, examples=examples))


def _review(campaign: Campaign, run: PastRun, reason: str) -> NextAction:
    """A person (or a reviewer that the campaign names) has to look; nothing is started."""
    advice = (
        f"; look at `pilothouse compare {campaign.name}` and the samples, then launch a --run with --set of your own "
        "or change the campaign"
    )
    cost = campaign.review.cost_usd if campaign.review else None
    return NextAction("review", reason + advice, run=run.name, cost_usd=cost)


# --- small helpers ----------------------------------------------------------------------------------------------


def _priced(action: NextAction, forecast: Forecast) -> NextAction:
    cost, duration = round(forecast.cost_usd, 4), round(forecast.duration_s, 1)
    return replace(action, cost_usd=cost, duration_s=duration, basis=forecast.basis)


def _free_name(name: str, runs: Sequence[PastRun]) -> str:
    """`name`, or `name-2`, `name-3`, … when runs have it already."""
    taken = {run.name for run in runs}
    if name not in taken:
        return name
    return next(f"{name}-{number}" for number in range(2, len(taken) + 3) if f"{name}-{number}" not in taken)


def _next_iteration(campaign: Campaign, runs: Sequence[PastRun]) -> str:
    """The first that the campaign lists after the last one that ran, else the next number."""
    taken = {run.name for run in runs}
    listed = list(campaign.iterations)
    ran = [position for position, name in enumerate(listed) if name in taken]
    following = listed[ran[-1] + 1 :] if ran else listed
    if following:
        return following[0]
    numbers = [number for name in taken if (number := iteration_number(name)) is not None]
    return f"iteration-{max(numbers, default=0) + 1}"


def _as_yaml(value: Any) -> str:
    """A parameter's value as `--set` reads it: JSON is YAML, and keeps line breaks in strings visible."""
    return json.dumps(value, ensure_ascii=False)


def _telling(parameter: str) -> tuple[bool, int, str]:
    """Sorts parameters by how much a change of theirs says: stop strings and token limit first, the seed last."""
    inner = parameter.rpartition(".")[2]
    return parameter == "seed", TELLING.index(inner) if inner in TELLING else len(TELLING), parameter


def _in_words(changes: dict[str, tuple[Any, Any]]) -> str:
    """ "; changes response.stop, response.max_tokens". A seed that moves on is no news."""
    names = [key for key in changes if key != "seed"]
    return f"; changes {', '.join(names)}" if names else ""
