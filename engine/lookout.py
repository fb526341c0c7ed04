"""Looking at a workspace: the picture now, and dead keepers and idle watchers replaced on the way."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.campaign.models import Campaign
from engine.campaign.naming import check_not_an_engine
from engine.errors import NotFoundError, PilothouseError
from engine.figures import RunProcesses
from engine.files import RunFiles, Workspace, well_formed
from engine.policy.history import PastRun
from engine.replay.campaigns import load_checked
from engine.replay.workspace import WorkspaceReplay
from engine.snapshot import CampaignSnapshot, RunSnapshot, Snapshot
from engine.supervise.patience import Patience

if TYPE_CHECKING:
    from engine.report.events import RunEvents
    from engine.report.series import RunSeries

TEND_IDLE_S = 60.0
CLOSING_S = 20.0
CLOSING_POLL_S = 0.05
"""How long an action waits for a keeper that records the end of a run that died unwatched."""


def author_name() -> str:
    """Who asks, as `user@host`; a keeper that follows the policy says so in `PILOTHOUSE_AUTHOR`."""
    if author := os.environ.get("PILOTHOUSE_AUTHOR"):
        return author
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@dataclass(frozen=True, slots=True)
class View:
    """One campaign as an action needs it, read once: its file, its picture, its history for the policy."""

    path: Path
    config: Campaign
    picture: CampaignSnapshot
    past: Sequence[PastRun]


class Lookout:
    """One workspace, the folder `root` that holds `configs/` and `artifacts/`, as its files tell it."""

    def __init__(self, root: Path, *, author: str | None = None, tend: bool = False) -> None:
        self.tend = tend
        self._patience = Patience()
        self.root = root.absolute()
        self.workspace = Workspace(self.root)
        self.author = well_formed(author or author_name())
        self._replay = WorkspaceReplay(self.workspace)
        self._idle_tended: dict[str, float] = {}

    def poll(self, only: str | None = None) -> Snapshot:
        """The picture now, of one campaign with `only`; reads just what was appended since the last call.

        A service that was made to `tend` gives a run whose keeper died a new one, which adopts it, and a campaign
        whose idle watcher is missing another.
        """
        snapshot = self._replay.refresh(only)
        if self.tend:
            for campaign in snapshot.campaigns:
                self._adopt(self._replay, campaign.name)
                self._tend_idle(campaign)
        return snapshot

    def _tend_idle(self, picture: CampaignSnapshot) -> None:
        """See to the idle watcher once no run is live, and every `TEND_IDLE_S` from then on."""
        on_idle = picture.campaign.budget.on_idle if picture.campaign is not None else None
        if on_idle is None or not picture.runs or picture.live_run is not None:
            self._idle_tended.pop(picture.name, None)
            return
        now = time.monotonic()
        if now - self._idle_tended.get(picture.name, -TEND_IDLE_S) >= TEND_IDLE_S:
            from engine.supervise.idle import tend_idle_watch

            self._idle_tended[picture.name] = now
            tend_idle_watch(self.workspace, picture.name, on_idle, self.author)

    def _adopt(self, replay: WorkspaceReplay, campaign: str, *, to_the_end: bool = False) -> bool:
        """Start a keeper for each run of `campaign` whose own died: it goes on with the run, or records its end.

        Whether there was any to be started. With `to_the_end` the end of those that died is waited for.
        """
        orphans = [found for found in replay.orphans(campaign) if self._patience.may_try(found[0].folder)]
        if orphans:
            from engine.supervise.launch import adoption_is_under_way, start_attempt
            from engine.supervise.liveness import run_liveness
        for files, attempt in orphans:
            died = not run_liveness(files).generator_alive
            # Refused: somebody else adopts it in this same moment. Failed: it is tried again later, and shown.
            with suppress(PilothouseError):
                start_attempt(files, attempt=attempt, author=self.author, adopt=True)
            deadline = time.monotonic() + CLOSING_S
            while to_the_end and died and adoption_is_under_way(files, attempt) and time.monotonic() < deadline:
                time.sleep(CLOSING_POLL_S)
        return bool(orphans)

    def look(self, campaign: str) -> CampaignSnapshot:
        """One campaign's picture, freshly read; `NotFoundError` or `ConfigurationError` as its file is."""
        return self.view(campaign).picture

    def look_at_run(self, run_id: str) -> RunSnapshot:
        """One run's picture, freshly read, whatever became of its campaign's file; `NotFoundError` for no such run."""
        files = self.workspace.existing_run(run_id)
        campaign, name = self.workspace.split_run_id(run_id)
        check_not_an_engine(name)
        picture = WorkspaceReplay(self.workspace).refresh(campaign).campaign(campaign)
        run = picture.run(name) if picture else None
        if run is None:
            why = "; ".join(picture.warnings) if picture else ""
            raise NotFoundError(f"the run {run_id!r} cannot be read", where=str(files.folder), remedy=why or "mend it")
        return run

    def is_live(self, run_id: str) -> bool:
        """Whether anything of that run, or engine, may be at work; `NotFoundError` for none of that id."""
        from engine.supervise.liveness import run_liveness

        return run_liveness(self.workspace.existing_run(run_id)).live

    def metric_series(self, run_id: str) -> Callable[[RunSnapshot], RunSeries]:
        """What gives a run's metrics over its samples, as often as it is called with the run's present picture; it
        reads only what was appended since."""
        from engine.report.series import SeriesReader

        return SeriesReader(self.workspace.existing_run(run_id))

    def events(self, run_id: str) -> Callable[[RunSnapshot], RunEvents]:
        """As `metric_series`, what happened to a run."""
        from engine.report.events import EventsReader

        return EventsReader(self.workspace.existing_run(run_id))

    def processes(self, run_id: str) -> Callable[[RunSnapshot], RunProcesses]:
        """As `metric_series`, who lives of a run and what that uses, since the last call."""
        from engine.supervise.sampling import ProcessSampler

        sample = ProcessSampler(self.workspace.existing_run(run_id))
        return lambda run: sample(on_gpu=run.live or run.gpu_held)

    def campaign_names(self) -> list[str]:
        return [path.stem for path in self.workspace.campaign_files()]

    def view(self, campaign: str) -> View:
        path = self.workspace.campaign_file(campaign)
        config = load_checked(path)
        replay = WorkspaceReplay(self.workspace)
        picture = replay.refresh(campaign).campaign(campaign)
        if self._adopt(replay, campaign, to_the_end=True):
            picture = replay.refresh(campaign).campaign(campaign)
        if picture is None:
            raise NotFoundError(f"there is no campaign {campaign!r}", where=str(path), remedy="check the name")
        return View(path, config, picture, replay.history(campaign))

    def run_view(self, run_id: str) -> tuple[View, RunSnapshot, RunFiles]:
        files = self.workspace.existing_run(run_id)
        campaign, name = self.workspace.split_run_id(run_id)
        view = self.view(campaign)
        run = view.picture.run(name)
        if run is None:
            raise NotFoundError(f"there is no run {run_id!r}", where=str(files.folder), remedy="see its spec.json")
        return view, run, files
