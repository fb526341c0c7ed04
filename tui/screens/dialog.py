"""What all dialogs share: a box of lines, and choices of which the harmless one is chosen first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.cells import Cell, Line, Role, clean, width_of, wrap
from tui.view import View
from tui.widgets.cell_lines import ActionClicked, CellLines

if TYPE_CHECKING:
    from tui.app import PilothouseApp

Result = TypeVar("Result")
PADDING = 7
"""Border, padding and scroll bar beside a dialog's text."""
FRAME_ROWS = 7
"""Rows of a dialog that are not its text: border, padding, choices. Fields come on top."""
FIELD_ROWS = 3
"""A field with its border."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text of a dialog, wrapped to its width. A `verbatim` one is indented by two, and so is a `command`, which can be
    copied."""

    text: str
    role: Role = "text"
    verbatim: bool = False
    command: bool = False


class Dialog(ModalScreen[Result], Generic[Result]):
    """A box over the screen. Subclasses say what stands in it."""

    WIDEST: ClassVar[int] = 84
    SCROLL_KEYS: ClassVar[str] = "↑ ↓ PgUp PgDn"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss_dialog", show=False),
        Binding("pageup", "scroll_text(-8)", show=False),
        Binding("pagedown", "scroll_text(8)", show=False),
    ]

    def __init__(self, paragraphs: list[Paragraph]) -> None:
        super().__init__()
        self._paragraphs = paragraphs
        self._scrolls = False

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            with VerticalScroll(id="body", can_focus=False):
                yield CellLines(id="text")
            yield CellLines(id="more")
            yield from self.compose_more()

    def compose_more(self) -> ComposeResult:
        """What stands under the text."""
        yield CellLines(id="choices")

    def on_mount(self) -> None:
        cast("PilothouseApp", self.app).hush()
        self.redraw()

    def on_resize(self, _: events.Resize) -> None:
        self.redraw()

    @property
    def inner_width(self) -> int:
        """Cells between the box's borders."""
        return max(10, min(self.WIDEST, self.app.size.width * 9 // 10) - PADDING)

    def redraw(self) -> None:
        lines, choices = self.text_lines(self.inner_width), self.choice_lines(self.inner_width)
        taken = FRAME_ROWS + FIELD_ROWS * len(self.query(Input)) + max(0, len(choices) - 1)
        room = max(3, self.app.size.height - taken)
        self._scrolls = len(lines) > room
        self.query_one("#body").styles.max_height = room - self._scrolls
        self.query_one("#text", CellLines).show(lines)
        hint = (Cell(self.SCROLL_KEYS, "key"), Cell(f" scroll, {len(lines)} lines in all", "warn"))
        self.query_one("#more", CellLines).show((hint,) if self._scrolls else ())
        if choices:
            self.query_one("#choices", CellLines).show(choices)

    def choice_lines(self, width: int) -> tuple[Line, ...]:  # noqa: ARG002
        """What can be chosen, as buttons; nothing where something else stands in their place."""
        return ()

    def text_lines(self, width: int) -> tuple[Line, ...]:
        lines: list[Line] = []
        for paragraph in self._paragraphs:
            indent = "  " if paragraph.verbatim or paragraph.command else ""
            for part in paragraph.text.splitlines() or [""]:
                rows = wrap(part, width - len(indent)) or [""]
                lines += [(Cell(f"{indent}{row}", paragraph.role),) for row in rows]
        return tuple(lines)

    def set_paragraphs(self, paragraphs: list[Paragraph]) -> None:
        self._paragraphs = paragraphs
        self.redraw()

    def show_view(self, view: View, /) -> None:
        """The picture changed, or time passed. Most dialogs speak of the moment they were opened."""

    @property
    def text(self) -> str:
        """All that the dialog says, as plain text."""
        return "\n".join(widget.text for widget in self.query(CellLines))

    def action_scroll_text(self, lines: int) -> None:
        """Text that is longer than the window can be scrolled."""
        self.query_one("#body").scroll_relative(y=lines, animate=False)

    def action_dismiss_dialog(self) -> None:
        self.dismiss(None)

    def on_action_clicked(self, message: ActionClicked) -> None:
        message.stop()
        self.choose(message.action)

    def choose(self, choice: str) -> None:
        """A choice was clicked."""
        if choice == "close":
            self.action_dismiss_dialog()


def choice_lines(choices: list[tuple[str, str]], chosen: int, width: int) -> tuple[Line, ...]:
    """`(id, label)` as buttons on as many lines as they need; the chosen one stands in brackets, too, for terminals
    without colours."""
    lines: list[list[Cell]] = [[]]
    for number, (name, label) in enumerate(choices):
        text = f"▸ {clean(label)} ◂" if number == chosen else f"  {clean(label)}  "
        if lines[-1] and width_of(lines[-1]) + cell_len(text) > width:
            lines.append([])
        lines[-1] += [Cell(text, "accent" if number == chosen else "text", tint=True, action=name), Cell("  ")]
    return tuple(map(tuple, lines))


class FieldDialog(Dialog[Result], Generic[Result]):
    """A dialog with one field. What is typed before the field is there is meant for it: over a slow line it arrives
    in one packet with the key that opened the dialog."""

    SCROLL_KEYS: ClassVar[str] = "PgUp PgDn"

    def __init__(self, paragraphs: list[Paragraph]) -> None:
        super().__init__(paragraphs)
        self._early: list[events.Key] = []
        self._ready = False

    @property
    def field(self) -> Input:
        return self.query_one(Input)

    def on_mount(self) -> None:
        super().on_mount()
        self.field.cursor_blink = False
        self.field.select_on_focus = False
        self.set_focus(self.field)
        self.field.action_select_all()
        self._ready = True
        for event in self._early:
            self.takes(event)

    def takes(self, event: events.Key) -> bool:
        """Whether a key that went to the screen below was meant for the field; it is then done there."""
        if not (event.is_printable or event.key == "enter"):
            return False
        if not self._ready:
            self._early.append(event)
        elif event.key == "enter":
            self.call_later(self.field.action_submit)
        elif event.character:
            self.field.replace(event.character, *self.field.selection)
        return True


class NoticeScreen(Dialog[None]):
    """Says something that has to be read: enter or escape closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,q,escape,space,question_mark", "dismiss_dialog", show=False),
        Binding("up,k", "scroll_text(-1)", show=False),
        Binding("down,j", "scroll_text(1)", show=False),
    ]

    def choice_lines(self, width: int) -> tuple[Line, ...]:
        return choice_lines([("close", "close")], 0, width)
