"""The campaign's kept engine in full, and what can be done with it. It stays up to date while it is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType

from tui.cells import Cell, Line, cut
from tui.panels.engine_page import engine_page
from tui.screens.dialog import Dialog, choice_lines
from tui.view import View

if TYPE_CHECKING:
    from tui.app import PilothouseApp

Does = Callable[[], object]


def choices_of(view: View) -> list[tuple[str, str]]:
    """What can be done, as (id, label); to leave it comes first, because enter takes the first."""
    engine = view.engine
    found = [("close", "close (esc)")]
    if engine is not None and (engine.live or engine.gpu_held):
        found.append(("stop", "stop (s)"))
    can_start = view.current is not None and view.current.campaign is not None
    if can_start and engine is not None and engine.live and not engine.fits and not engine.attached:
        found.append(("start", "replace (r)"))
    elif can_start and (engine is None or not (engine.live or engine.gpu_held)):
        found.append(("start", "start (s)"))
    if engine is not None:
        found.append(("log", "log (l)"))
    return found


class EngineScreen(Dialog[None]):
    """`does` has what is done for each choice but to close."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,e", "dismiss_dialog", show=False),
        Binding("s", "take('stop,start')", show=False),
        Binding("r", "take('start')", show=False),
        Binding("l", "take('log')", show=False),
        Binding("left,shift+tab", "move(-1)", show=False),
        Binding("right,tab", "move(1)", show=False),
        Binding("up", "scroll_text(-1)", show=False),
        Binding("down", "scroll_text(1)", show=False),
        Binding("enter", "chosen", show=False),
    ]

    def __init__(self, does: dict[str, Does]) -> None:
        super().__init__([])
        self._does = does
        self._chosen = "close"
        self.note = ""

    @property
    def view(self) -> View:
        return cast("PilothouseApp", self.app).view

    def show_view(self, _: View, /) -> None:
        self.redraw()

    def on_screen_suspend(self) -> None:
        """A question stands on top: one box at a time."""
        self.query_one("#box").display = False

    def on_screen_resume(self) -> None:
        self.query_one("#box").display = True

    def say(self, note: str) -> None:
        """A line under the state, e.g. what is being worked out."""
        self.note = note
        self.redraw()

    def text_lines(self, width: int) -> tuple[Line, ...]:
        engine, current = self.view.engine, self.view.current
        title = engine.id if engine is not None else current.name if current is not None else ""
        note: tuple[Line, ...] = ((), (Cell(self.note, "accent"),)) if self.note else ()
        lines = ((Cell(f"Engine · {title}", "title"),), *engine_page(self.view, width), *note)
        return tuple(cut(line, width) for line in lines)

    def choice_lines(self, width: int) -> tuple[Line, ...]:
        choices = choices_of(self.view)
        names = [name for name, _ in choices]
        if self._chosen not in names:  # what it was on is no longer possible
            self._chosen = "close"
        return choice_lines(choices, names.index(self._chosen), width)

    def action_move(self, step: int) -> None:
        names = [name for name, _ in choices_of(self.view)]
        self._chosen = names[(names.index(self._chosen) + step) % len(names)]
        self.redraw()

    def action_chosen(self) -> None:
        self.choose(self._chosen)

    def action_take(self, wanted: str) -> None:
        """Do the first of `wanted` that is possible."""
        possible = {name for name, _ in choices_of(self.view)}
        for name in wanted.split(","):
            if name in possible:
                self.choose(name)
                return

    def choose(self, choice: str) -> None:
        if choice in self._does and choice in {name for name, _ in choices_of(self.view)}:
            self._does[choice]()
        else:
            super().choose(choice)
