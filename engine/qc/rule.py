"""The gate's one rule, on plain numbers: is a failure rate proven to be below, or above, its limit?

Both sides are e-processes: likelihood ratios against the limit whose expectation is at most 1 while the limit does
not hold, so that by Ville's inequality (1939) the chance that one *ever* reaches 1/α is at most α. They may therefore
be looked at after every sample, when a run has ended, and again when it was extended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

FAIL_STEPS = (0.05, 0.1, 0.2, 0.4)
_LARGEST_LOG = 700.0


def alternative(tau: float) -> float:
    """The rate that "passes" is tested at: well below the limit, for large limits not too far."""
    return 0.7 * tau if tau >= 0.2 else tau / 5


def bounded_exp(log: float) -> float:
    """exp, kept finite so that it can be written as JSON."""
    return math.exp(min(log, _LARGEST_LOG))


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule for one limit 0 < τ < 1.

    Passing evidence E = (p₁/τ)^k · ((1−p₁)/(1−τ))^(n−k) must reach `pass_threshold` = tries/α; failing evidence,
    the mean of the same over p₁ = τ + (1−τ)·`FAIL_STEPS`, must reach `fail_threshold` = checks/α. All in logarithms:
    `on_failure` and `on_clean` are what one sample adds to log E, the `fail_` ones likewise per alternative.

    A sample may fail in part, by x between 0 and 1, as a list does by the share of its items. E is then a lower bound
    of an e-process: each sample's factor 1 + λ(τ − x) has mean at most 1 while the mean of x is not below τ, and its
    logarithm is concave in x, so never below the straight line through both ends that is added here.
    """

    on_failure: float
    on_clean: float
    fail_on_failure: tuple[float, ...]
    fail_on_clean: tuple[float, ...]
    pass_threshold: float
    fail_threshold: float

    def log_pass(self, failures: float, n: int) -> float:
        return failures * self.on_failure + (n - failures) * self.on_clean

    def log_fail(self, failures: float, n: int) -> float:
        clean = n - failures
        logs = [
            failures * bad + clean * good for bad, good in zip(self.fail_on_failure, self.fail_on_clean, strict=True)
        ]
        largest = max(logs)
        return largest + math.log(sum([math.exp(log - largest) for log in logs]) / len(logs))

    def passes(self, failures: float, n: int) -> bool:
        return self.log_pass(failures, n) >= math.log(self.pass_threshold)

    def fails(self, failures: float, n: int) -> bool:
        return self.log_fail(failures, n) >= math.log(self.fail_threshold)

    def clean_to_pass(self, failures: float, n: int) -> int:
        """Least number of further clean samples in a row that pass the check; 0 when it passes already."""
        lacking = math.log(self.pass_threshold) - self.log_pass(failures, n)
        more = max(0, math.ceil(lacking / self.on_clean) - 1)
        while not self.passes(failures, n + more):
            more += 1
        return more

    def most_failures(self, n: int) -> int:
        """Most failures among `n` samples with which the check still passes; -1 when `n` are too few for any."""
        most = math.floor((n * self.on_clean - math.log(self.pass_threshold)) / (self.on_clean - self.on_failure)) + 1
        while most >= 0 and not self.passes(most, n):
            most -= 1
        return max(most, -1)

    def failures_to_fail(self, failures: float, n: int) -> int:
        """Least number of further failures in a row that fail the check; 0 when it fails already."""
        clean, wanted = n - failures, math.log(self.fail_threshold)
        rows = zip(self.fail_on_failure, self.fail_on_clean, strict=True)
        lacking = min((wanted - failures * bad - clean * good) / bad for bad, good in rows)
        more = max(0, math.ceil(lacking) - 1)  # the mean is never above its largest part
        while not self.fails(failures + more, n + more):
            more += 1
        return more


@lru_cache(maxsize=256)
def rule_for(tau: float, *, confidence: float, tries: int, checks: int) -> Rule:
    """The rule at limit `tau` for a gate of `checks` checks that may be tried `tries` times."""
    alpha = 1.0 - confidence
    p1 = alternative(tau)
    return Rule(
        on_failure=math.log(p1 / tau),
        on_clean=math.log((1.0 - p1) / (1.0 - tau)),
        fail_on_failure=tuple(math.log1p((1.0 - tau) / tau * step) for step in FAIL_STEPS),
        fail_on_clean=tuple(math.log1p(-step) for step in FAIL_STEPS),
        pass_threshold=tries / alpha,
        fail_threshold=checks / alpha,
    )
