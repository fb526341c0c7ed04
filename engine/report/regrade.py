"""`pilothouse regrade`: a run under other detectors or limits, beside what it was judged by; nothing is generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.campaign.spec import RunSpec, read_spec
from engine.errors import NotFoundError, PilothouseError
from engine.files import RunFiles
from engine.gradings import graded_spec
from engine.policy.suspicion import with_suspicions
from engine.qc.detectors import Detector, Record
from engine.qc.verdicts import CheckVerdict, GateVerdict, Verdict
from engine.records import detector_homes, detectors_of_run, numbered_records
from engine.replay.grades import ruler_changes
from engine.replay.run import RunReplay
from engine.report.formatting import (
    UNKNOWN,
    VERDICT_SIGNS,
    headline,
    limit_text,
    metric_title,
    metric_value,
    signs,
)
from engine.report.gate import read_ruler
from engine.report.samples import Sample, sample_line, samples_at
from engine.report.tables import text_table, wrapped
from engine.snapshot import CampaignSnapshot, RunSnapshot

SAMPLES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Sides:
    """Records that a kind of detector flags now and did not (`flagged`), and the other way round (`cleared`), in item
    order; `old` and `new` are the detectors' ids, empty for none."""

    old: str
    new: str
    flagged: tuple[int, ...] = ()
    cleared: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Earlier:
    """Another run of the campaign that has ended: its verdict as it stands, and under the new ruler."""

    run: str
    old: Verdict
    new: Verdict


@dataclass(frozen=True, slots=True)
class Regraded:
    """A run's verdict as it stands, and that by the detectors and limits of `spec`.

    `sides` has every kind of detector of either; `rulers` says in words what differs. `warnings` are those of the run
    by the new ruler. `saved` is the file that the grading was recorded in, None where it was not.
    """

    files: RunFiles
    before: RunSpec
    spec: RunSpec
    rulers: str
    old: GateVerdict
    new: GateVerdict
    sides: dict[str, Sides]
    earlier: tuple[Earlier, ...]
    warnings: tuple[str, ...] = ()
    saved: Path | None = None

    def to_json(self) -> dict[str, Any]:
        gate = self.spec.gate
        checks = {name: str(limit) for name, limit in gate.checks.items()}
        return {
            "run": self.spec.id,
            "ruler": {
                "qc": self.spec.qc.model_dump(mode="json"),
                "gate": {**gate.model_dump(mode="json", exclude={"checks"}), "checks": checks},
            },
            "old": self.old.to_json(),
            "new": self.new.to_json(),
            "changed": {
                kind: {"flagged": list(side.flagged), "cleared": list(side.cleared)}
                for kind, side in self.sides.items()
            },
            "earlier": [{"run": one.run, "old": one.old, "new": one.new} for one in self.earlier],
            "warnings": list(self.warnings),
            "saved": str(self.saved) if self.saved is not None else None,
        }


def grade_again(picture: CampaignSnapshot, name: str, ruler: Path) -> Regraded:
    """The run `name` of the campaign in `picture`, graded by what stands in `ruler`, a file with `qc:` and `gate:`.

    Raises `NotFoundError` for no such run or file, `ConfigurationError` for anything in it that cannot be used.
    """
    run = picture.run(name)
    if run is None:
        why = "; ".join(picture.warnings)
        raise NotFoundError(
            f"the run {picture.name}/{name} cannot be read", where=picture.file, remedy=why or "mend it"
        )
    files = RunFiles(Path(run.folder))
    before = graded_spec(files, read_spec(files))
    spec = read_ruler(ruler, before, detector_homes(files, before))
    again = {one.name: _judged(picture, one, spec) for one in picture.runs if one is run or _is_earlier(one)}
    runs = [replace(one, gate=(again.get(one.name) or one).gate) for one in picture.runs]
    judged = dict(zip((one.name for one in runs), with_suspicions(runs), strict=True))
    return Regraded(
        files=files,
        before=before,
        spec=spec,
        rulers=ruler_changes(before, spec),
        old=run.gate,
        new=judged[name],
        sides=_changed_sides(files, before, spec),
        earlier=tuple(
            Earlier(one.id, one.gate.verdict, found.gate.verdict)
            for one in picture.runs
            if one is not run and (found := again.get(one.name)) is not None
        ),
        warnings=(again[name] or run).warnings,
    )


def _is_earlier(run: RunSnapshot) -> bool:
    return run.kind != "scale" and not run.live


def _judged(picture: CampaignSnapshot, run: RunSnapshot, ruler: RunSpec) -> RunSnapshot | None:
    """A run by the detectors and limits of `ruler`; None for one whose spec cannot be read."""
    files = RunFiles(Path(run.folder))
    try:
        spec = read_spec(files).model_copy(update={"qc": ruler.qc, "gate": ruler.gate})
    except PilothouseError:
        return None
    replay = RunReplay(files, spec, own_figures=True)
    replay.refresh()
    return replay.snapshot(picture.judged_by)


