"""The next action from the screen: asked with its reasons, its command and its forecast; its values can be edited."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.message import Message

from engine.campaign.parameters import assign, difference
from engine.errors import PilothouseError
from engine.policy.actions import NextAction
from engine.report.next import number_lines
from tui import formatting
from tui.calls import Call, answer_of
from tui.forecasts import engine_paragraphs, money_paragraphs
from tui.messages import LaunchPlanArrived, OwnLaunchDrafted
from tui.screens.confirm import ConfirmScreen, ReviewScreen, error_paragraphs
from tui.screens.dialog import NoticeScreen, Paragraph
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
        if current is None or action is None:
            return
        if action.kind == "review":
            self._review(action)
            return
        if action.argv is None:
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
            Paragraph(action.command or "", "strong", command=True),
            *_rule_paragraphs(action),
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self._do(campaign, action)

        def edit() -> None:
            self._edit(campaign, action, partial(self._do, campaign, action))

        asked = ConfirmScreen(paragraphs, yes=f"yes, {_verb(action)}", edit=edit if _editable(action) else None)
        self._app.push_screen(asked, answered)

    def _review(self, action: NextAction) -> None:
        """A person has to look: what for, and from here to where it can be seen and answered."""
        paragraphs = [
            Paragraph(_title(action), "title"),
            Paragraph(action.reason),
            *_rule_paragraphs(action),
            Paragraph(""),
            Paragraph("Looking starts nothing and costs nothing.", "dim"),
        ]
        self._app.push_screen(ReviewScreen(paragraphs), self._app.perform)

    def _do(self, campaign: str, action: NextAction, assignments: Sequence[str] = ()) -> bool:
        """Carry out `action`, if it is still the one that is due."""
        now = self._app.view.next
        if now is None or now.argv != action.argv:
            self._app.say("the next action has changed meanwhile: look again", severity="warning")
            return False
        service = self._app.service
        return self._begin(_title(action), lambda say: _told(service.do_next(campaign, say, assignments)))

    # --- with other values ---------------------------------------------------------------------------------------

    def ask_own(self) -> None:
        """The form of a run with values of one's own: the next action's run, or else the next iteration."""
        view = self._app.view
        current, action = view.current, view.next
        if current is None or current.campaign is None:
            return
        if action is not None and _editable(action):
            self._edit(current.name, action, partial(self._do, current.name, action))
            return
        campaign = current.name

        def ask() -> Message:
            action, error = answer_of(lambda: self._app.service.draft_own(campaign))
            return OwnLaunchDrafted(campaign, action, error)

        self._app.operations.work_out(f"a launch of {campaign}", ask)

    def own_drafted(self, message: OwnLaunchDrafted) -> None:
        """Open the form, or say why there is none to open."""
        campaign, action = message.campaign, message.action
        if not self._app.operations.worked_out():
            return
        if action is None:
            error = message.error or PilothouseError("it is not known what it would begin from")
            self._app.push_screen(NoticeScreen([Paragraph("values of your own", "title"), *error_paragraphs(error)]))
            return

        def launch(assignments: Sequence[str]) -> bool:
            service = self._app.service
            told = f"launch {action.run}"
            return self._begin(
                told, lambda say: f"{service.launch(campaign, action.run, assignments, say)} was started"
            )

        self._edit(campaign, action, launch)

    def _edit(self, campaign: str, action: NextAction, launch: Callable[[Sequence[str]], bool]) -> None:
        run = action.run

        def plan(assignments: tuple[str, ...]) -> None:
            """Ask the service off the event loop: it reads the campaign's files."""

            def ask() -> None:
                found, error = answer_of(lambda: self._app.service.plan_launch(campaign, run, assignments))
                self._app.post_safely(LaunchPlanArrived(assignments, found, error))

            threading.Thread(target=ask, name="launch plan", daemon=True).start()

        def confirm(assignments: tuple[str, ...], forecast: list[Paragraph]) -> None:
            self._confirm(action, assignments, forecast, launch)

        self._app.push_screen(EditScreen(_title(action), action, self._app.view.budget, plan, confirm))

    def plan_arrived(self, message: LaunchPlanArrived) -> None:
        """Tell the form, unless it was left meanwhile."""
        for screen in self._app.screen_stack:
            if isinstance(screen, EditScreen):
                screen.planned(message.assignments, message.plan, message.error)

    def _confirm(
        self,
        action: NextAction,
        assignments: tuple[str, ...],
        forecast: list[Paragraph],
        launch: Callable[[Sequence[str]], bool],
    ) -> None:
        form = self._app.screen
        title = f"{_title(action)} with {'your values' if assignments else 'the proposed values'}"
        paragraphs = [
            Paragraph(title, "title"),
            *_edited_paragraphs(action, assignments),
            Paragraph(""),
            *forecast,
            Paragraph(""),
            Paragraph(edited_command(action.argv or (), assignments), "strong", command=True),
        ]

        def answered(yes: bool | None) -> None:
            if yes and launch(assignments) and isinstance(form, EditScreen):
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


def _editable(action: NextAction) -> bool:
    return action.kind in EDITED and action.parameters is not None


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
