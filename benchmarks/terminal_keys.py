"""From a key to the last octet of what it paints, behind a slow line."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

import pyte

from benchmarks.terminal_line import Line

ROUNDS = 5
SETTLE_S = 0.6
PATIENCE = 20
SLOW = 20_000
KEYS = (
    ("← selects a run", b"\x1b[D"),
    ("→ selects a run", b"\x1b[C"),
    ("l opens the log", b"l"),
    ("esc leaves the log", b"\x1b"),
    ("? opens the help", b"?"),
    ("esc leaves the help", b"\x1b"),
    ("f opens the flagged", b"f"),
    ("esc leaves the flagged", b"\x1b"),
    ("c opens the comparison", b"c"),
    ("esc leaves the comparison", b"\x1b"),
)
_FIGURES = re.compile(r"[\d:,.]+")

Look = tuple[tuple[str, tuple[str, ...]], ...]


def key_times(line: Line, rounds: int = ROUNDS) -> dict[str, list[tuple[float, int]]]:
    """For each key, the seconds to its whole repaint and the octets that came until then."""
    line.show(line.take(2.0))
    line.rate = SLOW
    found: dict[str, list[tuple[float, int]]] = {name: [] for name, _ in KEYS}
    for number in range(rounds):
        for name, key in KEYS:
            # ticks come twice a second: the key falls at another moment between two of them each time
            line.show(line.take(SETTLE_S + 0.5 * (number % 7) / 7))
            found[name].append(_pressed(line, name, key))
    line.rate = None
    return found


def _pressed(line: Line, name: str, key: bytes) -> tuple[float, int]:
    """The screen has settled when for a while nothing but figures changes, which only tick."""
    before = look(line.screen)
    pressed = line.type(key)
    settled, octets, total = 0.0, 0, 0
    for _ in range(PATIENCE):
        changed = False
        for at, arrived in line.take(SETTLE_S):
            line.show([(at, arrived)])
            total += len(arrived)
            seen = look(line.screen)
            if seen != before:
                before, changed, settled, octets = seen, True, at - pressed, total
        if settled and not changed:
            return settled, octets
    raise RuntimeError(f"the screen did not settle after a key: {name}")


def look(screen: pyte.Screen) -> Look:
    """The screen without its figures: the words of each row, and its grounds from left to right."""
    rows = []
    for y, text in enumerate(screen.display):
        grounds = [screen.buffer[y][x].bg for x in range(screen.columns)]
        turns = tuple(ground for x, ground in enumerate(grounds) if x == 0 or ground != grounds[x - 1])
        rows.append((" ".join(_FIGURES.sub("#", text).split()), turns))
    return tuple(rows)


def centile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
