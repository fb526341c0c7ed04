"""The gate's verdict in words, and the files that other detectors and limits are read from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.campaign.document import read_document
from engine.campaign.fields import Strict
from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.loading import validated
from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError
from engine.qc.precision import precision_sentence
from engine.qc.verdicts import GateVerdict
from engine.replay.campaigns import check_rules
from engine.report.formatting import VERDICT_SIGNS, headline, limit_text, metric_title, metric_value, signs
from engine.report.tables import grading_text, text_table, wrapped
from engine.snapshot import GradingNote


class OtherRuler(Strict):
    """A `--qc` file: detectors and limits to grade by; what it leaves out stays as the run is judged by now."""

    qc: QcConfig | None = None
    gate: GateConfig | None = None


def gate_text(verdict: GateVerdict, gradings: Sequence[GradingNote] = (), width: int | None = None) -> str:
    """One line a check, then the verdict, how likely an open one is to pass, the gradings it comes from, and what
    people's marks say of its detectors; sentences are broken at `width` characters."""
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
    marks = [
        precision_sentence(detector.detector, detector.marked_true, detector.marked_false)
        for detector in verdict.detectors
        if detector.marked
    ]
    notes = [headline(verdict), *_forecast(verdict), *map(grading_text, gradings), *marks]
    return "\n".join([table, *(wrapped(note, width) for note in notes)])


def _forecast(verdict: GateVerdict) -> list[str]:
    if verdict.forecast is None:
        return []
    return [f"forecast: {verdict.forecast:.0%} likely to pass in the end if it goes on as it did; a forecast, no proof"]


def read_ruler(path: Path, spec: RunSpec, homes: Sequence[str] = ()) -> RunSpec:
    """`spec` with the detectors and limits that stand in `path`; custom ones may lie in one of `homes`, by default in
    the workspace that the run was made in.

    Raises `NotFoundError` when there is no such file, `ConfigurationError` for anything in it that cannot be used.
    """
    ruler = validated(OtherRuler, read_document(path))
    first, *others = homes or (spec.workspace,)
    try:
        _check(path, ruler, spec, first)
    except ConfigurationError:
        for home in others:
            with suppress(ConfigurationError):
                _check(path, ruler, spec, home)
                break
        else:
            raise
    changes: dict[str, Any] = {}
    if ruler.qc is not None:
        changes["qc"] = ruler.qc
    if ruler.gate is not None:
        changes["gate"] = ruler.gate
    return spec.model_copy(update=changes)


def _check(path: Path, ruler: OtherRuler, spec: RunSpec, home: str) -> None:
    check_rules(path, ruler.qc, ruler.gate, spec.pipeline.delimiter, standing=spec.qc, workspace=home or None)
