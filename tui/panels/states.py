"""How a state looks: always a sign and a word, the colour only helps."""

from __future__ import annotations

from engine.qc.verdicts import Verdict
from engine.snapshot import RunSnapshot
from tui.cells import Role

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


def process_look(run: RunSnapshot) -> tuple[str, str, Role]:
    """Sign, word and role of the process's state, with what qualifies it."""
    sign, word, role = PROCESS.get(run.state, ("?", run.state, "warn"))
    if run.imported:
        word = "imported"
    elif run.state == "failed" and run.exit_code is not None:
        word = f"failed, exit {run.exit_code}"
    if run.gpu_held:
        word, role = f"{word}, GPU still held", "bad"
    return sign, word, role


def stage_look(run: RunSnapshot) -> tuple[str, str, Role]:
    """What the stage line says of a run: the gate's verdict once the process has done its part, else its state."""
    if run.state == "succeeded" and not run.gpu_held:
        return VERDICTS[run.gate.verdict]
    return process_look(run)
