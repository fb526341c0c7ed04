"""Do items of one instruction list go wrong together? Measured on the demo's scale run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from engine.files import Workspace
from engine.journal.reader import JournalReader
from engine.qc.metrics import critic

TIMEOUT_S = 600.0


def list_dependence() -> list[tuple[str, str, str]]:
    """The headless demo in a folder of its own, and the correlation of the critics' rejections within its lists."""
    command = str(Path(sys.executable).with_name("pilothouse"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = [command, "demo", "--headless", "--dir", str(folder)]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
        records = list(JournalReader(Workspace(folder).run_files("demo", "scale").records).read_new())
    rows = []
    for judge, what in (("pair_critic", "responses"), ("instruction_critic", "instructions")):
        lists: dict[int, list[int]] = defaultdict(list)
        for record in records:
            verdict = critic(record, judge)
            if verdict is not None:
                lists[record["list"]].append(not verdict["good"])
        n = sum(map(len, lists.values()))
        text = f"correlation within {len(lists)} lists of the rejections of {n:,} {what}"
        rows.append((text, f"{correlation_within(list(lists.values())):.2f}", ""))
    return rows


def correlation_within(groups: Sequence[Sequence[int]]) -> float:
    """The intraclass correlation of 0/1 samples by analysis of variance (Fisher 1925; for groups of unequal size as in
    Donner 1986)."""
    n, k = sum(map(len, groups)), len(groups)
    mean = sum(map(sum, groups)) / n
    means = [sum(group) / len(group) for group in groups]
    between = sum(len(group) * (of - mean) ** 2 for group, of in zip(groups, means, strict=True)) / (k - 1)
    within = sum((x - of) ** 2 for group, of in zip(groups, means, strict=True) for x in group) / (n - k)
    size = (n - sum(len(group) ** 2 for group in groups) / n) / (k - 1)
    return (between - within) / (between + (size - 1) * within)
