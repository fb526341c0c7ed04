"""A run's records, one at a time: what flags them, what the critics said, and whether people find the flags right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from engine.errors import PilothouseError
from engine.marks import OtherDetectorError
from engine.report.samples import Sample, Samples, Wanted
from engine.snapshot import RunSnapshot
from tui.browsing import Browsing, Wish
from tui.cells import Cell, Line, spread, wrap
from tui.panels.footer import footer_lines
from tui.panels.no_samples import empty_lines
from tui.panels.sample import Shown, sample_lines
from tui.panels.sample_filters import evidence_lines, filter_line, run_lines
from tui.screens.base import ActionScreen, bindings
from tui.screens.confirm import AmountScreen
from tui.screens.dialog import Paragraph
from tui.view import View
from tui.widgets.cell_lines import CellLines

if TYPE_CHECKING:
    from tui.sample_operations import SampleOperations


class SamplesScreen(ActionScreen):
    """`arrived` gets what was read and `marked` is told how marks were written; a mark is shown at once."""

    SCOPE = "samples"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("samples")]

    def __init__(self, run_id: str, kinds: tuple[str, ...], chosen: Wanted) -> None:
        super().__init__()
        self.run_id = run_id
        self._browsing = Browsing(kinds, chosen)
        self._reading: Wish | None = None
        self._jumping: int | None = None
        self._error: PilothouseError | None = None
        self._note = ""

    @property
    def sample(self) -> Sample | None:
        """The record in sight."""
        return self._browsing.sample

    @property
    def _operations(self) -> SampleOperations:
        return self.pilothouse.operations.samples

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
        """Draw everything, with the beginning of what is flagged in sight."""
        self._draw_frame()
        width = self.app.size.width - 2
        if self.sample is not None:
            lines, first = sample_lines(self._shown(self.sample), width)
        else:
            browsing = self._browsing
            lines, first = empty_lines(self._run, browsing.samples, browsing.wish.wanted, self._error, width), 0
        self.query_one("#body", CellLines).show(lines)
        scroll = self.query_one(VerticalScroll)
        height = scroll.size.height or self.app.size.height
        hidden = 0 if first < height - 2 else first - height // 3
        self.call_after_refresh(scroll.scroll_to, y=hidden, animate=False)

    def _shown(self, sample: Sample) -> Shown:
        run, flagged = self._run, self._browsing.flagged(sample)
        known = run is not None and run.parameters_known
        threshold = run.parameters.critic.confidence_threshold if run is not None and known else None
        return Shown(sample, flagged, {kind: self._browsing.mark_of(sample, kind) for kind in flagged}, threshold)

    def _draw_frame(self) -> None:
        width, browsing = self.app.size.width, self._browsing
        title = [Cell(f" {self.run_id}", "title"), Cell(" · samples", "dim")]
        self.query_one("#header", CellLines).show((spread(title, self._where(), width),))
        run, samples = self._run, browsing.samples
        lines = [filter_line(browsing.filters, browsing.chosen, samples, width)]
        if samples is not None and samples.records:
            lines += self._evidence(samples, run, width)
            more = run.counts.records - samples.records if run is not None and run.live else 0
            if more > 0:
                lines.append((Cell(f" {more:,} more records since: r reads again", "accent"),))
        if self._note:
            lines += [(Cell(f" {row}", "bad"),) for row in wrap(self._note, width - 2, 2)]
        self.query_one("#evidence", CellLines).show(tuple(lines))
        self.query_one("#footer", CellLines).show(footer_lines(self.pilothouse.view, width, "samples"))

    def _evidence(self, samples: Samples, run: RunSnapshot | None, width: int) -> list[Line]:
        """What is known of the detector whose flags were read; what people's marks say of it, from the picture, if the
        run is judged by it still."""
        kind = self._browsing.chosen.flag
        if kind is None:
            return run_lines(samples, width)
        name = samples.detectors.get(kind, kind)
        now = next((each for each in run.gate.detectors if each.kind == kind), None) if run is not None else None
        judges = now if now is not None and now.detector == name else None
        lines = evidence_lines(judges, name, samples.flagged.get(kind, 0), samples.records, width)
        if now is not None and judges is None:
            lines.append((Cell(f" judged by {now.detector} now: r reads again", "accent"),))
        return lines

    def _where(self) -> list[Cell]:
        """Which of how many, and its number; that it is being read, and that only unmarked ones are shown."""
        cells = [Cell("only unmarked ", "warn")] if self._browsing.unmarked else []
        if self._reading is not None and not self._reading.stays:
            cells.append(Cell("reading … ", "accent"))
        place, number = self._browsing.position
        if self.sample is not None:
            cells += [Cell(f"{place:,} of {number:,}", "strong"), Cell(f" · #{self.sample.index} ", "dim")]
        return cells

    # --- reading -------------------------------------------------------------------------------------------------

    def _begin_reading(self) -> None:
        """One read at a time: where one is under way, what is wished for then is read after it."""
        if self._reading is None:
            self._reading = self._browsing.wish
            self._operations.read(self.run_id, self._reading)
        self.redraw()

    def arrived(self, wish: Wish, samples: Samples | None, error: PilothouseError | None) -> None:
        """What was read, or why that failed."""
        self._reading = None
        if wish != self._browsing.wish:
            self._begin_reading()
            return
        self._error = error
        if samples is not None:
            self._browsing.take(samples)
        else:
            self._browsing.samples = None
        self.redraw()
        sample, wanted = self.sample, self._jumping
        self._jumping = None
        if wanted is not None and sample is not None and sample.index != wanted:
            self.pilothouse.say(f"#{wanted} is not among these: this is the next one there is", severity="warning")

    def _turned(self) -> None:
        self._error, self._note = None, ""
        self._begin_reading()

    # --- marking -------------------------------------------------------------------------------------------------

    def _set_mark(self, right: bool) -> None:
        before, (place, number) = self._browsing.wish, self._browsing.position
        marked = self._browsing.mark(right)
        if marked is None:
            nothing = "nothing is flagged in this record" if self.sample is not None else "there is nothing to mark"
            self.pilothouse.say(nothing, severity="warning")
            return
        self._note = ""
        self._operations.mark(self.run_id, *marked, right)
        self._go_on(before)
        if place == number and self.sample is not None:
            self.pilothouse.say("marked: it was the last")

    def marked(self, kind: str, indices: Iterable[int], error: PilothouseError | None, *, last: bool) -> None:
        """Marks were written, or could not be; `last`: no others are on their way."""
        browsing = self._browsing
        if error is not None:
            browsing.unmark(kind, indices)
            self._note = f"not marked: {error.what}"
            if isinstance(error, OtherDetectorError):
                self.do_read_again(noted=True)
            else:
                self.redraw()
        elif last and browsing.unmarked and not browsing.shown and browsing.more_than_read:
            browsing.turn()
            self._begin_reading()

    def do_mark_right(self) -> None:
        self._set_mark(True)

    def do_mark_wrong(self) -> None:
        self._set_mark(False)

    # --- going through them --------------------------------------------------------------------------------------

    def _go_on(self, before: Wish) -> None:
        """Draw what is in sight now; read, where something else is wished for than `before`."""
        if self._browsing.wish != before:
            self._begin_reading()
        else:
            self.redraw()

    def _move(self, step: int) -> None:
        before = self._browsing.wish
        self._browsing.move(step)
        self._go_on(before)

    def do_next_sample(self) -> None:
        self._move(1)

    def do_previous_sample(self) -> None:
        self._move(-1)

    def do_next_filter(self) -> None:
        self._browsing.turn_by(1)
        self._turned()

    def do_previous_filter(self) -> None:
        self._browsing.turn_by(-1)
        self._turned()

    def do_only_unmarked(self) -> None:
        self._browsing.turn(unmarked=not self._browsing.unmarked)
        self._turned()

    def do_jump(self) -> None:
        sample = self.sample
        if sample is None:
            self.pilothouse.say("there is no record to go to", severity="warning")
            return

        def answered(number: int | None) -> None:
            if number is not None:
                self._browsing.jump(number)
                self._jumping = number
                self._begin_reading()

        paragraphs = [
            Paragraph("go to a record", "title"),
            Paragraph("Its number among the run's items, as it stands after #. If the filter leaves it out: the next."),
        ]
        self.app.push_screen(AmountScreen(paragraphs, value=sample.index, least=0), answered)

    def do_read_again(self, *, noted: bool = False) -> None:
        self._note = self._note if noted else ""
        self._browsing.stay()
        self._begin_reading()

    def do_text_up(self) -> None:
        self.query_one(VerticalScroll).scroll_page_up(animate=False)

    def do_text_down(self) -> None:
        self.query_one(VerticalScroll).scroll_page_down(animate=False)

    # --- what is done with one -----------------------------------------------------------------------------------

    def do_copy_record(self) -> None:
        if self.sample is None:
            self.pilothouse.say("there is no record to copy", severity="warning")
        else:
            self._operations.copy(self.sample, self._run)

    def do_regrade(self) -> None:
        self.pilothouse.operations.regrade.open(self.run_id)

    def do_leave_samples(self) -> None:
        self.dismiss()
