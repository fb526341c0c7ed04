"""What may be tried, how far, and what ends a run early."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from engine.campaign.fields import Count, NotBool, Strict

Share = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False), NotBool]
Bound = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False), NotBool]

BOUNDS: dict[str, tuple[float, float]] = {
    "instruction.temperature": (0.2, 1.5),
    "instruction.top_p": (0.5, 1.0),
    "instruction.repetition_penalty": (1.0, 1.3),
    "response.temperature": (0.05, 1.0),
    "response.top_p": (0.5, 1.0),
    "response.repetition_penalty": (1.0, 1.3),
    "response.max_tokens": (16, 512),
}
"""Where proposed values stay, where the campaign does not say."""
LIMITS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_p": (0.01, 1.0),
    "repetition_penalty": (0.1, 10.0),
}
LIMITS |= {"max_tokens": (1, 32_768)}
"""What a run can be launched with at all."""


class EarlyEnd(Strict):
    """What ends a run before its target. The end is no failure: what was generated is kept and graded.

    `unreachable`: its gate fails, or cannot pass any more by `extend_to`. `proven`: its gate passes already (of a pilot
    or iteration only). `forecast_below`: the chance that it still passes is forecast to be below this; a forecast is no
    proof, so by default it ends nothing. None of them before `after` items have been judged: fewer would leave too
    little to compare the next iteration with.
    """

    unreachable: bool = True
    proven: bool = False
    forecast_below: Share | None = None
    after: Count = 60


def _known_bounds(bounds: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    for name, (least, most) in bounds.items():
        if name not in BOUNDS:
            raise ValueError(f"{name!r} is not a parameter that is moved; use one of: {', '.join(BOUNDS)}")
        if least > most:
            raise ValueError(f"{name}: the least, {least:g}, is above the most, {most:g}")
        lowest, highest = LIMITS[name.rpartition(".")[2]]
        if least < lowest or most > highest:
            raise ValueError(f"{name}: bounds must lie within {lowest:g} and {highest:g}")
    return bounds


class PolicyConfig(Strict):
    """`max_retries` iterations after the pilot; an undecided run may be extended to `extend_to` kept pairs;
    with `auto` a run's end starts the next action by itself. `bounds`: least and most that is proposed for a parameter
    (`response.temperature: [0.1, 0.6]`)."""

    max_retries: Annotated[int, Field(ge=0, le=20), NotBool] = 2
    extend_to: Count = 300
    auto: bool = False
    early_end: EarlyEnd = EarlyEnd()
    bounds: Annotated[dict[str, tuple[Bound, Bound]], AfterValidator(_known_bounds)] = Field(default_factory=dict)

    def bounds_of(self, parameter: str) -> tuple[float, float]:
        """Least and most that may be proposed for `parameter`, a dotted name of `BOUNDS`."""
        return self.bounds.get(parameter, BOUNDS[parameter])
