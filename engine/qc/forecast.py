"""How likely a check is to pass by the end if things go on as they did. A forecast, shown as one: it proves nothing.

With k failures in n samples and Jeffreys' prior Beta(½, ½) on the failure rate, the failures among the samples to come
are beta-binomial; the check passes at the horizon if there are few enough of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from engine.qc.rule import Rule

LEAST_SAMPLES = 10
"""Before so many the prior would speak, not the run."""


def beta_binomial_cdf(most: int, trials: int, a: float, b: float) -> float:
    """P(X ≤ `most`) of a beta-binomial X among `trials`, with Beta(`a`, `b`) on the rate."""
    if most < 0:
        return 0.0
    if most >= trials:
        return 1.0
    log = math.lgamma(trials + b) - math.lgamma(b) + math.lgamma(a + b) - math.lgamma(trials + a + b)
    total = math.exp(log)
    for hits in range(most):
        log += math.log((trials - hits) * (a + hits) / ((hits + 1) * (b + trials - hits - 1)))
        total += math.exp(log)
    return min(1.0, total)


def chance_to_pass(rule: Rule, failures: float, n: int, horizon: int) -> float | None:
    """Chance that the rule passes at `horizon` samples, of which `n` are there, with `failures`; None for too few."""
    if n < LEAST_SAMPLES:
        return None
    to_come = max(0, horizon - n)
    spare = rule.most_failures(n + to_come) - failures
    return beta_binomial_cdf(math.floor(spare), to_come, failures + 0.5, n - failures + 0.5)


def chance_of_none(n: int, horizon: int) -> float | None:
    """As `chance_to_pass`, where a single failure is too many and none has been seen."""
    return beta_binomial_cdf(0, max(0, horizon - n), 0.5, n + 0.5) if n >= LEAST_SAMPLES else None


def together(chances: Iterable[float | None]) -> float | None:
    """Chance that all come true, taken for independent; None where one is not known."""
    product = 1.0
    for chance in chances:
        if chance is None:
            return None
        product *= chance
    return product
