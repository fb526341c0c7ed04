"""Grading a run again, looking at its samples, and marking what its detectors flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.campaign.models import Campaign
from engine.campaign.naming import check_not_an_engine
from engine.campaign.spec import read_spec
from engine.errors import NotFoundError, RefusedError
from engine.gradings import graded_spec, next_number, read_gradings, save_grading
from engine.lookout import Lookout, View
from engine.marks import read_marks, set_marks
from engine.policy.history import PastRun, tries_spent
from engine.qc.precision import precision_sentence
from engine.replay.campaigns import load_checked
from engine.replay.workspace import WorkspaceReplay
from engine.report.regrade import Regraded, grade_again
from engine.report.samples import Samples, Wanted, find_samples
from engine.snapshot import CampaignSnapshot

SAVE_ATTEMPTS = 100
"""So often somebody else may save a grading of the campaign while the run is looked at."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How many chances to pass its gate a campaign has had, of how many; `lost` are gradings that cannot be read."""

    spent: int
    allowed: int
    lost: int = 0

    @property
    def left(self) -> int:
        return max(0, self.allowed - self.spent)


class Grader(Lookout):
    """What can be thought of a run, and written down, while nothing is generated. Runs may be live, and imported."""

    def regrade(self, run_id: str, ruler: Path, *, reason: str | None = None) -> Regraded:
        """A run under the detectors and limits of the file `ruler`. With a `reason` that is saved: the run is judged by
        them from now on, which spends one of the campaign's tries.

        `ConfigurationError` for a file that cannot be used, `RefusedError` when all tries are spent.
        """
        campaign, name = self._graded_run(run_id)
        if reason is None:
            return grade_again(self._picture(campaign), name, ruler)
        files = self.workspace.run_files(campaign, name)
        for _ in range(SAVE_ATTEMPTS):
            number = next_number(files)
            view = self.view(campaign)
            found = grade_again(view.picture, name, ruler)
            self._check_tries(view, run_id)
            saved = save_grading(
                files,
                found.spec,
                before=found.old,
                after=found.new,
                reason=reason,
                author=self.author,
                number=number,
            )
            if saved is not None:
                return replace(found, saved=saved)
        raise RefusedError(
            f"no grading of {run_id} was saved: others were saved in {campaign} all the while",
            where=str(files.saves),
            remedy="try again",
        )

    def rulers(self) -> list[Path]:
        """The workspace's own files to grade by, `configs/rulers/*.yaml`, by name."""
        return sorted((self.workspace.configs / "rulers").glob("*.yaml"))

    def tries(self, run_id: str) -> Tries:
        """What saving a grading of that run would be one more of; `ConfigurationError` for a campaign's broken file."""
        campaign, _ = self._graded_run(run_id)
        config = load_checked(self.workspace.campaign_file(campaign))
        replay = WorkspaceReplay(self.workspace)
        replay.refresh(campaign)
        return self._tries(campaign, config, replay.history(campaign))

    def samples(self, run_id: str, wanted: Wanted, most: int, ruler: Path | None = None, *, near: int = 0) -> Samples:
        """`most` records of a run that are wanted, the first ones or those around record `near`, with what flags them;
        with a file `ruler`, by that."""
        campaign, name = self._graded_run(run_id)
        return find_samples(self.workspace.run_files(campaign, name), wanted, most=most, ruler=ruler, near=near)

    def mark(self, run_id: str, kind: str, marks: Mapping[int, bool], *, detector: str | None = None) -> str:
        """Mark what the run's detector of that kind flags, by record: true for a right flag, false for a false alarm.

        Returns what all marks make of the detector, in a sentence. `detector` is the id of the one whose flags were
        looked at. None is marked, with `ConfigurationError`, when one of the records is not flagged, and with
        `OtherDetectorError` when the run is judged by another detector by now.
        """
        campaign, name = self._graded_run(run_id)
        files = self.workspace.run_files(campaign, name)
        spec = graded_spec(files, read_spec(files))
        looked_at, flagged = set_marks(files, spec, kind, marks, self.author, detector=detector)
        return precision_sentence(looked_at, *read_marks(files).counts(looked_at, flagged))

    def _graded_run(self, run_id: str) -> tuple[str, str]:
        """Campaign and name of a run that exists; `NotFoundError` for none, and an engine has nothing to grade."""
        self.workspace.existing_run(run_id)
        campaign, name = self.workspace.split_run_id(run_id)
        check_not_an_engine(name)
        return campaign, name

    def _picture(self, campaign: str) -> CampaignSnapshot:
        """The campaign now, whatever became of its file."""
        picture = WorkspaceReplay(self.workspace).refresh(campaign).campaign(campaign)
        if picture is None:
            raise NotFoundError(f"there is no campaign {campaign!r}", where=str(self.root), remedy="check the name")
        return picture

    def _check_tries(self, view: View, run_id: str) -> None:
        """`RefusedError` when no try is left: a saved grading is one more chance to pass the gate by luck, and stays
        one when its file can no longer be read."""
        tries = self._tries(view.picture.name, view.config, view.past)
        if not tries.left:
            damaged = f" ({tries.lost} of them gradings that cannot be read)" if tries.lost else ""
            raise RefusedError(
                f"saving a grading of {run_id} is refused: {tries.spent} of {tries.allowed} tries are spent{damaged}, "
                "and each look with another ruler is one more chance to pass by luck",
                where=str(view.path),
                remedy="raise policy.max_retries before: every try then has to prove more; looking without --save is "
                "free",
            )

    def _tries(self, campaign: str, config: Campaign, past: Sequence[PastRun]) -> Tries:
        lost = sum(read_gradings(files).lost for files in self.workspace.runs_of(campaign))
        return Tries(tries_spent(past), config.policy.max_retries + 1, lost)
