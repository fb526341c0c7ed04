"""How long a cold `pilothouse status --json` takes beside a bare import of its two libraries, side by side."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 11


def _seconds(argv: list[str], folder: Path) -> float:
    begun = time.perf_counter()
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def cold_start() -> list[tuple[str, str, str]]:
    """Median of alternating runs: the bare imports, then `status --json` through the installed command."""
    command = str(Path(sys.executable).with_name("pilothouse"))
    bare, status = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _seconds([command, "status", "--json"], folder)
        for _ in range(ROUNDS):
            bare.append(_seconds([sys.executable, "-c", "import pydantic, typer"], folder))
            status.append(_seconds([command, "status", "--json"], folder))
    apart = statistics.median(status) - statistics.median(bare)
    return [
        ("import pydantic, typer", f"{statistics.median(bare):.3f} s", ""),
        ("pilothouse status --json", f"{statistics.median(status):.3f} s (+{apart:.3f} s)", "+0.1 s"),
    ]
