"""How fast the demo's pilot generates, how soon its first metric is there, and how long the whole demo takes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.demo import CAMPAIGN, set_up
from engine.service import Service

TIMEOUT_S = 600.0


def demo_pilot() -> list[tuple[str, str, str]]:
    """Run the headless demo in a folder of its own, and look at its pilot while it goes."""
    command = str(Path(sys.executable).with_name("pilothouse"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        service = Service(set_up(folder).root)
        begun = time.perf_counter()
        process = subprocess.Popen(
            [command, "demo", "--headless", "--dir", str(folder)], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        first = _first_metric(service, begun)
        code = process.wait(TIMEOUT_S)
        whole = time.perf_counter() - begun
        status = subprocess.run([command, "status", "--json"], cwd=folder, check=True, capture_output=True, text=True)
    runs = json.loads(status.stdout)["campaigns"][0]["runs"]
    rows = [
        ("first live metric after the launch", f"{first:.1f} s", ""),
        (f"whole headless demo, {len(runs)} runs, exit {code}", f"{whole:.0f} s", "180 s"),
    ]
    for run in runs:
        kept, seconds = run["counts"]["kept"], run["active_s"]
        rows.append((f"{run['name']}: {kept} kept in {seconds:.0f} s", f"{run['examples_per_second']} examples/s", ""))
    return rows


def _first_metric(service: Service, begun: float) -> float:
    while time.perf_counter() - begun < TIMEOUT_S:
        campaign = service.poll(only=CAMPAIGN).campaign(CAMPAIGN)
        run = campaign.run("pilot") if campaign else None
        if run is not None and run.metrics.get("instruction_acceptance") is not None:
            return time.perf_counter() - begun
        time.sleep(0.05)
    raise TimeoutError("the pilot never had a metric")
