"""Whether a run should end before its target, by what its gate says now. A pure function."""

from __future__ import annotations

from engine.campaign.naming import RunKind
from engine.campaign.policy import PolicyConfig
from engine.qc.verdicts import GateVerdict


def early_end(
    policy: PolicyConfig, kind: RunKind, verdict: GateVerdict, if_ended: GateVerdict, *, judged: int
) -> str | None:
    """Why a run of `kind` should end now; None to go on.

    `verdict` is its gate's as it goes on, `if_ended` the same as if it ended here (what only the end settles is settled
    there); `judged` items stand behind them. A gate without confidence proves nothing and ends nothing.
    """
    early = policy.early_end
    if verdict.confidence is None or judged < early.after or not verdict.checks:
        return None
    if early.unreachable and (verdict.verdict == "fail" or not verdict.reachable):
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
