"""Following a run, or an automatic campaign, to its end on plain lines."""

from __future__ import annotations

import time

from engine.cli.console import note, say
from engine.errors import RunFailedError
from engine.report.watch import CampaignLines, RunLines
from engine.service import Service
from engine.snapshot import CampaignSnapshot, RunSnapshot

POLL_SECONDS = 0.5
HANDOVER_SECONDS = 60.0
"""How long a keeper that ended may take to ask the policy and start the next run."""


def wait_for(service: Service, run_id: str, *, quietly: bool) -> RunSnapshot:
    """Follow a run to its end, on stderr when `quietly`; `RunFailedError` when it failed or was lost."""
    run = service.look_at_run(run_id)
    campaign, _ = service.workspace.split_run_id(run_id)
    lines = RunLines()
    while True:
        picture = service.poll(only=campaign).campaign(campaign)
        run = (picture.run(run.name) if picture else None) or run
        for line in lines.update(run):
            (note if quietly else say)(line)
        if not run.live:
            break
        time.sleep(POLL_SECONDS)
    if run.state in ("failed", "lost"):
        raise RunFailedError(
            f"{run_id} {run.state}: {run.reason}", where=run.log, remedy=f"see `pilothouse logs {run_id}`"
        )
    return run


def follow_campaign(service: Service, name: str) -> CampaignSnapshot:
    """Follow an automatic campaign until nothing goes on and nothing more will start by itself."""
    lines = CampaignLines()
    idle_since: float | None = None
    while True:
        picture = service.poll(only=name).campaign(name)
        if picture is None:
            return service.look(name)
        for line in lines.update(picture):
            say(line)
        if picture.live_run is not None:
            idle_since = None
        elif picture.next is None or picture.next.argv is None:
            return picture
        else:
            idle_since = idle_since or time.monotonic()
            if time.monotonic() - idle_since > HANDOVER_SECONDS:
                return picture
        time.sleep(POLL_SECONDS)
