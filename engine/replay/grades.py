"""A run's records, counted and judged by the ruler it began with, or by one that was saved for it later."""

from __future__ import annotations

from dataclasses import replace

from engine.campaign.grading import QcConfig
from engine.campaign.policy import PolicyConfig
from engine.campaign.spec import ForeignFigures, RunSpec, read_spec
from engine.errors import PilothouseError
from engine.files import RunFiles
from engine.gradings import Grading, GradingsReader, judged_by
from engine.logs.sanitise import sanitise
from engine.marks import MarksReader
from engine.qc.gate import judge, judge_figures
from engine.qc.metrics import MEASURED_BY, rate_of
from engine.qc.precision import with_marks
from engine.qc.tally import RunTally
from engine.qc.verdicts import GateVerdict
from engine.records import detector_homes, numbered_records
from engine.replay.foreign import foreign_check_counts
from engine.replay.rules import rules
from engine.snapshot import GradingNote

UNSET = "–"


class Grades:
    """`spec` is the run's frozen one with the detectors and limits that it is judged by; `tally` counts by those.

    An imported run is judged on the figures of its own summary, and by our count of its rows only where a saved grading
    measures with other detectors. With `own_figures` every run is judged by `spec` as given, whatever was saved.
    """

    def __init__(self, files: RunFiles, spec: RunSpec, *, own_figures: bool) -> None:
        self._files = files
        self._frozen = spec
        self._as_given = own_figures
        self._gradings = GradingsReader(files)
        self._marks = MarksReader(files)
        self._newest: Grading | None = None
        self._marked: dict[str, tuple[int, int]] = {}
        self.notes: tuple[GradingNote, ...] = ()
        self.begin()

    def begin(self) -> None:
        """Count from nothing again."""
        self.spec = spec = judged_by(self._frozen, self._newest)
        imported = spec.imported is not None  # foreign samples come without lists to group them by
        self._gate = spec.gate.model_copy(update={"group_by": "item"}) if imported else spec.gate
        self.tally = self.new_tally()

    def new_tally(self) -> RunTally:
        """An empty tally of the kind that counts this run's records."""
        spec, foreign = self.spec, self.spec.imported is not None
        homes = detector_homes(self._files, spec)
        return RunTally(spec.qc, self._gate, spec.pipeline.delimiter, in_line_order=foreign, import_from=homes)

    @property
    def own_figures(self) -> bool:
        """Whether our own count of the records says anything of the verdict, whatever a summary says."""
        return self._as_given or self._newest is not None

    @property
    def foreign(self) -> ForeignFigures | None:
        """The summary of an imported run; None of a run of our own."""
        return self.spec.imported

    def _measured_anew(self) -> frozenset[str]:
        """Metrics of an imported run whose detector is not the one that its summary's figures stand for.

        Only these come from its rows: such files hold what the other program kept and cleaned, and what it rejected, or
        cut away, cannot be counted there.
        """
        if not self.own_figures:
            return frozenset()
        first, now = self._first_qc(), self.spec.qc
        kinds = [kind for kind in MEASURED_BY if getattr(first, kind) != getattr(now, kind)]
        own = [name for name, custom in now.custom.items() if first.custom.get(name) != custom]
        return frozenset([*(MEASURED_BY[kind] for kind in kinds), *map(rate_of, own)])

    def _first_qc(self) -> QcConfig:
        """The detectors that the run was imported with."""
        if not self._as_given:
            return self._frozen.qc
        try:
            return read_spec(self._files).qc
        except PilothouseError:
            return self._frozen.qc

    @property
    def gradings(self) -> int:
        """How many were saved, those that cannot be read any more among them."""
        saved = self._gradings.gradings
        return len(saved.saved) + saved.lost

    def metrics(self) -> dict[str, float | None]:
        """Every metric; of an imported run with a summary what that says, but for what other detectors measure."""
        computed, foreign = self.tally.metrics(), self.foreign
        if foreign is None or not foreign.metrics:
            return computed
        anew = {name: computed.get(name) for name in self._measured_anew()}
        return {**dict.fromkeys(computed), **foreign.metrics, **anew}

    def refresh(self) -> bool:
        """Look for marks and gradings that came; whether the run is judged by another ruler now, and `tally` empty."""
        marks_came = self._marks.refresh()
        other_ruler = self._judged_otherwise()
        if marks_came or other_ruler:
            self._marked = self._counted_marks()
        return other_ruler

    def _judged_otherwise(self) -> bool:
        if self._as_given or not self._gradings.refresh():
            return False
        saved = self._gradings.gradings.saved
        self.notes = _notes(self._frozen, saved)
        newest = saved[-1] if saved else None
        if newest == self._newest:
            return False
        self._newest = newest
        self.begin()
        return True

    def _counted_marks(self) -> dict[str, tuple[int, int]]:
        """By detector id, the right flags and the false alarms among the marks on what it flags in this run.

        The records are read for that when marks came, and never without any: who marks has seen them there.
        """
        marks, detectors = self._marks.marks, self.tally.detectors.values()
        marked = {of: marks.indexes(of) for of in {detector.id for detector in detectors}}
        missing = set().union(*marked.values())
        flagged: dict[str, set[int]] = {of: set() for of in marked}
        for index, record in numbered_records(self._files, self._frozen) if missing else ():
            if index not in missing:
                continue
            missing.remove(index)
            for detector in detectors:
                if index in marked[detector.id] and detector.flag(record):
                    flagged[detector.id].add(index)
            if not missing:
                break
        return {of: marks.counts(of, indexes) for of, indexes in flagged.items()}

    def verdict(self, present: PolicyConfig, *, ended: bool, target: int) -> GateVerdict:
        """The gate's verdict on what `tally` holds; `present` is the campaign's policy now."""
        tries = max(self.spec.policy.max_retries, present.max_retries)
        policy = self.spec.policy.model_copy(update={"extend_to": present.extend_to, "max_retries": tries})
        foreign = self.foreign
        if foreign is not None and foreign.metrics:
            anew = self._measured_anew()
            counts = foreign_check_counts(foreign, self.tally, self._gate)
            counts |= {name: self.tally.check_counts(name) for name in anew}
            kept = foreign.counts.get("kept", self.tally.judged_kept)
            verdict = judge_figures(self._gate, policy, self.metrics(), counts, kept=kept, ended=True, target=target)
            ours = tuple(found for found in self.tally.detector_counts() if anew.intersection(found.metrics))
            return replace(verdict, detectors=with_marks(ours, self._marked))
        verdict = judge(self._gate, policy, self.tally, ended=ended, target=target)
        return replace(verdict, detectors=with_marks(verdict.detectors, self._marked))

    def warnings(self) -> list[str]:
        """What is wrong with the gradings, the marks, the records and the custom detectors."""
        found = [
            f"gradings/{sanitise(name, 60)} cannot be used as a grading and was passed over"
            for name in self._gradings.gradings.damaged
        ]
        damaged = self._marks.marks.damaged
        if damaged:
            found.append(f"{damaged} unreadable file(s) in marks/ were passed over")
        if self.tally.repeated:
            found.append(f"{self.tally.repeated} record(s) with an index seen before were passed over")
        return found + self.tally.warnings()


def _notes(frozen: RunSpec, saved: tuple[Grading, ...]) -> tuple[GradingNote, ...]:
    notes, before = [], frozen
    for grading in saved:
        after = judged_by(frozen, grading)
        notes.append(
            GradingNote(
                number=grading.number,
                time=sanitise(grading.time, 40),
                author=sanitise(grading.author, 100),
                reason=sanitise(grading.reason, 500),
                changed=ruler_changes(before, after),
                verdict_before=grading.before.verdict,
                sentence_before=sanitise(grading.before.sentence, 500),
                verdict=grading.after.verdict,
                sentence=sanitise(grading.after.sentence, 500),
            )
        )
        before = after
    return tuple(notes)


def ruler_changes(before: RunSpec, after: RunSpec) -> str:
    """`qc.runaway markers-v2 → length-v1, gate.runaway_rate < 5% → < 10%`; empty where two specs judge alike."""
    old, new = (_set_rules(spec) for spec in (before, after))
    changes = [
        f"{name} {old.get(name, UNSET)} → {new.get(name, UNSET)}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    return sanitise(", ".join(changes), 1000)


def _set_rules(spec: RunSpec) -> dict[str, str]:
    return {name: value for name, value in rules(spec, own_figures=True) if value != "none"}
