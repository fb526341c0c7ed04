"""Opens the real dashboard without a terminal and takes its picture."""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textual.pilot import Pilot

from tools.pictures.scenes import Picture
from tui.app import PilothouseApp
from tui.cockpit import Cockpit
from tui.screens.dashboard import DashboardScreen

PATIENCE_S = 180.0
LOOK_S = 0.05
FONTS = '"Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace'

_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)
_TEXT = re.compile(r"<text[^>]*>([^<]*)</text>")


@dataclass
class Camera:
    """The application and its keyboard."""

    app: PilothouseApp
    pilot: Pilot[int]

    async def take(self, picture: Picture) -> str:
        """`picture` as SVG; the screen is the dashboard again afterwards."""
        await self.pilot.resize_terminal(*picture.size)
        await self._until(lambda: picture.moment(self.app.view), f"{picture.name}: its moment")
        for key in picture.keys:
            await self.pilot.press(key)
            await self.pilot.pause()
        await self._until(lambda: picture.seen in words_of(self._shot()), f"{picture.name}: {picture.seen!r} on it")
        svg = self._shot()
        await self._back(picture)
        return svg

    def _shot(self) -> str:
        return self_contained(self.app.export_screenshot(simplify=True))

    async def _back(self, picture: Picture) -> None:
        """To the dashboard, with the run selected that it would select by itself."""
        while not isinstance(self.app.screen, DashboardScreen):
            await self.pilot.press("escape")
            await self.pilot.pause()
        await self.pilot.press(*("right" for key in picture.keys if key == "left"))

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come; the screen:\n{words_of(self._shot())}")
            self.app.feed.refresh()
            await asyncio.sleep(LOOK_S)
        await self.pilot.pause()


async def take_pictures(
    service: Cockpit, campaign: str, pictures: Iterable[Picture], keep: Callable[[Picture, str], None]
) -> None:
    """Open the dashboard on `campaign` and `keep` the SVG of each of `pictures`, in their order."""
    app = PilothouseApp(service, campaign)
    async with app.run_test() as pilot:
        camera = Camera(app, pilot)
        for picture in pictures:
            keep(picture, await camera.take(picture))


def self_contained(svg: str) -> str:
    """Without fonts that would be fetched from elsewhere, nor the writer's comments."""
    return _COMMENT.sub("", _FONT_FACE.sub("", svg)).replace("Fira Code, monospace", FONTS)


def words_of(svg: str, between: str = "") -> str:
    """The text on a picture, with `between` where its style changes."""
    return html.unescape(between.join(_TEXT.findall(svg))).replace("\xa0", " ")
