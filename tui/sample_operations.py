"""A run's records on the screen: they are read, and marks are written, on threads of their own."""

from __future__ import annotations

import threading
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from engine.files import RunFiles
from engine.logs.sanitise import safe_json
from engine.qc.detectors import DETECTOR_KINDS
from engine.report.samples import Sample
from engine.snapshot import RunSnapshot
from tui import formatting
from tui.browsing import Wish
from tui.calls import answer_of
from tui.messages import MarksEnded, SamplesArrived
from tui.panels.sample_filters import initial_filter
from tui.screens.dialog import NoticeScreen, Paragraph
from tui.screens.samples import SamplesScreen

if TYPE_CHECKING:
    from tui.app import PilothouseApp

MOST = 100
"""Records that are held at once."""
LONGEST_COPY = 50_000
"""Octets that go to the clipboard: all of them go over the line, too, and a terminal may drop what is longer."""

Mark = tuple[str, str, str, int, bool]
"""Run, kind and id of the detector whose flag was looked at, record, right or not."""


class SampleOperations:
    """What the screen of samples does through the service."""

    def __init__(self, app: PilothouseApp) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._pending: list[Mark] = []
        self._writer: threading.Thread | None = None

    def open(self) -> None:
        """Show the records of the selected run, what deserves a look first."""
        run = self._app.view.selected
        if run is not None:
            self._app.push_screen(SamplesScreen(run.id, kinds_of(run), initial_filter(run)))

    def settle(self, timeout_s: float) -> None:
        """Give marks that are being written a moment."""
        writer = self._writer
        if writer is not None:
            writer.join(timeout_s)

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, run_id: str, wish: Wish) -> None:
        """Begin to read; a run may hold many thousand records, so the answer comes as a message."""

        service = self._app.service

        def read() -> None:
            found = answer_of(lambda: service.samples(run_id, wish.wanted, MOST, near=wish.near))
            self._app.post_safely(SamplesArrived(run_id, wish, *found))

        threading.Thread(target=read, name="samples", daemon=True).start()

    def arrived(self, message: SamplesArrived) -> None:
        """Tell the screen, unless it was left meanwhile."""
        for screen in self._screens(message.run_id):
            screen.arrived(message.wish, message.samples, message.error)

    def read_again(self, run_id: str) -> None:
        """The run is judged by another ruler now: what is on the screen is out of date."""
        for screen in self._screens(run_id):
            screen.do_read_again()

    def copy(self, sample: Sample, run: RunSnapshot | None) -> None:
        """The record as a line of JSON, through the terminal's own clipboard; of a long one it is said where it is."""
        text = safe_json(sample.record)
        octets = len(text.encode())
        size = formatting.size(octets)
        if octets <= LONGEST_COPY:
            self._app.copy_to_clipboard(text)
            self._app.say(f"copied record #{sample.index}, {size} (where the terminal allows it)")
            return
        place = RunFiles(Path(run.folder)).records if run is not None else "records.jsonl"
        paragraphs = [
            Paragraph(f"record #{sample.index} was not copied", "title"),
            Paragraph(f"It has {size}; over {formatting.size(LONGEST_COPY)} a terminal may drop it. It stands here:"),
            Paragraph(""),
            Paragraph(f"{place}:{sample.line}", "strong", verbatim=True),
        ]
        self._app.push_screen(NoticeScreen(paragraphs))

    # --- marking -------------------------------------------------------------------------------------------------

    def mark(self, run_id: str, kind: str, detector: str, index: int, right: bool) -> None:
        """Have a mark written, after those that were asked for before; what has gathered meanwhile goes together."""
        with self._lock:
            self._pending.append((run_id, kind, detector, index, right))
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="marks", daemon=True)
                self._writer.start()

    def marked(self, message: MarksEnded) -> None:
        """Have the picture renewed, which counts the marks; tell the screen."""
        self._app.feed.refresh()
        screens = self._screens(message.run_id)
        for screen in screens:
            screen.marked(message.kind, message.indices, message.error, last=not self._pending)
        if message.error is not None and not screens:
            self._app.say(f"not marked: {message.error.what}", severity="error")

    def _write(self) -> None:
        while True:
            with self._lock:
                if not self._pending:
                    self._writer = None
                    return
                (run_id, kind, detector), alike = next(groupby(self._pending, key=lambda mark: mark[:3]))
                taken = list(alike)
                del self._pending[: len(taken)]
            marks = {index: right for *_, index, right in taken}
            _, error = answer_of(partial(self._app.service.mark, run_id, kind, marks, detector=detector))
            self._app.post_safely(MarksEnded(run_id, kind, tuple(marks), error))

    def _screens(self, run_id: str) -> list[SamplesScreen]:
        stack = self._app.screen_stack
        return [screen for screen in stack if isinstance(screen, SamplesScreen) and screen.run_id == run_id]


def kinds_of(run: RunSnapshot) -> tuple[str, ...]:
    """The detectors that can be looked at: those that the gate rests on first."""
    return tuple(dict.fromkeys((*(detector.kind for detector in run.gate.detectors), *DETECTOR_KINDS)))
