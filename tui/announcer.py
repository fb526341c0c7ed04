"""Tells what has happened, in every way that was asked for."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from engine.snapshot import Snapshot
from tui.notices import coalesced, events_between, remembered, terminal_notification
from tui.settings import Channel

if TYPE_CHECKING:
    from tui.app import PilothouseApp

SHOWN_S = 20.0


class Announcer:
    """Compares each picture with all that was seen before it."""

    def __init__(self, app: PilothouseApp, channels: Collection[Channel]) -> None:
        self._app = app
        self._channels = channels
        self._seen: Snapshot | None = None

    def look(self, snapshot: Snapshot) -> None:
        """Tell what is new in `snapshot`; of the first one nothing is. Much at once is told as one."""
        before = self._seen
        self._seen = snapshot if before is None else remembered(before, snapshot)
        told = self._app.operations.stopping  # whose end stands in a dialog already
        notices = events_between(before, snapshot) if before is not None else ()
        notices = tuple(notice for notice in notices if not notice.ends or notice.ends != told)
        if not notices:
            return
        notice = coalesced(notices)
        if "screen" in self._channels:
            self._app.notify(notice.text, severity=notice.severity, markup=False, timeout=SHOWN_S)
        if "bell" in self._channels:
            self._app.bell()
        if "osc9" in self._channels:
            self._app.write_to_terminal(terminal_notification(notice.text, tmux="TMUX" in os.environ))
