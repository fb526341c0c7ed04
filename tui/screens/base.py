"""A screen whose keys come from the table of actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding
from textual.screen import Screen

from tui.actions import BY_ID, Scope, in_scope
from tui.view import View
from tui.widgets.cell_lines import ActionClicked

if TYPE_CHECKING:
    from tui.app import PilothouseApp


def bindings(scope: Scope) -> list[Binding]:
    """Key bindings of a screen, from the table."""
    return [
        Binding(action.key, f"perform('{action.id}')", action.name, show=False, id=f"{scope}.{action.id}")
        for action in in_scope(scope)
        if action.key and action.id != "command_palette"
    ]


class ActionScreen(Screen[None]):
    """`SCOPE` says whose actions these are: they are in the palette, and first in the help.

    `action_perform` is what keys, clicks and the palette all end in: it looks whether the action is possible and
    calls the screen's `do_…` method, or says why not."""

    SCOPE: ClassVar[Scope] = "dashboard"

    @property
    def pilothouse(self) -> PilothouseApp:
        return cast("PilothouseApp", self.app)

    def show_view(self, view: View, /) -> None:
        """The picture changed, or time passed."""

    def action_perform(self, name: str) -> None:
        action = BY_ID[name]
        refusal = action.refusal(self.pilothouse.view)
        if refusal is None:
            getattr(self, f"do_{name}")()
        else:
            self.pilothouse.say(refusal, severity="warning")

    def on_action_clicked(self, message: ActionClicked) -> None:
        message.stop()
        self.action_perform(message.action)

    def do_help(self) -> None:
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.SCOPE))

    def do_command_palette(self) -> None:
        self.app.action_command_palette()

    def do_quit(self) -> None:
        self.pilothouse.leave()

    def do_suspend_process(self) -> None:
        self.app.action_suspend_process()
