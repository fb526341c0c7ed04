"""What a run will cost, what the live ones still will, and whether that fits the limit.

A forecast rests on the campaign's own latest measured run. Before there is one it rests on the field's figures: on a
rented GPU, one request after the other, a pilot of 100 examples takes about 40 minutes and 15,000 examples about 6
hours, most of the pilot being start-up. Our own pipeline on vLLM starts in a minute or two, and then made 20 (32B) to
100 (7B) examples a second on an H200, so 5 are a careful guess; the CPU backend's small models load at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.budget.ledger import Meter, union_hours
from engine.budget.money import Budget
from engine.campaign.models import Campaign
from engine.errors import RefusedError

PILOT_S, PILOT_EXAMPLES = 2400.0, 100
SCALE_S, SCALE_EXAMPLES = 21_600.0, 15_000
CPU_STARTUP_S, CPU_EXAMPLE_S = 2.0, 0.1
BATCH_STARTUP_S, BATCH_EXAMPLE_S = 90.0, 0.2


class RunFigures(Protocol):
    """What a forecast needs to know of a past run; seconds and US dollars."""

    @property
    def name(self) -> str: ...
    @property
    def live(self) -> bool: ...
    @property
    def imported(self) -> bool: ...
    @property
    def kept(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def active_s(self) -> float: ...
    @property
    def cost_usd(self) -> float: ...
    @property
    def examples_per_second(self) -> float | None: ...
    @property
    def startup_s(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Forecast:
    """`basis` says in words what the two numbers rest on."""

    cost_usd: float
    duration_s: float
    basis: str


@dataclass(frozen=True, slots=True)
class _Pace:
    startup_s: float
    example_s: float
    usd_per_second: float
    basis: str

    def forecast(self, examples: int, *, startup: bool = True) -> Forecast:
        seconds = max(0, examples) * self.example_s + (self.startup_s if startup else 0.0)
        return Forecast(seconds * self.usd_per_second, seconds, self.basis)


def _assumed(campaign: Campaign) -> _Pace:
    usd_per_second = campaign.budget.gpu_usd_per_hour / 3600
    if campaign.generator.kind == "builtin":
        if campaign.model.backend == "ctranslate2":
            return _Pace(
                CPU_STARTUP_S, CPU_EXAMPLE_S, usd_per_second, "no run yet: a guess for a small model on the CPU"
            )
        return _Pace(BATCH_STARTUP_S, BATCH_EXAMPLE_S, usd_per_second, "no run yet: a guess for vLLM on one GPU")
    example_s = (SCALE_S - PILOT_S) / (SCALE_EXAMPLES - PILOT_EXAMPLES)
    startup_s = PILOT_S - PILOT_EXAMPLES * example_s
    return _Pace(startup_s, example_s, usd_per_second, "no run yet: a pilot of 100 takes about 40 minutes")


def _measured(campaign: Campaign, run: RunFigures) -> _Pace | None:
    rate = run.examples_per_second
    if run.imported or rate is None or rate <= 0:
        return None
    usd_per_second = campaign.budget.gpu_usd_per_hour / 3600
    if run.active_s > 0 and run.cost_usd > 0:
        usd_per_second = run.cost_usd / run.active_s
    return _Pace(run.startup_s or 0.0, 1 / rate, usd_per_second, f"as {run.name}: {rate:.3g} examples/s")


def _pace(campaign: Campaign, runs: Sequence[RunFigures]) -> _Pace:
    """The newest measured run's pace, else what the field expects."""
    found = (_measured(campaign, run) for run in reversed(runs))
    return next((pace for pace in found if pace is not None), None) or _assumed(campaign)


def launch_forecast(campaign: Campaign, runs: Sequence[RunFigures], *, examples: int) -> Forecast:
    """What a new run of `examples` kept pairs takes, start-up included. `runs` in the order they were created."""
    return _pace(campaign, runs).forecast(examples)


def extension_forecast(campaign: Campaign, runs: Sequence[RunFigures], *, examples: int) -> Forecast:
    """What `examples` more kept pairs of an ended run take: it starts up again, and goes on."""
    return _pace(campaign, runs).forecast(examples)


def rest_forecast(campaign: Campaign, runs: Sequence[RunFigures], run: RunFigures) -> Forecast:
    """What a live run still takes to its target. Before its first pair, what is left of its start-up counts too."""
    missing = max(0, run.target - run.kept)
    own = _measured(campaign, run)
    if missing == 0:
        return Forecast(0.0, 0.0, "its target is reached")
    if own is not None:
        return own.forecast(missing, startup=False)
    pace = _pace(campaign, runs)
    whole = pace.forecast(missing)
    seconds = max(whole.duration_s - min(run.active_s, pace.startup_s), 0.0)
    return Forecast(seconds * pace.usd_per_second, seconds, pace.basis)


def campaign_budget(
    campaign: Campaign,
    runs: Sequence[RunFigures],
    meters: Sequence[Meter],
    engines: Sequence[tuple[bool, Meter]] = (),
) -> Budget:
    """The campaign's money now. `meters` belong to `runs` one by one; `engines` are its kept engines, live or not:
    their device time counts whether or not a run uses it."""
    price = campaign.budget.gpu_usd_per_hour
    hours = union_hours([*meters, *(meter for _, meter in engines)])
    held = {device for run, meter in zip(runs, meters, strict=True) if run.live for device in meter.devices}
    held |= {device for live, meter in engines if live for device in meter.devices}
    return Budget(
        limit_usd=campaign.budget.limit_usd,
        spent_usd=round(hours * price, 6),
        committed_usd=round(sum(rest_forecast(campaign, runs, run).cost_usd for run in runs if run.live), 6),
        rate_usd_per_hour=len(held) * price,
        device_hours=round(hours, 9),
        warn_at=campaign.budget.warn_at,
    )


def shortage(budget: Budget, cost_usd: float | None) -> str | None:
    """Why `cost_usd` more does not fit the limit, with the numbers; None when it does."""
    cost = cost_usd or 0.0
    if cost <= budget.left_usd:
        return None
    return (
        f"it would cost about ${cost:.2f}, and ${max(0.0, budget.left_usd):.2f} of ${budget.limit_usd:.2f} is left "
        f"(${budget.spent_usd:.2f} spent, ${budget.committed_usd:.2f} committed)"
    )


def check_affordable(budget: Budget, cost_usd: float | None, *, what: str = "this") -> None:
    """`RefusedError` with the numbers when `what` does not fit the budget."""
    lacking = shortage(budget, cost_usd)
    if lacking is not None:
        raise RefusedError(
            f"{what} does not fit the budget: {lacking}",
            where="budget.limit_usd",
            remedy="raise budget.limit_usd in the campaign file, or ask for fewer examples",
        )
