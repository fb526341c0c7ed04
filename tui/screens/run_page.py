"""The pages of one run: a digit, or tab, turns to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult

from engine.snapshot import RunSnapshot
from tui import formatting
from tui.actions import BY_ID, Scope
from tui.cells import Cell, Line, spread, width_of
from tui.panels.states import process_look
from tui.screens.base import ActionScreen
from tui.screens.page import PageScreen
from tui.view import View

PAGES: tuple[Scope, ...] = ("log", "metrics", "parameters", "events", "processes")
LONGEST_NAME = 16
GONE = "there is no such run any more"


class RunPage(ActionScreen):
    """A page of the run with `run_id`; subclasses are named in `page_of`."""

    SCOPE: ClassVar[Scope]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id

    def compose(self) -> ComposeResult:
        raise NotImplementedError

    def run_in(self, view: View) -> RunSnapshot | None:
        """The page's run as it is now; None where it is none of the campaign in sight."""
        return next((run for run in view.runs if run.id == self.run_id), None)

    def tabs(self, right: Sequence[Cell], width: int) -> Line:
        """The run's name and its pages, the present one in brackets, of the others only the key where it is narrow;
        `right` at the other end."""
        name = formatting.run_label(self.run_id.rpartition("/")[2], LONGEST_NAME)
        in_full, short = ([Cell(f" {name} ", "title"), *self._tabs(names=names)] for names in (True, False))
        room = width - width_of(right) - 2
        return spread(in_full if width_of(in_full) <= room else short, right, width)

    def _tabs(self, *, names: bool) -> Iterator[Cell]:
        for scope in PAGES:
            action, here = BY_ID[f"show_{scope}"], scope == self.SCOPE
            left, close = ("▸", "◂") if here else (" ", " ")
            label = f" {action.name}{close}" if here or names else close
            yield Cell(f"{left}{action.shown}", "key", tint=here, action=action.id)
            yield Cell(label, "strong" if here else "dim", tint=here, action=action.id)

    def turn_to(self, scope: Scope) -> None:
        """Show another page of this run in the place of this one."""
        run = self.run_in(self.pilothouse.view)
        if run is None:
            self.pilothouse.say(GONE, severity="warning")
        elif scope != self.SCOPE:
            self.app.switch_screen(page_of(scope, run, self.pilothouse.service.root))

    def _beside(self, step: int) -> None:
        self.turn_to(PAGES[(PAGES.index(self.SCOPE) + step) % len(PAGES)])

    def do_show_log(self) -> None:
        self.turn_to("log")

    def do_show_metrics(self) -> None:
        self.turn_to("metrics")

    def do_show_parameters(self) -> None:
        self.turn_to("parameters")

    def do_show_events(self) -> None:
        self.turn_to("events")

    def do_show_processes(self) -> None:
        self.turn_to("processes")

    def do_next_page(self) -> None:
        self._beside(1)

    def do_previous_page(self) -> None:
        self._beside(-1)

    def do_close(self) -> None:
        self.dismiss()


class RunPageScreen(RunPage, PageScreen):
    """A run's page that scrolls. ← and → turn to the run beside, and select it."""

    def compose(self) -> ComposeResult:
        return PageScreen.compose(self)

    def header_line(self, view: View, width: int) -> Line:
        return self.tabs(self.state(view), width)

    def state(self, view: View) -> Sequence[Cell]:
        """What stands at the header's right end."""
        run = self.run_in(view)
        return [Cell(f"{process_look(run)[1]} ", "dim")] if run is not None else []

    def run_lines(self, run: RunSnapshot, view: View, width: int) -> tuple[Line, ...]:
        """All of the page, in which `view` has `run` for the selected one."""
        raise NotImplementedError

    def body_lines(self, view: View, width: int) -> tuple[Line, ...]:
        run = self.run_in(view)
        return self.run_lines(run, view.of(run), width) if run is not None else ((Cell(f" {GONE}", "dim"),),)

    def begin(self) -> None:
        """The page is of the run `run_id` from here on."""

    def _select_beside(self, step: int) -> None:
        view = self.pilothouse.view
        name = view.neighbour(step, self.run_in(view))
        run = view.current.run(name) if view.current is not None and name is not None else None
        if run is not None and run.id != self.run_id:
            self.run_id = run.id
            self.pilothouse.select(run.name)
            self.begin()
            self.scroll.scroll_home(animate=False)
            self.show_view(self.pilothouse.view)

    def do_previous_run(self) -> None:
        self._select_beside(-1)

    def do_next_run(self) -> None:
        self._select_beside(1)


def page_of(scope: Scope, run: RunSnapshot, root: Path) -> RunPage:
    """A run's page for that scope; `root` is the workspace's folder."""
    from tui.screens.events import EventsScreen
    from tui.screens.log import LogScreen
    from tui.screens.metrics import MetricsScreen
    from tui.screens.parameters import ParametersScreen
    from tui.screens.processes import ProcessesScreen

    made: dict[Scope, type[RunPage]] = {
        "metrics": MetricsScreen,
        "parameters": ParametersScreen,
        "events": EventsScreen,
        "processes": ProcessesScreen,
    }
    return LogScreen(run.id, root / run.log) if scope == "log" else made[scope](run.id)
