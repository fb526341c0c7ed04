"""What can be copied from the screen, as plain text."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from engine.files import RunFiles
from engine.logs.sanitise import sanitise_block
from engine.qc.verdicts import CheckVerdict
from engine.report.comparison import comparison_markdown
from engine.report.formatting import headline, limit_text, metric_value
from engine.snapshot import RunSnapshot
from tui import formatting
from tui.view import View

LONGEST_LINE = 100_000
LARGEST = 50_000
"""Characters that terminals take into their clipboard by OSC 52; some stop at 75 kB of base64."""


@dataclass(frozen=True, slots=True)
class Copyable:
    """`action` of the table takes it; of figures, which all have the same one, the `number` that is its key tells
    which, from 1."""

    action: str
    name: str
    text: str
    number: int | None = None


def copyables(view: View, root: Path) -> tuple[Copyable, ...]:
    """What can be copied now; every text safe to paste."""
    current, run = view.current, view.selected
    found: list[Copyable] = []
    if view.next is not None and view.next.command:
        found.append(Copyable("copy_next", "next command", view.next.command))
    if run is not None:
        folder = root.absolute() / run.folder
        found += [
            Copyable("copy_run", "run", run.id),
            Copyable("copy_folder", "its folder", str(folder)),
            Copyable("copy_log", "its log", str(root.absolute() / run.log)),
            Copyable("copy_pairs", "its pairs", str(RunFiles(folder).pilot_data)),
        ]
    found.append(Copyable("copy_return", "return here", return_command(root)))
    if current is not None and run is not None:
        found.append(Copyable("copy_comparison", "comparison", comparison_markdown(current)))
        found.append(Copyable("copy_gate", "gate", f"{run.id}: {headline(run.gate)}"))
        found += [
            Copyable("copy_figure", formatting.metric_label(check.metric), _figure(run, check), number)
            for number, check in enumerate(run.gate.checks, start=1)
        ]
    return tuple(Copyable(one.action, one.name, sanitise_block(one.text, LONGEST_LINE), one.number) for one in found)


def return_command(root: Path) -> str:
    """What opens the screen on this workspace again, after a new login."""
    return f"cd {shlex.quote(str(root.absolute()))} && pilothouse"


def _figure(run: RunSnapshot, check: CheckVerdict) -> str:
    """`stage1/pilot runaway rate 20.9 % (limit < 5 %): fail, 9 of 43: proven too high`."""
    value = metric_value(check.metric, check.value)
    limit = limit_text(check.op, check.limit, percent=check.percent)
    label = formatting.metric_label(check.metric, long=True)
    return f"{run.id} {label} {value} (limit {limit}): {check.verdict}, {formatting.signs(check.sentence)}"
