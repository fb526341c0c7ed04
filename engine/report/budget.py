"""`pilothouse budget`: the campaign's money and what each run and engine took of it."""

from __future__ import annotations

from typing import Any

from engine.report.formatting import duration, money
from engine.report.tables import text_table
from engine.snapshot import CampaignSnapshot, EngineSnapshot, RunSnapshot


def budget_json(campaign: CampaignSnapshot) -> dict[str, Any]:
    """The budget object, the forecast of the next action, and cost and device seconds of each run and kept engine.

    A run on a kept engine uses that engine's devices, and what is `spent` counts them once.
    """
    return {
        "campaign": campaign.name,
        "budget": campaign.budget.to_json() if campaign.budget else None,
        "next_cost_usd": campaign.next.cost_usd if campaign.next else None,
        "saved_usd": round(sum(run.saved_usd or 0.0 for run in campaign.runs), 6),
        "runs": [_share(run) for run in campaign.runs],
        "engines": [_share(engine) for engine in campaign.engines],
    }


def budget_text(campaign: CampaignSnapshot) -> str:
    budget = campaign.budget
    if budget is None:
        return campaign.error or "the campaign cannot be read"
    metered: tuple[RunSnapshot | EngineSnapshot, ...] = (*campaign.engines, *campaign.runs)
    rows = [[one.name, one.state, duration(one.active_s), money(one.cost_usd)] for one in metered]
    lines = [text_table(["run", "state", "device time", "cost"], rows, left=(0, 1))] if rows else []
    lines += [
        f"spent      {money(budget.spent_usd)} of {money(budget.limit_usd)}"
        f" ({budget.device_hours:.3f} device hours, each counted once)",
        f"rate       {money(budget.rate_usd_per_hour)} an hour now",
        f"committed  {money(budget.committed_usd)} to finish what is running",
        f"left       {money(budget.left_usd)}",
    ]
    if campaign.next and campaign.next.cost_usd is not None:
        lines.append(f"next       {money(campaign.next.cost_usd)} forecast: {campaign.next.kind}")
    saved = sum(run.saved_usd or 0.0 for run in campaign.runs)
    if saved:
        lines.append(f"saved      {money(saved)} forecast for what early ends left undone")
    if budget.warning:
        lines.append(f"WARNING: {budget.warn_at:.0%} of the limit is spent or committed")
    return "\n".join(lines)


def _share(one: RunSnapshot | EngineSnapshot) -> dict[str, Any]:
    return {"id": one.id, "cost_usd": one.cost_usd, "active_s": one.active_s}
