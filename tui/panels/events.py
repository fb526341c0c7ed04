"""What happened to a run, a line for each event under its day and its attempt."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui import formatting
from tui.cells import Cell, Line, Role, clean, rule, wrap

if TYPE_CHECKING:
    from engine.report.events import RunEvent, RunEvents, Tone

CLOCK_WIDTH = 11
WIDEST_SOURCE = 26
TONES: dict[Tone, tuple[str, Role]] = {
    "plain": (" ", "text"),
    "good": ("✓", "good"),
    "warn": ("⚠", "warn"),
    "bad": ("✗", "bad"),
}


def event_lines(happened: RunEvents | None, width: int) -> tuple[Line, ...]:
    """The oldest first; on top how many there are, and which clock the times are of."""
    if happened is None:
        return ((Cell(" reading the journals …", "dim"),),)
    events = happened.events
    if not events:
        return ((Cell(" nothing has happened to it yet", "dim"),),)
    zone = time.tzname[time.localtime().tm_isdst > 0]
    which = f"the newest {len(events):,} of {len(events) + happened.left_out:,} events" if happened.left_out else ""
    lines: list[Line] = [(Cell(f" {which or 'all events'}; times are {zone}", "dim"),)]
    source = min(max(cell_len(clean(event.source)) for event in events), WIDEST_SOURCE, width // 5)
    attempt, day = 0, ""
    for event in events:
        today = formatting.day(event.time)
        if event.attempt > attempt:
            attempt, day = event.attempt, today
            lines.append(rule([Cell(f"attempt {attempt}", "strong"), Cell(f" · {today}", "dim")], width))
        elif today != day:
            day = today
            lines.append((Cell(f" {today}", "strong"),))
        lines += _event(event, source, width)
    return tuple(lines)


@lru_cache(maxsize=4096)  # a page may have thousands, and another one comes every few seconds
def _event(event: RunEvent, source: int, width: int) -> tuple[Line, ...]:
    sign, role = TONES[event.tone]
    indent = CLOCK_WIDTH + source + 4
    rows = wrap(event.sentence, width - indent - 1) or [""]
    lines: list[Line] = [
        (
            Cell(f"  {formatting.clock(event.time, seconds=True)}", "dim", CLOCK_WIDTH),
            Cell(event.source, "accent", source),
            Cell(f"  {sign} ", role),
            Cell(rows[0], role),
        )
    ]
    lines += [(Cell(" " * indent), Cell(row, role)) for row in rows[1:]]
    if event.pending:
        lines.append((Cell(" " * indent), Cell("not taken yet", "warn")))
    return tuple(lines)
