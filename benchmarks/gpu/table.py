"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def table(rows: Sequence[Row]) -> str:
    """Throughput, then starts, each with what it is compared to."""
    blocks = [_throughput(rows), _starts(rows)]
    return "\n\n".join(block for block in blocks if block)


def _throughput(rows: Sequence[Row]) -> str:
    slow = {row["model"]: row["examples_per_s"] for row in rows if row["part"] == "one by one"}
    bare = {row["model"]: row["bare_tokens_per_s"] for row in rows if "bare_tokens_per_s" in row}
    lines = []
    for row in rows:
        if row["part"] != "throughput":
            continue
        speed = max(row["tokens_per_s"], row.get("tokens_per_s_again", 0.0))
        against = bare.get(row["model"])
        lines.append(
            [
                row["model"],
                row["way"],
                f"{row['examples']:,}",
                f"{speed:,.0f}",
                f"{against:,.0f}" if against and row["examples"] >= 1000 else "",
                f"{speed / against:.2f}" if against and row["examples"] >= 1000 else "",
                f"{row['examples_per_s']:.1f}",
                f"{row['examples_per_s'] / slow[row['model']]:,.0f} ×" if row["model"] in slow else "",
                f"{row['gpu_idle']:.1%}" if row.get("gpu_idle") is not None else "",
                f"{row['rss_mib']:,}",
            ]
        )
    head = (
        "model",
        "engine",
        "kept",
        "tokens/s",
        "bare tokens/s",
        "ratio",
        "examples/s",
        "against one by one",
        "GPU idle",
        "MiB of the generator",
    )
    return _markdown(head, lines)


def _starts(rows: Sequence[Row]) -> str:
    cold = {row["model"]: row for row in rows if row["part"] == "start" and row["how"] == "cold"}
    lines = []
    for row in rows:
        if row["part"] == "start":
            verdict, before = row["to_verdict_s"], cold.get(row["model"], {}).get("to_verdict_s")
            share = f"{verdict / before:.2f}" if verdict and before else ""
            shown = f"{verdict:.1f}" if verdict else "–"
            lines.append([row["model"], row["how"], f"{row['to_generating_s']:.1f}", shown, share])
        elif row["part"] == "engine":
            lines.append([row["model"], "`engine start --wait`", f"{row['start_s']:.1f}", "", ""])
    return _markdown(("model", "start", "to generating, s", "to verdict of 100, s", "of cold"), lines)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
