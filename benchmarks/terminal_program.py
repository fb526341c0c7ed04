"""The program under the keeper in `terminal`: a pilot of 100 records, or a run that logs as fast as it is told to.

`python terminal_program.py PACE`: the file PACE holds lines a second, read anew ten times a second.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

RECORDS = 100
SLICE_S = 0.1


def record(index: int, draw: random.Random) -> dict[str, Any]:
    """A kept pair that some of the detectors flag."""
    raw = f" The {index}th answer has a few words." + "\n\nInstruction: and the next" * (draw.random() < 0.1)
    return {
        "v": 1,
        "index": index,
        "attempt": 1,
        "instruction": f"Say something about the number {index}.",
        "raw_response": raw,
        "response": raw.splitlines()[0].strip(),
        "outcome": "kept",
        "kept": True,
        "finish_reason": "stop" if draw.random() < 0.95 else "length",
        "generated_tokens": draw.randint(8, 40),
        "response_tokens": draw.randint(8, 40),
    }


def main() -> None:
    folder = Path(os.environ["PILOTHOUSE_RUN_DIR"])
    draw = random.Random(folder.name)
    lines = (json.dumps(record(index, draw), separators=(",", ":")) + "\n" for index in range(RECORDS))
    (folder / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    if folder.name == "pilot":
        return
    with (folder / "generator.jsonl").open("a", encoding="utf-8") as journal:
        journal.write('{"v":1,"event":"phase","attempt":1,"phase":"generating"}\n')
    log_for_ever(Path(sys.argv[1]), draw)


def log_for_ever(pace: Path, draw: random.Random) -> None:
    """Write whole slices at once, as a busy engine's buffered output comes."""
    due, number, last = 0.0, 0, time.monotonic()
    while True:
        now = time.monotonic()
        due += float(pace.read_text(encoding="utf-8") or 0) * (now - last)
        last = now
        stamp = time.strftime("%m-%d %H:%M:%S")
        for _ in range(int(due)):
            number += 1
            tokens, running = draw.uniform(5000, 8000), draw.randint(1, 256)
            sys.stdout.write(
                f"INFO {stamp} [loggers.py:259] Engine 000: Avg generation throughput: {tokens:.1f} tokens/s, "
                f"Running: {running} reqs, item {number}\n"
            )
        due -= int(due)
        sys.stdout.flush()
        time.sleep(SLICE_S)


if __name__ == "__main__":
    main()
