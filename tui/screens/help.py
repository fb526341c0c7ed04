"""Every key, from the table of actions, and what the signs mean."""

from __future__ import annotations

from tui.actions import ACTIONS
from tui.cells import Cell, Line, wrap
from tui.screens.dialog import NoticeScreen

SECTIONS: tuple[tuple[str, str], ...] = (
    ("dashboard", "Dashboard"),
    ("samples", "Flagged samples"),
    ("log", "Log"),
    ("page", "Comparison and history"),
    ("everywhere", "Everywhere"),
)

PAGE_KEYS = (
    ("← →", "Select the run to the left, to the right"),
    ("↑ ↓", "Scroll by lines; PgUp and PgDn by pages, Home and End to the ends"),
    ("esc q", "Back to the dashboard, as c and h do on their own page"),
)

SIGNS = (
    ("✓ ✗ ◐", "the gate's verdict: pass, fail, undecided (not proven either way yet)"),
    ("● ○ ■ !", "a process that is going, still to come, ended, failed"),
    ("⚠", "what wants to be looked at: a run that stands still, memory that is held, a copy that failed"),
    ("⟦ ⟧", "what a detector flags in a text; ✓ and ✗ beside it: a person found that right, or a false alarm"),
    ("▲ ▼", "better or worse than the run it started from, or the one before it; dim: may be chance"),
)

NOTES = (
    "Actions apply to the selected run, whose name is underlined. Whatever starts, stops or spends asks first.",
    "Runs do not depend on this screen: close it, lose the connection, come back; nothing stops and nothing is lost.",
)


class HelpScreen(NoticeScreen):
    WIDEST = 92

    def __init__(self, first: str = "dashboard") -> None:
        """`first`: the section that stands on top, that of the screen it was asked for on."""
        super().__init__([])
        self._first = first

    def text_lines(self, width: int) -> tuple[Line, ...]:
        lines: list[Line] = []
        for name, title in sorted(SECTIONS, key=lambda section: section[0] != self._first):
            lines.append((Cell(title, "title"),))
            for key, text in _keys(name):
                lines += _entry(key, text, width)
            lines.append(())
        lines.append((Cell("Signs", "title"),))
        for sign, meaning in SIGNS:
            lines += _entry(sign, meaning, width)
        for note in NOTES:
            lines += [(), *((Cell(row, "dim"),) for row in wrap(note, width))]
        return tuple(lines)


def _keys(section: str) -> list[tuple[str, str]]:
    if section == "page":
        return list(PAGE_KEYS)
    return [(action.shown, action.help) for action in ACTIONS if action.scope == section]


def _entry(key: str, text: str, width: int) -> list[Line]:
    rows = wrap(text, width - 11)
    return [(Cell(f" {key}" if number == 0 else "", "key", 9), Cell(f"  {row}")) for number, row in enumerate(rows)]
