"""Every theme is readable: the contrast of each role on each ground, and what is left where there are no shades."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from tests.tui import pictures
from tests.tui.driving import opened
from tui.theme import GROUNDS, QUIET, READABLE, contrast
from tui.widgets.cell_lines import CellLines

TEXT = ("text", "strong", "title", "good", "bad", "warn", "accent", "key")
SHADED = [name for name, theme in BUILTIN_THEMES.items() if not theme.ansi]


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(Color.parse("#000000"), Color.parse("#ffffff")) == pytest.approx(21.0)
    assert contrast(Color.parse("#767676"), Color.parse("#ffffff")) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", ["pilothouse", *SHADED])
async def test_every_role_can_be_read_on_every_ground(theme: str) -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        screen.app.theme = theme
        await screen.pilot.pause()
        grounds = [Color.parse(screen.app.theme_variables[name]) for name in GROUNDS]
        cells = screen.dashboard.query_one("#table", CellLines)
        for role, least in (*((role, READABLE) for role in TEXT), ("dim", QUIET)):
            colour = cells.get_component_styles(f"cells--{role}").color
            worst = min(contrast(colour, ground) for ground in grounds)
            assert colour.a == 1.0
            assert worst >= least - 0.05, f"{role}: {worst:.2f}"


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
async def test_with_the_terminals_own_colours_what_is_lifted_is_reversed_and_what_is_quiet_is_dim(theme: str) -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        screen.app.theme = theme
        await screen.pilot.pause()
        strip = screen.dashboard.query_one("#table", CellLines).render_line(0)
        assert all(segment.style is not None and segment.style.reverse for segment in strip)
        cells = screen.dashboard.query_one("#table", CellLines)
        assert cells.get_component_rich_style("cells--dim").dim
        assert cells.get_component_rich_style("cells--bad").bold
