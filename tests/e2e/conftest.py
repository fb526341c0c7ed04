"""A small campaign on the pocket model in a folder of its own, driven through the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from engine.service import Service
from engine.snapshot import CampaignSnapshot
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable


@dataclass
class Desk:
    """A person's working folder and their command line."""

    folder: Path
    paths: list[Path] = field(default_factory=lambda: [ROOT])
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, timeout: float = 90, **options: Any) -> subprocess.CompletedProcess[str]:
        """`python -m tui ARGUMENTS` here, as `pilothouse` runs it; no terminal."""
        options.setdefault("env", self.environment)
        return subprocess.run(
            [PYTHON, "-m", "tui", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
            **options,
        )

    @cached_property
    def _service(self) -> Service:
        return Service(self.folder)

    def picture(self, campaign: str = "demo") -> CampaignSnapshot:
        """What a screen would show, without a process for every look; for waiting. A dead keeper is not replaced."""
        return next(one for one in self._service.poll(campaign).campaigns if one.name == campaign)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, self.paths))} | self.variables

    def status(self, campaign: str = "demo") -> dict[str, Any]:
        result = self.run("status", campaign, "--json")
        assert result.returncode == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout)["campaigns"][0]
        return found

    def run_status(self, name: str, campaign: str = "demo") -> dict[str, Any]:
        found: dict[str, Any] = next(run for run in self.status(campaign)["runs"] if run["name"] == name)
        return found

    def records(self, name: str, campaign: str = "demo") -> list[dict[str, Any]]:
        """Whole lines of the run's records."""
        path = self.folder / "artifacts" / campaign / name / "records.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]

    def edit_campaign(self, *replacements: tuple[str, str]) -> None:
        path = self.folder / "configs" / "demo.yaml"
        text = path.read_text()
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text)


def ended(desk: Desk, run: str = "pilot") -> dict[str, Any]:
    """The run's status once it has ended; where its keeper died, asking gives it a new one."""

    def over() -> bool:
        found = desk.picture().run(run)
        return found is not None and (not found.live or found.keeper_alive is False)

    def look() -> dict[str, Any] | None:
        wait_until(over, 60, f"the end of {run}")
        found = desk.run_status(run)
        return None if found["state"] in ("queued", "starting", "running", "stopping") else found

    return wait_until(look, 60, f"the end of {run}")


def _kill_strays(folder: Path) -> None:
    """End whatever a failed test left running under `folder`."""
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"PILOTHOUSE_RUN_DIR={folder}".encode() in environment:
            os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The demo campaign with a small target that no gate ends early, `policy.auto: false`, nothing launched."""
    configs = tmp_path / "configs"
    (configs / "prompts" / "demo").mkdir(parents=True)
    for path in (ROOT / "configs" / "prompts" / "demo").iterdir():
        (configs / "prompts" / "demo" / path.name).write_bytes(path.read_bytes())
    (configs / "demo.yaml").write_bytes((ROOT / "configs" / "demo.yaml").read_bytes())
    place = Desk(tmp_path)
    place.edit_campaign(
        ("examples: 100, max_candidates: 400", "examples: 12, max_candidates: 60"),
        ("auto: false}", "auto: false, early_end: {unreachable: false}}"),
    )
    yield place
    _kill_strays(tmp_path)
