"""A curve in cells: where it stands, its limit, its band and its axes, at any size and without colour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign.grading import Limit
from tui.cells import plain, width_of
from tui.panels.plot import LABEL, LEAST_ROWS, Curve, Point, plot


def curve(points: list[Point], limit: str | None = "< 5%", **changes: object) -> Curve:
    given_limit = Limit.parse(limit) if limit is not None else None
    values: dict[str, object] = {
        "x_text": lambda x: f"{x:.0f}",
        "y_text": lambda y: f"{y:.2f}",
        "limit": given_limit,
        "limit_text": limit or "",
        "most": 1.0,
    }
    return Curve(points, **{**values, **changes})  # type: ignore[arg-type]


def drawn(shown: Curve, width: int = 40, height: int = 9) -> list[str]:
    """The rows from above, without the axis and its labels, padded to their width."""
    return [line[LABEL + 1 :].ljust(width - LABEL - 1) for line in plain(plot(shown, width, height)).splitlines()][:-2]


STEADY = [Point(n, 0.02, 0.0, 0.04) for n in range(1, 101)]


def test_the_curve_stands_below_its_limit_and_in_its_band() -> None:
    rows = drawn(curve(STEADY))
    (limit,) = [number for number, row in enumerate(rows) if "╌" in row]
    (line,) = [number for number, row in enumerate(rows) if "▄" in row or "▀" in row]
    assert line > limit
    band = [number for number, row in enumerate(rows) if "░" in row]
    assert min(band) > limit
    assert max(band) == len(rows) - 1
    assert rows[line].count("▄") + rows[line].count("▀") >= 30


@pytest.mark.parametrize(
    ("limit", "value", "above"),
    [
        ("< 5%", 0.0499, False),
        ("< 5%", 0.05, True),
        ("<= 5%", 0.05, False),
        (">= 50%", 0.5, True),
        (">= 50%", 0.4999, False),
        ("> 50%", 0.5, False),
        ("= 0", 0.0, False),
    ],
)
def test_a_value_next_to_its_limit_is_seen_on_the_side_that_it_is_on(limit: str, value: float, above: bool) -> None:
    points = [Point(n, value) for n in range(1, 50)] + [Point(50, 0.9), Point(51, 0.0), Point(52, value)]
    rows = drawn(curve(points, limit))
    (row,) = [row for row in rows if "╌" in row]
    assert row[10] == ("▀" if above else "▄")


def test_a_step_is_drawn_through() -> None:
    rows = drawn(curve([Point(1, 0.0), Point(50, 0.0), Point(51, 1.0), Point(100, 1.0)], None))
    column = [row[round(51 / 100 * 30) + 1] for row in rows]
    steps = ["".join(row[place] for row in rows) for place in range(31)]
    assert any(step.count("█") >= len(rows) - 2 for step in steps), column


def test_the_axes_have_both_ends_the_limit_and_the_mark() -> None:
    lines = plain(plot(curve(STEADY, over="answers", mark=(40, "good")), 60, 9)).splitlines()
    assert any(line.strip().startswith("< 5% ┤") for line in lines)
    assert lines[-3].strip().startswith("0.00 ┤")
    assert "▲" in lines[-2]
    assert lines[-1].split() == ["0", "40", "100", "answers"]
    assert abs(lines[-2].index("▲") - (lines[-1].index("40") + 1)) <= 1


def test_what_happened_at_the_very_end_does_not_push_the_axis_out() -> None:
    lines = plain(plot(curve(STEADY, mark=(100, "bad")), 40, 9)).splitlines()
    assert lines[-2].endswith("▲")
    assert lines[-1].split() == ["0", "100"]


def test_the_noise_of_the_first_samples_does_not_set_the_scale() -> None:
    points = [Point(1, 1.0, 0.05, 1.0), *(Point(n, 0.02, 0.01, 0.03) for n in range(10, 400))]
    labels = plain(plot(curve(points), 40, 9))
    assert "1.00" not in labels
    assert "< 5%" in labels


def test_one_sample_and_none_are_drawn_too() -> None:
    assert "▀" in "".join(drawn(curve([Point(1, 1.0, 0.1, 1.0)]))) or "▄" in "".join(drawn(curve([Point(1, 1.0)])))
    assert not {"▀", "▄", "█", "░"} & set("".join(drawn(curve([]))))


@given(
    values=st.lists(st.floats(0, 1), max_size=80),
    width=st.integers(14, 120),
    height=st.integers(LEAST_ROWS + 2, 20),
    limit=st.sampled_from([None, "< 5%", ">= 50%", "= 0", "< 40"]),
    mark=st.none() | st.integers(1, 80),
)
def test_it_keeps_to_its_size_whatever_it_draws(
    values: list[float], width: int, height: int, limit: str | None, mark: int | None
) -> None:
    points = [Point(n, value, value / 2, min(1.0, value * 2)) for n, value in enumerate(values, start=1)]
    marked = (min(mark, len(values)), "good") if mark is not None and values else None
    lines = plot(curve(points, limit, mark=marked, over="generated responses"), width, height)
    assert len(lines) == height
    assert all(width_of(line) <= width for line in lines)
