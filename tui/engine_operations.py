"""The kept engine from the screen: look at it, start it, stop it. Starting spends and stopping ends work: both ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import PilothouseError
from tui import formatting
from tui.calls import Call, Progress
from tui.forecasts import budget_paragraphs
from tui.messages import PlanArrived
from tui.panels.engine import hourly_usd, when_idle
from tui.screens.confirm import StopScreen, UnderWayScreen, error_paragraphs
from tui.screens.dialog import NoticeScreen, Paragraph
from tui.screens.engine import EngineScreen

if TYPE_CHECKING:
    from tui.app import PilothouseApp

ASKING = "working out what a start takes …"


class EngineOperations:
    """`begin` starts a call to the service, and says whether it could."""

    def __init__(self, app: PilothouseApp, begin: Callable[[str, Call], bool]) -> None:
        self._app = app
        self._begin = begin

    def open(self) -> None:
        self._app.push_screen(EngineScreen({"start": self.plan_start, "stop": self.ask_stop, "log": self.open_log}))

    def open_log(self) -> None:
        from tui.screens.log import LogScreen

        engine = self._app.view.engine
        if engine is not None:
            self._app.push_screen(LogScreen(engine.id, self._app.service.root / engine.log))

    # --- start -------------------------------------------------------------------------------------------------

    def plan_start(self) -> None:
        """Ask the service what a start takes, off the event loop; the question comes with the answer."""
        current, screen = self._app.view.current, self._screen()
        if current is None or screen is None or screen.note:
            return
        screen.say(ASKING)
        campaign = current.name

        def ask() -> None:
            try:
                answer = PlanArrived(campaign, self._app.service.plan_engine(campaign))
            except PilothouseError as error:
                answer = PlanArrived(campaign, error=error)
            except Exception as error:  # a defect below must not take the screen down with it
                answer = PlanArrived(campaign, error=PilothouseError(f"{type(error).__name__}: {error}"))
            self._app.post_safely(answer)

        threading.Thread(target=ask, name="engine plan", daemon=True).start()

    def plan_arrived(self, message: PlanArrived) -> None:
        """Ask, unless the person has gone on to something else meanwhile."""
        screen, current = self._screen(), self._app.view.current
        if screen is None:
            return
        screen.say("")
        if current is None or current.name != message.campaign:
            return
        title = Paragraph(f"start an engine for {current.name}", "title")
        plan = message.plan
        if plan is None:
            error = message.error or PilothouseError("it is not known what a start takes")
            self._app.push_screen(NoticeScreen([title, *error_paragraphs(error)]))
            return
        if plan.kind == "attach":
            self._app.push_screen(NoticeScreen([title, Paragraph(f"There is nothing to start: this {plan.sentence}.")]))
            return
        campaign = current.name
        usd = hourly_usd(current, len(current.engine.devices) if current.engine else 1)
        price = f"It then costs {formatting.money(usd)}/h and" if usd else "It"
        paragraphs = [
            title,
            Paragraph(f"This {plan.sentence}."),
            Paragraph(f"{price} {when_idle(current)}."),
            Paragraph(""),
            Paragraph(f"pilothouse engine start {campaign}", "strong", command=True),
            Paragraph(""),
            *budget_paragraphs(current.budget, plan.cost_usd),
        ]

        def call(progress: Progress) -> str:
            started = self._app.service.start_engine(campaign, progress)
            return f"{started} was started; the dashboard shows how far it is"

        def begin() -> bool:
            return self._begin(f"start an engine for {campaign}", call)

        yes = "yes, replace it" if plan.kind == "replace" else "yes, start it"
        first = "asked for it: its keeper comes up"
        self._app.push_screen(UnderWayScreen(paragraphs, begin, yes=yes, first=first, going="the start", done=""))

    # --- stop --------------------------------------------------------------------------------------------------

    def ask_stop(self) -> None:
        current, engine = self._app.view.current, self._app.view.engine
        if current is None or engine is None:
            return
        campaign, now = current.name, bool(engine.attached)
        users = ", ".join(engine.attached)
        load = f", which took {engine.start_s:.0f} s" if engine.start_s is not None else ""
        what = (
            [
                Paragraph(f"{users} {'use' if len(engine.attached) > 1 else 'uses'} it.", "warn"),
                Paragraph("To end both in peace stop the run first (s on the dashboard), then the engine."),
                Paragraph("To stop it now takes it away from under the run, which then fails; its kept pairs stay."),
            ]
            if now
            else [Paragraph("Every process of it is ended, and its GPU is free again once that is verified.")]
        )
        paragraphs = [
            Paragraph(f"stop {engine.name}", "title"),
            *what,
            Paragraph(f"The next one has to load the model again{load}."),
            Paragraph(""),
            Paragraph(f"pilothouse engine stop {campaign}{' --now' if now else ''}", "strong", command=True),
        ]

        def call(progress: Progress) -> str:
            stopped, state = self._app.service.stop_engine(campaign, now=now, on_progress=progress)
            return f"{stopped} is {state}"

        def begin() -> bool:
            return self._begin(f"stop {engine.name}", call)

        self._app.push_screen(StopScreen(paragraphs, begin, yes="stop it now" if now else "stop it", of=engine.id))

    def _screen(self) -> EngineScreen | None:
        screen = self._app.screen
        return screen if isinstance(screen, EngineScreen) else None
