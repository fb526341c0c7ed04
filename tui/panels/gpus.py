"""What GPUs do just now: in a few cells of the first line, and on lines of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from engine.figures import GpuFigures
from tui import formatting
from tui.cells import Cell, Line, Role, clean, gap
from tui.panels.bars import meter

_NOISE = re.compile(r"(?i)^(nvidia|geforce|tesla|generation|laptop|gpu|pcie|sxm\d*|hbm\w*|\d+gb)$")
LABEL = 6
NAME_WIDTH = 9
TWO_IN_A_ROW = 150
"""From this width on two GPUs share a line."""
LONGEST_BAR = 24
SEPARATOR = " · "


def short_name(name: str) -> str:
    """`H200` of `NVIDIA H200`, `A100` of `NVIDIA A100-SXM4-80GB`."""
    return " ".join(word for word in re.split(r"[ -]+", clean(name)) if word and not _NOISE.match(word))


def compact(gpus: Sequence[GpuFigures], room: int) -> str:
    """As much of the GPUs as goes into `room` cells: `gpu0 H200  93 % 61/140 GiB 512 W`; of many a summary."""
    if not gpus:
        return ""
    told = list(_told(gpus))
    return next((text for text in told if cell_len(text) <= room), told[-1])


def _told(gpus: Sequence[GpuFigures]) -> Iterator[str]:
    """From all that is known to what matters most."""
    first, *rest = gpus
    name = short_name(first.name)
    for memory, power in ((True, True), (True, False), (False, False)):
        alike = all(short_name(gpu.name) == name for gpu in rest)
        each = [_one(gpu, name=not alike or gpu is first, memory=memory, power=power) for gpu in gpus]
        yield SEPARATOR.join(each)
    if not rest:
        yield _one(first, name=False, memory=False, power=False)
        return
    yield f"{len(gpus)} × {name or 'GPU'}{busiest(gpus)}"
    yield f"{len(gpus)} GPUs{busiest(gpus)}"


def _one(gpu: GpuFigures, *, name: bool, memory: bool, power: bool) -> str:
    parts = [f"gpu{gpu.index}"]
    parts += [short_name(gpu.name)] if name and short_name(gpu.name) else []
    parts += [formatting.whole_percent(gpu.utilisation / 100)] if gpu.utilisation is not None else []
    parts += [f"{_gib(gpu.used_bytes):.0f}/{_gib(gpu.total_bytes):.0f} GiB"] if memory and gpu.total_bytes else []
    parts += [f"{gpu.power_w:.0f} W"] if power and gpu.power_w is not None else []
    return " ".join(parts)


def busiest(gpus: Sequence[GpuFigures]) -> str:
    """` 91–97 %`: between what the GPUs are used; empty where nobody tells."""
    used = sorted(round(gpu.utilisation) for gpu in gpus if gpu.utilisation is not None)
    if not used:
        return ""
    return f" {used[0]} %" if used[0] == used[-1] else f" {used[0]}–{used[-1]} %"


def gpu_lines(gpus: Sequence[GpuFigures], width: int, rows: int) -> list[Line]:
    """A line for each GPU, two of them side by side where it is wide; what does not go into `rows` in one summary."""
    beside = 2 if width >= TWO_IN_A_ROW and len(gpus) > 1 else 1
    if rows <= 0:
        return []
    shown = gpus if len(gpus) <= rows * beside else gpus[: (rows - 1) * beside]
    column = width // beside
    lines: list[Line] = []
    for place in range(0, len(shown), beside):
        cells: list[Cell] = []
        for gpu in shown[place : place + beside]:
            own = gpu_cells(gpu, column - 1)
            cells += [*own, gap(column - sum(cell_len(cell.shown) for cell in own))]
        lines.append(tuple(cells))
    hidden = gpus[len(shown) :]
    if hidden:
        what = f"{len(hidden)} {'more ' if shown else ''}GPU{'s' if len(hidden) > 1 else ''}"
        lines.append((Cell(f" {what}:{busiest(hidden) or ' –'}", "dim"),))
    return lines


def gpu_rows(gpus: Sequence[GpuFigures], width: int) -> int:
    """Lines that all of them take."""
    return (len(gpus) + 1) // 2 if width >= TWO_IN_A_ROW else len(gpus)


def gpu_cells(gpu: GpuFigures, width: int, *, indent: int = 1, label: int = LABEL) -> list[Cell]:
    """Number, name, utilisation and memory with bars as far as there is room, power. Every column has its place, so
    that a figure that changes moves nothing; what the driver does not tell stays empty."""
    bar_width = min(LONGEST_BAR, max(0, (width - label - 54) // 2))
    cells = [gap(indent), Cell(f"gpu{gpu.index} ", "text", label), Cell(short_name(gpu.name), "dim", NAME_WIDTH)]
    used = gpu.utilisation
    cells.append(Cell(formatting.whole_percent(used / 100) if used is not None else "", "strong", 6, ">"))
    cells += _meter(used / 100 if used is not None else None, bar_width, "accent")
    known = gpu.total_bytes > 0
    memory = f"{_gib(gpu.used_bytes):,.1f} of {_gib(gpu.total_bytes):,.1f} GiB" if known else ""
    cells += [Cell("   "), Cell(memory, "text", 18, ">")]
    cells += _meter(gpu.used_bytes / gpu.total_bytes if known else None, bar_width, "text")
    return [*cells, Cell(f"{gpu.power_w:.0f} W" if gpu.power_w is not None else "", "text", 9, ">")]


def _meter(share: float | None, width: int, role: Role) -> list[Cell]:
    if width < 6:
        return []
    return [Cell(" "), *meter(share, width, role)] if share is not None else [gap(width + 1)]


def _gib(octets: int) -> float:
    return octets / 2**30
