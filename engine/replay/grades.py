"""A run's records, counted and judged by the ruler it began with, or by one that was saved for it later."""

from __future__ import annotations

from dataclasses import replace

from engine.campaign.policy import PolicyConfig
from engine.campaign.spec import ForeignFigures, RunSpec
from engine.files import RunFiles
from engine.gradings import Grading, GradingsReader, judged_by
from engine.logs.sanitise import sanitise
from engine.marks import MarksReader
from engine.qc.gate import judge, judge_figures
from engine.qc.precision import with_marks
from engine.qc.tally import RunTally
from engine.qc.verdicts import GateVerdict
from engine.records import detector_homes
from engine.replay.foreign import foreign_check_counts
from engine.replay.rules import rules
from engine.snapshot import GradingNote


class Grades:
    """`spec` is the run's frozen one with the detectors and limits that it is judged by; `tally` counts by those.

    An imported run is judged on the figures of its own summary, and from the first saved grading on by our own count of
    its rows. With `own_figures` it is from the beginning, and every run by `spec` as given, whatever was saved.
    """

    def __init__(self, files: RunFiles, spec: RunSpec, *, own_figures: bool) -> None:
        self._files = files
        self._frozen = spec
        self._as_given = own_figures
        self._gradings = GradingsReader(files)
        self._marks = MarksReader(files)
        self._newest: Grading | None = None
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
        """Whether metrics and verdict come from our count of the records, whatever a summary says."""
        return self._as_given or self._newest is not None

    @property
    def foreign(self) -> ForeignFigures | None:
        """The summary that stands for the metrics of an imported run; None where our own count does."""
        return None if self.own_figures else self.spec.imported

    def refresh(self) -> bool:
        """Look for marks and gradings that came; whether the run is judged by another ruler now, and `tally` empty."""
        self._marks.refresh()
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

    def verdict(self, present: PolicyConfig, *, ended: bool, target: int) -> GateVerdict:
        """The gate's verdict on what `tally` holds; `present` is the campaign's policy now."""
        tries = max(self.spec.policy.max_retries, present.max_retries)
        policy = self.spec.policy.model_copy(update={"extend_to": present.extend_to, "max_retries": tries})
        foreign = self.foreign
        if foreign is not None and foreign.metrics:
            counts = foreign_check_counts(foreign, self.tally, self._gate)
            kept = foreign.counts.get("kept", self.tally.judged_kept)
            return judge_figures(self._gate, policy, foreign.metrics, counts, kept=kept, ended=True, target=target)
        verdict = judge(self._gate, policy, self.tally, ended=ended, target=target)
        return replace(verdict, detectors=with_marks(verdict.detectors, self._marks.marks.counts()))

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
    old, new = dict(rules(before, own_figures=True)), dict(rules(after, own_figures=True))
    changes = [
        f"{name} {old.get(name, '–')} → {new.get(name, '–')}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    return sanitise(", ".join(changes), 1000)
