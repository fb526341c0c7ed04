"""A program of somebody's own for Pilothouse to supervise: `make_pairs.py FOLDER COUNT` writes sums and their results,
a record a line as docs/files.md has them, and tells on its standard output how far it is."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

PAUSE_S = 0.1


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    numbers = random.Random(42)
    with (folder / "records.jsonl").open("a", encoding="utf-8") as records:
        for index in range(count):
            one, other = numbers.randrange(100), numbers.randrange(100)
            pair = {"instruction": f"Add {one} and {other}.", "response": f"{one + other}."}
            facts = {"outcome": "kept", "kept": True, "finish_reason": "eos", "generated_tokens": 3}
            line = {"v": 1, "index": index, "attempt": 1, **pair, "raw_response": pair["response"], **facts}
            records.write(f"{json.dumps(line)}\n")
            records.flush()
            sys.stdout.write(f"{index + 1} of {count} pairs, the last one: {pair['instruction']}\n")
            sys.stdout.flush()
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
