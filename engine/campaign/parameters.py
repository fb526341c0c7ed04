"""Parameter sets: overlaying, `--set` assignments, differences. Dotted names are the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from engine.campaign.models import Campaign, Parameters
from engine.errors import ConfigurationError


def flatten(parameters: Parameters) -> dict[str, Any]:
    """`{"seed": 42, "response.temperature": 0.4, …}` in the order of the models; stop strings as a list."""
    flat: dict[str, Any] = {}
    for key, value in parameters.model_dump(mode="json").items():
        if isinstance(value, dict):
            flat.update({f"{key}.{inner}": content for inner, content in value.items()})
        else:
            flat[key] = value
    return flat


def overlay(base: Parameters, changes: Mapping[str, Any], *, where: str) -> Parameters:
    """`base` with the nested `changes` laid over it; `ConfigurationError` naming the key under `where`."""
    merged = base.model_dump(mode="json")
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    try:
        return Parameters.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{key}: {first['msg']}",
            where=where,
            remedy=f"parameters are: {', '.join(flatten(base))}",
        ) from error


def assign(base: Parameters, assignments: Iterable[str]) -> Parameters:
    """`base` with `key=value` assignments (`response.temperature=0.25`) applied; values are read as YAML."""
    result = base
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        known = flatten(result)
        if not equals or key not in known:
            raise ConfigurationError(
                f"--set {assignment!r}: {key!r} is not a parameter" if equals else f"--set {assignment!r} has no '='",
                remedy=f"write --set KEY=VALUE with one of: {', '.join(known)}",
            )
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            raise ConfigurationError(
                f"--set {assignment!r}: the value cannot be read", remedy="write it as YAML; quote a text"
            ) from error
        group, dot, inner = key.partition(".")
        result = overlay(result, {group: {inner: value}} if dot else {key: value}, where=f"--set {assignment}")
    return result


def difference(before: Parameters, after: Parameters) -> dict[str, tuple[Any, Any]]:
    """Dotted names whose values differ, each with (before, after)."""
    old, new = flatten(before), flatten(after)
    return {key: (old[key], new[key]) for key in new if old[key] != new[key]}


def iteration_parameters(campaign: Campaign, name: str) -> Parameters | None:
    """Parameters of the campaign's own iteration `name`, overlaid in order; None when it lists no such one."""
    parameters = campaign.parameters
    for iteration, changes in campaign.iterations.items():
        parameters = overlay(parameters, changes, where=f"iterations.{iteration}")
        if iteration == name:
            return parameters
    return None
