"""The page on campaign files has every key there is, with its default, and every metric."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.campaign.grading import SEED_CHECKS, Limit
from engine.campaign.models import Campaign
from engine.qc.metrics import METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "campaigns.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w.]+)` \| `?(.+?)`? \| (.*) \|$", re.MULTILINE)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key of `model` and what is below it, with its default as the page writes it."""
    for name, field in model.model_fields.items():
        inner = next((part for part in (field.annotation, *get_args(field.annotation)) if _is_block(part)), None)
        if inner is None:
            yield prefix + name, _default(field)
        else:
            named = ".NAME" if get_origin(field.annotation) is dict else ""
            yield from keys(inner, f"{prefix}{name}{named}.")


def _is_block(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Limit


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "below" if value == SEED_CHECKS else json.dumps(value)


def test_every_key_stands_there_once_with_its_default() -> None:
    rows = [(key, default) for key, default, _ in ROW.findall(PAGE)]
    assert sorted(rows) == sorted(keys(Campaign))


def test_the_default_checks_and_all_metrics_stand_there() -> None:
    for metric in (*METRICS, *SEED_CHECKS):
        assert f"`{metric}`" in PAGE
    (sentence,) = re.findall(r"^The default checks.*?\. Limits", PAGE, re.MULTILINE | re.DOTALL)
    for metric, limit in SEED_CHECKS.items():
        assert f"`{metric}`" in sentence
        assert str(limit) in sentence
