"""How fast records are graded, and what one look at the gate costs while a run goes on."""

from __future__ import annotations

import gc
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.journal.reader import JournalReader
from engine.qc.gate import judge
from engine.qc.tally import RunTally

SIZES = (15_000, 100_000, 1_000_000)
LOOKED_AT = (100, 1_000, 10_000, 100_000)
LOOKS = 200
WINDOW = 256
DELIMITER = "###END###"
_ONSETS, _VOWELS, _CODAS = (
    ("b", "br", "d", "f", "gr", "k", "l", "m", "n", "pl", "s", "st", "t", "tr", "v"),
    "aeiou",
    "lmnrst",
)
Row = tuple[str, str, str]


def grading_speed() -> list[Row]:
    """Records read from a file and tallied, with the memory that takes; then the gate's verdict at several sizes."""
    rows: list[Row] = []
    aims = {15_000: "1 s", 1_000_000: "30 s"}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / f"{size}.jsonl"
            write_records(path, size)
            seconds, grown = _graded(path, size)
            text = f"{size:,} records ({path.stat().st_size / 1e6:,.0f} MB) read and graded"
            measured = f"{seconds:.2f} s, {seconds / size * 1e6:.1f} µs a record, {grown:.0f} MB more"
            rows.append((text, measured, aims.get(size, "")))
            path.unlink()
    return rows + _looks()


# --- records -----------------------------------------------------------------------------------------------------


def write_records(path: Path, size: int) -> None:
    """`size` of `records` as lines of JSON."""
    with path.open("w", encoding="utf-8") as stream:
        for record in records(size):
            stream.write(json.dumps(record, separators=(",", ":")) + "\n")


def records(count: int) -> Iterator[dict[str, Any]]:
    """Records of the shape and size that the generator writes, a third of them rejected, scrambled as they finish.

    Words are as frequent as Zipf's law has them, so that texts repeat words, and hardly ever phrases.
    """
    draw = random.Random(1)
    words = [
        "".join((draw.choice(_ONSETS), draw.choice(_VOWELS), draw.choice(_CODAS)) * 2)[: 2 + n % 8] for n in range(3000)
    ]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    for start in range(0, count, WINDOW):
        block = list(range(start, min(start + WINDOW, count)))
        draw.shuffle(block)
        drawn = iter(draw.choices(words, weights, k=50 * len(block)))
        for index in block:
            yield _record(index, [next(drawn) for _ in range(50)], draw)


def _record(index: int, words: list[str], draw: random.Random) -> dict[str, Any]:
    good = draw.random() < 0.7
    critic = {
        "good": good,
        "confident": True,
        "label": "A" if good else "B",
        "margin": draw.uniform(0, 9),
        "logprobs": {" A": -0.1, "A": -9.5, " B": -3.2, "B": -11.25},
    }
    instruction = " ".join(words[:9]).capitalize() + "."
    record: dict[str, Any] = {
        "v": 1,
        "index": index,
        "list": index // 8,
        "line": index % 8,
        "attempt": 1,
        "time": "2026-01-01T00:00:00.000000Z",
        "instruction": instruction,
        "raw_instruction": f" {instruction}",
        "instruction_seed": draw.getrandbits(31),
        "instruction_critic": critic,
        "outcome": "kept" if good else "instruction_rejected",
        "kept": good,
    }
    if not good:
        return record
    response = " ".join(words[9 : draw.randint(14, 50)]).capitalize() + "."
    return record | {
        "response": response,
        "raw_response": f" {response}" + "\n\nInstruction: " * (draw.random() < 0.05),
        "response_seed": draw.getrandbits(31),
        "finish_reason": "stop" if draw.random() < 0.95 else "length",
        "stop_reason": "\nInstruction",
        "prompt_tokens": 90,
        "generated_tokens": draw.randint(5, 80),
        "response_tokens": draw.randint(5, 60),
        "pair_critic": critic,
        "flags": {"runaway": False, "token_limit": False, "delimiter": False, "truncation": False, "repetition": False},
    }


# --- measuring ---------------------------------------------------------------------------------------------------


def _graded(path: Path, size: int) -> tuple[float, float]:
    """Seconds to read and tally the file, and by how many MB the process grew beyond what it ever was."""
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tally = RunTally(QcConfig(), GateConfig(), DELIMITER)
    begun = time.perf_counter()
    for record in JournalReader(path).read_new():
        tally.add(record)
    seconds = time.perf_counter() - begun
    if tally.judged_items != size:
        raise RuntimeError(f"{tally.judged_items} of {size} records were judged")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return seconds, grown / (1024 if sys.platform != "darwin" else 1 << 20)


def _looks() -> list[Row]:
    """One verdict, as the generator asks for it at every record that is judged, and as the screen shows it."""
    tally = RunTally(QcConfig(), GateConfig(), DELIMITER, in_line_order=True)  # each one is judged as it comes
    rows, source = [], records(LOOKED_AT[-1] + 2 * LOOKS)
    for n in LOOKED_AT:
        while tally.judged_items < n:
            tally.add(next(source))
        plain, whole = (_look_us(tally, source, bounds=bounds) for bounds in (False, True))
        text = f"one verdict of {len(tally.gate.checks)} checks at {n:,} records"
        rows.append((text, f"{plain:.0f} µs; {whole:.0f} µs with bounds and forecast", ""))
    return rows


def _look_us(tally: RunTally, source: Iterator[dict[str, Any]], *, bounds: bool) -> float:
    """Microseconds of a look, each after one more item was judged."""
    gate, policy, spent = tally.gate, PolicyConfig(), 0.0
    for _ in range(LOOKS):
        tally.add(next(source))
        begun = time.perf_counter()
        judge(gate, policy, tally, ended=False, target=300, bounds=bounds)
        spent += time.perf_counter() - begun
    return spent / LOOKS * 1e6
