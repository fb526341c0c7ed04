"""First line: what campaign this is, where it runs, and how old the picture is once it is not the present."""

from __future__ import annotations

from engine.campaign.models import Campaign
from tui import formatting
from tui.cells import Cell, Line, clean, cut, spread, width_of
from tui.panels.gpus import SEPARATOR, compact
from tui.view import View

WIDE = 110


def header_lines(view: View, width: int) -> tuple[Line, ...]:
    campaign = _campaign(view, width)
    room = width - 2 - min(width_of(campaign), width // 2)
    return (spread(campaign, _place(view, width, room), width),)


def _campaign(view: View, width: int) -> list[Cell]:
    current = view.current
    if current is None:
        return [Cell(" Pilothouse", "title")]
    cells = [Cell(f" {current.name}", "title")]
    if current.campaign is not None:
        cells.append(Cell(f" · {_generator(current.campaign, width)}", "dim"))
    others = len(view.snapshot.campaigns) - 1 if view.snapshot else 0
    if others:
        cells.append(Cell(f"  +{others} more (a)", "dim", action="campaigns"))
    return cells


def _generator(campaign: Campaign, width: int) -> str:
    """Model and backend; of a foreign program its command, since we know no more of it."""
    if campaign.generator.kind == "command":
        return clean(" ".join(campaign.generator.argv), width // 3)
    model = campaign.model
    name = model.path.rstrip("/").rsplit("/", 1)[-1] if width < WIDE else model.path
    return f"{name} · {formatting.BACKEND_LABELS.get(model.backend, model.backend)}"


def _place(view: View, width: int, room: int) -> list[Cell]:
    """The host and its devices in about `room` cells; of GPUs that are known what they do instead of what they are
    called."""
    if view.stale_s is not None:
        cause = f": {view.problem}" if view.problem else ", no answer"
        return list(cut([Cell(f"⚠ {formatting.age(view.stale_s)} old{cause} ", "warn")], max(20, width // 2)))
    busy = [*([Cell(f"  {view.busy} …", "accent")] if view.busy else []), Cell(" ")]
    if view.snapshot is None:
        return busy
    gpus, wide = view.gpus, width >= WIDE
    known = {gpu.uuid for gpu in gpus}
    others = [device for device in view.snapshot.devices if device not in known]
    host = clean(view.snapshot.host, max(8, width // 4)) if gpus else view.snapshot.host
    place = [part for part in (host, *(others if wide else [] if gpus else others[:1])) if part]
    if not gpus:
        more = [f"+{len(others) - 1}"] if len(others) > 1 and not wide else []
        return [Cell(SEPARATOR.join([*place, *more]), "dim"), *busy]
    words = Cell("".join(f"{part}{SEPARATOR}" for part in place), "dim")
    return [words, Cell(compact(gpus, room - width_of([words, *busy]))), *busy]
