"""Every key, from the table of actions, and what the signs mean."""

from __future__ import annotations

from tui.actions import ACTIONS, SHARED, Scope
from tui.cells import Cell, Line, wrap
from tui.screens.dialog import NoticeScreen

SECTIONS: tuple[tuple[Scope, str], ...] = (
    ("dashboard", "Dashboard"),
    ("run", "A run's pages"),
    ("log", "Log"),
    ("prompt", "What to look for in a log"),
    ("page", "Pages: metrics, parameters, events, processes, comparison"),
    ("samples", "Samples"),
    ("form", "Values of a launch"),
    ("question", "Questions"),
    ("copy", "Copying"),
    ("everywhere", "Everywhere"),
)

SIGNS = (
    ("✓ ✗ ◐", "the gate's verdict: pass, fail, undecided (not proven either way yet)"),
    ("● ○ ■ !", "a process that is going, still to come, ended, failed"),
    ("⚠", "what wants to be looked at: a run that stands still, memory that is held, a copy that failed"),
    ("⟦ ⟧", "what a detector flags in a text; ✓ and ✗ beside it: a person found that right, or a false alarm"),
    ("▲ ▼ △ ▽", "better or worse than the run it started from, or the one before it; hollow: may be chance"),
    ("█ ░ ╌ ▲", "in a plot: the value so far, what it may be in truth, its limit, since when its verdict stands"),
    ("≠", "what is not the same as in the run before"),
)

NOTES = (
    "Actions apply to the selected run, whose name is underlined. Whatever starts, stops or spends asks first.",
    "Copying goes through the terminal (OSC 52), over SSH too; tmux passes it on with `set -g set-clipboard on`.",
    "Runs do not depend on this screen: close it, lose the connection, come back; nothing stops and nothing is lost.",
)


class HelpScreen(NoticeScreen):
    WIDEST = 92

    def __init__(self, scope: Scope = "dashboard") -> None:
        """`scope`: that of the screen it was asked for on, whose sections stand on top."""
        super().__init__([])
        self._first = (scope, *SHARED.get(scope, ()))

    def _rank(self, section: tuple[Scope, str]) -> int:
        scope, _ = section
        return self._first.index(scope) if scope in self._first else len(self._first)

    def text_lines(self, width: int) -> tuple[Line, ...]:
        lines: list[Line] = []
        for scope, title in sorted(SECTIONS, key=self._rank):
            keys = [action for action in ACTIONS if scope in action.scopes]
            lines += [(Cell(title, "title"),)] if keys else []
            for action in keys:
                lines += _entry(action.shown, action.help, width)
            lines += [()] if keys else []
        lines.append((Cell("Signs", "title"),))
        for sign, meaning in SIGNS:
            lines += _entry(sign, meaning, width)
        for note in NOTES:
            lines += [(), *((Cell(row, "dim"),) for row in wrap(note, width))]
        return tuple(lines)


def _entry(key: str, text: str, width: int) -> list[Line]:
    rows = wrap(text, width - 11)
    return [(Cell(f" {key}" if number == 0 else "", "key", 9), Cell(f"  {row}")) for number, row in enumerate(rows)]
