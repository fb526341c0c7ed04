"""The next action: what the policy proposes, as a plain value."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.campaign.models import Parameters
from engine.campaign.parameters import assign, difference

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

    def edited(self, assignments: Sequence[str]) -> NextAction:
        """The same with values of one's own (`response.temperature=0.25`) in place of those proposed, at the same
        forecast. `ConfigurationError` for what no parameter can be."""
        if self.parameters is None or self.argv is None:
            return self
        parameters = assign(self.parameters, assignments)
        changes, why = dict(self.changes), dict(self.why)
        for name, (proposed, chosen) in difference(self.parameters, parameters).items():
            before = changes.pop(name, (proposed,))[0]
            why[name] = f"--set, in place of {proposed}"
            if chosen != before:
                changes[name] = before, chosen
        return replace(
            self,
            parameters=parameters,
            argv=edited_argv(self.argv, assignments),
            changes=changes,
            why={name: text for name, text in why.items() if name in changes},
        )

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


def edited_argv(argv: Sequence[str], assignments: Sequence[str]) -> tuple[str, ...]:
    """What starts what `argv` does with `assignments` in place of its own."""
    edited = {assignment.partition("=")[0] for assignment in assignments}
    kept: list[str] = []
    for place, word in enumerate(argv):
        before = argv[place - 1] if place else ""
        if before == "--set" and word.partition("=")[0] in edited:
            kept.pop()
        else:
            kept.append(word)
    return (*kept, *(word for assignment in assignments for word in ("--set", assignment)))
