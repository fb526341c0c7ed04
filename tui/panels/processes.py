"""Who lives of a run, and what each of its processes uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.figures import ProcessFigures, RunProcesses
from engine.snapshot import RunSnapshot
from tui import formatting
from tui.cells import Cell, Line, rule, wrap
from tui.panels.gpus import gpu_lines, gpu_rows

ROLE, PID, CPU, MEMORY, AGE, STATE = 12, 8, 7, 10, 10, 11
LEAST_FOR_STATE = 96
LEAST_COMMAND = 10
ODD_STATES = ("disk wait", "suspended", "traced", "ending")
NOT_PROVEN = "not proven"


def processes_lines(run: RunSnapshot, found: RunProcesses | None, width: int, now: float) -> tuple[Line, ...]:
    """The run's own first, then its kept engine's, then who is not proven to be either's; sums, and its GPUs."""
    if run.imported:
        return _said(f"{run.name} was imported: it never had processes here", width)
    if found is None:
        return ((Cell(" looking at the machine's processes …", "dim"),),)
    if not found.in_sight:
        where = "its processes cannot be seen from here"
        return _said(f"{run.name} runs on {found.host}, another machine or container: {where}", width)
    proven = [process for process in found.processes if process.proven]
    own = [process for process in proven if not process.of]
    strays = [process for process in found.processes if not process.proven]
    on_gpu = any(process.gpu_bytes for process in found.processes)
    lines: list[Line] = list(_who(run, found, own, width))
    if found.processes:
        lines += [(), _head(width, on_gpu=on_gpu)]
        lines += [_process(process, width, now, on_gpu=on_gpu) for process in own]
    for engine in dict.fromkeys(process.of for process in proven if process.of):
        theirs = [process for process in proven if process.of == engine]
        title = [Cell(engine, "strong"), Cell(" · the kept engine that computes for it", "dim")]
        lines += [rule(title, width), *(_process(process, width, now, on_gpu=on_gpu) for process in theirs)]
    if len(proven) > 1:
        lines.append(_sums(proven, width, on_gpu=on_gpu))
    if strays:
        title = [Cell(f"⚠ {NOT_PROVEN}", "warn"), Cell(" to be its own: never signalled", "dim")]
        lines += [(), rule(title, width), *(_process(process, width, now, on_gpu=on_gpu) for process in strays)]
    lines += _gpus(found, width)
    return tuple(lines)


def _who(run: RunSnapshot, found: RunProcesses, own: Sequence[ProcessFigures], width: int) -> Iterable[Line]:
    """On which host, or since when nothing lives; and who still holds GPU memory."""
    if own:
        many = f"{len(own)} process{'' if len(own) == 1 else 'es'}"
        yield (Cell(f" {many}", "strong"), Cell(f" of {run.name} on {found.host}", "dim"))
    elif run.ended:
        since = f"{formatting.day(run.ended)} {formatting.clock(run.ended, seconds=True)}"
        yield from _said(f"nothing of {run.name} lives on {found.host}, since {since}: {run.state}", width)
    else:
        yield from _said(f"nothing of {run.name} lives on {found.host}: {run.state}", width)
    held = formatting.held_text(run) or ("GPU memory is still held, nobody knows by whom" if run.gpu_held else "")
    for number, row in enumerate(wrap(held, width - 4) if held else ()):
        yield (Cell(" ⚠ " if number == 0 else "   ", "warn"), Cell(row))
    if not found.nvml:
        yield (Cell(" ⚠ ", "warn"), Cell("NVML does not answer: who computes on the GPU is not known"))


def _head(width: int, *, on_gpu: bool) -> Line:
    titles = [(" role", -ROLE), ("pid", PID), ("CPU", CPU), ("memory", MEMORY), *((("GPU", MEMORY),) if on_gpu else ())]
    titles += [("age", AGE), *((("  state", -STATE),) if width >= LEAST_FOR_STATE else ())]
    cells = [Cell(text, "dim", abs(size), ">" if size > 0 else "<", tint=True) for text, size in titles]
    return (*cells, _command("command", width - sum(abs(size) for _, size in titles), tint=True))


def _process(process: ProcessFigures, width: int, now: float, *, on_gpu: bool) -> Line:
    cpu = f"{process.cpu:.0f} %" if process.cpu is not None else "–"
    cells = [
        Cell(f" {process.role if process.proven else '?'}", "strong" if process.proven else "warn", ROLE),
        Cell(str(process.pid), "text", PID, ">"),
        Cell(cpu, "text", CPU, ">"),
        Cell(formatting.size(process.rss_bytes), "text", MEMORY, ">"),
    ]
    if on_gpu:
        cells.append(Cell(_on_gpu(process.gpu_bytes), "text", MEMORY, ">"))
    cells.append(Cell(formatting.duration(now - process.started), "dim", AGE, ">"))
    if width >= LEAST_FOR_STATE:
        cells.append(Cell(f"  {process.state}", "warn" if process.state in ODD_STATES else "dim", STATE))
    return (*cells, _command(process.command, width - sum(cell.width or 0 for cell in cells)))


def _command(text: str, room: int, *, tint: bool = False) -> Cell:
    """What is left of a line, empty where that would say nothing."""
    return Cell(f"  {text}" if room >= LEAST_COMMAND else "", "dim", max(0, room), tint=tint)


def _sums(processes: Sequence[ProcessFigures], width: int, *, on_gpu: bool) -> Line:
    cpus = [process.cpu for process in processes if process.cpu is not None]
    cells = [
        Cell(" together", "dim", ROLE),
        Cell("", "text", PID),
        Cell(f"{sum(cpus):.0f} %" if cpus else "–", "strong", CPU, ">"),
        Cell(formatting.size(sum(process.rss_bytes for process in processes)), "strong", MEMORY, ">"),
    ]
    if on_gpu:
        held = sum(process.gpu_bytes or 0 for process in processes)
        cells.append(Cell(_on_gpu(held), "strong", MEMORY, ">"))
    return (*cells, Cell("", width=max(0, width - sum(cell.width or 0 for cell in cells))))


def _gpus(found: RunProcesses, width: int) -> Iterable[Line]:
    if found.gpus:
        yield ()
        yield rule([Cell("GPU", "strong"), Cell(" · what NVML says of those it has", "dim")], width)
        yield from gpu_lines(found.gpus, width, gpu_rows(found.gpus, width))


def _on_gpu(octets: int | None) -> str:
    return f"{octets / 2**30:.1f} GiB" if octets is not None else "–"


def _said(text: str, width: int) -> tuple[Line, ...]:
    return tuple((Cell(f" {row}", "dim"),) for row in wrap(text, width - 2))
