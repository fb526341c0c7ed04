"""The next action: what the policy proposes, as a plain value."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.campaign.models import Parameters

NextKind = Literal["launch", "wait", "extend", "iterate", "scale", "review", "done", "blocked"]


@dataclass(frozen=True, slots=True)
class NextAction:
    """What comes next and why.

    `argv` is the exact command (None where there is nothing to run: wait, review, done, blocked); `run` is the run
    it starts, extends or waits for; `parameters` those of the run it would start; `changes` dotted names with
    (before, after) and `why` a reason per changed name. `cost_usd` and `duration_s` are forecasts, None when
    unknown; `basis` says what they rest on. `rule` names the rule of the policy that fired, `numbers` are the figures
    that it used, and `unless` says what would change its mind.
    """

    kind: NextKind
    reason: str
    run: str | None = None
    argv: tuple[str, ...] | None = None
    parameters: Parameters | None = None
    examples: int | None = None
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    cost_usd: float | None = None
    duration_s: float | None = None
    basis: str | None = None
    rule: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    unless: str = ""

    @property
    def command(self) -> str | None:
        """The exact command as one would type it."""
        return shlex.join(self.argv) if self.argv else None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "reason": self.reason,
            "run": self.run,
            "command": self.command,
            "argv": list(self.argv) if self.argv else None,
            "parameters": self.parameters.model_dump(mode="json") if self.parameters else None,
            "examples": self.examples,
            "changes": {key: {"from": old, "to": new} for key, (old, new) in self.changes.items()},
            "why": self.why,
            "cost_usd": self.cost_usd,
            "duration_s": self.duration_s,
            "basis": self.basis,
            "rule": self.rule,
            "numbers": self.numbers,
            "unless": self.unless,
        }
