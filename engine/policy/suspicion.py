"""Is the ruler broken? What makes a detector suspect, from its records, from its runs, and from what people marked.

A rule of thumb may be wrong: whole iterations have been spent on tuning against one that flagged good answers. Nothing
here proves that it is: a suspicion asks a person to look at ten samples, and their marks settle it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from engine.campaign.models import Parameters
from engine.campaign.parameters import difference
from engine.qc.evidence import LEAST_JUDGED
from engine.qc.statistics import difference_interval
from engine.qc.verdicts import CheckVerdict, DetectorEvidence, GateVerdict

AS_OFTEN = 0.05
"""The critic accepts flagged records "about as often" up to this much less often, if less often is not proven."""
LEAST_SAMPLES = 30
HARDLY = 0.25
"""A flagged share hardly moves while its extremes are within this part of the larger."""
LEAST_MARKED = 5


class Judged(Protocol):
    """What is asked of a run; both `PastRun` and `RunSnapshot` have it."""

    @property
    def name(self) -> str: ...
    @property
    def gate(self) -> GateVerdict: ...
    @property
    def parameters(self) -> Parameters: ...
    @property
    def parameters_known(self) -> bool: ...
    @property
    def imported(self) -> bool: ...


def with_suspicions(runs: Sequence[Judged]) -> list[GateVerdict]:
    """The gates of `runs`, in the order they were created, each with what makes its detectors suspect."""
    gates = []
    for position, run in enumerate(runs):
        detectors = tuple(_suspected(one, run, runs[:position]) for one in run.gate.detectors)
        gates.append(run.gate if detectors == run.gate.detectors else replace(run.gate, detectors=detectors))
    return gates


def _suspected(detector: DetectorEvidence, run: Judged, earlier: Sequence[Judged]) -> DetectorEvidence:
    """`detector` with why it may be wrong. People's marks have the last word; without a check that it keeps from
    passing there is nothing to suspect it of. A share that hardly moves casts no doubt by itself: a sound detector sees
    just that when a parameter has no effect."""
    standing = [check for check in run.gate.checks if check.metric in detector.metrics and check.verdict != "pass"]
    if not standing or (detector.lower is not None and detector.lower > 0.5):
        return replace(detector, suspect="", doubted=False)
    against = _critic_disagrees(detector)
    if detector.upper is not None and detector.upper < 0.5 and detector.marked >= LEAST_MARKED:
        against = f"{detector.marked_false} of {detector.marked} marked flags were false alarms"
    unmoved = (_hardly_moves(detector, check, run, earlier) for check in standing)
    reasons = [reason for reason in (against, *unmoved) if reason]
    return replace(detector, suspect="; ".join(reasons), doubted=bool(against))


def _critic_disagrees(detector: DetectorEvidence) -> str:
    """The pair critic accepts what is flagged about as often as the rest."""
    if detector.judged < LEAST_JUDGED or detector.rest_judged < LEAST_JUDGED:
        return ""
    flagged, rest = detector.good / detector.judged, detector.rest_good / detector.rest_judged
    fewer = difference_interval((detector.rest_good, detector.rest_judged), (detector.good, detector.judged))[0] > 0
    if fewer or rest - flagged > AS_OFTEN:
        return ""
    return (
        f"the pair critic accepts {detector.good} of {detector.judged} flagged, "
        f"and {detector.rest_good} of {detector.rest_judged} others"
    )


def _hardly_moves(detector: DetectorEvidence, check: CheckVerdict, run: Judged, earlier: Sequence[Judged]) -> str:
    """The flagged share stays where it was although response parameters changed, and never let the check pass."""
    before = next((other for other in reversed(earlier) if _measured_alike(other, detector, check, run)), None)
    if before is None:
        return ""
    old = next(one for one in before.gate.checks if one.metric == check.metric)
    changed = [name for name in difference(before.parameters, run.parameters) if name.startswith("response.")]
    if old.verdict == "pass" or not changed:
        return ""
    was, now = old.failures / old.n, check.failures / check.n
    lower, upper = difference_interval((old.failures, old.n), (check.failures, check.n))
    if not (lower <= 0 <= upper) or abs(was - now) > HARDLY * max(was, now) or min(was, now) == 0:
        return ""
    return f"it flags {was:.0%} in {before.name} and {now:.0%} here, although {', '.join(changed)} changed"


def _measured_alike(other: Judged, detector: DetectorEvidence, check: CheckVerdict, run: Judged) -> bool:
    """Whether `other` was measured by the same detector, on enough samples, with parameters that are known."""
    alike = next((one for one in other.gate.checks if one.metric == check.metric), None)
    same = any(one.detector == detector.detector for one in other.gate.detectors)
    known = other.parameters_known and run.parameters_known and not (other.imported or run.imported)
    return same and known and alike is not None and min(alike.n, check.n) >= LEAST_SAMPLES
