"""The whole log of one run, or of an engine."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.actions import BY_ID, Scope
from tui.cells import Cell, spread
from tui.copying import LARGEST
from tui.logs.finder import Search
from tui.logs.query import EVERYTHING, LEVELS, Expression, Query
from tui.panels.footer import footer_lines
from tui.panels.log_page import LogFacts, state_cells, status_lines
from tui.screens.base import bindings
from tui.screens.page import closed_by
from tui.screens.run_page import RunPage
from tui.view import View
from tui.widgets.cell_lines import CellLines
from tui.widgets.log_view import LogView
from tui.widgets.prompt import Prompt

Asked = Literal["search", "search back", "only lines with"]
ASKING = ("search", "search_back", "filter_text")
"""Actions that open the prompt: at once, since over a slow line what is typed into it comes together with the key."""


class LogScreen(RunPage):
    """A run's log among its other pages, or an engine's alone."""

    SCOPE = "log"
    AUTO_FOCUS = ""  # the prompt takes keys only when it asks
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(BY_ID[name].key, f"perform('{name}')", show=False, priority=True) for name in ASKING),
        Binding("escape", "perform('clear_log')", show=False),
        *bindings("log"),
        closed_by("log"),
    ]

    def __init__(self, run_id: str, path: Path) -> None:
        super().__init__(run_id)
        self._path = path
        self._asked: Asked = "search"
        self._asks = False
        self._last: Expression | None = None

    def compose(self) -> ComposeResult:
        yield CellLines(id="header")
        yield LogView(self._path, self.pilothouse.log_places.get(self.run_id), id="view")
        yield Prompt()
        yield CellLines(id="status")
        yield CellLines(id="footer")

    def on_mount(self) -> None:
        self.call_after_refresh(self.redraw)

    def on_resize(self) -> None:
        self.redraw()

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:  # noqa: ARG002
        """What opens the prompt is typed into it while it asks."""
        return parameters[:1] not in [(name,) for name in ASKING] or not self._asks

    def show_view(self, _: View, /) -> None:
        self.redraw()

    @on(LogView.Moved)
    @on(Prompt.Edited)
    def redraw(self) -> None:
        """All but the log itself."""
        width, view = self.app.size.width, self.pilothouse.view
        facts = self._facts(view)
        state = state_cells(facts)
        heading = [Cell(f" {self.run_id}", "title"), Cell(f" · {self._path.name}", "dim")]
        header = self.tabs(state, width) if self.run_in(view) is not None else spread(heading, state, width)
        self.query_one("#header", CellLines).show((header,))
        asks = self._asks
        self.query_one("#status", CellLines).show(() if asks else status_lines(facts, width))
        footer = footer_lines(view, width, "prompt" if asks else "log")
        if asks and self.prompt.error:
            footer = (spread([Cell(f" ✗ {self.prompt.error}", "bad")], [Cell("tab takes it as text ", "dim")], width),)
        self.query_one("#footer", CellLines).show(footer)

    def _facts(self, view: View) -> LogFacts:
        log, finder = self.view, self.view.finder
        writers = (*view.runs, *((view.engine,) if view.engine is not None else ()))
        return LogFacts(
            name=self._path.name,
            octets=log.octets,
            trimmed=log.trimmed,
            day=log.day,
            following=log.following,
            live=any(writer.live for writer in writers if writer.id == self.run_id),
            position=log.position,
            new_lines=log.reading.new_lines,
            filter=log.reading.filter,
            counted=finder.counted,
            looked_at=finder.looked_at,
            looking_for=str(finder.search or ""),
            searching=finder.share,
            filling=log.reading.share,
            note=finder.note,
        )

    # --- moving --------------------------------------------------------------------------------------------------

    def do_toggle_follow(self) -> None:
        if self.view.following:
            self.view.pause()
        else:
            self.view.follow()

    def do_line_up(self) -> None:
        self.view.move(-1)

    def do_line_down(self) -> None:
        self.view.move(1)

    def do_page_up(self) -> None:
        self.view.page(-1)

    def do_page_down(self) -> None:
        self.view.page(1)

    def do_first_line(self) -> None:
        self.view.to_start()

    def do_last_line(self) -> None:
        self.view.follow()

    def do_scroll_left(self) -> None:
        self.view.sideways(-1)

    def do_scroll_right(self) -> None:
        self.view.sideways(1)

    def do_wrap_lines(self) -> None:
        self.view.toggle_wrap()

    def do_stamps(self) -> None:
        self.view.next_stamps()

    # --- searching and filtering ---------------------------------------------------------------------------------

    def do_search(self) -> None:
        self._ask("search")

    def do_search_back(self) -> None:
        self._ask("search back")

    def do_filter_text(self) -> None:
        self._ask("only lines with")

    def _ask(self, what: Asked) -> None:
        self._asked, self._asks = what, True
        if what == "only lines with":
            self.prompt.ask(what, "nothing: all lines", next(iter(self.view.reading.filter.expressions), None))
        else:
            self.prompt.ask(what, f"enter: {self._last} again" if self._last is not None else "")
        self.redraw()

    @on(Prompt.Given)
    def do_look_for(self) -> None:
        """Look for what was typed; what is no expression stays in the prompt, with what is wrong with it below."""
        if self.prompt.error:
            return
        expression = self.prompt.expression
        self.do_leave_prompt()
        if self._asked == "only lines with":
            level = self.view.reading.filter.level
            self.view.set_filter(Query(level, (expression,) if expression is not None else ()))
            return
        self._last = expression or self._last
        if self._last is not None:
            self.view.finder.start(Search(Query(expressions=(self._last,)), back=self._asked == "search back"))
            self.view.redraw()

    def do_switch_kind(self) -> None:
        self.prompt.switch()

    def do_leave_prompt(self) -> None:
        self._asks = False
        self.prompt.leave()
        self.redraw()

    def do_next_match(self) -> None:
        self._step(against=False)

    def do_previous_match(self) -> None:
        self._step(against=True)

    def _step(self, *, against: bool) -> None:
        if self.view.finder.search is None:
            self._ask("search back" if against else "search")
            return
        self.view.finder.step(against=against)
        self.view.redraw()

    def do_first_error(self) -> None:
        self.view.finder.first_error()
        self.view.redraw()

    def do_filter_level(self) -> None:
        query = self.view.reading.filter
        level = LEVELS[(LEVELS.index(query.level) + 1) % len(LEVELS)]
        self.view.set_filter(Query(level, query.expressions))

    def do_clear_log(self) -> None:
        """Stop a search; else be rid of the last one; else of the filter; else go back."""
        finder = self.view.finder
        if finder.share is not None:
            finder.stop()
            finder.note = "stopped"
        elif finder.search is not None or finder.note:
            finder.forget()
        elif self.view.reading.filter:
            self.view.set_filter(EVERYTHING)
        else:
            self.do_close()
            return
        self.view.redraw()

    # --- the rest ------------------------------------------------------------------------------------------------

    def do_copy_lines(self) -> None:
        """Copy the line that was found, while it is in sight, or else the lines in sight; say where the log is."""
        lines = self.view.chosen
        text = "\n".join(line.text for line in lines)
        if len(text) > LARGEST:
            self.pilothouse.say(f"too long for the clipboard; the log is {self._path}", severity="warning")
            return
        self.app.copy_to_clipboard(text)
        self.pilothouse.say(f"copied {'one line' if len(lines) == 1 else f'{len(lines)} lines'} of {self._path}")

    def turn_to(self, scope: Scope) -> None:
        self._keep_place()
        super().turn_to(scope)

    def do_close(self) -> None:
        self._keep_place()
        super().do_close()

    def _keep_place(self) -> None:
        """Where one comes back to from another page."""
        self.pilothouse.log_places[self.run_id] = self.view.place
