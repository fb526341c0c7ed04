"""`pilothouse next`: the next action, the rule behind it, its numbers, its command, and what would change its mind."""

from __future__ import annotations

from typing import Any

from engine.policy.actions import NextAction
from engine.report.formatting import duration, metric_title, money

FIGURES = {
    "n": "{} judged",
    "failures": "{} failed",
    "clean_to_pass": "{} more clean pass",
    "failures_to_fail": "{} failures in a row fail",
}
"""Figures of a check, as its line tells them; its forecast is told with the gate's."""


def next_text(action: NextAction) -> str:
    """The action and its reason, then a line each for what stands behind it."""
    lines = [f"{action.kind}: {action.reason}"]
    lines += _change_lines(action)
    lines.append(f"  rule     {action.rule}")
    lines += [f"  numbers  {line}" for line in number_lines(action.numbers)]
    if action.unless:
        lines.append(f"  unless   {action.unless}")
    if action.command:
        cost = f"{money(action.cost_usd)}, {duration(action.duration_s)}" + (
            f" ({action.basis})" if action.basis else ""
        )
        lines += [f"  forecast {cost}", f"  $ {action.command}"]
    return "\n".join(lines)


def _change_lines(action: NextAction) -> list[str]:
    """A line per change; a reason that several share stands with the first of them."""
    lines, told = [], ""
    for name, (old, new) in action.changes.items():
        why = action.why.get(name, "")
        lines.append(f"  changes  {name}: {old} → {new}" + (f", {why}" if why and why != told else ""))
        told = why
    return lines


def number_lines(numbers: dict[str, Any]) -> list[str]:
    """`runaway: 42 judged, 22 failed` per check, then the others on a line of their own."""
    checks: dict[str, list[str]] = {}
    others: list[str] = []
    for name, value in numbers.items():
        subject, dot, figure = name.rpartition(".")
        if dot and figure in FIGURES:
            checks.setdefault(subject, []).append(FIGURES[figure].format(_number(value)))
        elif figure == "forecast":
            if not dot and value is not None:
                others.append(f"forecast to pass {value:.0%}")
        else:
            others.append(f"{name.replace('_', ' ')} {_number(value)}")
    lines = [f"{metric_title(metric)}: {', '.join(figures)}" for metric, figures in checks.items()]
    return lines + ([", ".join(others)] if others else [])


def _number(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
