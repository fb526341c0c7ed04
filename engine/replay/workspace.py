"""All campaigns of a workspace, folded into one snapshot."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from engine.budget.forecast import campaign_budget
from engine.campaign.loading import load_campaign
from engine.campaign.models import Campaign
from engine.campaign.spec import read_spec
from engine.errors import PilothouseError
from engine.files import Workspace
from engine.policy.actions import NextAction
from engine.policy.decide import next_action
from engine.policy.history import PastRun
from engine.replay.run import RunReplay
from engine.snapshot import CampaignSnapshot, CampaignState, RunSnapshot, Snapshot


class WorkspaceReplay:
    """Keeps a `RunReplay` per run and each campaign file as last read; `refresh` reads only what is new."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._host = socket.gethostname()
        self._campaigns: dict[Path, tuple[tuple[int, int, int], Campaign | PilothouseError]] = {}
        self._runs: dict[Path, RunReplay] = {}
        self._broken: dict[Path, str] = {}
        self._past: dict[str, Sequence[PastRun]] = {}

    def refresh(self, only: str | None = None) -> Snapshot:
        """The picture now; with `only`, of that campaign alone."""
        files = [path for path in self.workspace.campaign_files() if only is None or path.stem == only]
        return Snapshot(
            workspace=str(self.workspace.root),
            host=self._host,
            campaigns=tuple(self._campaign(path) for path in files),
        )

    def history(self, campaign: str) -> Sequence[PastRun]:
        """The campaign's runs as the policy sees them, in the order they were created; of the last refresh."""
        return self._past.get(campaign, ())

    def _load(self, path: Path) -> Campaign | PilothouseError:
        """The campaign file, read again only when it changed."""
        try:
            found = path.stat()
        except OSError:
            mark = (0, 0, 0)
        else:
            mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._campaigns.get(path)
        if known is not None and known[0] == mark:
            return known[1]
        result: Campaign | PilothouseError
        try:
            result = load_campaign(path)
        except PilothouseError as error:
            result = error
        self._campaigns[path] = (mark, result)
        return result

    def _campaign(self, path: Path) -> CampaignSnapshot:
        name = path.stem
        replays, warnings = self._replays(name)
        for replay in replays:
            replay.refresh()
        runs = tuple(replay.snapshot() for replay in replays)
        config = self._load(path)
        if isinstance(config, PilothouseError):
            return CampaignSnapshot(name, "broken", str(path), None, None, None, runs, str(config), warnings)
        past = tuple(replay.past(run) for replay, run in zip(replays, runs, strict=True))
        self._past[name] = past
        budget = campaign_budget(config, past, [replay.meter for replay in replays])
        action = next_action(config, past, budget)
        state = _state(runs, action)
        return CampaignSnapshot(name, state, str(path), config, budget, action, runs, None, warnings)

    def _replays(self, campaign: str) -> tuple[list[RunReplay], tuple[str, ...]]:
        replays, warnings = [], []
        for files in self.workspace.runs_of(campaign):
            if files.folder not in self._runs:
                try:
                    self._runs[files.folder] = RunReplay(files, read_spec(files))
                except PilothouseError as error:
                    warnings.append(f"{error.what} ({error.where})")
                    continue
            replays.append(self._runs[files.folder])
        replays.sort(key=lambda replay: (replay.spec.created, replay.spec.run))
        return replays, tuple(warnings)


def _state(runs: Sequence[RunSnapshot], action: NextAction) -> CampaignState:
    if any(run.live for run in runs):
        return "running"
    if not runs:
        return "empty"
    if action.kind == "done":
        return "done"
    return "blocked" if action.kind in ("blocked", "review") else "waiting"
