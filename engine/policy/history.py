"""What the policy knows of a run: plain figures, no files and no process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.campaign.models import Parameters
from engine.campaign.naming import RunKind
from engine.qc.verdicts import GateVerdict


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of a campaign's history, live ones included, in the order they were created.

    `kept` of `target` pairs from `candidates` of at most `max_candidates`; `exhausted`: it ended because those were
    spent. `active_s` seconds, `cost_usd` US dollars, `startup_s` seconds from launch to generating. An imported run
    is history but no try: it spent none of the gate's error probability. `recipe_stands`: model, prompts, program,
    detectors and limits are still those of the campaign, so that what the run proved holds for the next one;
    `only_ruler_differs`: all but detectors and limits are. `parent`: the run whose parameters it started from.
    `gradings`: how often it was graded again by another ruler, and that saved.
    """

    name: str
    kind: RunKind
    state: str
    live: bool
    parameters: Parameters
    gate: GateVerdict
    kept: int = 0
    target: int = 100
    max_candidates: int = 400
    candidates: int = 0
    metrics: dict[str, float | None] | None = None
    active_s: float = 0.0
    cost_usd: float = 0.0
    examples_per_second: float | None = None
    startup_s: float | None = None
    imported: bool = False
    reason: str = ""
    attempt: int = 1
    exhausted: bool = False
    parameters_known: bool = True
    recipe_stands: bool = True
    only_ruler_differs: bool = False
    parent: str | None = None
    gradings: int = 0
    fresh_starts: int = 0

    @property
    def trial(self) -> bool:
        """A pilot or an iteration: what the gate lets through to scale, or does not."""
        return self.kind != "scale"


def trials(runs: Sequence[PastRun]) -> list[PastRun]:
    """Pilots and iterations that have ended, oldest first."""
    return [run for run in runs if run.trial and not run.live]


def tries_spent(runs: Sequence[PastRun]) -> int:
    """Own pilots and iterations that have been judged on anything, those begun anew counted again, and gradings that
    were saved of any run: each had its chance to pass the gate by luck."""
    own = [run for run in runs if run.trial and not run.imported]
    judged = sum(run.candidates > 0 or run.kept > 0 or any(check.n for check in run.gate.checks) for run in own)
    return judged + sum(run.fresh_starts for run in own) + sum(run.gradings for run in runs)


def passing(runs: Sequence[PastRun]) -> PastRun | None:
    """The newest ended trial that passes, with parameters that are known and a recipe that still stands."""
    proven = (run for run in reversed(trials(runs)) if run.gate.verdict == "pass")
    return next((run for run in proven if run.parameters_known and run.recipe_stands), None)
