"""A form of all parameters that a run would start with: edit them, see the exact command and what it would cost."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.events import DescendantFocus
from textual.widgets import Input

from engine.budget.money import Budget
from engine.campaign.parameters import assign, flatten
from engine.errors import ConfigurationError, PilothouseError
from engine.policy.actions import NextAction, edited_argv
from tui import formatting
from tui.cells import Cell, Line, clean, rule, spread, wrap
from tui.forecasts import money_paragraphs
from tui.panels.footer import footer_lines
from tui.screens.base import ActionScreen, bindings
from tui.screens.dialog import Paragraph
from tui.widgets.cell_lines import CellLines

if TYPE_CHECKING:
    from engine.service import LaunchPlan

Assignments = tuple[str, ...]
NAME, LAST = 33, 13
MOST_COMMAND = 4
LONGEST_VALUE = 2000
TYPEABLE = r"[^\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]*"
"""What a field takes: no character that a terminal would obey, or that hides."""
NUMERIC = r"[-+0-9.eE_]*"


class ParameterRow(Vertical):
    """One parameter: its name, its last value, the value to start with, why that is proposed, and what is wrong."""

    def __init__(self, name: str, value: Any, last: Any, why: str) -> None:
        super().__init__()
        self.parameter, self.why = name, why
        self._value, self._last = value, last

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield CellLines(classes="name")
            number = isinstance(self._value, int | float)
            yield Input(
                as_typed(self._value),
                compact=True,
                max_length=LONGEST_VALUE,
                restrict=NUMERIC if number else TYPEABLE,
                select_on_focus=number,  # a key too many would put itself into the place of all that stands there
            )
            yield CellLines(classes="why")
        yield CellLines(classes="error")

    def on_mount(self) -> None:
        self.field.cursor_blink = False
        self.query_one(".why", CellLines).show(((Cell(f" {self.why}", "dim"),),))
        self.redraw()

    @property
    def field(self) -> Input:
        return self.query_one(Input)

    @property
    def typed(self) -> str:
        return self.field.value.strip()

    def redraw(self, wrong: str = "", *, edited: bool = False) -> None:
        """`wrong` stands below it; `edited`: the value is another one than was proposed, which a sign says, too."""
        focused = self.field.has_focus
        last = formatting.written(self._last)
        sign = "✗" if wrong else "✎" if edited else "▸" if focused else " "
        cells = (
            Cell(f"{sign} ", "bad" if wrong else "accent", 2),
            Cell(self.parameter, "strong" if focused or edited else "text", NAME - 2),
            Cell(last, "dim", LAST - 1, ">"),
            Cell(" "),
        )
        self.query_one(".name", CellLines).show((cells,))
        error: tuple[Line, ...] = ((Cell(f"  {wrong}", "bad"),),) if wrong else ()
        self.query_one(".error", CellLines).show(error)


class EditScreen(ActionScreen):
    """`plan` asks what a launch with assignments would be, and `planned` gets the answer; `confirm` asks whether to
    launch with them, given the forecast in words. It starts nothing itself."""

    SCOPE = "form"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("form")]

    def __init__(
        self,
        title: str,
        action: NextAction,
        budget: Budget | None,
        plan: Callable[[Assignments], None],
        confirm: Callable[[Assignments, list[Paragraph]], None],
    ) -> None:
        super().__init__()
        self._heading, self._action, self._budget = title, action, budget
        self._plan, self._confirm = plan, confirm
        self._proposed = flatten(action.parameters) if action.parameters is not None else {}
        self._asked: Assignments | None = None
        self._answered: Assignments | None = None
        self._answer: LaunchPlan | PilothouseError | None = None
        self._note = ""

    # --- what stands on it ---------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        changes = self._action.changes
        yield CellLines(id="header")
        yield CellLines(id="columns")
        with Vertical(id="form"):
            for name in dict.fromkeys((*(name for name in changes if name in self._proposed), *self._proposed)):
                last = changes[name][0] if name in changes else self._proposed[name]
                yield ParameterRow(name, self._proposed[name], last, self._action.why.get(name, ""))
        yield CellLines(id="outcome")
        yield CellLines(id="footer")

    def on_mount(self) -> None:
        self.redraw()
        self._ask()

    def on_resize(self) -> None:
        self.redraw()

    @property
    def rows(self) -> list[ParameterRow]:
        return list(self.query(ParameterRow))

    @property
    def assignments(self) -> Assignments:
        """What was edited, as `--set` takes it: only values that differ from the proposed ones."""
        return tuple(f"{row.parameter}={row.typed}" for row in self.rows if self._is_edited(row))

    @property
    def text(self) -> str:
        """All that stands on the form, fields aside, as plain text."""
        return "\n".join(widget.text for widget in self.query(CellLines))

    def _is_edited(self, row: ParameterRow) -> bool:
        """Whether another value stands there than was proposed; one that cannot be parsed is another one, too."""
        try:
            return bool(self._parsed(row) != self._proposed[row.parameter])
        except ConfigurationError:
            return True

    def _error(self, row: ParameterRow) -> str:
        """What is wrong with the value in the field as it is now: the word that it changed comes later."""
        try:
            self._parsed(row)
        except ConfigurationError as error:
            return clean(error.what.removeprefix(f"{row.parameter}: "), 200)
        return ""

    def _wrong(self) -> ParameterRow | None:
        """The first row whose value cannot be used."""
        return next((row for row in self.rows if self._error(row)), None)

    def _parsed(self, row: ParameterRow) -> Any:
        """The value that stands in the field; raises `ConfigurationError` for one that the parameter cannot have."""
        if self._action.parameters is None or row.typed == as_typed(self._proposed[row.parameter]):
            return self._proposed[row.parameter]
        return flatten(assign(self._action.parameters, [f"{row.parameter}={row.typed}"]))[row.parameter]

    def redraw(self) -> None:
        width = self.app.size.width
        self.query_one("#header", CellLines).show(((Cell(f" {self._heading} · edit values", "title"),),))
        heads = (Cell("  parameter", "dim", NAME), Cell("last ", "dim", LAST, ">"), Cell("to start with", "strong"))
        self.query_one("#columns", CellLines).show((heads,))
        for row in self.rows:
            row.redraw(self._error(row), edited=self._is_edited(row))
        self.query_one("#outcome", CellLines).show(self._outcome(width))
        self.query_one("#footer", CellLines).show(footer_lines(self.pilothouse.view, width, "form"))

    def _outcome(self, width: int) -> tuple[Line, ...]:
        """Why the field in hand has its value, the command as it now is, and what it is forecast to take."""
        current = next((row for row in self.rows if row.field.has_focus), None)
        why = f"{current.parameter}: {current.why}" if current is not None and current.why else ""
        edited = len(self.assignments)
        head = [Cell(f"{edited} edited" if edited else "nothing edited", "strong" if edited else "dim")]
        lines: list[Line] = [rule(head, width), (Cell(f" {why}", "dim"),)]
        command = wrap(f"$ {edited_command(self._action.argv or (), self.assignments)}", width - 2, MOST_COMMAND)
        lines += [(Cell(f" {line}", "strong"),) for line in command]
        for paragraph in self._forecast():
            lines += [(Cell(f" {line}", paragraph.role),) for line in wrap(paragraph.text, width - 2, 2)]
        if self._note:
            lines.append(spread([Cell(f" {self._note}", "warn")], [], width))
        return tuple(lines)

    def _forecast(self) -> list[Paragraph]:
        if self._wrong() is not None:
            return [Paragraph("mend what is marked ✗", "warn")]
        if self._answered != self.assignments or self._answer is None:
            return [Paragraph("working out what it takes …", "dim")]
        if isinstance(self._answer, PilothouseError):
            told = [Paragraph(f"refused: {self._answer.what}", "bad")]
            return told + ([Paragraph(f"to do: {self._answer.remedy}")] if self._answer.remedy else [])
        forecast = self._answer.forecast
        return money_paragraphs(self._budget, forecast.cost_usd, forecast.duration_s, forecast.basis)

    # --- what is done on it --------------------------------------------------------------------------------------

    @on(Input.Changed)
    def typed(self, event: Input.Changed) -> None:
        """Say under the field what is wrong with it; ask for the forecast of the whole."""
        event.stop()
        self._note = ""
        self._ask()
        self.redraw()

    @on(DescendantFocus)
    def field_focused(self) -> None:
        self.redraw()

    @on(Input.Blurred)
    def field_left(self, event: Input.Blurred) -> None:
        event.input.cursor_position = 0  # a long value shows its beginning

    def _ask(self) -> None:
        """One question at a time, since it reads files; the newest values are asked for when the answer is there."""
        if self._asked is None and self._wrong() is None and self._answered != self.assignments:
            self._asked = self.assignments
            self._plan(self._asked)

    def planned(self, assignments: Assignments, plan: LaunchPlan | None, error: PilothouseError | None) -> None:
        """What a launch with `assignments` would be, or why it is refused."""
        self._asked = None
        self._answered = assignments
        self._answer = plan if plan is not None else error or PilothouseError("it is not known what it takes")
        self._ask()
        self.redraw()

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.do_submit()

    def do_submit(self) -> None:
        """Ask for a yes, once all values can be used and the service would start it."""
        wrong = self._wrong()
        if wrong is not None:
            wrong.field.focus()
        elif self._answered != self.assignments or self._answer is None:
            self._note = "a moment: it is not yet known what it takes"
        elif not isinstance(self._answer, PilothouseError):
            self._note = ""
            self._confirm(self.assignments, self._forecast())
        self.redraw()

    def do_next_field(self) -> None:
        self.focus_next()

    def do_previous_field(self) -> None:
        self.focus_previous()

    def do_empty_field(self) -> None:
        if isinstance(self.focused, Input):
            self.focused.clear()

    def do_leave_form(self) -> None:
        self.dismiss()


def as_typed(value: Any) -> str:
    """A parameter's value as one types it after `--set KEY=`: a list as JSON, which no shell or terminal minds."""
    if not isinstance(value, list | tuple | str):
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if clean(text, len(text) + 1) == text else json.dumps(value)


def edited_command(argv: Sequence[str], assignments: Sequence[str]) -> str:
    """The exact command that starts what `argv` does with `assignments` in place of its own."""
    return shlex.join(edited_argv(argv, assignments))
