"""Which theme the screen has: the one that was asked for, else the one that was last chosen on it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from textual.theme import Theme

from engine.files import read_json, storage_error, write_json
from engine.places import made_state_folder, state_folder
from tui.messages import CallEnded
from tui.settings import THEMES
from tui.theme import PALE_THEME, PILOTHOUSE

if TYPE_CHECKING:
    from tui.app import PilothouseApp

FILE = "screen.json"
TEXTUALS_OWN = "textual-dark"
"""What Textual takes when TEXTUAL_THEME does not say otherwise."""


def remembered_theme() -> str | None:
    """The theme that was last chosen on the screen; None where none was, or there is none of that name any more."""
    try:
        name = (read_json(state_folder() / FILE) or {}).get("theme")
    except OSError:
        return None
    return name if name in THEMES else None


def remember_theme(name: str) -> None:
    """For the next time; of several screens the last one wins. May raise `OSError`."""
    write_json(made_state_folder() / FILE, {"theme": name})


class ThemeChoice:
    """`asked` is what the settings say, `last` what was chosen last."""

    def __init__(self, app: PilothouseApp, asked: str | None, last: str | None) -> None:
        self._app = app
        self._asked = asked
        self._last = last

    def begin(self) -> None:
        """Give the screen its theme, and remember the one that is chosen from now on."""
        self._app.register_theme(PILOTHOUSE)
        self._app.theme = self._last = self._first()
        self._app.theme_changed_signal.subscribe(self._app, self._chosen)

    def _first(self) -> str:
        if self._asked is not None:
            return self._asked
        if self._app.theme != TEXTUALS_OWN:
            return self._app.theme
        pale = self._app.console.color_system in (None, "standard") and not self._app.is_headless
        return self._last or (PALE_THEME if pale else PILOTHOUSE.name)

    def _chosen(self, theme: Theme) -> None:
        """Remember it off the event loop, because the folder may lie on a network."""
        if theme.name == self._last:
            return
        self._last = theme.name
        if self._asked is not None:
            self._app.say(f"for this time: the settings say {self._asked}")
        threading.Thread(target=self._remember, args=(theme.name,), name="theme", daemon=True).start()

    def _remember(self, name: str) -> None:
        try:
            remember_theme(name)
        except OSError as error:
            cause = storage_error(error, state_folder(), then="choose it again")
            self._app.post_safely(CallEnded(f"the theme {name} is not remembered", error=cause))
