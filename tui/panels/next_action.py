"""What comes next, why, by which key, and the exact command."""

from __future__ import annotations

from engine.policy.actions import NextAction
from tui import formatting
from tui.cells import Cell, Line, Role, cut, rule, spread, wrap
from tui.view import View

MOST_UNLESS = 2
MARKS = {"wait": "○", "done": "✓", "blocked": "!"}


def next_lines(view: View, width: int, rows: int, *, unless: bool = True) -> tuple[Line, ...]:
    """Title, the reason in up to `rows` lines with what it changes and (with `unless`) what would change its mind, the
    command where there is one, and what is wrong with the campaign as a whole."""
    action = view.next
    warnings = [_warning(text, width) for text in view.current.warnings] if view.current else []
    if action is None:
        return (rule([Cell("Next", "strong")], width), (Cell(" not known", "dim"),))
    command = action.command
    title = [Cell("Next", "strong")]
    warnings = warnings[: max(0, rows - 1 - bool(command))]
    body = rows - len(warnings) - (1 if command and rows > 1 else 0)
    head = _head(action)
    indent = sum(len(cell.text) for cell in head)
    words = wrap(action.reason, width - indent - 1, max(1, body))
    lines: list[Line] = [(*head, Cell(words[0] if words else ""))]
    lines += [(Cell(" " * indent), Cell(row)) for row in words[1:]]
    lines += _changes(action, indent, body - len(lines))
    if unless and action.unless and body > len(lines):
        words = wrap(f"unless {action.unless}", width - indent - 1, min(MOST_UNLESS, body - len(lines)))
        lines += [(Cell(" " * indent), Cell(row, "dim")) for row in words]
    if command and rows > 1:
        lines.append(spread([Cell("   $ ", "rule"), Cell(command, "dim", action="copy")], _forecast(action), width))
    return (rule(title, width), *lines[: rows - len(warnings)], *warnings)


def _warning(text: str, width: int) -> Line:
    return cut([Cell(f" ⚠ {text}", "warn")], width)


def _head(action: NextAction) -> list[Cell]:
    if action.argv or action.kind == "review":
        return [Cell(" "), Cell("⏎", "key", action="next"), Cell(f" {action.kind}  ", "accent", action="next")]
    mark = MARKS.get(action.kind, "○")
    role: Role = "good" if action.kind == "done" else "bad" if action.kind == "blocked" else "warn"
    return [Cell(f" {mark} {action.kind}  ", role if action.kind != "wait" else "text")]


def _changes(action: NextAction, indent: int, rows: int) -> list[Line]:
    lines: list[Line] = []
    told = ""
    for name, (before, after) in action.changes.items():
        old, new = formatting.parameter_value(before, 12), formatting.parameter_value(after, 12)
        why = action.why.get(name, "")
        lines.append(
            (
                Cell(" " * indent),
                Cell(f"{name} ", "dim", 32),
                Cell(f"{old} → {new}", "strong", 18),
                Cell(f"  {why}" if why and why != told else "", "dim"),
            )
        )
        told = why
    if len(lines) > rows > 0:
        more = f"{len(lines) - rows + 1} more changes"
        return [*lines[: rows - 1], (Cell(" " * indent), Cell(more, "dim"))]
    return lines[: max(0, rows)]


def _forecast(action: NextAction) -> list[Cell]:
    parts = []
    if action.cost_usd is not None:
        parts.append(f"≈ {formatting.money(action.cost_usd)}")
    if action.duration_s is not None:
        parts.append(formatting.duration(action.duration_s))
    return [Cell(", ".join(parts) + " ", "text")] if parts else []
