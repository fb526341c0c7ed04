"""How long it takes to rebuild the picture of a run with 100,000 records from its files."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.campaign.spec import RunSpec, create_spec
from engine.files import RunFiles
from engine.replay.run import RunReplay

RECORDS = 100_000


def _records(count: int) -> Iterator[dict[str, Any]]:
    """Records of the shape and size that the generator writes, a third of them rejected, in scrambled order."""
    draw = random.Random(1)
    order = list(range(count))
    for start in range(0, count, 64):
        block = order[start : start + 64]
        draw.shuffle(block)
        order[start : start + 64] = block
    for index in order:
        good = draw.random() < 0.7
        critic = {
            "good": good,
            "confident": True,
            "label": "A" if good else "B",
            "margin": draw.uniform(0, 9),
            "logprobs": {" A": -0.1, "A": -9.5, " B": -3.2, "B": -11.25},
        }
        record: dict[str, Any] = {
            "v": 1,
            "index": index,
            "list": index // 8,
            "line": index % 8,
            "attempt": 1,
            "time": "2026-01-01T00:00:00.000000Z",
            "instruction": "Explain in one sentence why bread rises when it is baked.",
            "raw_instruction": " Explain in one sentence why bread rises when it is baked.",
            "instruction_seed": draw.getrandbits(31),
            "instruction_critic": critic,
            "outcome": "kept" if good else "instruction_rejected",
            "kept": good,
        }
        if good:
            text = "Yeast makes gas in the dough, and the gas swells when it gets hot. " * draw.randint(1, 3)
            record |= {
                "response": text.strip(),
                "raw_response": " " + text + "\n\nInstruction:" * (draw.random() < 0.05),
                "response_seed": draw.getrandbits(31),
                "finish_reason": "stop" if draw.random() < 0.9 else "length",
                "stop_reason": "\nInstruction",
                "prompt_tokens": 90,
                "generated_tokens": draw.randint(5, 80),
                "response_tokens": draw.randint(5, 60),
                "pair_critic": critic,
                "flags": {"runaway": False, "token_limit": False, "delimiter": False, "truncation": False},
            }
        yield record


def replay_of_records() -> list[tuple[str, str, str]]:
    """Cold replay of the whole run, then one more record on top of it."""
    with tempfile.TemporaryDirectory() as name:
        files = RunFiles(Path(name))
        spec = RunSpec(campaign="bench", run="pilot", kind="pilot")
        create_spec(files, spec)
        with files.records.open("w", encoding="utf-8") as stream:
            for record in _records(RECORDS):
                stream.write(json.dumps(record, separators=(",", ":")) + "\n")
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
