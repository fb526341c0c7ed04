"""`pilothouse budget`: the campaign's money and each run's share."""

from __future__ import annotations

from typing import Any

from engine.report.formatting import duration, money
from engine.report.tables import text_table
from engine.snapshot import CampaignSnapshot


def budget_json(campaign: CampaignSnapshot) -> dict[str, Any]:
    """The budget object, the forecast of the next action, and cost and device seconds of each run."""
    return {
        "campaign": campaign.name,
        "budget": campaign.budget.to_json() if campaign.budget else None,
        "next_cost_usd": campaign.next.cost_usd if campaign.next else None,
        "runs": [{"id": run.id, "cost_usd": run.cost_usd, "active_s": run.active_s} for run in campaign.runs],
    }


def budget_text(campaign: CampaignSnapshot) -> str:
    budget = campaign.budget
    if budget is None:
        return campaign.error or "the campaign cannot be read"
    rows = [[run.name, run.state, duration(run.active_s), money(run.cost_usd)] for run in campaign.runs]
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
    if budget.warning:
        lines.append(f"WARNING: {budget.warn_at:.0%} of the limit is spent or committed")
    return "\n".join(lines)
