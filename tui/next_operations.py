"""The next action from the screen: asked with its reasons, its command and its forecast; its values can be edited."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.campaign.parameters import assign, difference
from engine.errors import PilothouseError
from engine.policy.actions import NextAction
from engine.report.next import number_lines
from tui import formatting
from tui.calls import Call
from tui.forecasts import engine_paragraphs, money_paragraphs
from tui.messages import LaunchPlanArrived
from tui.screens.confirm import ConfirmScreen
from tui.screens.dialog import Paragraph
from tui.screens.edit import EditScreen, edited_command

if TYPE_CHECKING:
    from tui.app import PilothouseApp

EDITED = ("launch", "iterate", "scale")
"""Kinds of action that start a run with parameters of its own."""


class NextOperations:
    """`begin` starts a call to the service, and says whether it could."""

    def __init__(self, app: PilothouseApp, begin: Callable[[str, Call], bool]) -> None:
        self._app = app
        self._begin = begin

    def ask(self) -> None:
        """Show all that is known of the next action; carry it out only for a yes."""
        view = self._app.view
        current, action = view.current, view.next
        if current is None or action is None or action.argv is None:
            return
        campaign = current.name
        paragraphs = [
            Paragraph(_title(action), "title"),
            Paragraph(action.reason),
            *engine_paragraphs(current),
            Paragraph(""),
            *money_paragraphs(view.budget, action.cost_usd, action.duration_s, action.basis),
            *_change_paragraphs(action),
            Paragraph(""),
            Paragraph(action.command or "", "strong", verbatim=True),
            *_rule_paragraphs(action),
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self._do(campaign, action)

        def edit() -> None:
            self._edit(campaign, action)

        editable = action.kind in EDITED and action.parameters is not None
        asked = ConfirmScreen(paragraphs, yes=f"yes, {_verb(action)}", edit=edit if editable else None)
        self._app.push_screen(asked, answered)

    def _do(self, campaign: str, action: NextAction, assignments: Sequence[str] = ()) -> bool:
        """Carry out `action`, if it is still the one that is due."""
        now = self._app.view.next
        if now is None or now.argv != action.argv:
            self._app.say("the next action has changed meanwhile: look again", severity="warning")
            return False
        service = self._app.service
        return self._begin(_title(action), lambda say: _told(service.do_next(campaign, say, assignments)))

    # --- with other values ---------------------------------------------------------------------------------------

    def _edit(self, campaign: str, action: NextAction) -> None:
        run = action.run

        def plan(assignments: tuple[str, ...]) -> None:
            """Ask the service off the event loop: it reads the campaign's files."""

            def ask() -> None:
                try:
                    answer = LaunchPlanArrived(assignments, self._app.service.plan_launch(campaign, run, assignments))
                except PilothouseError as error:
                    answer = LaunchPlanArrived(assignments, error=error)
                except Exception as error:  # a defect below must not take the screen down with it
                    answer = LaunchPlanArrived(assignments, error=PilothouseError(f"{type(error).__name__}: {error}"))
                self._app.post_safely(answer)

            threading.Thread(target=ask, name="launch plan", daemon=True).start()

        def confirm(assignments: tuple[str, ...], forecast: list[Paragraph]) -> None:
            self._confirm(campaign, action, assignments, forecast)

        self._app.push_screen(EditScreen(_title(action), action, self._app.view.budget, plan, confirm))

    def plan_arrived(self, message: LaunchPlanArrived) -> None:
        """Tell the form, unless it was left meanwhile."""
        for screen in self._app.screen_stack:
            if isinstance(screen, EditScreen):
                screen.planned(message.assignments, message.plan, message.error)

    def _confirm(
        self, campaign: str, action: NextAction, assignments: tuple[str, ...], forecast: list[Paragraph]
    ) -> None:
        form = self._app.screen
        title = f"{_title(action)} with {'your values' if assignments else 'the proposed values'}"
        paragraphs = [
            Paragraph(title, "title"),
            *_edited_paragraphs(action, assignments),
            Paragraph(""),
            *forecast,
            Paragraph(""),
            Paragraph(edited_command(action.argv or (), assignments), "strong", verbatim=True),
        ]

        def answered(yes: bool | None) -> None:
            if yes and self._do(campaign, action, assignments) and isinstance(form, EditScreen):
                form.dismiss()

        self._app.push_screen(ConfirmScreen(paragraphs, yes=f"yes, {_verb(action)}"), answered)


def _edited_paragraphs(action: NextAction, assignments: Sequence[str]) -> list[Paragraph]:
    """What was edited, with the value that was proposed."""
    if action.parameters is None or not assignments:
        return []
    lines = [Paragraph(""), Paragraph("edited, from what was proposed:", "dim")]
    for name, (old, new) in difference(action.parameters, assign(action.parameters, assignments)).items():
        lines.append(Paragraph(f"{name}  {formatting.written(old)} → {formatting.written(new)}", verbatim=True))
    return lines


def _change_paragraphs(action: NextAction) -> list[Paragraph]:
    """One table; a reason that all changes share stands once, above it."""
    if not action.changes:
        return []
    reasons = {action.why.get(name, "") for name in action.changes}
    shared = reasons.pop() if len(reasons) == 1 else ""
    lines = [Paragraph(""), Paragraph(f"changes: {shared}" if shared else "changes:", "dim")]
    name_width = max(len(name) for name in action.changes)
    values = [tuple(formatting.written(value) for value in change) for change in action.changes.values()]
    old_width, new_width = (max(len(pair[side]) for pair in values) for side in (0, 1))
    for name, (old, new) in zip(action.changes, values, strict=True):
        why = "" if shared else action.why.get(name, "")
        row = f"{name:<{name_width}}  {old:>{old_width}} → {new:<{new_width}}  {why}"
        lines.append(Paragraph(row.rstrip(), verbatim=True))
    return lines


def _rule_paragraphs(action: NextAction) -> list[Paragraph]:
    """The rule that fired, the figures it used, and what would change its mind."""
    if not action.rule:
        return []
    numbers = number_lines(action.numbers)
    lines = [Paragraph(""), Paragraph(f"rule: {action.rule}", "dim")]
    if numbers:
        lines += [Paragraph("numbers:", "dim"), *(Paragraph(line, verbatim=True) for line in numbers)]
    return lines + ([Paragraph(f"unless: {action.unless}", "dim")] if action.unless else [])


def _verb(action: NextAction) -> str:
    """What is done, in the command's own word: an iteration is launched."""
    return action.argv[1] if action.argv and len(action.argv) > 1 else action.kind


def _title(action: NextAction) -> str:
    """`launch iteration-1`, `extend pilot to 180 pairs`."""
    verb = _verb(action)
    more = f" to {action.examples:,} pairs" if verb == "extend" and action.examples else ""
    return f"{verb} {action.run or ''}{more}".replace("  ", " ").strip()


def _told(action: NextAction) -> str:
    return f"{action.kind}: {action.run} was started" if action.run else f"{action.kind} was done"
