"""First line: what campaign this is, where it runs, and how old the picture is once it is not the present."""

from __future__ import annotations

from engine.campaign.models import Campaign
from tui import formatting
from tui.cells import Cell, Line, cut, spread
from tui.view import View


def header_lines(view: View, width: int) -> tuple[Line, ...]:
    return (spread(_campaign(view, width), _place(view, width), width),)


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
        return " ".join(campaign.generator.argv)[: width // 3]
    model = campaign.model
    name = model.path.rstrip("/").rsplit("/", 1)[-1] if width < 110 else model.path
    return f"{name} · {formatting.BACKEND_LABELS.get(model.backend, model.backend)}"


def _place(view: View, width: int) -> list[Cell]:
    if view.stale_s is not None:
        cause = f": {view.problem}" if view.problem else ", no answer"
        return list(cut([Cell(f"⚠ {formatting.age(view.stale_s)} old{cause} ", "warn")], max(20, width // 2)))
    cells: list[Cell] = []
    if view.snapshot is not None:
        devices = view.snapshot.devices
        place = [view.snapshot.host, *(devices if width >= 110 else devices[:1])]
        if width < 110 and len(devices) > 1:
            place.append(f"+{len(devices) - 1}")
        cells.append(Cell(" · ".join(part for part in place if part), "dim"))
    if view.busy:
        cells.append(Cell(f"  {view.busy} …", "accent"))
    return [*cells, Cell(" ")]
