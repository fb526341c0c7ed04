"""What a run was made and judged by beside its parameters, flat, so that two runs can be laid side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.campaign.spec import RunSpec

Named = tuple[tuple[str, str], ...]
"""(dotted name, value as one writes it), in the order of a campaign file."""


def prompt_hashes(spec: RunSpec) -> Named:
    """SHA-256 of each prompt, by its name under `prompts`; none where they are another program's."""
    return tuple((name, prompt.sha256) for name, prompt in spec.prompts) if spec.prompts is not None else ()


def rules(spec: RunSpec, *, own_figures: bool) -> Named:
    """Model, pipeline, detectors and gate. Of an imported run only what we did ourselves is known: the gate, and the
    detectors where the figures are ours."""
    gate = spec.gate.model_dump(exclude={"checks"})
    found = _flat("gate", gate) + [(f"gate.{name}", str(limit)) for name, limit in spec.gate.checks.items()]
    if spec.imported is None or own_figures or not spec.imported.metrics:
        found = _flat("qc", spec.qc.model_dump()) + found
    if spec.imported is None:
        found = _made_by(spec) + found
    return tuple(found)


def _made_by(spec: RunSpec) -> list[tuple[str, str]]:
    made = [("model.path", spec.model.path), ("model.backend", spec.model.backend)]
    made += _flat("model.options", spec.model.options)
    made += _flat("generator", spec.generator.model_dump())
    return made + _flat("pipeline", spec.pipeline.model_dump(exclude={"concurrency"}))


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(f"{prefix}.{name}", value)
        elif isinstance(value, list | tuple):
            found.append((f"{prefix}.{name}", " ".join(map(str, value))))
        else:
            found.append((f"{prefix}.{name}", "none" if value is None else str(value)))
    return found
