"""The gate's verdict in words, and a run graded again under other detectors and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.campaign.document import read_document
from engine.campaign.fields import Strict
from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.loading import validated
from engine.campaign.spec import RunSpec, read_spec
from engine.files import RunFiles
from engine.qc.verdicts import GateVerdict
from engine.replay.campaigns import check_rules
from engine.replay.run import RunReplay
from engine.report.formatting import VERDICT_SIGNS, headline, limit_text, metric_title, metric_value, signs
from engine.report.tables import text_table


class OtherRuler(Strict):
    """A `--qc` file: detectors and limits to grade by; what it leaves out stays as the run's spec has it."""

    qc: QcConfig | None = None
    gate: GateConfig | None = None


def gate_text(verdict: GateVerdict) -> str:
    """One line a check, then the verdict."""
    rows = [
        [
            metric_title(check.metric),
            limit_text(check.op, check.limit, percent=check.percent),
            metric_value(check.metric, check.value),
            f"{VERDICT_SIGNS[check.verdict]} {check.verdict}",
            signs(check.sentence),
        ]
        for check in verdict.checks
    ]
    table = text_table(["check", "limit", "value", "verdict", "evidence"], rows, left=(0, 3, 4))
    return f"{table}\n{headline(verdict)}"


def regrade(files: RunFiles, path: Path) -> GateVerdict:
    """The verdict on the run's records by the detectors and limits in `path`; nothing is generated or written.

    Raises `NotFoundError` when there is no such file, `ConfigurationError` for anything in it that cannot be used.
    """
    replay = RunReplay(files, read_ruler(path, read_spec(files)), own_figures=True)
    replay.refresh()
    return replay.snapshot().gate


def read_ruler(path: Path, spec: RunSpec) -> RunSpec:
    """`spec` with the detectors and limits that stand in `path`; raises as `regrade` does."""
    ruler = validated(OtherRuler, read_document(path))
    check_rules(path, ruler.qc, ruler.gate, spec.pipeline.delimiter)
    changes: dict[str, Any] = {}
    if ruler.qc is not None:
        changes["qc"] = ruler.qc
    if ruler.gate is not None:
        changes["gate"] = ruler.gate
    return spec.model_copy(update=changes)
