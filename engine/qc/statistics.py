"""Binomial statistics without scipy (whose import takes longer than `pilothouse status` may).

Bounds are exact one-sided Clopper-Pearson (Biometrika 26, 1934); the difference of two rates is Newcombe's hybrid
score interval (Statistics in Medicine 17, 1998, method 10), built from Wilson intervals.
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Continued fraction of the incomplete beta function by Lentz's method (Numerical Recipes, 6.4)."""
    c, d = 1.0, 1.0 / _nonzero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, 1000):
        twice = a + 2 * m
        for term in (
            m * (b - m) * x / ((twice - 1.0) * twice),
            -(a + m) * (a + b + m) * x / (twice * (twice + 1.0)),
        ):
            d = 1.0 / _nonzero(1.0 + term * d)
            c = _nonzero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_distribution(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), the distribution function of Beta(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1.0 - x) / b


def _beta_quantile(share: float, a: float, b: float) -> float:
    """x with I_x(a, b) = share: Newton's steps, held inside a bracket that bisection narrows."""
    low, high = 0.0, 1.0
    x = a / (a + b)
    constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(100):
        error = beta_distribution(a, b, x) - share
        if error > 0.0:
            high = x
        else:
            low = x
        density = math.exp(constant + (a - 1.0) * math.log(x) + (b - 1.0) * math.log1p(-x))
        step = x - error / density if density > _TINY else -1.0
        following = step if low < step < high else (low + high) / 2
        if abs(following - x) <= 1e-13 or high - low <= 1e-13:
            return following
        x = following
    return x


@lru_cache(maxsize=4096)
def upper_bound(failures: int, n: int, confidence: float) -> float:
    """One-sided exact upper bound of a failure rate; 1 when nothing has been seen."""
    if failures >= n:
        return 1.0
    if failures == 0:
        return float(1.0 - (1.0 - confidence) ** (1.0 / n))
    return _beta_quantile(confidence, failures + 1.0, float(n - failures))


@lru_cache(maxsize=4096)
def lower_bound(failures: int, n: int, confidence: float) -> float:
    """One-sided exact lower bound of a failure rate; 0 when nothing has failed."""
    if failures <= 0:
        return 0.0
    if failures >= n:
        return float((1.0 - confidence) ** (1.0 / n))
    return _beta_quantile(1.0 - confidence, float(failures), n - failures + 1.0)


@lru_cache(maxsize=4096)
def median_rank(n: int, confidence: float) -> int:
    """Rank r of the exact one-sided bounds of a median (the sign test turned round): that of n values is not below
    the r-th smallest, nor above the r-th largest. 0 where n are too few for a bound."""
    share, rank = 1.0 - confidence, 0
    if n > 0:
        rank = max(0, min(n, round(n / 2 + normal_quantile(share) * math.sqrt(n) / 2)))
    while rank > 0 and _half_or_fewer(rank - 1, n) > share:
        rank -= 1
    while rank < n and _half_or_fewer(rank, n) <= share:
        rank += 1
    return rank


def _half_or_fewer(most: int, n: int) -> float:
    """Chance of at most `most` heads among `n` tosses of a fair coin."""
    return 1.0 if most >= n else beta_distribution(float(n - most), most + 1.0, 0.5)


@lru_cache(maxsize=64)
def normal_quantile(share: float) -> float:
    """z with Φ(z) = share, by bisection on the error function."""
    low, high = -40.0, 40.0
    while high - low > 1e-13:
        middle = (low + high) / 2
        if math.erfc(-middle / math.sqrt(2.0)) / 2 < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def wilson(failures: float, n: int, confidence: float) -> tuple[float, float]:
    """Two-sided Wilson score interval (Wilson 1927) of a rate; (0, 1) when nothing has been seen."""
    if n == 0:
        return 0.0, 1.0
    z = normal_quantile((1.0 + confidence) / 2)
    rate, spread = failures / n, z * z / n
    centre = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def difference_interval(
    before: tuple[float, int], after: tuple[float, int], confidence: float = 0.95
) -> tuple[float, float]:
    """Newcombe's interval of (rate before − rate after), each given as (failures, n).

    Wholly above 0: the rate has fallen. (-1, 1) when either has no samples.
    """
    (k1, n1), (k2, n2) = before, after
    if n1 == 0 or n2 == 0:
        return -1.0, 1.0
    p1, p2 = k1 / n1, k2 / n2
    (l1, u1), (l2, u2) = wilson(k1, n1, confidence), wilson(k2, n2, confidence)
    lower = (p1 - p2) - math.hypot(p1 - l1, u2 - p2)
    upper = (p1 - p2) + math.hypot(u1 - p1, p2 - l2)
    return lower, upper
