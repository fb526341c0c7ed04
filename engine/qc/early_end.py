"""Whether a run should end before its target, by what its gate says now. A pure function."""

from __future__ import annotations

from collections.abc import Sequence

from engine.campaign.naming import RunKind
from engine.campaign.policy import PolicyConfig
from engine.qc.evidence import LEAST_JUDGED
from engine.qc.verdicts import CheckVerdict, DetectorEvidence, GateVerdict


def early_end(
    policy: PolicyConfig,
    kind: RunKind,
    verdict: GateVerdict,
    if_ended: GateVerdict,
    *,
    judged: int,
    target: int,
    detectors: Sequence[DetectorEvidence] = (),
) -> str | None:
    """Why a run of `kind` should end now; None to go on.

    `verdict` is its gate's as it goes on, `if_ended` the same as if it ended here (what only the end settles is settled
    there); `judged` items stand behind them, of a run for `target` pairs. A gate without confidence proves nothing and
    ends nothing. A check that one of `detectors` measures by a rule of thumb ends nothing before there are enough flags
    to doubt the detector by.
    """
    early = policy.early_end
    if verdict.confidence is None or judged < early.after or not verdict.checks:
        return None
    standing = [check for check in verdict.checks if check.verdict == "fail" or not check.reachable]
    if early.unreachable and any(not _awaits_doubt(check, detectors, target) for check in standing):
        return f"its gate ended it early: {verdict.sentence}"
    if early.proven and kind != "scale" and if_ended.verdict == "pass":
        return f"its gate is proven, and ended it early: {if_ended.sentence}"
    least = early.forecast_below
    chance = verdict.forecast if if_ended.verdict == "fail" else if_ended.forecast  # what the policy will go by
    if least is not None and chance is not None and chance < least:
        return (
            f"ended early by a forecast: {chance:.1%} likely to pass by {policy.extend_to}, and "
            f"policy.early_end.forecast_below is {least:g}; gate {verdict.sentence}"
        )
    return None


def _awaits_doubt(check: CheckVerdict, detectors: Sequence[DetectorEvidence], target: int) -> bool:
    """Whether the detector behind `check` could be doubted once a few more flags have been looked at by the critic, and
    these will come by the run's end."""
    detector = next((found for found in detectors if check.metric in found.metrics), None)
    if detector is None or not check.n or check.failures / check.n * target < LEAST_JUDGED:
        return False
    return detector.flagged < LEAST_JUDGED or 0 < detector.judged < LEAST_JUDGED
