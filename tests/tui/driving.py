"""Opens the dashboard on a stand-in service and waits for what should come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from textual.pilot import Pilot

from tests.tui import pictures
from tui.app import PilothouseApp
from tui.screens.dashboard import DashboardScreen
from tui.screens.dialog import Dialog


@dataclass
class Screen:
    """The application under test and its keyboard."""

    app: PilothouseApp
    pilot: Pilot[int]
    service: pictures.FakeService

    @property
    def dashboard(self) -> DashboardScreen:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, DashboardScreen))

    @property
    def text(self) -> str:
        """The dashboard's text."""
        return self.dashboard.text

    @property
    def painted(self) -> str:
        """What is really on the terminal, line by line."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in lines)

    def dialog(self) -> Dialog[object]:
        assert isinstance(self.app.screen, Dialog), f"no dialog but {self.app.screen}"
        return self.app.screen

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object], what: str = "the condition") -> None:
        """Let the application run until `condition` holds."""
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come true; the screen:\n{self.painted}"
            await asyncio.sleep(0.02)
        await self.pilot.pause()


@asynccontextmanager
async def opened(
    service: pictures.FakeService,
    size: tuple[int, int] = (80, 24),
    campaign: str | None = None,
    *,
    notices: bool = False,
) -> AsyncIterator[Screen]:
    """The dashboard, once the first snapshot is on it. `notices`: short ones are shown in their corner."""
    app = PilothouseApp(service, campaign, clock=lambda: pictures.NOW)
    async with app.run_test(size=size, notifications=notices) as pilot:
        screen = Screen(app, pilot, service)
        if service.poll_error is None:
            await screen.until(lambda: app.view.snapshot is not None, "the first snapshot")
        yield screen
