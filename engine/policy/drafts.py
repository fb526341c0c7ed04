"""How each kind of next action is drawn up: name, exact command, what it changes, forecast."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from engine.budget.forecast import Forecast, extension_forecast, launch_forecast
from engine.campaign.models import Campaign
from engine.campaign.naming import iteration_number
from engine.campaign.parameters import difference, flatten
from engine.policy.actions import NextAction, NextKind
from engine.policy.history import PastRun
from engine.policy.parameters import parameters_for
from engine.policy.proposals import parent_parameters

LEAST_EXTENSION = 20
TELLING = ("stop", "max_tokens")


def draft_start(
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
    start = parameters_for(campaign, name, runs)
    before = parent_parameters(campaign, start.parent)
    changes = dict(sorted(difference(before, start.parameters).items(), key=lambda change: _telling(change[0])))
    argv: tuple[str, ...] = ("pilothouse", "launch", campaign.name, "--run", name)
    why = dict.fromkeys(changes, f"the campaign lists it for {name}")
    if start.proposal is not None:
        why = start.proposal.why
        flat = flatten(start.parameters)
        for key in changes:
            argv += ("--set", f"{key}={_as_yaml(flat[key])}")
    elif kind == "scale":
        why = dict.fromkeys(changes, "scale.base_seed of the campaign")
    action = NextAction(
        kind,
        reason + _in_words(changes),
        run=name,
        argv=argv,
        parameters=start.parameters,
        examples=examples,
        changes=changes,
        why={key: text for key, text in why.items() if key in changes},
    )
    return _priced(action, launch_forecast(campaign, runs, examples=examples))


def extension_is_barred(campaign: Campaign, run: PastRun) -> str:
    """Why going on in `run` gives nothing more, or not enough; empty when it may. What is tried again and again without
    a further sample burns money."""
    most = campaign.policy.extend_to
    if run.imported:
        return "it was imported and can't be extended"
    if max(run.kept, run.target) >= most:
        return f"its target is {most} pairs already, and it kept {run.kept}"
    if not run.kept:
        return "it kept nothing, and more of the same would not either"
    if run.attempt > 1 and run.examples_per_second is None:
        return f"its attempt {run.attempt} kept nothing more"
    if run.exhausted and run.candidates < run.max_candidates:
        return "its lists hold nothing new any more"
    if run.exhausted and _attainable(run, most) < run.kept + _more_pairs(run):
        return f"at its pace {most} examples would give {_attainable(run, most)} pairs, too few to prove it"
    return ""


def _attainable(run: PastRun, examples: int) -> int:
    """Pairs of a run whose candidates were spent, had it as many more of those as a target of `examples` allows."""
    return math.floor(run.kept * examples / run.target)


def draft_extension(campaign: Campaign, runs: Sequence[PastRun], run: PastRun, reason: str) -> NextAction:
    """Go on in `run` until its open checks could pass with clean samples alone, at most to `policy.extend_to`."""
    wanted = run.kept + _more_pairs(run)
    if run.exhausted:
        wanted = math.ceil(wanted * run.target / run.kept)
    examples = min(campaign.policy.extend_to, max(wanted, run.target + LEAST_EXTENSION))
    forecast = extension_forecast(campaign, runs, examples=examples - run.kept)
    action = NextAction(
        "extend",
        f"{reason}; the same parameters, {run.target} → {examples} examples",
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


def draft_review(campaign: Campaign, run: PastRun, reason: str, advice: str = "") -> NextAction:
    """A person (or a reviewer that the campaign names) has to look; nothing is started."""
    advice = advice or (
        f"look at `pilothouse compare {campaign.name}` and the samples, then launch a --run with --set of your own "
        "or change the campaign"
    )
    cost = campaign.review.cost_usd if campaign.review else None
    return NextAction("review", f"{reason}; {advice}", run=run.name, cost_usd=cost)


def free_name(name: str, runs: Sequence[PastRun]) -> str:
    """`name`, or `name-2`, `name-3`, … when runs have it already."""
    taken = {run.name for run in runs}
    if name not in taken:
        return name
    return next(f"{name}-{number}" for number in range(2, len(taken) + 3) if f"{name}-{number}" not in taken)


def next_iteration(campaign: Campaign, taken: Collection[str]) -> str:
    """The first that the campaign lists after the last of the runs `taken`, else the next number."""
    listed = list(campaign.iterations)
    ran = [position for position, name in enumerate(listed) if name in taken]
    following = listed[ran[-1] + 1 :] if ran else listed
    if following:
        return following[0]
    numbers = [number for name in taken if (number := iteration_number(name)) is not None]
    return f"iteration-{max(numbers, default=0) + 1}"


def _priced(action: NextAction, forecast: Forecast) -> NextAction:
    cost, duration = round(forecast.cost_usd, 4), round(forecast.duration_s, 1)
    return replace(action, cost_usd=cost, duration_s=duration, basis=forecast.basis)


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
