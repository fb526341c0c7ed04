"""Numbers as people read them."""

from __future__ import annotations

import pytest

from tests.tui import pictures
from tui import formatting


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (4.2, "$4.20"),
        (1234.5, "$1,234.50"),
        (0.0, "$0.00"),
        (0.004, "$0.004"),
        (0.0001, "<$0.001"),
        (-1.5, "−$1.50"),
        (None, "–"),
    ],
)
def test_money(usd: float | None, text: str) -> None:
    assert formatting.money(usd) == text


def test_a_forecast_reads_as_a_sentence() -> None:
    assert formatting.about(1.9) == "about $1.90"
    assert formatting.about(0.0001) == "less than $0.001"
    assert formatting.about(None) == "not known"


@pytest.mark.parametrize(
    ("left", "text"), [(299.983, "$299.983"), (299.995, "$299.995"), (300.0, "$300.00"), (294.7, "$294.70")]
)
def test_what_is_spent_and_what_is_left_add_up(left: float, text: str) -> None:
    """$0.005 of $300 spent and $300.00 left would look like an error."""
    assert formatting.money_left(left, 300.0) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.9, "0:07"), (761, "12:41"), (3723, "1:02:03"), (183_840, "2d 03:04"), (-5, "0:00"), (None, "–")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(("fraction", "text"), [(0.209, "20.9 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (None, "–")])
def test_percentages_keep_one_decimal_so_that_a_column_lines_up(fraction: float | None, text: str) -> None:
    assert formatting.percent(fraction) == text


@pytest.mark.parametrize(
    ("kept", "target", "text"), [(61, 100, "61/100"), (180, 300, "180/300"), (9213, 15_000, "9.2k/15k")]
)
def test_progress_fits_a_column_even_for_large_targets(kept: int, target: int, text: str) -> None:
    assert formatting.progress(kept, target) == text
    assert len(text) <= 8


@pytest.mark.parametrize(("octets", "text"), [(512, "512 B"), (33_100, "33.1 kB"), (10_000_000_000, "10.0 GB")])
def test_file_sizes(octets: int, text: str) -> None:
    assert formatting.size(octets) == text


def test_only_time_on_the_devices_counts_and_the_clock_moves_between_heartbeats() -> None:
    """A run that was stopped overnight did not take the night; a silent keeper is no clock for ever."""
    beat = "2027-01-15T08:12:30Z"
    at = formatting.unix_time(beat)
    assert at is not None
    live = pictures.live_run(active_s=100.0, heartbeat=beat)
    assert formatting.elapsed(live, at + 1.5) == 101.5
    assert formatting.elapsed(live, at - 10_000) == 100.0
    assert formatting.elapsed(live, at + 10_000) == 100.0 + formatting.LONGEST_GAP_S
    assert formatting.elapsed(pictures.run(active_s=14.0), at) == 14.0
    assert formatting.elapsed(pictures.run(imported=True), at) is None


def test_what_is_left_follows_from_the_rate_and_is_unknown_without_one() -> None:
    assert formatting.remaining(pictures.live_run()) == pytest.approx(39 / 0.08)
    assert formatting.remaining(pictures.live_run(examples_per_second=None)) is None
    assert formatting.remaining(pictures.run()) is None


def test_a_damaged_time_stamp_is_no_time() -> None:
    assert formatting.unix_time("yesterday") is None
    assert formatting.unix_time(None) is None


def test_how_far_a_start_is_reads_the_same_whoever_wrote_it() -> None:
    assert formatting.loading("weights 40%") == "weights 40 %"
    assert formatting.loading("engine-1: downloading 20%, 12.1 of 61.0 GB", "engine-1") == (
        "downloading 20 %, 12.1 of 61.0 GB"
    )
    assert formatting.loading("engine-1", "engine-1") == "waits for engine-1"
    assert formatting.loading("engine-1: weights 40%") == "engine-1: weights 40 %"
    assert formatting.loading("") == ""


@pytest.mark.parametrize(
    ("text", "share"),
    [("weights 40%", 0.4), ("weights 7.5 %", 0.075), ("CUDA graphs 100 %", 1.0), ("140%", 1.0), ("compiling", None)],
)
def test_the_share_of_a_start_is_read_from_its_words(text: str, share: float | None) -> None:
    assert formatting.share_of(text) == (pytest.approx(share) if share is not None else None)
