"""Loads a campaign and looks up what it names: metrics in the gate, detectors under `qc`, and its own detectors."""

from __future__ import annotations

from pathlib import Path

from engine.campaign.document import Document, read_document
from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.loading import close_match, load_campaign
from engine.campaign.models import Campaign
from engine.errors import ConfigurationError
from engine.qc.custom import check_custom
from engine.qc.detectors import DETECTOR_KINDS, known_detectors, resolve_detectors
from engine.qc.metrics import check_names, known_metrics, metric_of


def load_checked(path: Path) -> Campaign:
    """`load_campaign`, and every metric and detector that it names exists; else `ConfigurationError` with the line.

    Its own detectors are imported, from the folder that holds `configs/` or from what is installed.
    """
    campaign = load_campaign(path)
    check_rules(path, campaign.qc, campaign.gate, campaign.pipeline.delimiter)
    return campaign


def check_rules(
    path: Path,
    qc: QcConfig | None,
    gate: GateConfig | None,
    delimiter: str,
    *,
    standing: QcConfig | None = None,
    workspace: str | None = None,
) -> None:
    """`ConfigurationError` for a detector, a metric or a unit in `path` that there is not; the line is read anew.

    `standing` are the detectors that hold where the file names none; `workspace` is where its own are looked for, by
    default the folder above the file's.
    """
    home = str(path.absolute().parent.parent) if workspace is None else workspace
    holding = qc if qc is not None else standing
    try:
        if qc is not None:
            resolve_detectors(qc, delimiter)
            check_custom(qc, (home,))
        if gate is not None:
            check_names(gate, holding)
    except ConfigurationError as error:
        raise _located(read_document(path), qc, gate, holding, error) from error
    for name, limit in gate.checks.items() if gate is not None else ():
        metric = metric_of(name)
        if limit.percent and metric is not None and metric.kind in ("count", "median"):
            raise ConfigurationError(
                f"gate.checks.{name}: this metric is no share (it is '{limit}')",
                where=read_document(path).place("gate", "checks", name),
                remedy=f"write the limit as a number without %, such as '{limit.op} {limit.value * 100:g}'",
            )


def _located(
    document: Document,
    qc: QcConfig | None,
    gate: GateConfig | None,
    holding: QcConfig | None,
    error: ConfigurationError,
) -> ConfigurationError:
    """`error` with the line of the name that is not known, and the names that are."""
    for kind in DETECTOR_KINDS if qc is not None else ():
        name, known = getattr(qc, kind), known_detectors(kind)
        if name not in known:
            return ConfigurationError(error.what, where=document.place("qc", kind), remedy=close_match(name, known))
    for name in qc.custom if qc is not None else ():
        if error.where == f"qc.custom.{name}":
            return ConfigurationError(error.what, where=document.place("qc", "custom", name), remedy=error.remedy)
    metrics = known_metrics(holding)
    for metric in gate.checks if gate is not None else ():
        if metric not in metrics:
            where = document.place("gate", "checks", metric)
            return ConfigurationError(error.what, where=where, remedy=close_match(metric, metrics))
    return error
