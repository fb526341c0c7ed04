"""How often a detector's flags are right, from those that people looked at. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.qc.statistics import lower_bound, upper_bound
from engine.qc.verdicts import DetectorEvidence

_EACH_SIDE = 0.975


def precision_bounds(right: int, wrong: int) -> tuple[float, float] | None:
    """Exact (Clopper-Pearson) two-sided 95 % bounds of the share of flags that are right; None without marks.

    They hold for flags that were picked without looking at them, as the first ones of a run are.
    """
    n = right + wrong
    return (lower_bound(right, n, _EACH_SIDE), upper_bound(right, n, _EACH_SIDE)) if n else None


def with_marks(
    detectors: Sequence[DetectorEvidence], counts: Mapping[str, tuple[int, int]]
) -> tuple[DetectorEvidence, ...]:
    """`detectors` with what was marked of each: by detector id the right flags and the false alarms."""
    return tuple(_marked(detector, *counts.get(detector.detector, (0, 0))) for detector in detectors)


def _marked(detector: DetectorEvidence, right: int, wrong: int) -> DetectorEvidence:
    bounds = precision_bounds(right, wrong)
    if bounds is None:
        return detector
    return replace(detector, marked_true=right, marked_false=wrong, lower=bounds[0], upper=bounds[1])


def precision_sentence(detector: str, right: int, wrong: int) -> str:
    """`markers-v2: 7 of 10 marked flags are right, precision 70 % (35–93 %)`; without marks that there are none."""
    bounds = precision_bounds(right, wrong)
    if bounds is None:
        return f"{detector}: no flag is marked"
    lower, upper = (f"{bound * 100:.0f}" for bound in bounds)
    n = right + wrong
    return f"{detector}: {right} of {n} marked flags are right, precision {right / n * 100:.0f} % ({lower}–{upper} %)"
