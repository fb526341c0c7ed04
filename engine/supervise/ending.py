"""What is said of a run that ended, from what is known: a pure function."""

from __future__ import annotations

from dataclasses import dataclass

from engine.journal.events import GenerationEnded, RunEndState
from engine.supervise.generator import Exit, signal_name

_LIKELY_CAUSE = {"SIGKILL": " (out of memory?)", "SIGBUS": " (disk full or file truncated?)"}

_FINISHED = ("completed", "decided")
LOST_REMEDY = "what was generated is kept, `restart` goes on"


@dataclass(frozen=True, slots=True)
class StopOrder:
    """Why the keeper took the run down. A `fault` (disk full, a stall) makes it failed, anything else stopped; with
    `restart` the watchdog would start it again."""

    reason: str
    author: str = ""
    hurried: bool = False
    fault: bool = False
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    state: RunEndState
    reason: str


def judge(
    ended: Exit,
    *,
    own_word: GenerationEnded | None,
    order: StopOrder | None,
    last_line: str = "",
    rebooted: bool = False,
    endless: bool = False,
) -> Ending:
    """State and reason of an attempt that is over.

    `own_word` is the generator's end record of this attempt, `order` the stop it was under, `last_line` the last of
    its log, sanitised. Where nobody saw the exit code, only the generator's own word makes it succeeded; `rebooted`:
    the machine has started anew since. `endless`: it was to go on until it is stopped, as an engine is.
    """
    if order is not None and order.fault and not (own_word is not None and own_word.outcome in _FINISHED):
        return Ending("failed", order.reason)
    if own_word is not None and (ended.code == 0 or not ended.known):
        return _by_own_word(own_word, order)
    if order is not None:
        return Ending("stopped", order.reason)
    if own_word is not None and own_word.outcome == "stopped":
        return Ending("stopped", own_word.reason or "the generator was asked to stop")
    if not ended.known and rebooted:
        return Ending("lost", f"the machine was rebooted while it ran; {LOST_REMEDY}")
    if not ended.known:
        return Ending("lost", f"nobody saw how it ended, and it left no end record; {LOST_REMEDY}")
    if ended.signal is not None:
        name = signal_name(ended.signal)
        return Ending("failed", f"killed by {name}{_LIKELY_CAUSE.get(name, '')}")
    if ended.code == 0 and not endless:
        return Ending("succeeded", "exit code 0")
    word = own_word.reason if own_word is not None and own_word.outcome == "failed" else ""
    said = word or last_line
    return Ending("failed", f"exit code {ended.code}" + (f": {said}" if said else ""))


def _by_own_word(word: GenerationEnded, order: StopOrder | None) -> Ending:
    if word.outcome == "completed":
        return Ending("succeeded", word.reason or f"completed: kept {word.kept}")
    if word.outcome == "exhausted":
        return Ending("succeeded", word.reason or f"max_candidates spent: kept {word.kept}")
    if word.outcome == "decided":
        return Ending("succeeded", word.reason or f"its gate ended it early: kept {word.kept}")
    if word.outcome == "stopped":
        return Ending("stopped", order.reason if order else word.reason or "the generator was asked to stop")
    return Ending("failed", word.reason or "the generator says it failed")
