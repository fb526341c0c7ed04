"""Looks for lines that fit in a file of any size: block by block, from an offset on or back from it.

Every step takes a bounded time, as long as no single line takes long to match, and the memory of one block.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from tui.logfile import MAX_LINE, LogReader, readable
from tui.logs.query import Matcher, is_printable

BLOCK = 1 << 18
STEP_S = 0.05
"""Seconds after which a step ends within a block."""
_AT_ONCE = 64
"""Lines that are matched between two looks at the clock."""


@dataclass(frozen=True, slots=True)
class Step:
    """The lines that were found, as start and end, in the order in which they were come upon; all between the scan's
    beginning and `reached` is known now."""

    found: tuple[tuple[int, int], ...]
    reached: int


def scan(path: Path, matcher: Matcher, begin: int, until: int, *, back: bool, most: int) -> Iterator[Step]:
    """Up to `most` lines that fit: those that start at `begin` or later and before `until`, or with `back` those that
    end at `begin` or before and start at `until` or later. Ends where the file does."""
    position, left = begin, most
    while left > 0 and (position > until if back else position < until):
        with LogReader(path) as reader:
            start, octets = reader.lines_before(position, BLOCK) if back else reader.lines_from(position, BLOCK)
        if not octets:
            return
        for step in _examine(matcher, start, octets, left, back=back):
            found = tuple(line for line in step.found if (line[0] >= until if back else line[0] < until))
            left -= len(found)
            position = max(step.reached, until) if back else min(step.reached, until)
            yield Step(found, position)
            if left <= 0:
                return


def _examine(matcher: Matcher, start: int, octets: bytes, most: int, *, back: bool) -> Iterator[Step]:
    """The lines of a block that fit, in steps of bounded time."""
    end = start + len(octets)
    plain = is_printable(octets)
    if plain and not matcher.may_fit(octets):
        yield Step((), start if back else end)
        return
    lines = octets.removesuffix(b"\n").split(b"\n")
    starts = [*accumulate((len(line) + 1 for line in lines[:-1]), initial=start), end]
    firsts = range(0, len(lines), _AT_ONCE)
    found: list[tuple[int, int]] = []
    deadline = time.monotonic() + STEP_S
    for first in reversed(firsts) if back else firsts:
        last = min(first + _AT_ONCE, len(lines))
        fitting = [first + number for number in matcher.fitting(_texts(lines[first:last], plain=plain))]
        for number in reversed(fitting) if back else fitting:
            found.append((starts[number], starts[number + 1]))
            if len(found) == most:
                yield Step(tuple(found), starts[number] if back else starts[number + 1])
                return
        if time.monotonic() > deadline:
            yield Step(tuple(found), starts[first] if back else starts[last])
            found, most = [], most - len(found)
            deadline = time.monotonic() + STEP_S
    yield Step(tuple(found), start if back else end)


def _texts(lines: list[bytes], *, plain: bool) -> list[str]:
    """Lines as they are shown; printable ASCII that is not cut is shown as it is."""
    if plain and max(map(len, lines)) <= MAX_LINE:
        return b"\n".join(lines).decode().split("\n")
    return [readable(line) for line in lines]
