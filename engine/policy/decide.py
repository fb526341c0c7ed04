"""The next action: a pure function of a campaign, its history and its money.

Each rule has a name, says which numbers it used and what would change its mind. `docs/gate.md` lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.budget.forecast import rest_forecast, shortage
from engine.budget.money import Budget
from engine.campaign.models import Campaign
from engine.policy.actions import NextAction
from engine.policy.compare import Comparison, compare, partner_of
from engine.policy.drafts import (
    LEAST_EXTENSION,
    draft_extension,
    draft_review,
    draft_start,
    extension_is_barred,
    free_name,
    next_iteration,
)
from engine.policy.history import PastRun, passing, trials, tries_spent
from engine.policy.parameters import parameters_for
from engine.policy.proposals import is_doubted, propose
from engine.policy.tried import best_so_far, judged
from engine.qc.metrics import title_of
from engine.qc.verdicts import CheckVerdict

__all__ = ["next_action", "parameters_for"]


def next_action(campaign: Campaign, runs: Sequence[PastRun], budget: Budget) -> NextAction:
    """What comes next. `runs`: all of the campaign, in the order they were created.

    What would not fit the budget comes back as `blocked`, with the numbers.
    """
    return _within(budget, _due(campaign, runs))


def _due(campaign: Campaign, runs: Sequence[PastRun]) -> NextAction:
    live = next((run for run in reversed(runs) if run.live), None)
    if live is not None:
        return _wait(campaign, runs, live)
    if not runs:
        first = draft_start(campaign, runs, "launch", "pilot", "nothing has run yet: the pilot comes first")
        return _because(first, "first-run", {"runs": 0}, "any run of this campaign")
    scale = next((run for run in reversed(runs) if not run.trial), None)
    if scale is not None and scale is runs[-1]:
        return _after_scale(campaign, scale)
    return _after_trial(campaign, runs, trials(runs)[-1])


def _because(action: NextAction, rule: str, numbers: dict[str, Any], unless: str) -> NextAction:
    return replace(action, rule=rule, numbers=numbers, unless=unless)


def _within(budget: Budget, action: NextAction) -> NextAction:
    lacking = shortage(budget, action.cost_usd) if action.argv else None
    if lacking is None:
        return action
    reason = f"{action.kind} {action.run} is due ({action.reason}), but {lacking}; raise budget.limit_usd to go on"
    numbers = {"cost_usd": action.cost_usd, "left_usd": budget.left_usd, "limit_usd": budget.limit_usd}
    blocked = replace(action, kind="blocked", argv=None, reason=reason)
    return _because(blocked, "over-budget", numbers, "a higher budget.limit_usd, or fewer examples")


def check_numbers(checks: Sequence[CheckVerdict]) -> dict[str, Any]:
    """The figures of `checks` that rules use, by `metric.figure`."""
    numbers: dict[str, Any] = {}
    for check in checks:
        figures = {
            "n": check.n,
            "failures": round(check.failures, 3),
            "clean_to_pass": check.needs.clean_to_pass,
            "failures_to_fail": check.needs.failures_to_fail,
            "forecast": check.forecast,
        }
        numbers |= {f"{check.metric}.{name}": value for name, value in figures.items() if value is not None}
    return numbers


# --- by what there is -------------------------------------------------------------------------------------------


def _wait(campaign: Campaign, runs: Sequence[PastRun], live: PastRun) -> NextAction:
    rest = rest_forecast(campaign, runs, live)
    reason = f"{live.name} is {live.state}: {live.kept} of {live.target} kept; gate {live.gate.sentence}"
    action = NextAction("wait", reason, run=live.name, duration_s=round(rest.duration_s, 1), basis=rest.basis)
    numbers = {"kept": live.kept, "target": live.target, "forecast": live.gate.forecast}
    early = ", which comes early if its gate cannot pass any more" if campaign.policy.early_end.unreachable else ""
    return _because(action, "run-is-live", numbers, f"its end{early}")


def _finished(scale: PastRun) -> bool:
    return scale.state == "succeeded" and scale.kept >= scale.target and scale.gate.verdict != "fail"


def _after_scale(campaign: Campaign, scale: PastRun) -> NextAction:
    count = f"{scale.name} kept {scale.kept} of {scale.target}"
    numbers = {"kept": scale.kept, "target": scale.target}
    if _finished(scale):
        pairs = f"its pairs are in artifacts/{campaign.name}/{scale.name}/pilot_data.jsonl"
        done = NextAction("done", f"{count}; gate {scale.gate.sentence}; {pairs}", run=scale.name)
        return _because(done, "scale-finished", numbers, "a regrade that it fails, or a new pilot")
    if scale.state in ("stopped", "failed", "lost"):
        return _interrupted(campaign, scale)
    if scale.gate.verdict == "fail" or not scale.gate.reachable:
        review = draft_review(campaign, scale, f"{count}, and its gate says {scale.gate.sentence}")
        return _because(review, "scale-fails", numbers | check_numbers(_standing(scale)), "an iteration that passes")
    if scale.exhausted:
        ended = (
            f"all {scale.max_candidates} candidates are spent; raise scale.max_candidates, launch under another name"
        )
    else:
        ended = f"it ended before its target ({scale.reason or 'without a reason'})"
    more = f"pilothouse extend {campaign.name}/{scale.name} --examples {scale.target + LEAST_EXTENSION}"
    blocked = NextAction("blocked", f"{count}: {ended}, or take more: {more}", run=scale.name)
    return _because(blocked, "scale-is-short", numbers, "an extension that reaches the target")


def _after_trial(campaign: Campaign, runs: Sequence[PastRun], last: PastRun) -> NextAction:
    if last.state in ("failed", "lost") or (last.state == "stopped" and _could_still_be_decided(last)):
        return _interrupted(campaign, last)
    if last.gate.verdict == "pass":
        return _after_pass(campaign, runs, last)
    best = best_so_far(runs)
    for run in (last, best) if best is not None and best is not last else (last,):
        suspect = _suspect_in_the_way(run)
        if suspect:
            return _suspected(campaign, run, suspect)
    if last.gate.verdict == "fail":
        return _retry_or_review(campaign, runs, last, "gate-fails", f"{last.name}: gate {last.gate.sentence}")
    return _after_undecided(campaign, runs, last)


def _could_still_be_decided(run: PastRun) -> bool:
    """Whether going on with a stopped run could change what its gate says: neither proven nor out of reach."""
    return run.gate.verdict == "undecided" and run.gate.reachable


def _interrupted(campaign: Campaign, run: PastRun) -> NextAction:
    """A run that broke is never started again by itself: a loop would burn money."""
    why = f" ({run.reason})" if run.reason else ""
    verb = "has" if run.state == "failed" else "was"
    reason = (
        f"{run.name} {verb} {run.state}{why} with {run.kept} of {run.target} kept; "
        f"`pilothouse restart {campaign.name}/{run.name}` goes on with it"
    )
    if run.kept == 0 and run.state == "failed":
        reason += " as it was launched; after a change to the campaign file, launch under another --run name"
    if run.gate.verdict == "fail":
        reason += f", but its gate says {run.gate.sentence}: launch another --run instead"
    blocked = NextAction("blocked", reason, run=run.name)
    return _because(blocked, "run-was-interrupted", {"kept": run.kept, "target": run.target}, "its restart")


def _after_pass(campaign: Campaign, runs: Sequence[PastRun], last: PastRun) -> NextAction:
    numbers = check_numbers(last.gate.checks)
    if passing(runs) is last:
        name = free_name("scale", runs)
        reason = f"{last.name}: gate {last.gate.sentence}; {campaign.scale.examples} examples with its parameters"
        scale = draft_start(campaign, runs, "scale", name, reason, examples=campaign.scale.examples)
        unless = (
            "another model, other prompts, detectors or limits in the campaign file: those would have to pass first"
        )
        return _because(scale, "gate-passes", numbers, unless)
    by_rows = last.imported and last.gradings > 0
    if last.parameters_known and last.only_ruler_differs and not by_rows:
        reason = (
            f"{last.name} passes by detectors or limits that are not the campaign's; put them under qc: and gate: in "
            f"configs/{campaign.name}.yaml, so that scale is judged by what its run was judged by"
        )
        blocked = NextAction("blocked", reason, run=last.name)
        return _because(blocked, "other-ruler", numbers, "the same qc: and gate: in the campaign file")
    lacking = "its parameters are not known" if not last.parameters_known else "what it ran has changed since"
    if by_rows:
        lacking = "it was graded again by its rows alone, which hold what another program has kept and cleaned"
    reason = f"{last.name} passes, but {lacking}: scale needs a run that stands behind it"
    return _retry_or_review(campaign, runs, last, "pass-does-not-stand", reason)


# --- undecided, failing ------------------------------------------------------------------------------------------


def _standing(run: PastRun) -> list[CheckVerdict]:
    """The checks that stand in the way for good: they fail, or cannot pass any more."""
    return [check for check in run.gate.checks if check.verdict == "fail" or not check.reachable]


def _suspect_in_the_way(run: PastRun) -> list[CheckVerdict]:
    """The checks in the way, if every one of them is measured by a detector that is doubted; else none."""
    standing = _standing(run)
    return standing if all(is_doubted(run, check.metric) for check in standing) else []


def _suspected(campaign: Campaign, last: PastRun, checks: Sequence[CheckVerdict]) -> NextAction:
    """Parameters cannot mend a broken ruler: a person has to look at what it flags."""
    found = {check.metric: last.gate.detector_of(check.metric) for check in checks}
    detectors = {one.kind: one for one in found.values() if one is not None}
    said = "; ".join(f"{one.detector}: {one.suspect}" for one in detectors.values())
    kind, run_id = next(iter(detectors)), f"{campaign.name}/{last.name}"
    advice = (
        f"look at ten of them with `pilothouse samples {run_id} --flag {kind} -n 10`, mark each with `--mark "
        f"INDEX=true` or `=false`; if it is wrong, `pilothouse regrade {run_id} --qc FILE` tries another detector"
    )
    review = draft_review(campaign, last, f"{last.name}: gate {last.gate.sentence}; detector suspect: {said}", advice)
    numbers = check_numbers(checks) | {
        f"{one.kind}.{name}": value
        for one in detectors.values()
        for name, value in (
            ("flagged", one.flagged),
            ("marked_true", one.marked_true),
            ("marked_false", one.marked_false),
        )
    }
    return _because(review, "detector-suspect", numbers, "marks that show the flags to be right, or a saved regrade")


def _after_undecided(campaign: Campaign, runs: Sequence[PastRun], last: PastRun) -> NextAction:
    open_checks = [check for check in last.gate.checks if check.verdict == "undecided"]
    unmeasured = [check.metric for check in open_checks if check.n == 0]
    if unmeasured and not last.imported and (last.kept > 0 or last.candidates == 0):
        reason = f"{last.name} left nothing to judge by: {', '.join(map(title_of, unmeasured))} not known"
        review = draft_review(campaign, last, reason)
        return _because(review, "nothing-measured", {"candidates": last.candidates}, "a run that leaves samples")
    broken = [check for check in open_checks if check.errors]
    if broken and len(broken) == len(open_checks):
        names = ", ".join(title_of(check.metric) for check in broken)
        said = (
            f"{last.name}: gate {last.gate.sentence}; only its own detectors stand in the way ({names}), and they fail"
        )
        advice = "mend their code, then look again: nothing has to be generated"
        numbers = {f"{check.metric}.errors": check.errors for check in broken}
        review = draft_review(campaign, last, said, advice)
        return _because(review, "detector-fails", numbers, "a detector that judges every record it is asked about")
    reason, forecast = f"{last.name}: gate {last.gate.sentence}", last.gate.forecast
    least = campaign.policy.early_end.forecast_below
    unlikely = least is not None and forecast is not None and forecast < least
    barred = extension_is_barred(campaign, last)
    if not barred and last.gate.reachable:
        if not unlikely:
            return _extend(campaign, runs, last, open_checks, reason)
        why = f"forecast {forecast:.0%} to pass by {campaign.policy.extend_to}, below policy.early_end.forecast_below"
    elif not last.gate.reachable and not last.imported:
        why = f"more samples cannot prove it by {campaign.policy.extend_to}"
    else:
        why = barred
    return _retry_or_review(campaign, runs, last, "gate-not-proven", f"{reason}; {why}")


def _extend(
    campaign: Campaign, runs: Sequence[PastRun], last: PastRun, open_checks: Sequence[CheckVerdict], reason: str
) -> NextAction:
    forecast, policy = last.gate.forecast, campaign.policy
    likely = f"; forecast: {forecast:.0%} likely to pass by {policy.extend_to}" if forecast is not None else ""
    action = draft_extension(campaign, runs, last, reason + likely)
    numbers = check_numbers(open_checks) | {"extend_to": policy.extend_to, "forecast": forecast}
    closest = min(
        (check for check in open_checks if check.needs.failures_to_fail),
        key=lambda check: check.needs.failures_to_fail or 0,
        default=None,
    )
    unless = f"no way to pass by {policy.extend_to} any more"
    if closest is not None:
        unless = f"{closest.needs.failures_to_fail} failures in a row in {title_of(closest.metric)}, or {unless}"
    return _because(action, "could-be-proven", numbers, unless)


def _retry_or_review(campaign: Campaign, runs: Sequence[PastRun], last: PastRun, rule: str, reason: str) -> NextAction:
    """Iterate while tries remain, from the best parameters so far; then a person has to look."""
    spent, allowed = tries_spent(runs), campaign.policy.max_retries + 1
    known = judged(runs)
    before = partner_of(known, last)
    if before is not None:
        comparison = compare(before.gate, last.gate)
        reason += f"; against {before.name}: {comparison.sentence}"
        reason += _going_back(runs, last, comparison)
    numbers: dict[str, Any] = check_numbers(_standing(last)) | {"tries": spent, "tries_allowed": allowed}
    if spent >= allowed:
        reason += f"; all {allowed} tries are spent (policy.max_retries {allowed - 1})"
        review = draft_review(campaign, last, reason)
        return _because(review, "tries-are-spent", numbers, "a higher policy.max_retries")
    name = next_iteration(campaign, {run.name for run in runs})
    proposal = propose(campaign, runs) if name not in campaign.iterations else None
    if name not in campaign.iterations and proposal is None:
        reason += "; no move within policy.bounds is left that was not tried and proven worse"
        return _because(draft_review(campaign, last, reason), "no-move-left", numbers, "wider policy.bounds")
    reason += f"; try {spent + 1} of {allowed}"
    if proposal is not None and proposal.passed_over:
        reason += f"; not again: {'; '.join(proposal.passed_over)}"
    unless = f"an extension or regrade of {last.name} that changes its verdict, or values of your own (--set)"
    return _because(draft_start(campaign, runs, "iterate", name, reason), rule, numbers, unless)


def _going_back(runs: Sequence[PastRun], last: PastRun, comparison: Comparison) -> str:
    best = best_so_far(runs)
    if best is None or best is last:
        return ""
    worse = [title_of(check.metric) for check in comparison.checks if check.change == "worse"]
    because = f" ({', '.join(worse)} proven worse)" if worse else ""
    return f": back to the parameters of {best.name}, the best so far{because}"