def _changed_sides(files: RunFiles, before: RunSpec, after: RunSpec) -> dict[str, Sides]:
    old, new = detectors_of_run(files, before), detectors_of_run(files, after)
    named = (before.qc.model_dump(), after.qc.model_dump())
    alike = {kind for kind in old if kind in new and _named(named[0], kind) == _named(named[1], kind)}
    kinds = {**old, **new}
    flagged: dict[str, set[int]] = {kind: set() for kind in kinds}
    cleared: dict[str, set[int]] = {kind: set() for kind in kinds}
    moved = [kind for kind in kinds if kind not in alike]
    for index, record in numbered_records(files, before) if moved else ():
        for kind in moved:
            was, now = _flags(old, kind, record), _flags(new, kind, record)
            if was != now:
                (flagged if now else cleared)[kind].add(index)
    return {
        kind: Sides(_id(old, kind), _id(new, kind), tuple(sorted(flagged[kind])), tuple(sorted(cleared[kind])))
        for kind in kinds
    }


def _named(qc: Mapping[str, Any], kind: str) -> Any:
    """What `qc` says of a kind: the id of a built-in detector, how a custom one is called."""
    return qc[kind] if kind in qc else qc["custom"].get(kind)


def _flags(detectors: Mapping[str, Detector], kind: str, record: Record) -> bool:
    detector = detectors.get(kind)
    return detector is not None and detector.flag(record) is True


def _id(detectors: Mapping[str, Detector], kind: str) -> str:
    return detectors[kind].id if kind in detectors else ""


# --- in words ----------------------------------------------------------------------------------------------------


def regrade_text(graded: Regraded, width: int | None = None) -> str:
    """`grading_words`, and whether the grading was saved. Sentences are broken, and samples cut, at `width` cells;
    without one, for a file or a pipe, samples are not."""
    if graded.saved is None:
        unsaved = "not saved: nothing has changed; --save --reason TEXT records it, and counts as a try"
        end = wrapped(unsaved, width)
    else:
        end = f"saved: {graded.spec.id} is judged by this from now on ({graded.saved})"
    return f"{grading_words(graded, width)}\n\n{end}"


def grading_words(graded: Regraded, width: int | None = None) -> str:
    """Checks before and after side by side, which samples changed sides, and the campaign's other runs."""
    rulers = f"{graded.spec.id} graded again: {graded.rulers or 'by the same detectors and limits'}"
    blocks = [wrapped(rulers, width), _checks_text(graded.old, graded.new, width)]
    verdicts = (f"before: {headline(graded.old)}", f"after:  {headline(graded.new)}")
    blocks.append("\n".join(wrapped(verdict, width) for verdict in verdicts))
    moved = {kind: side for kind, side in graded.sides.items() if side.flagged or side.cleared}
    blocks += [_sides_text(graded, kind, side, width) for kind, side in moved.items()]
    if not moved:
        blocks.append("no sample changed sides")
    if graded.earlier:
        rows = [[one.run, _verdict_text(one.old), _verdict_text(one.new)] for one in graded.earlier]
        blocks.append(text_table(["other runs", "before", "by this ruler"], rows, left=(0, 1, 2)))
    if graded.warnings:
        blocks.append("\n".join(wrapped(f"warning: {warning}", width) for warning in graded.warnings))
    return "\n\n".join(blocks)


def _verdict_text(verdict: Verdict) -> str:
    return f"{VERDICT_SIGNS[verdict]} {verdict}"


def _checks_text(old: GateVerdict, new: GateVerdict, width: int | None) -> str:
    """Values and verdicts side by side, then what stands behind them where that differs."""
    before = {check.metric: check for check in old.checks}
    after = {check.metric: check for check in new.checks}
    rows, evidence = [], []
    for name in {**before, **after}:
        was, now = before.get(name), after.get(name)
        limits = dict.fromkeys(_limit(check) for check in (was, now))
        rows.append([metric_title(name), " → ".join(limits), _value(was), _value(now)])
        sentences = list(dict.fromkeys(signs(check.sentence) for check in (was, now) if check is not None))
        if was is not None and now is not None and len(sentences) > 1:
            evidence.append(wrapped(f"{metric_title(name)}: {sentences[0]}", width, indent="  "))
            evidence.append(wrapped(f"→ {sentences[1]}", width, indent="    "))
    return "\n".join([text_table(["check", "limit", "before", "after"], rows, left=(0, 2, 3)), *evidence])


def _limit(check: CheckVerdict | None) -> str:
    return UNKNOWN if check is None else limit_text(check.op, check.limit, percent=check.percent)


def _value(check: CheckVerdict | None) -> str:
    """`✗ fail 20.9 %`; a dash where there was no such check."""
    return UNKNOWN if check is None else f"{_verdict_text(check.verdict)} {metric_value(check.metric, check.value)}"


def _sides_text(graded: Regraded, kind: str, side: Sides, width: int | None) -> str:
    detectors = f"{side.old or UNKNOWN} → {side.new or UNKNOWN}"
    lines = [f"{kind}, {detectors}: {len(side.flagged)} newly flagged, {len(side.cleared)} no longer flagged"]
    for sign, indexes, spec in (("+", side.flagged, graded.spec), ("−", side.cleared, graded.before)):
        first = indexes[:SAMPLES_SHOWN]
        found = samples_at(graded.files, spec, first)
        lines += [_line(found, index, kind, f"  {sign} ", width) for index in first]
        if len(indexes) > len(first):
            lines.append(f"  {sign} and {len(indexes) - len(first)} more")
    return "\n".join(lines)


def _line(found: Mapping[int, Sample], index: int, kind: str, lead: str, width: int | None) -> str:
    return sample_line(found[index], kind, width, lead=lead) if index in found else f"{lead}#{index}"
