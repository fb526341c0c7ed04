"""From launch to verdict of an iteration, by the real command line: cold, warm compile cache, warm engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.campaign.packaged import packaged_configs

HOME = Path(__file__).resolve().parents[2]
Report = Callable[[dict[str, Any]], None]


class Place:
    """A workspace with one campaign, and the command line in it."""

    def __init__(self, root: Path, model: str, options: dict[str, Any]) -> None:
        self.root = root
        prompts = "demo" if model == "pocket" else "stage1"
        shutil.copytree(packaged_configs() / "prompts" / prompts, root / "configs" / "prompts", dirs_exist_ok=True)
        files = {
            kind: f"prompts/{kind}.txt" for kind in ("instructions", "response", "instruction_critic", "pair_critic")
        }
        self._campaign: dict[str, Any] = {
            "name": "bench",
            "model": {"path": model, "backend": "vllm", "options": options},
            "engine": {"cache_dir": str(root / "cache")},
            "prompts": files,
            "target": {"examples": 100, "max_candidates": 400},
            "policy": {"early_end": {"unreachable": False}},
            "parameters": {
                "seed": 43,
                "instruction": {"temperature": 0.6, "top_p": 0.85},
                "response": {
                    "temperature": 0.3,
                    "top_p": 0.85,
                    "max_tokens": 100,
                    "stop": ["\nInstruction", "\nQ:", "\n###", "\nUser:", "\nResponse:"],
                },
            },
        }
        self.engine()

    def engine(self, **more: Any) -> None:
        self._campaign["engine"] |= more
        (self.root / "configs" / "bench.yaml").write_text(json.dumps(self._campaign, indent=1))  # JSON is YAML

    def command(self, *arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
        """Seconds that the command took, and what came of it."""
        began = time.monotonic()
        paths = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH", "")]))
        done = subprocess.run(
            [sys.executable, "-P", "-m", "engine", *arguments],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        return time.monotonic() - began, done

    def status(self) -> dict[str, Any]:
        _, done = self.command("status", "bench", "--json")
        found: dict[str, Any] = json.loads(done.stdout)["campaigns"][0]
        return found

    def run(self, name: str) -> dict[str, Any]:
        return next(run for run in self.status()["runs"] if run["name"] == name)


def launch_to_verdict(place: Place, name: str, how: str, model: str, out: Report) -> None:
    """One iteration of 100 examples; a model of random weights gets to generating, and writes nothing to judge."""
    seconds, done = place.command("launch", "bench", "--run", name, "--yes", "--wait")
    run = place.run(name)
    folder = place.root / "artifacts" / "bench" / name
    events = [json.loads(line) for line in (folder / "generator.jsonl").read_text().splitlines()]
    began = next(event["time"] for event in events if event.get("phase") == "generating")
    created = json.loads((folder / "spec.json").read_text())["created"]
    judged = done.returncode == 0
    out(
        {
            "part": "start",
            "model": Path(model).name,
            "how": how,
            "to_generating_s": round((_moment(began) - _moment(created)).total_seconds(), 1),
            "to_verdict_s": round(seconds, 1) if judged else None,
            "kept": run["counts"]["kept"],
            "verdict": run["gate"]["verdict"],
            "metrics": {key: value for key, value in run["metrics"].items() if value is not None},
            "error": "" if judged else run["reason"][:200],
        }
    )


def starts(model: str, options: dict[str, Any], root: Path, out: Report) -> Place:
    """Cold, warm cache, warm engine; the engine is left up."""
    place = Place(root, model, options)
    launch_to_verdict(place, "cold", "cold", model, out)
    launch_to_verdict(place, "warm-cache", "warm compile cache", model, out)
    start_engine(place, model, out)
    launch_to_verdict(place, "warm-engine", "warm engine", model, out)
    return place


def start_engine(place: Place, model: str, out: Report) -> str:
    """Start the campaign's engine and wait for it; the socket that it listens on."""
    place.engine(keep_warm=True)
    seconds, done = place.command("engine", "start", "bench", "--yes", "--wait")
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    engine = place.status()["engine"]
    out({"part": "engine", "model": Path(model).name, "command_s": round(seconds, 1), "start_s": engine["start_s"]})
    record = json.loads((place.root / "artifacts" / "bench" / engine["name"] / "engine.json").read_text())
    return str(record["socket"])


def stop_engine(place: Place, model: str, out: Report) -> None:
    seconds, done = place.command("engine", "stop", "bench")
    said = (done.stdout or done.stderr).strip()
    out({"part": "engine stop", "model": Path(model).name, "command_s": round(seconds, 1), "said": said[-200:]})


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
