"""What stands around a log: where one is in it, which lines are left out, what is looked for."""

from __future__ import annotations

from dataclasses import dataclass

from tui import formatting
from tui.cells import Cell, Line, spread
from tui.logs.query import EVERYTHING, Query

LEVEL_WORDS = {"all": "", "warnings": "warnings and worse", "errors": "errors"}


@dataclass(frozen=True, slots=True)
class LogFacts:
    """`octets` None where there is no file. `counted` lines that fit the filter were found in `looked_at` of the log;
    `searching` is how far a search is, `filling` how far the look for lines to show; `note` what came of the last."""

    name: str
    octets: int | None
    trimmed: bool
    day: str | None
    following: bool
    live: bool
    position: float
    new_lines: int
    filter: Query = EVERYTHING
    counted: int = 0
    looked_at: float = 1.0
    looking_for: str = ""
    searching: float | None = None
    filling: float | None = None
    note: str = ""


def state_cells(facts: LogFacts) -> list[Cell]:
    """Whether the log moves, for the header."""
    if facts.following:
        return [Cell("● follows ", "accent") if facts.live else Cell("the end ", "dim")]
    return [Cell("‖ paused " if facts.live else "‖ ", "warn")]


def status_lines(facts: LogFacts, width: int) -> tuple[Line, ...]:
    """The file and the place in it; above it, while a search or a filter is on, what comes of that."""
    size = formatting.size(facts.octets) if facts.octets is not None else "no file"
    left = [Cell(f" {facts.name} · {f'its newest {size}' if facts.trimmed else size}", "dim")]
    if facts.day:
        left.append(Cell(f" · {facts.day}", "dim"))
    right = []
    if not facts.following:
        if facts.new_lines:
            right.append(Cell(f"{facts.new_lines:,} new line{'' if facts.new_lines == 1 else 's'} · ", "strong"))
        right.append(Cell(f"{facts.position * 100:.0f} % ", "dim"))
    place = spread(left, right, width)
    looking = looking_cells(facts)
    return (spread(*looking, width), place) if looking is not None else (place,)


def looking_cells(facts: LogFacts) -> tuple[list[Cell], list[Cell]] | None:
    """The filter and the search, and how to be rid of them; None while there is neither."""
    left: list[Cell] = []
    if facts.filter:
        share = f", {facts.looked_at * 100:.0f} % looked at" if facts.looked_at < 1 else ""
        lines = f"{facts.counted:,} line{'' if facts.counted == 1 else 's'}{share}"
        left += [Cell(" only ", "warn"), Cell(filter_words(facts.filter), "strong"), Cell(f" · {lines}", "dim")]
    if facts.looking_for:
        left += [Cell(" · " if left else " ", "dim"), Cell(f"▸ {facts.looking_for}", "strong")]
    if facts.note:
        left += [Cell(" · " if left else " ", "dim"), Cell(facts.note, "warn")]
    if not left:
        return None
    if facts.searching is not None:
        return left, [Cell(f"searching {facts.searching * 100:.0f} %, ", "accent"), *_escape("stops ")]
    filling = [Cell(f"looking {facts.filling * 100:.0f} %, ", "accent")] if facts.filling is not None else []
    return left, [*filling, *_escape("ends it " if facts.looking_for or not facts.filter else "shows all ")]


def filter_words(query: Query) -> str:
    """`errors with /cuda/`."""
    return " with ".join(filter(None, (LEVEL_WORDS[query.level], *map(str, query.expressions))))


def _escape(does: str) -> list[Cell]:
    return [Cell("esc ", "key", action="clear_log"), Cell(does, "dim", action="clear_log")]
