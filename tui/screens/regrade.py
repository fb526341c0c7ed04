"""A run graded by another ruler: choose the file, see what changes, and say why the run is to be judged by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.widgets import Input

from engine.errors import PilothouseError
from tui.cells import Cell, Line, Role, wrap
from tui.screens.confirm import ConfirmScreen, error_paragraphs
from tui.screens.dialog import FieldDialog, Paragraph
from tui.screens.edit import LONGEST_VALUE, TYPEABLE
from tui.widgets.cell_lines import CellLines

WIDEST = 112
BESIDE = 5
"""Border, padding and scroll bar of the widest dialog, which needs the room more than others."""


def words_width(screen_width: int) -> int:
    """Cells of a line of what is told about a grading on a screen of that width."""
    return max(10, min(WIDEST, screen_width) - BESIDE)


class RulerScreen(FieldDialog[None]):
    """Asks for a file to grade by: one of the workspace's own, or a path. `grade` is called with it; the answer is
    shown by somebody else, and a refusal here, where nothing of what was typed is lost."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,shift+tab", "move(-1)", show=False),
        Binding("down,tab", "move(1)", show=False),
    ]

    def __init__(self, run_id: str, grade: Callable[[str], None]) -> None:
        super().__init__([])
        self.run_id = run_id
        self._grade = grade
        self._rulers: tuple[str, ...] | None = None
        self._grading = ""
        self._error: PilothouseError | None = None

    def compose_more(self) -> ComposeResult:
        yield Input(max_length=LONGEST_VALUE, restrict=TYPEABLE, placeholder="the path of a file with qc: or gate:")
        yield CellLines(id="choices")

    @property
    def typed(self) -> str:
        """The path in the field."""
        return self.field.value.strip()

    def rulers_arrived(self, rulers: tuple[str, ...]) -> None:
        """The workspace's own files; the first one is proposed where nothing was typed yet."""
        self._rulers = rulers
        if rulers and not self.typed:
            self.field.value = rulers[0]
            self.field.action_select_all()  # what is typed takes its place
        self.redraw()
        self._bring("accent")

    def refused(self, error: PilothouseError) -> None:
        """It cannot be graded by that file."""
        self._grading, self._error = "", error
        self.redraw()
        self._bring("bad")

    def graded(self) -> None:
        """The answer has come."""
        self._grading, self._error = "", None
        self.redraw()

    def text_lines(self, width: int) -> tuple[Line, ...]:
        self._paragraphs = [
            Paragraph(f"regrade {self.run_id}", "title"),
            Paragraph("By other detectors or limits. Nothing is generated, and looking saves nothing."),
            Paragraph(""),
            *self._files(),
            *([Paragraph(""), *error_paragraphs(self._error)] if self._error is not None else []),
        ]
        return super().text_lines(width)

    def _files(self) -> list[Paragraph]:
        if self._rulers is None:
            return [Paragraph("looking for files in configs/rulers …", "dim")]
        if not self._rulers:
            return [Paragraph("There is none in configs/rulers: type the path of one.", "dim")]
        chosen = self.typed
        return [
            Paragraph(f"{'▸' if name == chosen else '·'} {name}", "accent" if name == chosen else "text", verbatim=True)
            for name in self._rulers
        ]

    def redraw(self) -> None:
        super().redraw()
        if self._grading:
            line: Line = (Cell(f"grading by {self._grading} …", "accent"),)
        else:
            keys = (("⏎", "grade by it"), ("↑ ↓", "file"), ("esc", "back"))
            line = tuple(cell for key, text in keys for cell in (Cell(key, "key"), Cell(f" {text}   ", "dim")))
        self.query_one("#choices", CellLines).show((line,))

    def _bring(self, role: Role) -> None:
        """Scroll to the text in that role: the chosen file, or why another one was refused."""
        lines = self.query_one("#text", CellLines).lines
        rows = [row for row, line in enumerate(lines) if any(cell.role == role for cell in line)]
        if rows:
            end = len(lines) if role == "bad" else rows[0] + 1
            region = Region(0, rows[0], 1, end - rows[0])
            self.call_after_refresh(self.query_one("#body").scroll_to_region, region, top=role == "bad", animate=False)

    def action_move(self, step: int) -> None:
        """Put the next one of the files into the field."""
        if self._rulers:
            place = self._rulers.index(self.typed) + step if self.typed in self._rulers else 0
            self.field.value = self._rulers[place % len(self._rulers)]

    @on(Input.Changed)
    def typing(self, event: Input.Changed) -> None:
        event.stop()
        self.redraw()
        self._bring("accent")

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._grading:
            return
        if not self.typed:
            self.refused(PilothouseError("no file is named", remedy="type its path, or choose one with ↑ ↓"))
            return
        self._grading, self._error = self.typed, None
        self._grade(self.typed)
        self.redraw()


class RegradedScreen(ConfirmScreen):
    """A grading beside the verdict as it stands: `head` in short, `words` in full, and what saving it would mean.
    Nothing is saved by leaving it; `save` asks for that."""

    WIDEST = WIDEST

    def __init__(self, head: Paragraph, words: str, told: list[Paragraph], save: Callable[[], object]) -> None:
        super().__init__([], yes="save …")
        self._head, self._words, self._told = head, words, told
        self._save = save

    @property
    def choices(self) -> list[tuple[str, str]]:
        (no, _), *others = super().choices
        return [(no, "back (n)"), *others]

    @property
    def inner_width(self) -> int:
        return words_width(self.app.size.width)

    def text_lines(self, width: int) -> tuple[Line, ...]:
        title, _, words = self._words.partition("\n\n")
        self._paragraphs = [Paragraph(" ".join(title.split()), "title"), self._head]
        head = super().text_lines(width)
        self._paragraphs = self._told
        rows = [part for row in words.splitlines() for part in _fitted(row, width)]
        return (*head, (), *((Cell(row),) for row in rows), (), *super().text_lines(width))

    def action_answer(self, yes: bool) -> None:
        if yes:
            self._save()
        else:
            super().action_answer(False)


def _fitted(row: str, width: int) -> list[str]:
    """A line as it is; where the window has become narrower, on several, which keep its indentation."""
    if cell_len(row) <= width:
        return [row]
    if not row.strip("─ "):  # under the head of a table
        return [row[:width]]
    indent = " " * (len(row) - len(row.lstrip()))
    return [f"{indent}{part}" for part in wrap(row.strip(), width - len(indent))]


class ReasonScreen(FieldDialog[str | None]):
    """Asks why; returns that, None when it was left. `value` is what was said before."""

    def __init__(self, paragraphs: list[Paragraph], value: str) -> None:
        super().__init__(paragraphs)
        self._value = value

    def compose_more(self) -> ComposeResult:
        yield Input(self._value, max_length=LONGEST_VALUE, restrict=TYPEABLE)
        yield CellLines(id="choices")

    def on_mount(self) -> None:
        super().on_mount()
        self._say("⏎ goes on, esc leaves it", "dim")

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        reason = event.value.strip()
        if reason:
            self.dismiss(reason)
        else:
            self._say("it is recorded with the grading: say why", "warn")

    def _say(self, text: str, role: Role) -> None:
        self.query_one("#choices", CellLines).show(((Cell(text, role),),))
