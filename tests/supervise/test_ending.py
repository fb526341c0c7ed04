"""What is said of a run that ended is a pure function of what is known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from engine.journal.events import GenerationEnded
from engine.supervise.ending import LOST_REMEDY, StopOrder, judge
from engine.supervise.evidence import last_line
from engine.supervise.generator import Exit

Outcome = Literal["completed", "exhausted", "stopped", "failed"]
STOP = StopOrder("stopped by ann", "ann")
FULL = StopOrder("the disk is full", fault=True)
UNSEEN = Exit()


def word(outcome: Outcome | None, reason: str = "") -> GenerationEnded | None:
    return GenerationEnded(outcome=outcome, kept=43, candidates=400, reason=reason) if outcome else None


@pytest.mark.parametrize(
    ("ended", "outcome", "order", "state", "reason"),
    [
        (Exit(code=0), None, None, "succeeded", "exit code 0"),
        (Exit(code=0), None, STOP, "stopped", "stopped by ann"),
        (Exit(code=0), "completed", None, "succeeded", "completed: kept 43"),
        (Exit(code=0), "completed", STOP, "succeeded", "completed: kept 43"),
        (Exit(code=0), "exhausted", None, "succeeded", "max_candidates spent: kept 43"),
        (Exit(code=0), "stopped", STOP, "stopped", "stopped by ann"),
        (Exit(code=130), "stopped", None, "stopped", "the generator was asked to stop"),
        (Exit(code=130), None, STOP, "stopped", "stopped by ann"),
        (Exit(signal=9), None, STOP, "stopped", "stopped by ann"),
        (Exit(signal=9), None, None, "failed", "killed by SIGKILL (out of memory?)"),
        (Exit(signal=9), "completed", None, "failed", "killed by SIGKILL (out of memory?)"),
        (Exit(code=2), None, None, "failed", "exit code 2: last line"),
        (Exit(code=0), "stopped", FULL, "failed", "the disk is full"),
        (UNSEEN, None, None, "lost", f"nobody saw how it ended, and it left no end record; {LOST_REMEDY}"),
        (UNSEEN, None, STOP, "stopped", "stopped by ann"),
        (UNSEEN, "completed", None, "succeeded", "completed: kept 43"),
        (UNSEEN, "exhausted", STOP, "succeeded", "max_candidates spent: kept 43"),
        (UNSEEN, "stopped", STOP, "stopped", "stopped by ann"),
        (UNSEEN, "failed", None, "failed", "the generator says it failed"),
    ],
)
def test_the_verdict(ended: Exit, outcome: Outcome | None, order: StopOrder | None, state: str, reason: str) -> None:
    ending = judge(ended, own_word=word(outcome), order=order, last_line="last line")
    assert (ending.state, ending.reason) == (state, reason)


def test_the_generators_own_reason_is_kept() -> None:
    assert judge(Exit(code=0), own_word=word("exhausted", "spent 400"), order=None).reason == "spent 400"
    assert judge(Exit(code=5), own_word=word("failed", "no model"), order=None).reason == "exit code 5: no model"


def test_the_reason_is_what_happened_not_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("loading\nerror: the model folder is empty\n  where: /models/x\n  to do: copy the model there\n")
    assert last_line(log) == "error: the model folder is empty"
