"""What stands in the middle when there is nothing to compare: what is so, and what to do about it."""

from __future__ import annotations

from tui.cells import Cell, Line, Role, rule, wrap
from tui.view import View


def empty_lines(view: View, width: int) -> tuple[Line, ...] | None:
    """None when there is a campaign to show, or at least its runs: a broken file must not hide what lives and costs."""
    if view.snapshot is None:
        text = view.problem or "reading configs/ and artifacts/ …"
        return ((), *_paragraph(text, width, "bad" if view.problem else "dim"))
    if not view.snapshot.campaigns:
        return _nothing_here(view, width)
    current = view.current
    if current is None:
        name = f"There is no campaign {view.campaign!r} here." if view.campaign else "Several campaigns are here."
        return ((), *_paragraph(name, width, "text"), *_do("a", "choose one", width))
    if current.error is not None and not current.runs:
        return _broken(current.error, current.file, width)
    return None


def _paragraph(text: str, width: int, role: Role) -> list[Line]:
    return [(Cell(f" {row}", role),) for row in wrap(text, width - 2)]


def _do(what: str, why: str, width: int) -> list[Line]:
    if width >= 100:
        return [(Cell("   "), Cell(what, "key", 44), Cell(f"  {why}", "dim"))]
    return [(Cell("   "), Cell(what, "key")), (Cell("     "), Cell(why, "dim"))]


def _nothing_here(view: View, width: int) -> tuple[Line, ...]:
    where = view.snapshot.workspace if view.snapshot else "."
    return (
        (),
        (Cell(" No campaign here yet.", "strong"),),
        (),
        *_paragraph(f"Pilothouse looks for campaign files in configs/ under {where}. To begin:", width, "text"),
        (),
        *_do("pilothouse demo", "a campaign on the embedded model, offline", width),
        *_do("pilothouse import DIR --campaign C --run R", "artifacts of another program", width),
        *_do("configs/NAME.yaml", "your own: README, “Your own campaign”", width),
        (),
        *_paragraph("This screen notices a new file by itself.", width, "dim"),
    )


def _broken(error: str, file: str, width: int) -> tuple[Line, ...]:
    lines = [row for part in error.splitlines() for row in wrap(part, width - 4)]
    return (
        rule([Cell("This campaign's file cannot be used", "bad")], width),
        (),
        *((Cell(f"  {row}"),) for row in lines),
        (),
        *_paragraph(f"{file} is read again by itself as soon as it changes.", width, "dim"),
    )
