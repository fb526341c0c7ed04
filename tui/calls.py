"""Carries out one service call at a time on a daemon thread, and reports progress and outcome as messages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from textual.message import Message

from engine.errors import PilothouseError
from tui.cells import clean
from tui.messages import CallEnded, CallProgress

Value = TypeVar("Value")
Progress = Callable[[str], None]
Call = Callable[[Progress], str]


def answer_of(call: Callable[[], Value]) -> tuple[Value | None, PilothouseError | None]:
    """What `call` to the service returned, or why it did not; a defect below must not take the screen down with it."""
    try:
        return call(), None
    except PilothouseError as error:
        return None, error
    except Exception as error:
        return None, PilothouseError(f"{type(error).__name__}: {error}")


class Calls:
    """`post` is called from the calling thread. One call at a time, because the service allows no more."""

    def __init__(self, post: Callable[[Message], object]) -> None:
        self._post = post
        self._thread: threading.Thread | None = None
        self.busy = ""

    def start(self, what: str, call: Call) -> bool:
        """Begin `call`, described by `what` (`stop demo/pilot`); False when another one is still under way."""
        if self.busy:
            return False
        self.busy = what
        self._thread = threading.Thread(target=self._run, args=(what, call), name="service call", daemon=True)
        self._thread.start()
        return True

    def ended(self) -> None:
        """The app has taken notice of the outcome; the next call may begin."""
        self.busy = ""

    def settle(self, timeout_s: float) -> None:
        """Wait a moment for a call under way, so that quitting does not tear a launch in two."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, what: str, call: Call) -> None:
        error: PilothouseError | None = None
        result = ""
        try:
            result = call(lambda text: self._tell(CallProgress(clean(text))))
        except PilothouseError as caught:
            error = caught
        except Exception as caught:  # a defect below must not take the screen down with it
            error = PilothouseError(
                f"{what} did not work: {type(caught).__name__}: {caught}",
                remedy="try it on the command line; if it fails there too, this is a defect worth reporting",
            )
        self._tell(CallEnded(what, clean(result), error))

    def _tell(self, message: Message) -> None:
        self._post(message)
