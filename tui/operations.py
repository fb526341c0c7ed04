"""Starting, stopping and spending from the screen: ask with command and forecast, then carry out, then report."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from textual.message import Message
from textual.screen import Screen

from engine.snapshot import RunSnapshot
from tui.calls import Call, Calls, Progress, answer_of
from tui.engine_operations import EngineOperations
from tui.forecasts import (
    at_the_pace_of,
    duration_for,
    engine_paragraphs,
    money_paragraphs,
    stop_paragraphs,
    whole_cost,
)
from tui.messages import CallEnded, CallProgress, ForecastArrived
from tui.next_operations import NextOperations
from tui.regrade_operations import RegradeOperations
from tui.sample_operations import SampleOperations
from tui.screens.confirm import AmountScreen, ConfirmScreen, StopScreen, UnderWayScreen, error_paragraphs
from tui.screens.dialog import NoticeScreen, Paragraph

if TYPE_CHECKING:
    from tui.app import PilothouseApp


WORKING_OUT = "working out what it takes …"
SLOW_S = 0.3
"""After so long it is said that something is being worked out."""


class Operations:
    """What the app does through the service. The questions are dialogs; the calls run on threads of their own."""

    def __init__(self, app: PilothouseApp) -> None:
        self._app = app
        self.calls = Calls(app.post_safely)
        self._keeping = Calls(app.post_safely)
        self._hurrying = Calls(app.post_safely)
        self._asker: Screen[object] | None = None
        self.engine = EngineOperations(app, self._begin)
        self.next = NextOperations(app, self._begin)
        self.samples = SampleOperations(app)
        self.regrade = RegradeOperations(app, self._begin, self.samples.read_again)

    def settle(self, timeout_s: float) -> None:
        """Give calls that are under way a moment."""
        for calls in (self.calls, self._keeping, self._hurrying):
            calls.settle(timeout_s)
        self.samples.settle(timeout_s)

    # --- questions that need an answer from below ----------------------------------------------------------------

    def work_out(self, what: str, ask: Callable[[], Message]) -> None:
        """Ask off the event loop for what a question about `what` has to say; one at a time."""
        if self._asker is not None:
            self._app.say(WORKING_OUT, severity="warning")
            return
        self._asker = self._app.screen

        def say() -> None:
            if self._asker is not None:
                self._app.say(WORKING_OUT)

        self._app.set_timer(SLOW_S, say)
        threading.Thread(target=lambda: self._app.post_safely(ask()), name=what, daemon=True).start()

    def worked_out(self) -> bool:
        """The answer has come: whether the screen that asked is still on top, so that the question may be put."""
        asker, self._asker = self._asker, None
        self._app.hush()
        return asker is self._app.screen

    # --- stop ----------------------------------------------------------------------------------------------------

    def ask_stop(self) -> None:
        run = self._app.view.selected
        if run is None:
            return
        kept = f"{run.counts.kept:,} of {run.counts.target:,} pairs are kept and stay."
        what = (
            "Its attempt has ended; the restart that it awaits is called off."
            if run.awaits_restart
            else "It finishes what is in flight and saves, then every process of it is ended."
        )
        paragraphs = [
            Paragraph(f"stop {run.name}", "title"),
            Paragraph(what),
            Paragraph(f"{kept} It can be resumed."),
            *stop_paragraphs(run, self._app.view.current),
            Paragraph(""),
            Paragraph(f"pilothouse stop {run.id}", "strong", command=True),
        ]

        def call(progress: Progress, *, now: bool = False) -> str:
            return f"{run.id} is {self._app.service.stop(run.id, now=now, on_progress=progress)}"

        def begin() -> bool:
            return self._begin(f"stop {run.name}", call)

        def now() -> bool:
            """Beside a stop that is under way, if there is one."""
            calls = self._hurrying if self.calls.busy == f"stop {run.name}" else self.calls
            return calls.start(f"stop {run.name}{' now' if calls is self._hurrying else ''}", partial(call, now=True))

        self._app.push_screen(StopScreen(paragraphs, begin, now=None if run.awaits_restart else now, of=run.id))

    # --- restart -------------------------------------------------------------------------------------------------

    def ask_restart(self, *, fresh: bool) -> None:
        run = self._app.view.selected
        if run is None:
            return
        if fresh:
            self._restart_dialog(run, whole_cost(run), fresh=True)
            return

        def ask() -> Message:
            return ForecastArrived(run, *answer_of(lambda: self._app.service.forecast_restart(run.id)))

        self.work_out(f"restart {run.name}", ask)

    def forecast_arrived(self, message: ForecastArrived) -> None:
        run, error = message.run, message.error
        if not self.worked_out():
            return
        if error is not None:
            self._app.push_screen(NoticeScreen([Paragraph(f"restart {run.name}", "title"), *error_paragraphs(error)]))
        else:
            self._restart_dialog(run, message.usd, fresh=False)

    def _restart_dialog(self, run: RunSnapshot, usd: float | None, *, fresh: bool) -> None:
        kept = f"{run.counts.kept:,} of {run.counts.target:,} kept"
        pace = at_the_pace_of(run) if usd is not None else None
        what = (
            f"A new attempt from the first sample; what attempt {run.attempt} made is put aside."
            if fresh
            else f"It goes on where attempt {run.attempt} ended, with {kept}."
        )
        paragraphs = [
            Paragraph(f"{'begin anew' if fresh else 'resume'} {run.name}", "title"),
            Paragraph(what),
            *self._engine(run),
            Paragraph(""),
            Paragraph(f"pilothouse restart {run.id}{' --fresh' if fresh else ''}", "strong", command=True),
            Paragraph(""),
            *money_paragraphs(self._app.view.budget, usd, duration_for(run, usd), pace if fresh else None),
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(
                    f"restart {run.name}", lambda _: f"{self._app.service.restart(run.id, fresh=fresh)} was started"
                )

        self._app.push_screen(ConfirmScreen(paragraphs, yes="yes, begin anew" if fresh else "yes, resume"), answered)

    # --- extend --------------------------------------------------------------------------------------------------

    def ask_extend(self) -> None:
        view = self._app.view
        run, campaign = view.selected, view.current.campaign if view.current else None
        if run is None:
            return
        least = run.counts.target + 1
        proposed = campaign.policy.extend_to if campaign else least
        paragraphs = [
            Paragraph(f"extend {run.name}", "title"),
            Paragraph(f"The same parameters, more samples; {run.counts.kept:,} are kept. How many in all?"),
        ]

        def answered(examples: int | None) -> None:
            if examples is not None:
                self._confirm_extend(run, examples)

        self._app.push_screen(AmountScreen(paragraphs, value=max(least, proposed), least=least), answered)

    def _confirm_extend(self, run: RunSnapshot, examples: int) -> None:
        more = max(0, examples - run.counts.kept)
        usd = run.cost_usd / run.counts.kept * more if run.counts.kept else None
        seconds = run.active_s / run.counts.kept * more if run.counts.kept and run.active_s else None
        paragraphs = [
            Paragraph(f"extend {run.name} to {examples:,} pairs", "title"),
            Paragraph(f"{more:,} more than the {run.counts.kept:,} there are."),
            *self._engine(run),
            Paragraph(""),
            Paragraph(f"pilothouse extend {run.id} --examples {examples}", "strong", command=True),
            Paragraph(""),
            *money_paragraphs(self._app.view.budget, usd, seconds, at_the_pace_of(run) if usd is not None else None),
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(f"extend {run.name}", lambda _: f"{self._app.service.extend(run.id, examples)} goes on")

        self._app.push_screen(ConfirmScreen(paragraphs, yes="yes, extend"), answered)

    def _engine(self, run: RunSnapshot) -> list[Paragraph]:
        """What becomes of the engine when `run` goes on with the model it began with."""
        current = self._app.view.current
        return engine_paragraphs(current, run.model) if current is not None else []

    # --- an idle machine -----------------------------------------------------------------------------------------

    def keep_machine(self) -> None:
        """Cancel the idle countdown. That does no harm, so nothing is asked, and it must not wait for another call."""
        current = self._app.view.current
        if current is None:
            return
        campaign = current.name

        def call(_: Progress) -> str:
            self._app.service.cancel_idle(campaign)
            return "the countdown is cancelled: the machine is kept"

        if not self._keeping.start("keep the machine", call):
            self._app.say("that was asked for already", severity="warning")

    # --- reporting -----------------------------------------------------------------------------------------------

    def progressed(self, message: CallProgress) -> None:
        dialog = self._dialog_under_way()
        if dialog is not None:
            dialog.progress(message.text)

    def ended(self, message: CallEnded) -> None:
        """Say what came of a call: in the dialog that waits for it, else as a notice."""
        dialog = self._dialog_under_way() if message.what == self.calls.busy else None
        hurried = message.what == self._hurrying.busy
        for calls in (self.calls, self._keeping, self._hurrying):
            if message.what == calls.busy:
                calls.ended()
        if hurried and message.error is None:
            return  # the stop that it hurried tells how it ended
        if dialog is not None:
            dialog.finish(message.result, message.error)
        elif message.error is not None:
            self._app.push_screen(NoticeScreen([Paragraph(message.what, "title"), *error_paragraphs(message.error)]))
        else:
            self._app.say(message.result or f"{message.what}: done")

    def _begin(self, what: str, call: Call) -> bool:
        begun = self.calls.start(what, call)
        if begun:
            self._app.renew()
        else:
            self._app.say(f"wait until this is done: {self.calls.busy}", severity="warning")
        return begun

    @property
    def stopping(self) -> str:
        """The run or engine whose stop a dialog shows to its end; empty for none."""
        dialog = self._dialog_under_way()
        return dialog.of if isinstance(dialog, StopScreen) else ""

    def _dialog_under_way(self) -> UnderWayScreen | None:
        screen = self._app.screen
        return screen if isinstance(screen, UnderWayScreen) and screen.under_way else None
