"""How a state looks: always a sign and a word, the colour only helps."""

from __future__ import annotations

import re

from engine.qc.verdicts import Verdict
from engine.snapshot import EngineSnapshot, RunSnapshot
from tui.cells import Role
from tui.formatting import is_stalled

VERDICTS: dict[Verdict, tuple[str, str, Role]] = {
    "pass": ("✓", "pass", "good"),
    "fail": ("✗", "fail", "bad"),
    "undecided": ("◐", "undecided", "warn"),
}

PROCESS: dict[str, tuple[str, str, Role]] = {
    "queued": ("○", "queued", "dim"),
    "starting": ("●", "starting", "accent"),
    "running": ("●", "running", "accent"),
    "stopping": ("●", "stopping", "warn"),
    "succeeded": ("■", "done", "text"),
    "failed": ("!", "failed", "bad"),
    "stopped": ("■", "stopped", "warn"),
    "lost": ("?", "lost", "bad"),
}


_HOLDER = re.compile(r"pid \d+(?: \([^)]*\))?")
STALLED: tuple[str, str, Role] = ("⚠", "stalled", "warn")


def process_look(run: RunSnapshot, *, in_full: bool = False) -> tuple[str, str, Role]:
    """Sign, word and role of the process's state, with what qualifies it; `in_full` says who holds its GPU."""
    sign, word, role = PROCESS.get(run.state, ("?", run.state, "warn"))
    if is_stalled(run):
        sign, word, role = STALLED
    elif run.imported:
        word = "imported"
    elif run.state == "failed" and run.exit_code is not None:
        word = f"failed, exit {run.exit_code}"
    if run.gpu_held:
        word, role = f"{word}, {_held(run) if in_full else 'GPU still held'}", "bad"
    return sign, word, role


def engine_look(engine: EngineSnapshot) -> tuple[str, str, Role]:
    """Sign, word and role of a kept engine: `ready` once it answers."""
    sign, word, role = PROCESS.get(engine.state, ("?", engine.state, "warn"))
    if engine.state == "running" and engine.ready:
        word, role = "ready", "good"
    if engine.gpu_held:
        word, role = f"{word}, GPU memory still held", "bad"
    return sign, word, role


def _held(run: RunSnapshot) -> str:
    """`GPU memory still held by pid 812 (python)`: without where and how much, which the facts tell."""
    holders = [found[0] for holder in run.gpu_held_by if (found := _HOLDER.match(holder))]
    return f"GPU memory still held by {', '.join(holders)}" if holders else "GPU still held"


def stage_look(run: RunSnapshot, *, in_full: bool = False) -> tuple[str, str, Role]:
    """What the stage line says of a run: the gate's verdict once the process has done its part, else its state."""
    if run.state == "succeeded" and not run.gpu_held:
        return VERDICTS[run.gate.verdict]
    return process_look(run, in_full=in_full)
