"""Grading a run again from the screen: by a file that is chosen, then saved where a person says so and why."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import PilothouseError
from engine.report.regrade import Regraded, grading_words
from tui.calls import Call, Progress, answer_of
from tui.cells import clean
from tui.messages import GradingSaved, RegradeArrived, RulersArrived
from tui.panels.states import VERDICTS
from tui.screens.confirm import UnderWayScreen
from tui.screens.dialog import NoticeScreen, Paragraph
from tui.screens.regrade import ReasonScreen, RegradedScreen, RulerScreen, words_width

if TYPE_CHECKING:
    from engine.grader import Tries
    from tui.app import PilothouseApp


@dataclass(frozen=True, slots=True)
class Regrade:
    """A run `graded` again, `words` about it, and the campaign's tries, or why these are not known."""

    graded: Regraded
    words: str
    tries: Tries | str


class RegradeOperations:
    """`begin` starts a call to the service, and says whether it could; `tell` is told of a run that is judged by
    another ruler now."""

    def __init__(self, app: PilothouseApp, begin: Callable[[str, Call], bool], tell: Callable[[str], None]) -> None:
        self._app = app
        self._begin = begin
        self._tell = tell
        self._reason = ""
        self._is_saved = False

    # --- looking -------------------------------------------------------------------------------------------------

    def open(self, run_id: str) -> None:
        """Ask which file to grade by; those of the workspace are looked for off the event loop."""
        service, self._is_saved = self._app.service, False

        def look() -> None:
            found, _ = answer_of(lambda: [str(path.relative_to(service.root)) for path in service.rulers()])
            names = found or []  # what cannot be listed can still be typed
            shown = tuple(name for name in names if clean(name) == name)  # a field shows whatever stands in it
            self._app.post_safely(RulersArrived(shown))

        self._app.push_screen(RulerScreen(run_id, lambda ruler: self._grade(run_id, ruler)))
        threading.Thread(target=look, name="rulers", daemon=True).start()

    def rulers_arrived(self, message: RulersArrived) -> None:
        for screen in self._asking():
            screen.rulers_arrived(message.rulers)

    def _grade(self, run_id: str, ruler: str) -> None:
        """Begin to grade; all records are read, so the answer comes as a message."""
        service, width = self._app.service, words_width(self._app.size.width)

        def grade() -> Regrade:
            graded = service.regrade(run_id, self._path(ruler))
            return Regrade(graded, grading_words(graded, width), self._tries(run_id))

        def answer() -> None:
            self._app.post_safely(RegradeArrived(run_id, ruler, *answer_of(grade)))

        threading.Thread(target=answer, name="regrade", daemon=True).start()

    def _path(self, ruler: str) -> Path:
        """What was typed, from the workspace's folder on."""
        return self._app.service.root / Path(ruler).expanduser()

    def _tries(self, run_id: str) -> Tries | str:
        """The campaign's tries; that they are not known is no reason not to look."""
        try:
            return self._app.service.tries(run_id)
        except PilothouseError as error:
            return error.what

    def arrived(self, message: RegradeArrived) -> None:
        """Show it over the question, or say in the question why not; neither, where that was left meanwhile."""
        for screen in self._asking():
            if screen.run_id != message.run_id:
                continue
            if message.found is None:
                screen.refused(message.error or PilothouseError("it cannot be graded"))
            else:
                screen.graded()
                self._show(message.run_id, message.ruler, message.found)

    def _show(self, run_id: str, ruler: str, found: Regrade) -> None:
        moved = [len(indexes) for side in found.graded.sides.values() for indexes in (side.flagged, side.cleared)]
        changed = (
            f"{sum(moved[::2]):,} newly flagged, {sum(moved[1::2]):,} no longer" if any(moved) else "no flag changed"
        )
        head = Paragraph(
            f"{_verdicts(found.graded)} · {changed}. Nothing is saved.", VERDICTS[found.graded.new.verdict][2]
        )

        def save() -> None:
            self._ask_reason(run_id, ruler, found)

        self._app.push_screen(RegradedScreen(head, found.words, _tries_paragraphs(found.tries), save))

    def _asking(self) -> list[RulerScreen]:
        return [screen for screen in self._app.screen_stack if isinstance(screen, RulerScreen)]

    # --- saving --------------------------------------------------------------------------------------------------

    def _ask_reason(self, run_id: str, ruler: str, found: Regrade) -> None:
        title, tries = Paragraph(f"judge {run_id} by {ruler}", "title"), _tries_paragraphs(found.tries)
        if not isinstance(found.tries, str) and not found.tries.left:
            self._app.push_screen(NoticeScreen([title, *tries]))
            return

        def answered(reason: str | None) -> None:
            if reason is not None:
                self._reason = reason
                self._confirm(run_id, ruler, found, reason)

        paragraphs = [title, *tries, Paragraph(""), Paragraph("Why? That is recorded with it.")]
        self._app.push_screen(ReasonScreen(paragraphs, self._reason), answered)

    def _confirm(self, run_id: str, ruler: str, found: Regrade, reason: str) -> None:
        def call(_: Progress) -> str:
            graded = self._app.service.regrade(run_id, self._path(ruler), reason=reason)
            self._app.post_safely(GradingSaved(run_id))
            return f"{run_id} is judged by it from now on: {graded.new.sentence}"

        command = ("pilothouse", "regrade", run_id, "--qc", ruler, "--save", "--reason", reason)
        paragraphs = [
            Paragraph(f"judge {run_id} by {ruler}", "title"),
            Paragraph(
                f"{_verdicts(found.graded)}. From now on the run is judged by it, here and wherever its verdict counts."
            ),
            *_tries_paragraphs(found.tries),
            Paragraph(""),
            Paragraph(f"why: {reason}"),
            Paragraph(""),
            Paragraph(shlex.join(command), "strong", command=True),
        ]
        asked = UnderWayScreen(
            paragraphs,
            lambda: self._begin(f"save the grading of {run_id}", call),
            yes="yes, save it",
            first="grading it once more",
            going="saving",
            done="saved: ",
        )

        def closed(_: bool | None) -> None:
            self._app.call_later(self._leave)

        self._app.push_screen(asked, closed)

    def saved(self, message: GradingSaved) -> None:
        """What is on the screen of that run is out of date; so is the question, once it has told how it ended."""
        self._reason, self._is_saved = "", True
        self._tell(message.run_id)
        self._leave()

    def _leave(self) -> None:
        """After a grading was saved, back to where it was asked for."""
        while self._is_saved and isinstance(self._app.screen, RegradedScreen | RulerScreen):
            self._app.pop_screen()


def _tries_paragraphs(tries: Tries | str) -> list[Paragraph]:
    """What saving would spend, and how much of that is left."""
    if isinstance(tries, str):
        return [Paragraph(f"Saving it spends one of the campaign's tries; how many are left is not known: {tries}")]
    if not tries.left:
        lost = f", {tries.lost} of them gradings that cannot be read" if tries.lost else ""
        return [
            Paragraph(f"It cannot be saved: all {tries.allowed} of the campaign's tries are spent{lost}.", "warn"),
            Paragraph(
                "Each look with another ruler is one more chance to pass by luck. policy.max_retries allows more, and "
                "every try then has to prove more."
            ),
        ]
    left = f"{tries.left} of {tries.allowed} left"
    return [Paragraph(f"Saving it spends one of the campaign's tries, {left}. Each is a chance to pass by luck.")]


def _verdicts(graded: Regraded) -> str:
    """`✗ fail → ✓ pass`."""
    return " → ".join(f"{VERDICTS[verdict][0]} {verdict}" for verdict in (graded.old.verdict, graded.new.verdict))
