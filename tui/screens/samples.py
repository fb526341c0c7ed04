"""What a detector flags in a run, one sample at a time, and whether people find it right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from engine.errors import PilothouseError
from engine.marks import OtherDetectorError
from engine.report.samples import Sample, Samples, Wanted
from engine.snapshot import RunSnapshot
from tui.cells import Cell, Line, spread, wrap
from tui.panels.footer import footer_lines
from tui.panels.gate import detector_title
from tui.panels.sample import evidence_lines, kind_line, sample_lines
from tui.screens.base import ActionScreen, bindings
from tui.view import View
from tui.widgets.cell_lines import CellLines

Read = Callable[[str, Wanted], None]
WriteMark = Callable[[str, str, str, int, bool], None]


class SamplesScreen(ActionScreen):
    """`read` has samples read and `arrived` gets them; `mark` has a mark written and `marked` is told how that went.

    A mark is shown at once. What was read stays as it is until it is read again, so that nothing moves under the eyes
    of who reads it.
    """

    SCOPE = "samples"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("samples")]

    def __init__(self, run_id: str, kinds: tuple[str, ...], kind: str, read: Read, mark: WriteMark) -> None:
        super().__init__()
        self.run_id = run_id
        self._kinds, self._kind = kinds, kind
        self._read, self._mark = read, mark
        self._unmarked = False
        self._place = 0
        self._reading: Wanted | None = None
        self._samples: Samples | None = None
        self._error: PilothouseError | None = None
        self._marks: dict[tuple[str, int], bool] = {}
        self._looked_at: dict[str, str] = {}
        self._note = ""

    # --- what is known -------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> Wanted:
        return Wanted(flag=self._kind, marked=False if self._unmarked else None)

    @property
    def shown(self) -> list[Sample]:
        """What was read, in item order, less what has been marked since where only unmarked samples are wanted."""
        found = self._samples.first if self._samples is not None else []
        return [sample for sample in found if not self._unmarked or self.mark_of(sample) is None]

    @property
    def sample(self) -> Sample | None:
        """The sample in sight."""
        shown = self.shown
        return shown[min(self._place, len(shown) - 1)] if shown else None

    def mark_of(self, sample: Sample) -> bool | None:
        return self._marks.get((self._kind, sample.index), sample.marks.get(self._kind))

    def _detector_in(self, samples: Samples) -> str:
        """The id of the detector whose flags were read."""
        return samples.detectors.get(self._kind, self._kind)

    @property
    def _more_than_read(self) -> bool:
        return self._samples is not None and self._samples.matching > len(self._samples.first)

    @property
    def _run(self) -> RunSnapshot | None:
        """The run as it is now."""
        snapshot = self.pilothouse.view.snapshot
        campaigns = snapshot.campaigns if snapshot is not None else ()
        return next((run for each in campaigns for run in each.runs if run.id == self.run_id), None)

    # --- what stands on it ---------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield CellLines(id="header")
        yield CellLines(id="evidence")
        with VerticalScroll(can_focus=False):
            yield CellLines(id="body")
        yield CellLines(id="footer")

    def on_mount(self) -> None:
        self._begin_reading()

    def on_resize(self) -> None:
        self.redraw()

    def show_view(self, _: View, /) -> None:
        self._draw_frame()

    @property
    def text(self) -> str:
        """All that stands on the screen, as plain text."""
        return "\n".join(widget.text for widget in self.query(CellLines))

    def redraw(self) -> None:
        """Draw everything, with the beginning of the flagged span in sight."""
        self._draw_frame()
        sample, width = self.sample, self.app.size.width
        lines, first = (
            sample_lines(sample, self._kind, self.mark_of(sample), width - 2)
            if sample is not None
            else (self._why_empty(width - 2), 0)
        )
        self.query_one("#body", CellLines).show(lines)
        scroll = self.query_one(VerticalScroll)
        height = scroll.size.height or self.app.size.height
        hidden = 0 if first < height - 2 else first - height // 3
        self.call_after_refresh(scroll.scroll_to, y=hidden, animate=False)

    def _draw_frame(self) -> None:
        width = self.app.size.width
        title = [Cell(f" {self.run_id}", "title"), Cell(" · flagged samples", "dim")]
        self.query_one("#header", CellLines).show((spread(title, self._where(), width),))
        run, samples = self._run, self._samples
        lines = [kind_line(self._kinds, self._kind, width)]
        if samples is not None:
            lines += self._evidence(samples, run, width)
            more = run.counts.records - samples.records if run is not None and run.live else 0
            if more > 0:
                lines.append((Cell(f" {more:,} more records since: r reads again", "accent"),))
        if self._note:
            lines += [(Cell(f" {row}", "bad"),) for row in wrap(self._note, width - 2, 2)]
        self.query_one("#evidence", CellLines).show(tuple(lines))
        self.query_one("#footer", CellLines).show(footer_lines(self.pilothouse.view, width, "samples"))

    def _evidence(self, samples: Samples, run: RunSnapshot | None, width: int) -> list[Line]:
        """What is known of the detector whose flags were read: from the picture, if the run is judged by it still."""
        name = self._detector_in(samples)
        known = [each for each in run.gate.detectors if each.kind == self._kind] if run is not None else []
        now = known[0] if known else None
        if run is not None and now is not None and now.detector == name:
            return evidence_lines(now, name, now.flagged, run.counts.records, width)
        lines = evidence_lines(None, name, samples.matching, samples.records, width) if not self._unmarked else []
        if now is not None:
            lines.append((Cell(f" judged by {now.detector} now: r reads again", "accent"),))
        return lines

    def _where(self) -> list[Cell]:
        """Which of how many; that there are more than were read, and that only unmarked ones are shown."""
        cells = [Cell("only unmarked ", "warn")] if self._unmarked else []
        if self._reading is not None:
            return [*cells, Cell("reading … ", "accent")]
        samples, shown = self._samples, len(self.shown)
        if samples is None or not shown:
            return cells
        cells.append(Cell(f"{min(self._place, shown - 1) + 1} of {shown:,}", "strong"))
        if self._more_than_read:
            cells.append(Cell(f", the first of {samples.matching:,}", "dim"))
        return [*cells, Cell(" ")]

    def _why_empty(self, width: int) -> tuple[Line, ...]:
        kind, samples = detector_title(self._kind), self._samples
        if self._error is not None:
            told = [self._error.what, *([f"to do: {self._error.remedy}"] if self._error.remedy else [])]
        elif samples is None:
            told = ["reading the records …"]
        elif not samples.records:
            told = ["There are no records yet: the run has finished no item. r reads again."]
        elif self._unmarked:
            told = [f"Nothing that is flagged {kind} is unmarked: m shows all."]
        else:
            told = [f"None of {samples.records:,} records is flagged {kind}."]
        return ((), *((Cell(f" {row}", "dim"),) for text in told for row in wrap(text, width - 1)))

    # --- reading -------------------------------------------------------------------------------------------------

    def _begin_reading(self) -> None:
        """One read at a time: where one is under way, what is wanted then is read after it."""
        if self._reading is None:
            self._reading = self.wanted
            self._read(self.run_id, self._reading)
        self.redraw()

    def arrived(self, wanted: Wanted, samples: Samples | None, error: PilothouseError | None) -> None:
        """What was read, or why that failed."""
        self._reading = None
        if wanted != self.wanted:
            self._begin_reading()
            return
        before = self.sample
        self._samples, self._error = samples, error
        if samples is not None:
            self._forget_marks_of_another(self._detector_in(samples))
        indices = [sample.index for sample in self.shown]
        self._place = indices.index(before.index) if before is not None and before.index in indices else self._place
        self._place = max(0, min(self._place, len(indices) - 1))
        self.redraw()

    def _forget_marks_of_another(self, detector: str) -> None:
        """Marks belong to the detector whose flags were shown, and the run may be judged by another one by now."""
        if self._looked_at.get(self._kind, detector) != detector:
            self._marks = {key: right for key, right in self._marks.items() if key[0] != self._kind}
        self._looked_at[self._kind] = detector

    def _turn_to(self, *, kind: str | None = None) -> None:
        """Forget what was read, and read what is wanted now."""
        self._kind = kind or self._kind
        self._samples, self._error, self._place, self._note = None, None, 0, ""
        self._begin_reading()

    # --- what is done on it --------------------------------------------------------------------------------------

    def _set_mark(self, right: bool) -> None:
        sample, samples = self.sample, self._samples
        if sample is None or samples is None:
            self.pilothouse.say("there is nothing to mark", severity="warning")
            return
        stays = len(self.shown)
        self._place = min(self._place, stays - 1)
        self._marks[self._kind, sample.index] = right
        self._note = ""
        self._mark(self.run_id, self._kind, self._detector_in(samples), sample.index, right)
        if len(self.shown) == stays:  # else the next one has moved up to its place
            self._place = min(self._place + 1, stays - 1)
        self.redraw()

    def marked(self, kind: str, indices: Iterable[int], error: PilothouseError | None, *, last: bool) -> None:
        """Marks were written, or could not be; `last`: no others are on their way."""
        if error is not None:
            for index in indices:
                self._marks.pop((kind, index), None)
            self._note = f"not marked: {error.what}"
            if isinstance(error, OtherDetectorError):
                self._begin_reading()
            else:
                self.redraw()
        elif last and self._unmarked and not self.shown and self._more_than_read:
            self._turn_to()

    def do_mark_right(self) -> None:
        self._set_mark(True)

    def do_mark_wrong(self) -> None:
        self._set_mark(False)

    def _move(self, step: int) -> None:
        last = len(self.shown) - 1
        self._place = max(0, min(min(self._place, last) + step, last))
        self.redraw()

    def do_next_sample(self) -> None:
        self._move(1)

    def do_previous_sample(self) -> None:
        self._move(-1)

    def _turn(self, step: int) -> None:
        place = self._kinds.index(self._kind) + step
        self._turn_to(kind=self._kinds[place % len(self._kinds)])

    def do_next_kind(self) -> None:
        self._turn(1)

    def do_previous_kind(self) -> None:
        self._turn(-1)

    def do_only_unmarked(self) -> None:
        self._unmarked = not self._unmarked
        self._turn_to()

    def do_read_again(self) -> None:
        self._note = ""
        self._begin_reading()

    def do_text_up(self) -> None:
        self.query_one(VerticalScroll).scroll_page_up(animate=False)

    def do_text_down(self) -> None:
        self.query_one(VerticalScroll).scroll_page_down(animate=False)

    def do_leave_samples(self) -> None:
        self.dismiss()
