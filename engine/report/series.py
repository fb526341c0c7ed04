"""A run's metrics over its samples, read from its records as they grow."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import datetime

from engine.campaign.spec import RunSpec, read_spec
from engine.files import RunFiles, file_identity
from engine.gradings import graded_spec
from engine.journal.reader import JournalReader
from engine.qc.detectors import Record
from engine.qc.metrics import is_kept
from engine.qc.series import CheckSeries, MetricSeries
from engine.qc.trace import ItemOrder, spaced
from engine.qc.verdicts import CheckVerdict
from engine.replay.run import RunReplay
from engine.report.evidence import NOTHING_TO_TRACE
from engine.snapshot import RunSnapshot

MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class RunSeries:
    """`checks` are those that were judged sample by sample, and `nothing` why there are none where there are none;
    `kept` is (seconds since the first record, kept pairs by then)."""

    checks: tuple[CheckSeries, ...]
    kept: tuple[tuple[float, int], ...] = ()
    nothing: str = ""


class SeriesReader:
    """Called with the run's present picture it gives its series; it reads only what was appended since the last call,
    and works nothing out again while that is nothing."""

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        self._spec: RunSpec | None = None
        self._file: tuple[int, int] | None = None
        self._latest: tuple[object, RunSeries] | None = None

    def __call__(self, run: RunSnapshot) -> RunSeries:
        frozen = read_spec(self._files)
        spec = graded_spec(self._files, frozen)
        if spec.imported is not None and spec.imported.metrics and spec == frozen:
            return RunSeries((), nothing=NOTHING_TO_TRACE)
        file = file_identity(self._files.records)
        if spec != self._spec or file != self._file:
            self._begin(spec)
            self._file = file
        for record in self._records.read_new():
            self._add(record)
        state = (self._records.offset, run.gate, run.state)
        if self._latest is None or self._latest[0] != state:
            self._latest = (state, self._series(run))
        return self._latest[1]

    def _begin(self, spec: RunSpec) -> None:
        """Count from nothing: the run was begun anew, or is judged by another ruler."""
        self._spec, self._latest = spec, None
        self._in_line_order = spec.imported is not None
        self._records = JournalReader(self._files.records)
        self._order = ItemOrder()
        self._judged = 0
        tally = RunReplay(self._files, spec, own_figures=True).new_tally()
        self._metrics = MetricSeries(tally, tally.gate)
        self._began: float | None = None
        self._kept_at = array("d")

    def _add(self, record: Record) -> None:
        for judged in (record,) if self._in_line_order else self._order.add(record):
            self._metrics.add(judged)
            self._judged += 1
        if is_kept(record):
            at = _time_of(record)
            if at is not None:
                self._began = at if self._began is None else self._began
                self._kept_at.append(max(at - self._began, self._kept_at[-1] if self._kept_at else 0.0))

    def _series(self, run: RunSnapshot) -> RunSeries:
        checks = self._metrics.series(run.gate, MOST_POINTS)
        if self._in_line_order:  # what its summary says is judged, but for what other detectors measure in its rows
            by_metric = {check.metric: check for check in run.gate.checks}
            checks = tuple(one for one in checks if _is_of(one, by_metric.get(one.metric)))
        times = self._kept_at
        kept = tuple((times[place], place + 1) for place in spaced(len(times), MOST_POINTS))
        return RunSeries(checks, kept, "" if checks else self._why_nothing(run))

    def _why_nothing(self, run: RunSnapshot) -> str:
        if self._records.offset and not self._judged and run.live:
            return "its first items have not ended yet, and they are judged in their order"
        if self._records.offset:
            return "none of its records says anything of what its gate looks at"
        if self._spec is not None and self._spec.generator.kind == "command":
            return "its generator is a program of its own, and has written no records that could be judged one by one"
        return "there are no records yet" if run.live else "it has no records"


def _is_of(series: CheckSeries, check: CheckVerdict | None) -> bool:
    last = series.points[-1]
    return check is not None and (last.n, last.failures) == (check.n, check.failures)


def _time_of(record: Record) -> float | None:
    try:
        return datetime.fromisoformat(record["time"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
