"""The application: one feed in, one view out, and everything else in screens."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePath
from typing import ClassVar, Literal

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.message import Message
from textual.notifications import Notification, Notify
from textual.screen import Screen

from engine.errors import PilothouseError
from engine.places import made_state_folder
from tui.actions import in_scope
from tui.announcer import Announcer
from tui.cells import clean
from tui.cockpit import Cockpit
from tui.feed import INTERVAL_S, Feed
from tui.messages import (
    CallEnded,
    CallProgress,
    ForecastArrived,
    GradingSaved,
    LaunchPlanArrived,
    LogArrived,
    MarksEnded,
    OwnLaunchDrafted,
    PlanArrived,
    RegradeArrived,
    RulersArrived,
    SamplesArrived,
    SnapshotArrived,
)
from tui.operations import Operations
from tui.screens.base import ActionScreen
from tui.screens.confirm import error_paragraphs
from tui.screens.dashboard import DashboardScreen
from tui.screens.dialog import Dialog, FieldDialog, NoticeScreen, Paragraph
from tui.screens.picker import PickerScreen
from tui.settings import Settings
from tui.terminal.display import ThriftyApp
from tui.theme import role_variables
from tui.theme_choice import ThemeChoice
from tui.view import View
from tui.widgets.log_view import LogPlace

TICK_S = 0.5
SETTLE_S = 2.0
SAID_S = 4.0
KEPT_COMMANDS = ("Theme",)


def _line_is_gone() -> bool:
    """Whether the terminal was torn away. No SIGHUP tells of it where it was not the controlling one."""
    line = select.poll()
    line.register(0, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in line.poll(0))


class PilothouseApp(ThriftyApp[int]):
    """Shows the workspace of `service`. `campaign` None asks when there are several.

    Runs never depend on it: whatever happens to it, they go on.
    """

    TITLE = "Pilothouse"
    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = [
        "styles/app.tcss",
        "styles/dashboard.tcss",
        "styles/dialogs.tcss",
    ]
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
    ]

    def __init__(
        self,
        service: Cockpit,
        campaign: str | None = None,
        *,
        settings: Settings | None = None,
        complaints: Sequence[PilothouseError] = (),
        last_theme: str | None = None,
        refresh_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # Without colours the grey that Textual makes of them is one too: only the terminal's own are left.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.service = service
        self.feed = Feed(service, self.post_safely, interval_s=refresh_s)
        self.operations = Operations(self)
        settings = settings or Settings()
        self._announcer = Announcer(self, settings.notify)
        self._theme_choice = ThemeChoice(self, settings.theme, last_theme)
        self._complaints = complaints
        self.view = View(campaign=campaign)
        self.log_places: dict[str, LogPlace] = {}
        self.crash: str | None = None
        self._clock = clock
        self._said: Notification | None = None
        self._dashboard = DashboardScreen()

    # --- life ----------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._theme_choice.begin()
        self.push_screen(self._dashboard)
        if self._complaints:
            told = [part for error in self._complaints for part in (Paragraph(""), *error_paragraphs(error))]
            self.push_screen(NoticeScreen([Paragraph("Some settings cannot be used", "title"), *told]))
        self.set_interval(TICK_S, self.renew)
        self._listen_for_signals()
        self.feed.start()

    def on_unmount(self) -> None:
        self.feed.close()

    def get_css_variables(self) -> dict[str, str]:
        """With the colours of cells, made readable whatever the theme."""
        variables = super().get_css_variables()
        return variables | role_variables(variables)

    def write_to_terminal(self, sequence: str) -> None:
        """Send the terminal what is no part of the picture."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def line_pace(self, *, busy: bool) -> None:
        self.feed.line_pace(busy=busy)

    def _listen_for_signals(self) -> None:
        """A terminal that is told to go must be left clean; Textual alone leaves it in raw mode."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(ValueError, RuntimeError, NotImplementedError):  # not on the main thread
                loop.add_signal_handler(number, self.exit, None, 128 + number)

    def leave(self) -> None:
        """Close the screen and nothing else."""
        self.exit(0, return_code=0)

    def action_leave(self) -> None:
        self.leave()

    def action_suspend_process(self) -> None:
        """Go to the background as a terminal's own ctrl+z would: the whole process group stops. Textual stops this
        process alone, and a shell that waits for `make`, which started us, would never get its prompt back.

        The terminal is given back first, because the shell takes it as soon as the group's leader stands still. The
        signal's default action stops us within the call; where no shell is left to wake us the kernel ignores it.
        """
        driver = self._driver
        if driver is None or not driver.can_suspend:
            return
        self._suspend_signal()
        driver.suspend_application_mode()
        with driver.no_automatic_restart():
            before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            try:
                os.killpg(os.getpgrp(), signal.SIGTSTP)
            finally:
                signal.signal(signal.SIGTSTP, before)
        driver.resume_application_mode()
        self._resume_signal()
        self.refresh(layout=True)

    def on_key(self, event: Key) -> None:
        """A key that nobody took. Over a slow line it may have come before the dialog that it was meant for."""
        if isinstance(self.screen, FieldDialog) and self.screen.takes(event):
            event.prevent_default()

    def action_help_quit(self) -> None:
        """What ctrl+c does: nobody should lose a screen to a habit."""
        self.say("q quits; runs go on")

    def settle(self) -> None:
        """Give a call that is under way a moment to finish what must not be torn in two."""
        self.operations.settle(SETTLE_S)

    def _fatal_error(self) -> None:
        """Keep the traceback for a file instead of printing it, with all local values, at a person."""
        self.crash = traceback.format_exc()
        self._close_messages_no_wait()

    # --- the picture ---------------------------------------------------------------------------------------------

    def post_safely(self, message: Message) -> None:
        """`post_message` for threads that may outlive the event loop."""
        with suppress(RuntimeError):
            self.post_message(message)

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        first = self.view.snapshot is None
        names = [campaign.name for campaign in message.snapshot.campaigns]
        campaign = self.view.campaign or (names[0] if len(names) == 1 else None)
        self._show(replace(self.view, snapshot=message.snapshot, campaign=campaign))
        self._announcer.look(message.snapshot)
        if first and campaign is None and len(names) > 1:
            self.pick_campaign()

    def on_log_arrived(self, message: LogArrived) -> None:
        self._dashboard.show_log(message.path, message.lines)

    def renew(self) -> None:
        """Time passes: clocks, the age of the picture, what is under way."""
        if not self.is_headless and _line_is_gone():
            self.exit(None, 128 + signal.SIGHUP)
        self._show(self.view)

    def _show(self, view: View) -> None:
        age = time.monotonic() - self.feed.fresh_at
        now = int(self._clock())
        view = replace(
            view,
            now=float(now if view.ticks else now // 60 * 60),
            stale_s=float(int(age)) if age > self.feed.late_after_s else None,
            problem=self.feed.problem,
            busy=self.operations.calls.busy,
        )
        if view == self.view:
            return
        self.view = view
        for screen in self.screen_stack:
            if isinstance(screen, ActionScreen | Dialog) and screen.is_mounted:
                screen.show_view(view)

    def select_neighbour(self, step: int) -> None:
        """Select the run beside the selected one."""
        self.select(self.view.neighbour(step))

    def select(self, name: str | None) -> None:
        """Select a run of the campaign in sight; with the one that would be selected anyway, follow again."""
        followed = replace(self.view, run=None).selected
        self._show(replace(self.view, run=None if followed is not None and followed.name == name else name))

    def perform(self, action: str | None) -> None:
        """Do an action of the dashboard, as its key there does."""
        if action is not None:
            self._dashboard.action_perform(action)

    def pick_campaign(self) -> None:
        if self.view.snapshot is None:
            return

        def picked(name: str | None) -> None:
            if name is not None:
                self._show(replace(self.view, campaign=name, run=None))

        self.push_screen(PickerScreen(self.view.snapshot, self.view.campaign), picked)

    # --- calls and words -----------------------------------------------------------------------------------------

    def on_call_progress(self, message: CallProgress) -> None:
        self.operations.progressed(message)

    def on_call_ended(self, message: CallEnded) -> None:
        self.operations.ended(message)
        self.renew()
        self.feed.refresh()

    def on_forecast_arrived(self, message: ForecastArrived) -> None:
        self.operations.forecast_arrived(message)

    def on_plan_arrived(self, message: PlanArrived) -> None:
        self.operations.engine.plan_arrived(message)

    def on_samples_arrived(self, message: SamplesArrived) -> None:
        self.operations.samples.arrived(message)

    def on_marks_ended(self, message: MarksEnded) -> None:
        self.operations.samples.marked(message)

    def on_rulers_arrived(self, message: RulersArrived) -> None:
        self.operations.regrade.rulers_arrived(message)

    def on_regrade_arrived(self, message: RegradeArrived) -> None:
        self.operations.regrade.arrived(message)

    def on_grading_saved(self, message: GradingSaved) -> None:
        self.operations.regrade.saved(message)

    def on_launch_plan_arrived(self, message: LaunchPlanArrived) -> None:
        self.operations.next.plan_arrived(message)

    def on_own_launch_drafted(self, message: OwnLaunchDrafted) -> None:
        self.operations.next.own_drafted(message)

    def keep_screenshot(self) -> None:
        """Save the screen as SVG where it works on a server too, and say where."""
        try:
            self.say(f"saved {self.save_screenshot(path=str(made_state_folder()))}")
        except OSError as error:
            self.say(f"not saved: {error}", severity="error")

    def say(self, text: str, *, severity: Literal["information", "warning", "error"] = "information") -> None:
        """A short notice in a corner; it takes the place of the last such one. News of runs stay beside it."""
        self.hush()
        self._said = Notification(clean(text, 400), severity=severity, markup=False, timeout=SAID_S)
        self.post_message(Notify(self._said))

    def hush(self) -> None:
        """Take the last short notice away."""
        if self._said is not None:
            self._unnotify(self._said)
            self._said = None

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action that is possible on this screen, then what Textual brings that is of use here.

        The palette reads its titles as markup, so nothing that comes from a file stands in them.
        """
        if isinstance(screen, ActionScreen):
            for action in in_scope(screen.SCOPE):
                if action.palette and action.possible(self.view) and hasattr(screen, f"do_{action.id}"):
                    title = f"{action.name}: the selected run" if action.on_run else action.name
                    yield SystemCommand(title, action.help, lambda name=action.id: screen.action_perform(name))
        yield SystemCommand("Screenshot", "Save a picture of the screen (SVG)", self.keep_screenshot)
        for command in super().get_system_commands(screen):
            if command.title in KEPT_COMMANDS:
                yield command
