"""Bounds and intervals against scipy and against published values."""

from __future__ import annotations

import subprocess
import sys

import pytest
from scipy import stats

from engine.qc.statistics import (
    beta_distribution,
    difference_interval,
    lower_bound,
    normal_quantile,
    upper_bound,
    wilson,
)

GRID = [
    (k, n)
    for n in (1, 2, 5, 30, 43, 100, 300, 2000, 15_000)
    for k in sorted({0, 1, 2, n // 3, n // 2, n - 1, n})
    if k <= n
]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(("failures", "n"), GRID)
def test_bounds_are_clopper_pearson(failures: int, n: int, confidence: float) -> None:
    upper = stats.beta.ppf(confidence, failures + 1, n - failures) if failures < n else 1.0
    lower = stats.beta.ppf(1 - confidence, failures, n - failures + 1) if failures else 0.0
    assert upper_bound(failures, n, confidence) == pytest.approx(upper, abs=1e-9)
    assert lower_bound(failures, n, confidence) == pytest.approx(lower, abs=1e-9)


def test_nothing_seen_bounds_nothing() -> None:
    assert upper_bound(0, 0, 0.95) == 1.0
    assert lower_bound(0, 0, 0.95) == 0.0


@pytest.mark.parametrize("x", [1e-9, 0.01, 0.3, 0.5, 0.77, 0.999])
@pytest.mark.parametrize(("a", "b"), [(1, 1), (0.5, 3), (10, 34), (200, 1.5), (5000, 10_000)])
def test_beta_distribution_agrees_with_scipy(a: float, b: float, x: float) -> None:
    assert beta_distribution(a, b, x) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.9, 0.975, 0.9999])
def test_normal_quantile_agrees_with_scipy(share: float) -> None:
    assert normal_quantile(share) == pytest.approx(stats.norm.ppf(share), abs=1e-10)


@pytest.mark.parametrize(("failures", "n"), GRID)
def test_wilson_agrees_with_scipy(failures: int, n: int) -> None:
    reference = stats.binomtest(failures, n).proportion_ci(0.95, method="wilson")
    assert wilson(failures, n, 0.95) == pytest.approx((reference.low, reference.high), abs=1e-10)


@pytest.mark.parametrize(
    ("before", "after", "interval"),
    [((9, 43), (5, 43), (-0.07, 0.25)), ((9, 43), (3, 43), (-0.01, 0.29)), ((9, 43), (2, 43), (0.02, 0.31))],
)
def test_difference_of_the_pilots_runaways(
    before: tuple[int, int], after: tuple[int, int], interval: tuple[float, float]
) -> None:
    assert difference_interval(before, after) == pytest.approx(interval, abs=0.006)


def test_newcombe_published_example() -> None:
    """Newcombe 1998, table II (a): 56/70 against 48/80, method 10."""
    assert difference_interval((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_no_samples_say_nothing_of_a_difference() -> None:
    assert difference_interval((0, 0), (3, 10)) == (-1.0, 1.0)


def test_scipy_is_never_needed_at_run_time() -> None:
    code = (
        "import sys, engine.qc.gate, engine.policy.decide; sys.exit('scipy' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
