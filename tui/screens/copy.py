"""Lists what can be copied; the chosen one goes to the terminal's clipboard, and stands there in full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import ClassVar

from rich.cells import chop_cells
from textual.binding import Binding, BindingType

from tui.actions import BY_ID
from tui.cells import Cell, Line, cut, wrap
from tui.copying import LARGEST, Copyable
from tui.screens.base import bindings
from tui.screens.dialog import FRAME_ROWS, Dialog
from tui.widgets.cell_lines import CellLines

NAME_WIDTH = 16
MOST_KEYS = 9
HEAD_ROWS = 2
"""Title and blank line above the list."""
BY_MOUSE = "Nothing arrived? The terminal must allow OSC 52. Or select it here: the mouse, with shift held."
IN_TMUX = "Nothing arrived? tmux needs `set -g set-clipboard on`. Or select it here: the mouse, with shift held."


class CopyScreen(Dialog[None]):
    """From edge to edge, so that a selection with the mouse takes no frame along."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("copy"),
        *(Binding(str(number), f"figure({number})", show=False) for number in range(1, MOST_KEYS + 1)),
    ]

    def __init__(self, items: tuple[Copyable, ...]) -> None:
        super().__init__([])
        self._items = items
        self._chosen = 0
        self._copied: Copyable | None = None

    @property
    def inner_width(self) -> int:
        return max(10, self.app.size.width - 1)

    def text_lines(self, width: int) -> tuple[Line, ...]:
        if self._copied is not None:
            return tuple(_in_full(self._copied, width))
        rows = (cut(self._row(number, item), width) for number, item in enumerate(self._items))
        return ((Cell("Copy", "title"),), (), *rows)

    def redraw(self) -> None:
        super().redraw()
        keys = (
            ()
            if self._copied
            else (Cell("⏎", "key"), Cell(" copy  ", "dim"), Cell("↑ ↓", "key"), Cell(" choose  ", "dim"))
        )
        back = (Cell("esc q", "key", action="close"), Cell(" back", "dim", action="close"))
        self.query_one("#choices", CellLines).show(((*keys, *back),))

    def _row(self, number: int, item: Copyable) -> Line:
        chosen, action = number == self._chosen, f"copy:{number}"
        lines = item.text.splitlines()
        more = f" … {len(lines)} lines" if len(lines) > 1 else ""
        return (
            Cell("▸ " if chosen else "  ", "accent", tint=chosen, action=action),
            Cell(_key_of(item), "key", 3, tint=chosen, action=action),
            Cell(item.name, "strong" if chosen else "text", NAME_WIDTH, tint=chosen, action=action),
            Cell(lines[0] + more, "dim", tint=chosen, action=action),
        )

    def action_perform(self, name: str) -> None:
        match name:
            case "leave_copy":
                self.dismiss(None)
            case "copy_up":
                self._move(-1)
            case "copy_down":
                self._move(1)
            case "copy_chosen":
                self._copy(self._items[self._chosen])
            case _:
                self._copy_of(name)

    def action_figure(self, number: int) -> None:
        self._copy_of("copy_figure", number)

    def choose(self, choice: str) -> None:
        """A row was clicked, or the way back."""
        word, _, number = choice.partition(":")
        if word == "copy" and number.isdigit() and int(number) < len(self._items):
            self._copy(self._items[int(number)])
        else:
            super().choose(choice)

    def _move(self, step: int) -> None:
        if self._copied is not None:
            self.action_scroll_text(step)
            return
        self._chosen = (self._chosen + step) % len(self._items)
        self.redraw()
        middle = (self.app.size.height - FRAME_ROWS) // 2
        self.query_one("#body").scroll_to(y=max(0, self._chosen + HEAD_ROWS - middle), animate=False)

    def _copy_of(self, action: str, number: int | None = None) -> None:
        for item in self._items:
            if (item.action, item.number) == (action, number):
                self._copy(item)

    def _copy(self, item: Copyable) -> None:
        if len(item.text) <= LARGEST:
            self.app.copy_to_clipboard(item.text)
        self._copied = item
        self.redraw()
        self.query_one("#body").scroll_home(animate=False)


def _key_of(item: Copyable) -> str:
    if item.number is None:
        return BY_ID[item.action].shown
    return str(item.number) if item.number <= MOST_KEYS else ""


def _in_full(item: Copyable, width: int) -> Iterator[Line]:
    """The text from the left edge on, broken only where the window ends."""
    if len(item.text) <= LARGEST:
        yield (Cell(f"✓ Sent to the clipboard: {item.name}", "good"),)
        hint = IN_TMUX if "TMUX" in os.environ else BY_MOUSE
    else:
        yield (Cell(f"Too long for the clipboard of a terminal: {item.name}", "warn"),)
        hint = f"It has {len(item.text):,} characters. Select it here, or use `pilothouse compare`."
    yield from ((Cell(row, "dim"),) for row in wrap(hint, width))
    yield ()
    for line in item.text.splitlines():
        yield from ((Cell(piece),) for piece in chop_cells(line, width) or [""])
