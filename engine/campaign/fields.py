"""Field types that all configuration models share. Impossible values are refused where they are read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

LARGEST_COUNT = 10_000_000_000
LARGEST_USD = 1e9
LARGEST_MINUTES = 525_600.0
"""Bounds that no real campaign meets: beyond them a figure is a slip of the keyboard, and arithmetic overflows."""


def _no_truth_value(value: object) -> object:
    """pydantic takes true for 1, and YAML 1.1 reads `on` and `yes` as true."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_not_bool", "Input should be a number")
    return value


NotBool = BeforeValidator(_no_truth_value)


class Strict(BaseModel):
    """Validators are built at first use (`defer_build`), so that a command pays only for what it reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT), NotBool]
Seed = Annotated[int, Field(ge=0, lt=2**63), NotBool]
Usd = Annotated[float, Field(ge=0.0, le=LARGEST_USD, allow_inf_nan=False), NotBool]
Minutes = Annotated[float, Field(gt=0.0, le=LARGEST_MINUTES, allow_inf_nan=False), NotBool]
