"""What an engine does just now, and how far its start is. What is not known is left out, never shown as nothing."""

from __future__ import annotations

from dataclasses import dataclass

from engine.figures import EngineFigures
from tui import formatting
from tui.cells import Cell, Line, cut, width_of
from tui.panels.bars import meter

WIDE = 110
CACHE_BAR = 8
LEAST_BAR = 8
LOADING_WIDTH = 20


@dataclass(frozen=True, slots=True)
class _Group:
    """One figure with its unit; the one of the highest `rank` is left out first."""

    rank: int
    cells: tuple[Cell, ...]


def figures_line(figures: EngineFigures, width: int) -> Line:
    """In columns that keep their places while the figures change; () where nothing is known."""
    wide = width >= WIDE
    between = Cell("   " if wide else "  ")
    groups = _groups(figures, wide=wide)
    while sum(width_of([between, *group.cells]) for group in groups) > width:
        groups.remove(max(groups, key=lambda group: group.rank))
    cells = [cell for group in groups for cell in (between, *group.cells)]
    return (Cell(" "), *cells[1:]) if cells else ()


def _groups(figures: EngineFigures, *, wide: bool) -> list[_Group]:
    found: list[_Group] = []

    def add(rank: int, number: str, digits: int, unit: str, *before: Cell) -> None:
        found.append(_Group(rank, (*before, Cell(number, "strong", max(digits, len(number)), ">"), Cell(unit, "dim"))))

    if figures.generation_tokens_per_s is not None:
        add(0, f"{figures.generation_tokens_per_s:,.0f}", 6, " tok/s out" if wide else " tok/s")
    if figures.prompt_tokens_per_s is not None:
        add(4, f"{figures.prompt_tokens_per_s:,.0f}", 6, " tok/s in" if wide else " in")
    if figures.running is not None:
        add(1, f"{figures.running:,}", 3, " running")
    if figures.waiting is not None:
        add(2, f"{figures.waiting:,}", 3 if wide else 1, " waiting")
    if figures.kv_cache_usage is not None:
        share = figures.kv_cache_usage
        drawn = (*meter(share, CACHE_BAR, "text"), Cell(" ")) if wide else ()
        add(3, formatting.whole_percent(share), 5, "", Cell("KV cache ", "dim"), *drawn)
    if figures.prefix_cache_hit_rate is not None:
        hits = formatting.whole_percent(figures.prefix_cache_hit_rate)
        add(5, hits, 5, "", Cell("prefix hits " if wide else "prefix ", "dim"))
    return found


def brief(figures: EngineFigures | None) -> str:
    """The two figures that a title has room for: `6,698 tok/s · 256 running`."""
    if figures is None:
        return ""
    speed, running = figures.generation_tokens_per_s, figures.running
    parts = [f"{speed:,.0f} tok/s"] if speed is not None else []
    parts += [f"{running:,} running"] if running is not None else []
    return " · ".join(parts)


def loading_line(text: str, width: int) -> Line:
    """How far a start is, with a bar where it tells a share: ` weights 40 %        ━━━━━━━━──────────`."""
    share = formatting.share_of(text)
    words = Cell(f" {text}")
    width_of_words = max(LOADING_WIDTH, width_of([words]) + 2)
    if share is None or width - width_of_words < LEAST_BAR:
        return cut([words], width)
    return (Cell(words.text, "text", width_of_words), *meter(share, width - width_of_words - 1, "accent"))
