"""Every key, from the table of actions, and what the signs mean."""

from __future__ import annotations

from tui.actions import ACTIONS, Scope
from tui.cells import Cell, Line, wrap
from tui.screens.dialog import NoticeScreen

SECTIONS: tuple[tuple[Scope, str], ...] = (
    ("dashboard", "Dashboard"),
    ("log", "Log"),
    ("everywhere", "Everywhere"),
)

SIGNS = (
    ("✓ ✗ ◐", "the gate's verdict: pass, fail, undecided (not proven either way yet)"),
    ("● ○ ■ !", "a process that is going, still to come, ended, failed"),
    ("▲ ▼", "better or worse than the run to the left; dim where that may be chance"),
)

NOTES = (
    "Actions apply to the selected run, whose name is underlined. Whatever starts, stops or spends asks first.",
    "Runs do not depend on this screen: close it, lose the connection, come back; nothing stops and nothing is lost.",
)


class HelpScreen(NoticeScreen):
    WIDEST = 92

    def __init__(self) -> None:
        super().__init__([])

    def text_lines(self, width: int) -> tuple[Line, ...]:
        lines: list[Line] = []
        for scope, title in SECTIONS:
            lines.append((Cell(title, "title"),))
            for action in ACTIONS:
                if action.scope == scope:
                    lines += _entry(action.shown, action.help, width)
            lines.append(())
        lines.append((Cell("Signs", "title"),))
        for sign, meaning in SIGNS:
            lines += _entry(sign, meaning, width)
        for note in NOTES:
            lines += [(), *((Cell(row, "dim"),) for row in wrap(note, width))]
        return tuple(lines)


def _entry(key: str, text: str, width: int) -> list[Line]:
    rows = wrap(text, width - 11)
    return [(Cell(f" {key}" if number == 0 else "", "key", 9), Cell(f"  {row}")) for number, row in enumerate(rows)]
