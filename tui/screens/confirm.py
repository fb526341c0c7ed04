"""Asks before anything is started, stopped or spent. No is the choice one gets by pressing enter too early."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from engine.errors import PilothouseError
from tui.cells import Cell
from tui.screens.dialog import Dialog, Paragraph, choice_line
from tui.widgets.cell_lines import CellLines

LINES_OF_PROGRESS = 8


class ConfirmScreen(Dialog[bool | None]):
    """Yes or no. Returns True only for a yes. With `edit` what is asked for can be changed first: that closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,escape,q", "answer(False)", show=False),
        Binding("left,shift+tab", "other(-1)", show=False),
        Binding("right,tab", "other(1)", show=False),
        Binding("e", "edit", show=False),
        Binding("up", "up_or_down(-1)", show=False),
        Binding("down", "up_or_down(1)", show=False),
        Binding("enter", "chosen", show=False),
    ]

    def __init__(self, paragraphs: list[Paragraph], *, yes: str, edit: Callable[[], object] | None = None) -> None:
        super().__init__(paragraphs)
        self._choices = [("no", "no (n)"), ("yes", f"{yes} (y)")]
        self._edit = edit
        if edit is not None:
            self._choices.append(("edit", "edit (e)"))
        self._chosen = 0

    def redraw(self) -> None:
        super().redraw()
        self.query_one("#choices", CellLines).show((choice_line(self._choices, self._chosen),))

    def action_other(self, step: int) -> None:
        self._chosen = (self._chosen + step) % len(self._choices)
        self.redraw()

    def action_up_or_down(self, lines: int) -> None:
        """Scrolls what is longer than the window, else chooses."""
        if self._scrolls:
            self.action_scroll_text(lines)
        else:
            self.action_other(lines)

    def action_chosen(self) -> None:
        self.choose(self._choices[self._chosen][0])

    def action_edit(self) -> None:
        if self._edit is not None:
            self.dismiss(None)
            self._edit()

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    def action_dismiss_dialog(self) -> None:
        self.action_answer(False)

    def choose(self, choice: str) -> None:
        if choice == "edit":
            self.action_edit()
        else:
            self.action_answer(choice == "yes")


class UnderWayScreen(ConfirmScreen):
    """Asks, then stays and shows the progress of what was asked for until it is done. `begin` starts it; `first` is its
    first step, `going` what goes on when the dialog is left, `done` how a good end begins."""

    def __init__(
        self, paragraphs: list[Paragraph], begin: Callable[[], bool], *, yes: str, first: str, going: str, done: str
    ) -> None:
        super().__init__(paragraphs, yes=yes)
        self._head = paragraphs[0]
        self._begin = begin
        self._first, self._going, self._done = first, going, done
        self._asked = True
        self._progress: list[str] = []

    @property
    def under_way(self) -> bool:
        """It was asked for and this dialog shows it."""
        return not self._asked

    def action_other(self, step: int) -> None:
        if self._asked:
            super().action_other(step)

    def action_answer(self, yes: bool) -> None:
        if self._asked and yes and self._begin():
            self._asked = False
            self._choices, self._chosen = [("close", f"close (esc); {self._going} goes on")], 0
            self.progress(self._first)
        else:
            self.dismiss(yes and self._asked)

    def progress(self, text: str) -> None:
        """One more step."""
        if not self._progress or self._progress[-1] != text:
            self._progress.append(text)
        self._show([Paragraph(f"· {step}", "dim") for step in self._progress[-LINES_OF_PROGRESS:]])

    def finish(self, result: str, error: PilothouseError | None) -> None:
        """It ended: say how."""
        self._choices = [("close", "close")]
        steps = [Paragraph(f"· {step}", "dim") for step in self._progress[-LINES_OF_PROGRESS:]]
        if error is None:
            self._show([*steps, Paragraph(""), Paragraph(f"✓ {self._done}{result}", "good")])
        else:
            self._show([*steps, Paragraph(""), *error_paragraphs(error)])

    def _show(self, paragraphs: list[Paragraph]) -> None:
        self.set_paragraphs([self._head, *paragraphs])


class StopScreen(UnderWayScreen):
    """A stop, shown until it is verified."""

    def __init__(self, paragraphs: list[Paragraph], begin: Callable[[], bool], *, yes: str = "stop it") -> None:
        first = "asked its keeper to stop it"
        super().__init__(paragraphs, begin, yes=yes, first=first, going="the stop", done="verified: ")


class AmountScreen(Dialog[int | None]):
    """Asks for a whole number of at least `least`; returns None when it was left."""

    def __init__(self, paragraphs: list[Paragraph], *, value: int, least: int) -> None:
        super().__init__(paragraphs)
        self._value = value
        self._least = least

    def compose_more(self) -> ComposeResult:
        yield Input(str(self._value), type="integer", max_length=8)
        yield CellLines(id="choices")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Input).focus()
        self._complain("enter goes on, esc leaves it", wrong=False)

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        value = int(event.value) if event.value.isdigit() else 0
        if value < self._least:
            self._complain(f"at least {self._least:,}", wrong=True)
        else:
            self.dismiss(value)

    def _complain(self, text: str, *, wrong: bool) -> None:
        self.query_one("#choices", CellLines).show(((Cell(text, "warn" if wrong else "dim"),),))


def error_paragraphs(error: PilothouseError) -> list[Paragraph]:
    """What, where and remedy, each on its own."""
    paragraphs = [Paragraph(error.what, "bad")]
    if error.where:
        paragraphs.append(Paragraph(f"where: {error.where}", "dim"))
    if error.remedy:
        paragraphs.append(Paragraph(f"to do: {error.remedy}"))
    return paragraphs
