"""One line in which a person types what to look for."""

from __future__ import annotations

from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from tui.cells import Cell
from tui.logs.query import Expression
from tui.screens.base import ActionScreen, bindings
from tui.screens.edit import TYPEABLE
from tui.widgets.cell_lines import CellLines

LONGEST = 200


class Prompt(Horizontal):
    """Asks for a regular expression, or, after a switch, for text that is meant letter by letter."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; }
    Prompt CellLines { width: auto; }
    Prompt Input { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("prompt")]

    class Edited(Message):
        """Something else stands in it, or is meant otherwise."""

    class Given(Message):
        """Enter was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self._title = ""
        self.verbatim = False

    def compose(self) -> ComposeResult:
        yield CellLines()
        yield Input(compact=True, max_length=LONGEST, restrict=TYPEABLE)

    @property
    def field(self) -> Input:
        return self.query_one(Input)

    @property
    def expression(self) -> Expression | None:
        """What was typed; None for nothing."""
        return Expression(self.field.value, self.verbatim) if self.field.value else None

    @property
    def error(self) -> str:
        """Why what was typed is no expression."""
        try:
            if self.expression is not None:
                self.expression.pattern()
        except ValueError as error:
            return str(error)
        return ""

    def ask(self, title: str, placeholder: str, value: Expression | None = None) -> None:
        """Come into sight, with `value` to be changed."""
        self._title = title
        self.verbatim = value.verbatim if value is not None else self.verbatim
        self.field.cursor_blink = False
        self.field.placeholder = placeholder
        self.field.value = value.text if value is not None else ""
        self.display = True
        self.screen.set_focus(self.field)  # at once: the next letters may have arrived already
        self._show_title()

    def leave(self) -> None:
        self.display = False
        self.screen.set_focus(None)

    def switch(self) -> None:
        """From regular expression to text, or back."""
        self.verbatim = not self.verbatim
        self._show_title()
        self.post_message(self.Edited())

    def _show_title(self) -> None:
        kind = "text" if self.verbatim else "regular expression"
        title = (Cell(f" {self._title} ", "accent"), Cell(f"{kind}: ", "dim"))
        self.query_one(CellLines).show((title,))
        self.query_one(CellLines).styles.width = sum(len(cell.text) for cell in title)

    @on(Input.Changed)
    def typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Edited())

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Given())

    def action_perform(self, name: str) -> None:
        cast("ActionScreen", self.screen).action_perform(name)
