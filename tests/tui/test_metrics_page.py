"""The metrics page: a plot for each check over its samples, with bounds, limit and where it was decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.qc.series import CheckSeries, Judged
from engine.report.series import RunSeries
from engine.snapshot import Snapshot
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.actions import in_scope
from tui.cells import Line, plain, width_of
from tui.panels.metrics import metrics_lines
from tui.screens.metrics import MetricsScreen

SIZES = [(60, 16), (80, 24), (120, 40), (200, 50)]
ITERATION = "stage1/iteration-1"
LIVE = pictures.live_run()


def check_series(metric: str, n: int, rate: float, decided_at: int | None = None) -> CheckSeries:
    points = [Judged(i, rate * i, rate, max(0.0, rate - 1 / i), min(1.0, rate + 1 / i)) for i in range(1, n + 1)]
    return CheckSeries(metric, tuple(points), decided_at)


SERIES = RunSeries(
    (
        check_series("runaway_rate", 61, 0.016),
        check_series("token_limit_rate", 88, 0.148),
        CheckSeries("delimiter_leakage", tuple(Judged(i, 0, 0, None, None) for i in range(1, 62)), None),
        CheckSeries("median_tokens", tuple(Judged(i, 0, 30.0, 28.0, 33.0) for i in range(1, 62)), 23),
        check_series("pair_acceptance", 88, 0.912, 16),
    ),
    tuple((float(10 * i), i) for i in range(1, 62)),
)


def story() -> Snapshot:
    return pictures.seed_story()


async def all_of(screen: Screen) -> str:
    """The page from its top to its end, as it is painted."""
    seen = []
    await screen.press("home")
    for _ in range(40):
        seen.append(screen.painted)
        await screen.press("pagedown")
        if screen.painted == seen[-1]:
            break
    return "\n".join(seen)


@pytest.mark.parametrize("size", SIZES)
async def test_m_shows_every_check_as_a_plot(size: tuple[int, int]) -> None:
    service = pictures.FakeService(story())
    service.series[ITERATION] = SERIES
    async with opened(service, size) as screen:
        await screen.press("m")
        assert isinstance(screen.app.screen, MetricsScreen)
        await screen.until(lambda: "░" in screen.painted, "the first plot")
        assert "▸2 metrics◂" in screen.painted.splitlines()[0]
        assert "esc q back" in screen.painted.splitlines()[-1]
        text = await all_of(screen)
        for title in ("runaway", "token limit", "delimiter", "median tokens", "pair accept", "kept over time"):
            assert title in text, title
        assert "passes at 16" in text
        assert "passes at 23" in text
        assert "< 5 % ┤╌" in text
        assert "exact 95 % bounds" in text
        assert "1 of 61: not yet proven, 79 more clean" in " ".join(text.split()) or size[0] == 80
        assert "61 of 100" in text
        await screen.press("m")
        assert screen.app.screen is screen.dashboard


@pytest.mark.parametrize("size", SIZES)
def test_plots_stand_beside_each_other_where_there_is_room(size: tuple[int, int]) -> None:
    width = size[0] - 2
    lines = metrics_lines(LIVE, SERIES, width, size[1] - 2)
    assert max(map(width_of, lines)) <= width
    row = next(plain((line,)) for line in lines if "runaway" in plain((line,)))
    assert ("token limit" in row) == (size[0] >= 80)
    assert ("delimiter" in row) == (size[0] >= 200)


def test_a_check_without_a_series_is_told_in_words() -> None:
    text = plain(metrics_lines(LIVE, SERIES, 118, 38))
    assert "✓ instruction acceptance ≥ 50 %" in text
    assert "40 of 154 rejected: proven ≥ 50%" in text


def test_a_run_without_samples_says_what_there_is_and_why_there_is_no_more() -> None:
    text = plain(metrics_lines(replace(LIVE, imported=True), RunSeries((), nothing="it was imported"), 78, 22))
    assert "iteration-1: it was imported" in text
    assert "✗ token limit rate < 10 %" not in text, "it is undecided"
    for check in LIVE.gate.checks:
        assert check.sentence.replace(">=", "≥") in text


async def test_the_series_is_renewed_while_the_page_is_open_and_of_the_run_beside() -> None:
    service = pictures.FakeService(story())
    service.series[ITERATION] = SERIES
    service.series["stage1/pilot"] = RunSeries((check_series("runaway_rate", 43, 0.209, 9),))
    async with opened(service) as screen:
        await screen.press("m")
        await screen.until(lambda: "passes at 23" in screen.painted)
        page = screen.app.screen
        assert isinstance(page, MetricsScreen)
        service.series[ITERATION] = RunSeries((check_series("runaway_rate", 140, 0.0, 101),))
        page.wake()
        await screen.until(lambda: "140" in screen.painted, "the newer series")
        await screen.press("left")
        await screen.until(lambda: "fails at 9" in screen.painted, "the pilot's")
        assert screen.painted.startswith(" pilot ")
        assert {run for what, run in service.looks if what == "metrics"} == {ITERATION, "stage1/pilot"}


async def test_what_did_not_change_is_not_painted_again() -> None:
    service = pictures.FakeService(story())
    service.series[ITERATION] = SERIES
    async with opened(service) as screen:
        await screen.press("m")
        await screen.until(lambda: "░" in screen.painted)
        page = screen.app.screen
        assert isinstance(page, MetricsScreen)
        found, looks = page.found, len(service.looks)
        page.wake()
        await screen.until(lambda: len(service.looks) > looks)
        assert page.found is found, "an equal series is not even posted"


async def test_the_pages_turn_in_a_ring_and_by_their_numbers() -> None:
    service = pictures.FakeService(story())
    async with opened(service) as screen:
        await screen.press("m")
        for key, page in (("3", "parameters"), ("tab", "events"), ("tab", "processes"), ("2", "metrics")):
            await screen.press(key)
            await screen.until(lambda page=page: f" {page}◂" in screen.painted, page)
        await screen.press("shift+tab")
        await screen.until(lambda: "▸1 log◂" in screen.painted)
        await screen.press("2", "escape")
        assert screen.app.screen is screen.dashboard


async def test_help_shows_the_pages_own_keys_first() -> None:
    async with opened(pictures.FakeService(story())) as screen:
        for key in ("m", "3", "4", "5"):
            await screen.press(key, "question_mark")
            text = screen.dialog().text
            first = text[: text.index("Dashboard")]
            own = in_scope(screen.app.screen_stack[-2].SCOPE)  # type: ignore[attr-defined]
            assert all(action.help in " ".join(first.split()) for action in own)
            await screen.press("escape")


def test_where_lists_are_the_samples_the_title_is_the_metric_and_the_curve_their_mean() -> None:
    check = replace(pictures.check("runaway_rate", 0.511, "undecided", "9.7 of 20 lists"), by_list=True)
    run = pictures.live_run(gate=pictures.gate("undecided", "undecided", check))
    points = tuple(Judged(n, 0.483 * n, 0.483, None, None) for n in range(1, 21))
    text = plain(metrics_lines(run, RunSeries((CheckSeries("runaway_rate", points, None),)), 118, 38))
    assert "51.1 %" in text
    assert "48.3 %" not in text
    assert "20 lists" in text
    assert "█ so far, over lists their mean" in text
    assert "░" not in text, "there are no bounds to explain"
    assert "their mean" not in plain(metrics_lines(LIVE, SERIES, 118, 38))


async def test_a_page_that_draws_nothing_yet_looks_again_with_every_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MetricsScreen, "EVERY_S", 600.0)
    service = pictures.FakeService(story())
    service.series[ITERATION] = RunSeries((), nothing="its first items have not ended yet")
    async with opened(service) as screen:
        await screen.press("m")
        await screen.until(lambda: "have not ended yet" in screen.painted)
        service.series[ITERATION] = SERIES
        counts = replace(LIVE.counts, kept=62)
        service.snapshot = pictures.snapshot(
            pictures.campaign(pictures.run(), pictures.live_run(counts=counts), next=pictures.WAIT)
        )
        await screen.until(lambda: "passes at 23" in screen.painted, "the plots, without waiting for the next look")


async def test_plots_are_laid_out_again_only_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = []

    def counted(*arguments: Any) -> tuple[Line, ...]:
        laid_out.append(arguments)
        return metrics_lines(*arguments)

    monkeypatch.setattr("tui.screens.metrics.metrics_lines", counted)
    service = pictures.FakeService(story())
    service.series[ITERATION] = SERIES
    async with opened(service) as screen:
        await screen.press("m")
        await screen.until(lambda: "░" in screen.painted)
        page, before = screen.app.screen, len(laid_out)
        assert isinstance(page, MetricsScreen)
        for seconds in range(5):
            page.show_view(replace(screen.app.view, now=pictures.NOW + seconds))
        assert len(laid_out) == before
        await screen.pilot.resize_terminal(100, 24)
        await screen.until(lambda: len(laid_out) == before + 1)


async def test_the_header_names_the_state_as_the_dashboard_does() -> None:
    picture = pictures.snapshot(pictures.campaign(pictures.run(imported=True)))
    async with opened(pictures.FakeService(picture)) as screen:
        assert "imported" in screen.painted
        await screen.press("m")
        await screen.until(lambda: screen.painted.splitlines()[0].rstrip().endswith("imported"))


async def test_of_a_run_that_is_gone_every_page_says_so_and_so_do_the_digits() -> None:
    service = pictures.FakeService(story())
    async with opened(service, notices=True) as screen:
        await screen.press("m")
        service.snapshot = pictures.snapshot(pictures.campaign(pictures.run()))
        await screen.until(lambda: screen.painted.count("there is no such run any more") == 1)
        await screen.press("3")
        await screen.until(lambda: screen.painted.count("there is no such run any more") == 2, "the notice")
