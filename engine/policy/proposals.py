"""Parameters for an iteration that the campaign does not list: one hypothesis at a time, with its reason.

From the best parameters so far, for the check that stands most in the way, the most telling move within bounds. A move
that was tried and proven worse is never made again; one that was proven better is made further, and what has not been
tried comes before what showed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.campaign.models import Campaign, Parameters
from engine.campaign.parameters import flatten, overlay
from engine.policy.history import PastRun, trials
from engine.policy.moves import Move, Situation, moves_for
from engine.policy.tried import Tried, best_so_far, judged, tried, unused_seed
from engine.qc.verdicts import CheckVerdict

NEW_SAMPLES = "new samples: a seed that no run had"


@dataclass(frozen=True, slots=True)
class Proposal:
    """`parameters` to try next, from those of `base` (None: the campaign's own); `why` has a reason per changed
    parameter. `metric` is the check that it is for, None where only the seed moves on. `passed_over` says which moves
    were not made, and why."""

    parameters: Parameters
    base: str | None
    why: dict[str, str]
    metric: str | None
    passed_over: tuple[str, ...] = ()


def parent_parameters(campaign: Campaign, parent: PastRun | None) -> Parameters:
    """The parent's parameters; the campaign's own where there is none, or they were never written down."""
    return parent.parameters if parent is not None and parent.parameters_known else campaign.parameters


def propose(campaign: Campaign, runs: Sequence[PastRun]) -> Proposal | None:
    """What to try next; None when no move is left within bounds that was not proven worse.

    Checks whose detector is doubted are left alone: parameters cannot mend a broken ruler.
    """
    parent = best_so_far(runs)
    base = parent_parameters(campaign, parent)
    seed = unused_seed(runs, base)
    wanting = wanting_checks(parent)
    if parent is not None and not wanting and any(is_doubted(parent, check.metric) for check in parent.gate.checks):
        return None
    if parent is None or not wanting:
        return Proposal(base.model_copy(update={"seed": seed}), _name(parent), {"seed": NEW_SAMPLES}, None)
    first = next((run.parameters for run in judged(runs) if run.parameters_known), base)
    situation = Situation(campaign, base, {check.metric: check for check in wanting}, first)
    passed_over: list[str] = []
    for check in wanting:
        move = _best_move(situation, check, runs, passed_over)
        if move is not None:
            changes = dict(move.values) | {"seed": seed}
            why = {name: f"{move.reason} in {parent.name}" for name, _ in move.values} | {"seed": NEW_SAMPLES}
            parameters = overlay(base, nested(changes), where="the proposal")
            return Proposal(parameters, parent.name, why, check.metric, tuple(dict.fromkeys(passed_over)))
    return None


def _name(run: PastRun | None) -> str | None:
    return run.name if run is not None else None


def wanting_checks(parent: PastRun | None) -> list[CheckVerdict]:
    """What stands in the way, in the gate's order: checks that fail, then those that cannot pass any more, or else
    those that are not proven yet; without those of a doubted detector."""
    if parent is None:
        return []
    gate = parent.gate
    sound = [check for check in gate.checks if not is_doubted(parent, check.metric)]
    failing = [check for check in sound if check.verdict == "fail"]
    hopeless = [check for check in sound if check.verdict != "fail" and not check.reachable]
    return failing + hopeless or [check for check in sound if check.verdict == "undecided"]


def is_doubted(run: PastRun, metric: str) -> bool:
    """Whether the critic or people's marks speak against the detector that `metric` is measured by."""
    detector = run.gate.detector_of(metric)
    return detector is not None and detector.doubted


def _best_move(
    situation: Situation, check: CheckVerdict, runs: Sequence[PastRun], passed_over: list[str]
) -> Move | None:
    """The move for `check` with the best record; of equals the first."""
    attempts, flat = tried(runs), flatten(situation.base)
    ranked: list[tuple[int, Move]] = []
    for move in moves_for(situation, check):
        made = [attempt for attempt in attempts if all(attempt.made(name, flat[name], to) for name, to in move.values)]
        against = next((attempt for attempt in made if _speaks_against(attempt, check.metric)), None)
        if against is not None:
            passed_over.append(f"{_moved(move)} was proven worse in {against.run}")
        elif (twin := _same_parameters(situation.base, move, runs)) is not None:
            passed_over.append(f"{_moved(move)} gives the parameters of {twin}")
        else:
            helped = any(_change_of(attempt, check.metric) == "better" for attempt in made)
            ranked.append((0 if helped else 1 if not made else 2, move))
    return min(ranked, key=lambda found: found[0])[1] if ranked else None


def _speaks_against(attempt: Tried, metric: str) -> bool:
    """Proven worse: the run as a whole, or in the very check that the move is for."""
    return attempt.outcome.change == "worse" or _change_of(attempt, metric) == "worse"


def _change_of(attempt: Tried, metric: str) -> str:
    return next((check.change for check in attempt.outcome.checks if check.metric == metric), "not known")


def _same_parameters(base: Parameters, move: Move, runs: Sequence[PastRun]) -> str | None:
    """The trial that had just what `move` leads to, whatever its seed; None when there is none."""
    wanted = flatten(overlay(base, nested(dict(move.values)), where="the proposal")) | {"seed": 0}
    known = (run for run in trials(runs) if run.parameters_known)
    return next((run.name for run in known if flatten(run.parameters) | {"seed": 0} == wanted), None)


def _moved(move: Move) -> str:
    return ", ".join(name for name, _ in move.values)


def nested(changes: dict[str, Any]) -> dict[str, Any]:
    """Dotted names as nested mappings, the way a campaign file writes them."""
    found: dict[str, Any] = {}
    for name, value in changes.items():
        group, dot, inner = name.partition(".")
        if dot:
            found.setdefault(group, {})[inner] = value
        else:
            found[name] = value
    return found
