"""How records are graded: which detectors flag them, and what the gate asks of the metrics.

Rates are fractions of one.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from engine.campaign.fields import NotBool, Strict

_CALL = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_CUSTOM_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

Over = Literal["parsed", "candidates", "generated", "kept"]
"""All items; those that went to the instruction critic; those with a generated response; kept pairs."""


def _module_and_function(call: str) -> str:
    if not _CALL.fullmatch(call):
        raise ValueError("it names no function; write it module:function, like my_checks:is_refusal")
    return call


class CustomDetector(Strict):
    """A detector of the campaign's own: a function that gets a record and says whether to flag it.

    The function is `call`, written `module:function`, or `entry_point`, a name of the group `pilothouse.detectors`.
    `over` says which records it is asked about; its rate is the flagged share of those that it could judge.
    """

    call: Annotated[str, AfterValidator(_module_and_function)] | None = None
    entry_point: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    over: Over = "generated"

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if (self.call is None) == (self.entry_point is None):
            raise ValueError("a custom detector needs either call: module:function or entry_point: NAME")
        return self


def _refused(title: str, key: str, value: object, wrong: str) -> ValidationError:
    """What pydantic raises of `value`, which stands under `key`: so the file's line is known."""
    error = PydanticCustomError("value", "{wrong}", {"wrong": wrong})
    return ValidationError.from_exception_data(title, [InitErrorDetails(type=error, loc=(key,), input=value)])


def _usable_names(custom: dict[str, CustomDetector]) -> dict[str, CustomDetector]:
    for name in custom:
        if not _CUSTOM_NAME.fullmatch(name):
            raise _refused("custom", name, name, "a detector's name is of small letters, digits and _, at most 32")
        if name in QcConfig.model_fields:
            raise _refused("custom", name, name, "there is a built-in detector of that name; take another")
    return custom


class QcConfig(Strict):
    """Which version of each detector flags the records, as `name-version`.

    `custom` are the campaign's own: the name of each is that of its flag, and with `_rate` that of its metric.
    """

    runaway: str = "markers-v2"
    token_limit: str = "finish-v1"
    delimiter: str = "exact-v1"
    truncation: str = "sentence-v1"
    duplicate: str = "normalised-v1"
    repetition: str = "ngram-v1"
    custom: Annotated[dict[str, CustomDetector], AfterValidator(_usable_names)] = Field(default_factory=dict)


_LIMIT = re.compile(r"\s*(<=|>=|<|>|=)\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*")
_SHARES = ("_rate", "_acceptance", "_yield", "_diversity")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
SMALLEST_SHARE = 1e-6
LARGEST_LIMIT = 1e12


class Limit(Strict):
    """One side of a check, written `< 5%`, `>= 50%`, `= 0`, `< 40`. A percentage is kept as a fraction."""

    op: Literal["<", "<=", ">", ">=", "="]
    value: Annotated[float, Field(ge=0.0, le=LARGEST_LIMIT, allow_inf_nan=False), NotBool]
    percent: bool = False

    @classmethod
    def parse(cls, text: object) -> Limit:
        """The limit that `text` writes; `ValueError` when it writes none or one beyond 10¹²."""
        if isinstance(text, Limit):
            return text
        match = _LIMIT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError("it is not a limit; write it like '< 5%', '>= 50%', '= 0' or '< 40'")
        op, number, percent = match.groups()
        value = float(number) / 100 if percent else float(number)
        if value > LARGEST_LIMIT:
            raise ValueError("the limit is larger than anything that is measured")
        return cls.model_validate({"op": op, "value": value, "percent": bool(percent)})

    def holds(self, value: float) -> bool:
        """Whether `value` keeps to the limit."""
        return _COMPARE[self.op](value, self.value)

    def __str__(self) -> str:
        number = f"{self.value * 100:g}%" if self.percent else f"{self.value:g}"
        return f"{self.op} {number}"


def _limit(value: object) -> object:
    """A mapping is left to pydantic: so a frozen spec stores a limit."""
    return value if isinstance(value, Limit | dict) else Limit.parse(value)


LimitField = Annotated[Limit, BeforeValidator(_limit)]


def _wrong_share(limit: Limit) -> str | None:
    """What is wrong with `limit` on a metric that is a share of something; None when nothing is.

    The gate's rule divides by log(1 - τ): a share so near to 0 or 1 that no run could prove it has no rule.
    """
    if not limit.percent and limit.value >= 1:
        return f"this metric is a share, write its limit in percent: '{limit}%'"
    if limit.value > 1:
        return "this metric is a share, its limit cannot be over 100%"
    if limit.value not in (0.0, 1.0) and min(limit.value, 1 - limit.value) < 0.999 * SMALLEST_SHARE:
        return "no run is long enough to prove that limit; write 0%, 100%, or one from 0.0001% to 99.9999%"
    return None


def _limits_can_be_judged(checks: dict[str, Limit]) -> dict[str, Limit]:
    for metric, limit in checks.items():
        wrong = _wrong_share(limit) if metric.endswith(_SHARES) else None
        if wrong is not None:
            raise _refused("checks", metric, str(limit), wrong)
    return checks


SEED_CHECKS: dict[str, Limit] = {
    "runaway_rate": Limit.parse("< 5%"),
    "token_limit_rate": Limit.parse("< 10%"),
    "delimiter_leakage": Limit.parse("= 0"),
    "median_tokens": Limit.parse("< 40"),
    "instruction_acceptance": Limit.parse(">= 50%"),
    "pair_acceptance": Limit.parse(">= 50%"),
}


def _confidence(value: object) -> object:
    return None if value == "none" else value


class GateConfig(Strict):
    """`confidence` 0.95 proves verdicts sequentially; `none` compares plainly and is labelled so.

    `group_by: list` takes each instruction list for one sample, which fails by the share of its items that do: for
    generators whose items of one list go wrong together. It then needs lists where it needed items.
    """

    confidence: Annotated[
        Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False), NotBool] | None, BeforeValidator(_confidence)
    ] = 0.95
    group_by: Literal["item", "list"] = "item"
    checks: Annotated[dict[str, LimitField], AfterValidator(_limits_can_be_judged)] = Field(
        default_factory=lambda: dict(SEED_CHECKS)
    )
