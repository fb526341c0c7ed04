"""Which parameters a run of a given name starts with, and which run they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.campaign.models import Campaign, Parameters
from engine.campaign.naming import iteration_number, kind_of
from engine.campaign.parameters import iteration_parameters, overlay
from engine.errors import RefusedError
from engine.policy.history import PastRun, passing, trials
from engine.policy.proposals import Proposal, parent_parameters, propose
from engine.policy.tried import best_so_far, unused_seed


@dataclass(frozen=True, slots=True)
class Start:
    """What a new run starts with, `parent` the run whose parameters it goes on from. `proposal` where they are
    proposed."""

    parameters: Parameters
    parent: PastRun | None
    proposal: Proposal | None = None


def parameters_for(campaign: Campaign, run: str, runs: Sequence[PastRun]) -> Start:
    """What a new run named `run` starts with.

    A pilot takes the campaign's own parameters; a listed iteration what the campaign lists; an `iteration-N` it does
    not list what is proposed, or where nothing is, the best so far with new samples; any other name the newest run's
    with the next seed. Scale takes those of the newest passing run, with the seed `scale.base_seed`: `RefusedError`
    when no passing run stands behind it.
    """
    kind = kind_of(run)
    if kind == "pilot":
        return Start(campaign.parameters, None)
    if kind == "scale":
        proven = passing(runs)
        if proven is None:
            raise _nothing_proven(campaign, runs)
        return Start(proven.parameters.model_copy(update={"seed": campaign.scale.base_seed}), proven)
    ended = trials(runs)
    newest = ended[-1] if ended else None
    if run in campaign.iterations:
        return _listed(campaign, run, runs, newest)
    if newest is None:
        return Start(campaign.parameters, None)
    if iteration_number(run) is None:
        base = parent_parameters(campaign, newest)
        return Start(base.model_copy(update={"seed": (base.seed + 1) % 2**63}), newest)
    best, proposal = best_so_far(runs), propose(campaign, runs)
    if proposal is not None:
        return Start(proposal.parameters, best, proposal)
    base = parent_parameters(campaign, best)
    return Start(base.model_copy(update={"seed": unused_seed(runs, base)}), best)


def _listed(campaign: Campaign, run: str, runs: Sequence[PastRun], newest: PastRun | None) -> Start:
    """The iterations stack as the campaign lists them. After one that was proven worse, what this one changes is laid
    over the best parameters so far instead: the stack holds what made it worse."""
    best = best_so_far(runs)
    if best is None or best is newest or not best.parameters_known:
        listed = iteration_parameters(campaign, run)
        assert listed is not None
        return Start(listed, newest)
    changes = {"seed": unused_seed(runs, best.parameters)} | campaign.iterations[run]
    return Start(overlay(best.parameters, changes, where=f"iterations.{run}"), best)


def _nothing_proven(campaign: Campaign, runs: Sequence[PastRun]) -> RefusedError:
    ended = trials(runs)
    last = f"{ended[-1].name} says {ended[-1].gate.sentence}" if ended else "nothing has run yet"
    return RefusedError(
        "scaling is refused: no run that passed the gate stands behind its parameters",
        where=f"{campaign.name}: {last}",
        remedy=f"`pilothouse next {campaign.name}` says what comes first",
    )
