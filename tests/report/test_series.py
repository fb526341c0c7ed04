"""A run's series are read from its records as they grow, once each, and judged by the ruler that holds now."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.spec import ForeignFigures
from engine.files import RunFiles
from engine.report.evidence import NOTHING_TO_TRACE
from engine.report.series import RunSeries, SeriesReader
from engine.service import Service
from engine.snapshot import RunSnapshot
from tests.report import places


@pytest.fixture
def root(tmp_path: Path) -> Path:
    places.write_campaign(tmp_path)
    return tmp_path


def picture(root: Path, name: str = "pilot") -> RunSnapshot:
    return Service(root).look_at_run(f"c/{name}")


def append(files: RunFiles, *rows: dict[str, Any]) -> None:
    with files.records.open("a") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def judged(series: RunSeries) -> dict[str, tuple[int, float]]:
    return {one.metric: (one.points[-1].n, one.points[-1].failures) for one in series.checks}


def test_it_agrees_with_the_gate_whatever_the_order_the_records_were_written_in(root: Path) -> None:
    rows = places.records(40, long=5)
    places.add_run(root, "pilot", [rows[1], rows[0], *rows[2:30], *reversed(rows[31:])])
    run = picture(root)
    series = Service(root).metric_series("c/pilot")(run)
    assert judged(series) == {check.metric: (check.n, check.failures) for check in run.gate.checks}
    assert judged(series)["runaway_rate"] == (30, 5), "up to the first item that is missing"
    assert [point.n for point in series.checks[0].points] == list(range(1, 31))


def test_only_what_was_appended_is_read_and_nothing_new_is_the_same_series(root: Path) -> None:
    rows = places.records(30)
    files = places.add_run(root, "pilot", rows[:20])
    reader = SeriesReader(files)
    first = reader(picture(root))
    assert reader(picture(root)) is first
    files.records.write_text("\n" * files.records.stat().st_size)  # the same file, and what was read is not there now
    append(files, *rows[20:])
    assert judged(reader(picture(root)))["runaway_rate"] == (30, 0)


def test_a_run_that_begins_anew_is_counted_from_nothing(root: Path) -> None:
    files = places.add_run(root, "pilot", places.records(20))
    reader = SeriesReader(files)
    reader(picture(root))
    files.records.rename(files.folder / "put-away")
    assert reader(picture(root)).checks == ()
    append(files, *places.records(3))
    assert judged(reader(picture(root)))["runaway_rate"] == (3, 0)


def test_a_saved_grading_changes_the_series_of_a_reader_that_is_open(root: Path) -> None:
    files = places.add_run(root, "pilot", places.records(40, long=6))
    reader = SeriesReader(files)
    assert judged(reader(picture(root)))["runaway_rate"] == (40, 6)
    ruler = places.write_ruler(root, "qc: {runaway: markers-v2}")
    Service(root).regrade("c/pilot", ruler, reason="long is not wrong")
    assert judged(reader(picture(root)))["runaway_rate"] == (40, 0)


def test_kept_pairs_over_time(root: Path) -> None:
    rows = [row | {"time": f"2026-01-01T00:00:{10 + place:02d}Z"} for place, row in enumerate(places.records(5))]
    rows[2] |= {"kept": False, "outcome": "pair_rejected"}
    rows[3] |= {"time": "yesterday"}
    places.add_run(root, "pilot", rows)
    assert SeriesReader(Service(root).workspace.run_files("c", "pilot"))(picture(root)).kept == (
        (0.0, 1),
        (1.0, 2),
        (4.0, 3),
    )


@pytest.mark.parametrize("imported", [False, True])
def test_where_nothing_can_be_drawn_it_says_why(root: Path, imported: bool) -> None:
    figures = ForeignFigures(source="x", metrics={"runaway_rate": 0.1}, counts={"kept": 3}) if imported else None
    rows = places.records(3) if imported else []
    places.add_run(root, "pilot", rows, imported=figures)
    series = Service(root).metric_series("c/pilot")(picture(root))
    assert series.checks == ()
    assert series.nothing == NOTHING_TO_TRACE if imported else "a program of its own" in series.nothing


def test_of_an_imported_run_only_what_is_judged_by_its_rows_is_drawn(root: Path) -> None:
    figures = ForeignFigures(
        source="x", metrics={"runaway_rate": 0.1, "pair_acceptance": 0.5}, counts={"kept": 20, "generated": 40}
    )
    places.add_run(root, "pilot", places.records(20, long=3), imported=figures)
    Service(root).regrade("c/pilot", places.write_ruler(root, "qc: {runaway: markers-v2}"), reason="better")
    series = Service(root).metric_series("c/pilot")(picture(root))
    assert judged(series) == {"runaway_rate": (20, 0)}


def test_a_live_run_whose_first_item_goes_on_says_so(root: Path) -> None:
    files = places.add_run(root, "pilot", places.records(4)[1:], ended=False)
    reader = SeriesReader(files)
    live = replace(picture(root), state="running")
    assert "its first items have not ended yet" in reader(live).nothing
    append(files, places.record(0))
    assert judged(reader(live))["runaway_rate"] == (4, 0)
