"""What an action is expected to take, as a dialog says it."""

from __future__ import annotations

from engine.budget.money import Budget
from engine.snapshot import CampaignSnapshot, RunSnapshot
from tui import formatting
from tui.panels.engine import when_idle
from tui.screens.dialog import Paragraph


def money_paragraphs(
    budget: Budget | None, usd: float | None, seconds: float | None, basis: str | None
) -> list[Paragraph]:
    """What it is expected to take, what that rests on, and what the budget has left."""
    time = f", {formatting.duration(seconds)}" if seconds is not None else ""
    forecast = Paragraph(f"forecast: {formatting.about(usd)}{time}{f' ({basis})' if basis else ''}")
    return [forecast, *budget_paragraphs(budget, usd)]


def budget_paragraphs(budget: Budget | None, usd: float | None) -> list[Paragraph]:
    """What the budget has left, and whether `usd` goes over it."""
    if budget is None:
        return []
    over = usd is not None and usd > budget.left_usd
    left = formatting.money_left(budget.left_usd, budget.limit_usd)
    words = f"budget: {left} of {formatting.money(budget.limit_usd)} left"
    return [Paragraph(words + (" – this goes over it" if over else ""), "warn" if over else "dim")]


def engine_paragraphs(current: CampaignSnapshot, model: str | None = None) -> list[Paragraph]:
    """What becomes of the campaign's engine when a run is started, in one line; nothing where it has none. `model`:
    that of the run, where it may be another than the campaign's now."""
    config, engine = current.campaign, current.engine
    if config is None or config.model.backend != "vllm" or config.generator.kind != "builtin":
        return []
    if model not in (None, config.model.path):
        return []
    up = engine is not None and engine.live and engine.state != "stopping"
    if engine is not None and up and engine.fits:
        how = "is ready" if engine.ready else "is starting"
        progress = f" ({formatting.loading(engine.loading)})" if engine.loading and not engine.ready else ""
        return [Paragraph(f"engine: {'uses' if engine.ready else 'waits for'} {engine.name}, which {how}{progress}")]
    if not config.engine.keep_warm:
        return []
    if engine is not None and up and engine.attached:
        users = ", ".join(engine.attached)
        words = f"engine: {engine.name} serves something else and {users} uses it: refused until that ends"
        return [Paragraph(words, "warn")]
    if engine is not None and up:
        return [Paragraph(f"engine: stops {engine.name}, which serves something else, and starts another", "warn")]
    return [Paragraph(f"engine: starts one, which stays for the next runs and {when_idle(current)}")]


def at_the_pace_of(run: RunSnapshot) -> str:
    return f"at the pace of {run.name} so far"


def duration_for(run: RunSnapshot, usd: float | None) -> float | None:
    """Seconds that `usd` buy at the price that the run has had per second; None when that is not known."""
    return usd * run.active_s / run.cost_usd if usd is not None and run.cost_usd > 0 else None


def whole_cost(run: RunSnapshot) -> float | None:
    """What all of a run costs at the price per kept pair that it has had; None when it kept none."""
    return run.cost_usd / run.counts.kept * run.counts.target if run.counts.kept else None


def stop_paragraphs(run: RunSnapshot, current: CampaignSnapshot | None) -> list[Paragraph]:
    """What a stop spares at the run's pace so far, and what goes on costing money after it."""
    whole, lines = whole_cost(run), []
    spent = f"spent so far: {formatting.money(run.cost_usd)}"
    if whole is not None and whole > run.cost_usd and run.live:
        spent += f"; the rest is forecast at {formatting.about(whole - run.cost_usd)}, {at_the_pace_of(run)}"
    lines.append(Paragraph(spent))
    if run.engine and current is not None and current.engine is not None and current.engine.live:
        lines.append(Paragraph(f"engine: {current.engine.name} stays up and {when_idle(current)}"))
    return lines
