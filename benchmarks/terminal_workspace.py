"""Workspaces for `terminal`: one whose run is live, under a real keeper, and one with many runs that have ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.files import Workspace

HOME = Path(__file__).resolve().parents[1]
PROGRAM = Path(__file__).with_name("terminal_program.py")
TIMEOUT_S = 60.0
CAMPAIGN = """\
name: bench
model: {{path: Qwen/Qwen2.5-32B}}
generator: {{kind: command, argv: [{python}, {program}, {pace}]}}
target: {{examples: 100, max_candidates: 400}}
iterations: {{iteration-1: {{seed: 43}}}}
gate: {{checks: {{runaway_rate: "< 5%", token_limit_rate: "< 10%", median_tokens: "< 40"}}}}
policy: {{max_retries: 2, extend_to: 300}}
"""


def dashboard(tree: Path) -> tuple[list[str], dict[str, str]]:
    """The command that opens the dashboard of the checkout `tree`, and the variables that make it that one."""
    return [sys.executable, "-m", "tui"], {"PYTHONPATH": str(tree)}


class Live:
    """A workspace of the checkout `tree`, with a pilot that has ended and a run that logs `pace` lines a second."""

    def __init__(self, folder: Path, tree: Path) -> None:
        self.folder = folder
        self._tree = tree
        self._pace = folder / "pace"
        self.log = Workspace(folder).run_files("bench", "iteration-1").log
        self.pace(0)

    def pace(self, lines_per_s: float) -> None:
        self._pace.write_text(str(lines_per_s), encoding="utf-8")

    def command(self, *arguments: str) -> None:
        """`pilothouse ARGUMENTS` here."""
        argv, variables = dashboard(self._tree)
        subprocess.run(
            [*argv, *arguments],
            cwd=self.folder,
            check=True,
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
        )


@contextmanager
def live(tree: Path = HOME) -> Iterator[Live]:
    """A workspace whose run is live until the end."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Live(Path(name), tree)
        configs = workspace.folder / "configs"
        configs.mkdir()
        pace = workspace.folder / "pace"
        text = CAMPAIGN.format(python=sys.executable, program=PROGRAM, pace=pace)
        (configs / "bench.yaml").write_text(text, encoding="utf-8")
        workspace.command("launch", "bench", "--run", "pilot", "--wait", "--yes")
        workspace.command("launch", "bench", "--run", "iteration-1", "--yes")
        try:
            time.sleep(1.0)
            yield workspace
        finally:
            workspace.command("stop", "bench/iteration-1", "--now")


@contextmanager
def ended(runs: int, tree: Path = HOME) -> Iterator[Path]:
    """A workspace whose one campaign has `runs` runs that have ended, each a copy of a real one of 100 records."""
    with live(tree) as source, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(source.folder / "configs", folder / "configs")
        pilot = Workspace(source.folder).run_files("bench", "pilot").folder
        for number in range(runs):
            run = "pilot" if number == 0 else f"iteration-{number}"
            copy = Workspace(folder).run_files("bench", run)
            shutil.copytree(pilot, copy.folder)
            spec = json.loads(copy.spec.read_text(encoding="utf-8"))
            named = {"run": run, "kind": "iteration" if number else "pilot", "run_id": str(uuid.uuid4())}
            copy.spec.write_text(json.dumps(spec | named), encoding="utf-8")
        yield folder
