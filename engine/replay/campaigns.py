"""Loads a campaign and looks up what it names: metrics in the gate, detectors under `qc`."""

from __future__ import annotations

from pathlib import Path

from engine.campaign.document import Document, read_document
from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.loading import close_match, load_campaign
from engine.campaign.models import Campaign
from engine.errors import ConfigurationError
from engine.qc.detectors import DETECTOR_KINDS, known_detectors, resolve_detectors
from engine.qc.metrics import METRICS, check_names


def load_checked(path: Path) -> Campaign:
    """`load_campaign`, and every metric and detector that it names exists; else `ConfigurationError` with the line."""
    campaign = load_campaign(path)
    check_rules(path, campaign.qc, campaign.gate, campaign.pipeline.delimiter)
    return campaign


def check_rules(path: Path, qc: QcConfig | None, gate: GateConfig | None, delimiter: str) -> None:
    """`ConfigurationError` for a detector, a metric or a unit in `path` that there is not; the line is read anew."""
    try:
        if qc is not None:
            resolve_detectors(qc, delimiter)
        if gate is not None:
            check_names(gate)
    except ConfigurationError as error:
        raise _located(read_document(path), qc, gate, error) from error
    for metric, limit in gate.checks.items() if gate is not None else ():
        if limit.percent and METRICS[metric].kind in ("count", "median"):
            raise ConfigurationError(
                f"gate.checks.{metric}: this metric is no share (it is '{limit}')",
                where=read_document(path).place("gate", "checks", metric),
                remedy=f"write the limit as a number without %, such as '{limit.op} {limit.value * 100:g}'",
            )


def _located(
    document: Document, qc: QcConfig | None, gate: GateConfig | None, error: ConfigurationError
) -> ConfigurationError:
    """`error` with the line of the name that is not known, and the names that are."""
    for kind in DETECTOR_KINDS if qc is not None else ():
        name, known = getattr(qc, kind), known_detectors(kind)
        if name not in known:
            return ConfigurationError(error.what, where=document.place("qc", kind), remedy=close_match(name, known))
    for metric in gate.checks if gate is not None else ():
        if metric not in METRICS:
            where = document.place("gate", "checks", metric)
            return ConfigurationError(error.what, where=where, remedy=close_match(metric, list(METRICS)))
    return error
