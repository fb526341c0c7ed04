"""How long it takes to rebuild the picture of a run with 100,000 records from its files."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from benchmarks.grading import write_records
from engine.campaign.spec import RunSpec, create_spec
from engine.files import RunFiles
from engine.replay.run import RunReplay

RECORDS = 100_000


def replay_of_records() -> list[tuple[str, str, str]]:
    """Cold replay of the whole run, then one more record on top of it."""
    with tempfile.TemporaryDirectory() as name:
        files = RunFiles(Path(name))
        spec = RunSpec(campaign="bench", run="pilot", kind="pilot")
        create_spec(files, spec)
        write_records(files.records, RECORDS)
        size = files.records.stat().st_size
        begun = time.perf_counter()
        replay = RunReplay(files, spec)
        replay.refresh()
        snapshot = replay.snapshot()
        cold = time.perf_counter() - begun
        if snapshot.counts.records != RECORDS:
            raise RuntimeError(f"replay saw {snapshot.counts.records} of {RECORDS} records")
        with files.records.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"v": 1, "index": RECORDS, "outcome": "malformed", "kept": False}) + "\n")
        begun = time.perf_counter()
        replay.refresh()
        replay.snapshot()
        warm = time.perf_counter() - begun
    return [
        (f"replay of {RECORDS:,} records ({size / 1e6:.0f} MB)", f"{cold:.2f} s", "2 s"),
        ("one more record on top", f"{warm * 1000:.1f} ms", ""),
    ]
