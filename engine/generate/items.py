"""One item of a run on its way through the pipeline, and the record that is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.generate.backends.base import Completion
from engine.generate.critics import CriticVerdict
from engine.journal.events import utc_now
from engine.qc.detectors import Detector, flags_of

RECORD_VERSION = 1

Dropped = Literal["malformed", "meta", "duplicate", "near_duplicate"]
Outcome = (
    Dropped
    | Literal[
        "kept",
        "instruction_rejected",
        "instruction_unsure",
        "pair_rejected",
        "pair_unsure",
        "truncated",
        "bare_boolean",
        "failed",
    ]
)


@dataclass(slots=True)
class Item:
    """`index` counts all parsed lines of a run in list order; `dropped` says why a line never went to the critic."""

    index: int
    list: int
    line: int
    raw: str
    text: str
    list_seed: int
    dropped: Dropped | None
    instruction_critic: CriticVerdict | None = None
    response_seed: int | None = None
    completion: Completion | None = None
    response: str | None = None
    response_tokens: int | None = None
    pair_critic: CriticVerdict | None = None


def record_of(
    item: Item, outcome: Outcome, *, attempt: int, detectors: Mapping[str, Detector], error: str | None = None
) -> dict[str, Any]:
    """Everything known of a finished item: one line of records.jsonl."""
    record: dict[str, Any] = {
        "v": RECORD_VERSION,
        "index": item.index,
        "list": item.list,
        "line": item.line,
        "attempt": attempt,
        "time": utc_now(),
        "outcome": outcome,
        "kept": outcome == "kept",
        "instruction": item.text,
        "raw_instruction": item.raw,
        "instruction_seed": item.list_seed,
    }
    if item.instruction_critic is not None:
        record["instruction_critic"] = item.instruction_critic.to_json()
    if item.completion is not None:
        record |= {
            "response": item.response,
            "raw_response": item.completion.text,
            "response_seed": item.response_seed,
            "finish_reason": item.completion.finish_reason,
            "stop_reason": item.completion.stop_reason,
            "prompt_tokens": item.completion.prompt_tokens,
            "generated_tokens": item.completion.generated_tokens,
            "response_tokens": item.response_tokens,
        }
    if item.pair_critic is not None:
        record["pair_critic"] = item.pair_critic.to_json()
    if error is not None:
        record["error"] = error
    record["flags"] = flags_of(record, detectors)
    return record
