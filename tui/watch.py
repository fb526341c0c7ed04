"""Looks at something of a run again and again, on a thread of its own, as long as a page shows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from textual.message import Message

from engine.snapshot import RunSnapshot
from tui.calls import answer_of
from tui.messages import Looked

T = TypeVar("T")
Look = Callable[[RunSnapshot], T]


class Watch(Generic[T]):
    """`begin` gives what is called with the `run` as it is then, every `every_s` seconds; what that returns is posted
    when it is another than before. Nothing is looked at while there is no such run."""

    def __init__(
        self,
        begin: Callable[[], Look[T]],
        run: Callable[[], RunSnapshot | None],
        post: Callable[[Message], object],
        every_s: float,
    ) -> None:
        self._begin, self._run, self._post, self._every_s = begin, run, post, every_s
        self._wake = threading.Event()
        self._look: Look[T] | None = None
        self._closed = False
        self._told: Looked | None = None
        self._thread = threading.Thread(target=self._go_on, name="page", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look again at once."""
        self._wake.set()

    @property
    def ended(self) -> bool:
        """Whether it was closed, and looks no more."""
        return not self._thread.is_alive()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def _go_on(self) -> None:
        while not self._closed:
            self._wake.clear()
            run = self._run()
            if run is not None:
                self._tell(Looked(self, *answer_of(partial(self._look_at, run))))
            if not self._closed:
                self._wake.wait(self._every_s)

    def _look_at(self, run: RunSnapshot) -> T:
        self._look = self._look or self._begin()
        return self._look(run)

    def _tell(self, message: Looked) -> None:
        before, self._told = self._told, message
        if before is None or (before.found, str(before.error)) != (message.found, str(message.error)):
            with suppress(RuntimeError):  # the event loop is gone
                self._post(message)
