"""Asks before anything is started, stopped or spent. No is the choice one gets by pressing enter too early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from engine.errors import PilothouseError
from tui.actions import BY_ID
from tui.cells import Cell, Line
from tui.screens.base import bindings
from tui.screens.dialog import Dialog, FieldDialog, Paragraph, choice_lines
from tui.widgets.cell_lines import CellLines

LINES_OF_PROGRESS = 8


@dataclass(frozen=True, slots=True)
class Other:
    """A choice beside yes and no: which `action` of the table takes it, how it is named, what it does. `closes` the
    question before."""

    action: str
    label: str
    do: Callable[[], object]
    closes: bool = False


class ConfirmScreen(Dialog[bool | None]):
    """Yes or no. Returns True only for a yes. With `edit` what is asked for can be changed first: that closes it. The
    command that stands in it can be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("question"),
        Binding("up", "up_or_down(-1)", show=False),
        Binding("down", "up_or_down(1)", show=False),
    ]

    def __init__(
        self,
        paragraphs: list[Paragraph],
        *,
        yes: str,
        edit: Callable[[], object] | None = None,
        others: Sequence[Other] = (),
    ) -> None:
        super().__init__(paragraphs)
        self._yes = yes
        self._others = [*([Other("edit", "edit (e)", edit, closes=True)] if edit is not None else []), *others]
        if any(paragraph.command for paragraph in paragraphs):
            self._others.append(Other("copy_shown", "copy (c)", self._copy))
        self._chosen = 0

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What can be chosen, as (action, label); the harmless one first."""
        others = [(other.action, other.label) for other in self._others]
        return [("no", "no (n)"), ("yes", f"{self._yes} (y)"), *others]

    def choice_lines(self, width: int) -> tuple[Line, ...]:
        return choice_lines(self.choices, self._chosen, width)

    def action_perform(self, name: str) -> None:
        match name:
            case "choice_before":
                self._move(-1)
            case "choice_after":
                self._move(1)
            case "take_choice":
                self.choose(self.choices[self._chosen][0])
            case _:
                self.choose(name)

    def _move(self, step: int) -> None:
        self._chosen = (self._chosen + step) % len(self.choices)
        self.redraw()

    def action_up_or_down(self, lines: int) -> None:
        """Scrolls what is longer than the window, else chooses."""
        if self._scrolls:
            self.action_scroll_text(lines)
        else:
            self._move(lines)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    def action_dismiss_dialog(self) -> None:
        self.action_answer(False)

    def choose(self, choice: str) -> None:
        if choice in ("no", "close"):
            self.action_answer(False)
        elif choice == "yes":
            self.action_answer(True)
        else:
            for other in self._others:
                if other.action == choice:
                    self._take(other)
                    return

    def _take(self, other: Other) -> None:
        if other.closes:
            self.dismiss(None)
        other.do()

    def _copy(self) -> None:
        self.app.copy_to_clipboard(next(paragraph.text for paragraph in self._paragraphs if paragraph.command))
        self.app.notify("copied (where the terminal allows it)", markup=False, timeout=4)


class UnderWayScreen(ConfirmScreen):
    """Asks, then stays and shows the progress of what was asked for until it is done. `begin` starts it; `first` is its
    first step, `going` what goes on when the dialog is left, `done` how a good end begins."""

    def __init__(
        self,
        paragraphs: list[Paragraph],
        begin: Callable[[], bool],
        *,
        yes: str,
        first: str,
        going: str,
        done: str,
        others: Sequence[Other] = (),
    ) -> None:
        super().__init__(paragraphs, yes=yes, others=others)
        self._head = paragraphs[0]
        self._begin = begin
        self._first, self._going, self._done = first, going, done
        self._asked, self._ended = True, False
        self._progress: list[str] = []

    @property
    def under_way(self) -> bool:
        """It was asked for and this dialog shows it."""
        return not self._asked

    @property
    def choices(self) -> list[tuple[str, str]]:
        if self._asked:
            return super().choices
        return [("close", "close" if self._ended else f"close (esc); {self._going} goes on")]

    def action_answer(self, yes: bool) -> None:
        if self._asked and yes and self._begin():
            self.started()
        else:
            self.dismiss(yes and self._asked)

    def started(self) -> None:
        """What was asked for has begun."""
        self._asked, self._chosen = False, 0
        self.progress(self._first)

    def progress(self, text: str) -> None:
        """One more step."""
        if not self._progress or self._progress[-1] != text:
            self._progress.append(text)
        self._show([Paragraph(f"· {step}", "dim") for step in self._progress[-LINES_OF_PROGRESS:]])

    def finish(self, result: str, error: PilothouseError | None) -> None:
        """It ended: say how."""
        self._ended, self._chosen = True, 0
        steps = [Paragraph(f"· {step}", "dim") for step in self._progress[-LINES_OF_PROGRESS:]]
        if error is None:
            self._show([*steps, Paragraph(""), Paragraph(f"✓ {self._done}{result}", "good")])
        else:
            self._show([*steps, Paragraph(""), *error_paragraphs(error)])

    def _show(self, paragraphs: list[Paragraph]) -> None:
        self.set_paragraphs([self._head, *paragraphs])


class StopScreen(UnderWayScreen):
    """A stop, shown until it is verified. `now` begins one that waits for nothing, or makes the one that is under way
    such a one; None where that cannot be. `of` is the id of what it stops."""

    def __init__(
        self,
        paragraphs: list[Paragraph],
        begin: Callable[[], bool],
        *,
        yes: str = "stop it",
        now: Callable[[], bool] | None = None,
        of: str = "",
    ) -> None:
        first = "asked its keeper to stop it"
        self._now = now
        self.of = of
        others = [Other("stop_now", "now (K)", self._hurry)] if now is not None else []
        super().__init__(paragraphs, begin, yes=yes, first=first, going="the stop", done="verified: ", others=others)

    @property
    def choices(self) -> list[tuple[str, str]]:
        hurry = [("stop_now", "now (K)")] if self.under_way and not self._ended and self._now is not None else []
        return [*super().choices, *hurry]

    def _hurry(self) -> None:
        """Once: what is under way at once cannot be hurried more."""
        now = self._now
        if now is None or self._ended or not now():
            return
        self._now = None
        if self._asked:
            self.started()
        else:
            self.redraw()


class ReviewScreen(Dialog[str | None]):
    """Says what a person has to look at; returns the action that is wanted then, None to leave it."""

    WAYS: ClassVar[tuple[str, ...]] = ("samples", "metrics", "compare", "own_launch")
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(BY_ID[name].key, f"take('{name}')", show=False) for name in WAYS),
        Binding("enter", "chosen", show=False),
        Binding("q", "dismiss_dialog", show=False),
        Binding("left,shift+tab", "move(-1)", show=False),
        Binding("right,tab", "move(1)", show=False),
        Binding("up", "scroll_text(-1)", show=False),
        Binding("down", "scroll_text(1)", show=False),
    ]

    def __init__(self, paragraphs: list[Paragraph]) -> None:
        super().__init__(paragraphs)
        ways = [(name, f"{BY_ID[name].name} ({BY_ID[name].shown})") for name in self.WAYS]
        self._choices = [("close", "close (esc)"), *ways]
        self._chosen = 0

    def choice_lines(self, width: int) -> tuple[Line, ...]:
        return choice_lines(self._choices, self._chosen, width)

    def action_move(self, step: int) -> None:
        self._chosen = (self._chosen + step) % len(self._choices)
        self.redraw()

    def action_chosen(self) -> None:
        self.choose(self._choices[self._chosen][0])

    def action_take(self, name: str) -> None:
        self.choose(name)

    def choose(self, choice: str) -> None:
        if choice in self.WAYS:
            self.dismiss(choice)
        else:
            super().choose(choice)


class AmountScreen(FieldDialog[int | None]):
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
        self._complain("⏎ goes on, esc leaves it", wrong=False)

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        value = int(event.value) if event.value.isdigit() else self._least - 1
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
