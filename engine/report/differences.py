"""In what runs differ, beside how they went: parameters, prompts, and what they were made and judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.campaign.parameters import flatten
from engine.snapshot import RunSnapshot


def differing_parameters(runs: Sequence[RunSnapshot]) -> dict[str, list[Any]]:
    """Dotted parameter names whose value is not the same in all runs that know theirs; one value per run."""
    return _differing([flatten(run.parameters) if run.parameters_known else {} for run in runs])


def differing_prompts(runs: Sequence[RunSnapshot]) -> dict[str, list[Any]]:
    """As `differing_parameters`, the SHA-256 of prompts by their name."""
    return _differing([dict(run.prompts) for run in runs])


def differing_rules(runs: Sequence[RunSnapshot]) -> dict[str, list[Any]]:
    """As `differing_parameters`, of model, pipeline, detectors and gate."""
    return _differing([dict(run.rules) for run in runs])


def _differing(known: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """What a run says nothing of at all, as an imported one of its prompts, differs from none; of what it knows other
    keys of (`gate.`, `qc.`), a key that is missing is a difference."""
    names = dict.fromkeys(name for values in known for name in values)
    parts = {name: name.partition(".")[0] for name in names}
    aware = {part: [any(parts[name] == part for name in values) for values in known] for part in set(parts.values())}
    differing = {}
    for name, part in parts.items():
        values = [one.get(name) for one in known]
        if len({repr(value) for value, knows in zip(values, aware[part], strict=True) if knows}) > 1:
            differing[name] = values
    return differing
