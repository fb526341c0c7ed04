"""The runs that are pictured: real ones, in folders that are removed afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine.demo import CAMPAIGN, set_up
from engine.service import Service
from engine.snapshot import Snapshot
from tools.pictures.scenes import BY_HAND, DEMO, PROGRAM, Picture

HOST = "gpu-1"
AUTHOR = f"kim@{HOST}"
PAIRS = Path(__file__).with_name("make_pairs.py")
PROGRAM_CAMPAIGN = f"""\
# A program of one's own: what it writes is measured, and all else is supervised.
name: sums
generator: {{kind: command, argv: [python3, {PAIRS.name}, "{{output_dir}}", "{{count}}"]}}
target: {{examples: 100}}
gate: {{checks: {{runaway_rate: "< 5%", token_limit_rate: "< 10%", delimiter_leakage: "= 0"}}}}
budget: {{limit_usd: 300, gpu_usd_per_hour: 3.0}}
"""


class PicturedService(Service):
    """The service, on a host that is nobody's."""

    def poll(self, only: str | None = None) -> Snapshot:
        found = super().poll(only)
        devices = tuple(device.replace(f"@{found.host}", f"@{HOST}") for device in found.devices)
        return replace(found, host=HOST, devices=devices)


@dataclass(frozen=True, slots=True)
class Story:
    """`pilothouse COMMAND` in `folder`, and the pictures of `campaign` that are taken meanwhile, in their order."""

    folder: Path
    command: tuple[str, ...]
    campaign: str
    pictures: tuple[Picture, ...]


def stories(place: Path) -> Iterator[Story]:
    """All of them; each makes its folder in `place` when its turn comes."""
    demo = set_up(place / "pilothouse-demo").root
    yield Story(demo, ("demo", "--headless", "--dir", "."), CAMPAIGN, DEMO)
    work = set_up(place / "work").root
    campaign = work / "configs" / f"{CAMPAIGN}.yaml"
    campaign.write_text(campaign.read_text(encoding="utf-8").replace("auto: true", "auto: false"), encoding="utf-8")
    yield Story(work, ("launch", CAMPAIGN, "--yes"), CAMPAIGN, BY_HAND)
    shutil.copy(PAIRS, work)
    (work / "configs" / "sums.yaml").write_text(PROGRAM_CAMPAIGN, encoding="utf-8")
    yield Story(work, ("launch", "sums", "--yes"), "sums", PROGRAM)


@contextmanager
def under_way(story: Story) -> Iterator[Service]:
    """The workspace of `story` with its command at work; what that started is ended afterwards."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    command = subprocess.Popen(
        [sys.executable, "-m", "tui", *story.command],
        cwd=story.folder,
        env={**os.environ, "PATH": path, "PILOTHOUSE_AUTHOR": AUTHOR},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    service = PicturedService(story.folder, author=AUTHOR)
    try:
        yield service
        if command.wait():
            raise RuntimeError(f"`pilothouse {' '.join(story.command)}` ended with {command.returncode}")
    finally:
        command.terminate()
        command.wait()
        for campaign in service.poll().campaigns:
            if campaign.live_run is not None:
                service.stop(campaign.live_run.id, now=True)
