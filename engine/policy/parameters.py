"""Which parameters a run of a given name starts with, and which run they come from."""

from __future__ import annotations

from collections.abc import Sequence

from engine.campaign.models import Campaign, Parameters
from engine.campaign.naming import iteration_number, kind_of
from engine.campaign.parameters import iteration_parameters
from engine.errors import RefusedError
from engine.policy.history import PastRun, passing, trials
from engine.policy.proposals import parent_of, parent_parameters, propose


def parameters_for(campaign: Campaign, run: str, runs: Sequence[PastRun]) -> tuple[Parameters, str | None]:
    """Parameters of a new run named `run`, and the name of its parent.

    A pilot takes the campaign's own; a listed iteration what the campaign lists; an `iteration-N` it does not list
    what is proposed; any other name the newest run's parameters with the next seed. Scale takes those of the newest
    passing run, with the seed `scale.base_seed`: `RefusedError` when no passing run stands behind it.
    """
    kind = kind_of(run)
    if kind == "pilot":
        return campaign.parameters, None
    if kind == "scale":
        proven = passing(runs)
        if proven is None:
            raise _nothing_proven(campaign, runs)
        return proven.parameters.model_copy(update={"seed": campaign.scale.base_seed}), proven.name
    parent = parent_of(runs)
    listed = iteration_parameters(campaign, run)
    if listed is not None:
        parameters = listed
    elif parent is None:
        parameters = campaign.parameters
    elif iteration_number(run) is not None:
        parameters, _ = propose(campaign, runs)
    else:
        base = parent_parameters(campaign, parent)
        parameters = base.model_copy(update={"seed": (base.seed + 1) % 2**63})
    return parameters, parent.name if parent else None


def _nothing_proven(campaign: Campaign, runs: Sequence[PastRun]) -> RefusedError:
    ended = trials(runs)
    last = f"{ended[-1].name} says {ended[-1].gate.sentence}" if ended else "nothing has run yet"
    return RefusedError(
        "scaling is refused: no run that passed the gate stands behind its parameters",
        where=f"{campaign.name}: {last}",
        remedy=f"`pilothouse next {campaign.name}` says what comes first",
    )
