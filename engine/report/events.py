"""What happened to a run, in order of time: from its journals, with what people did to it, each in a sentence."""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.errors import EXIT_REFUSED
from engine.files import RunFiles, file_identity
from engine.journal.events import (
    AnyEvent,
    EngineReady,
    EngineUse,
    GenerationEnded,
    GenerationStarted,
    GeneratorEnded,
    GeneratorStarted,
    KeeperStarted,
    LoadProgress,
    LogTrimmed,
    Notified,
    PhaseEntered,
    PolicyAsked,
    Recovered,
    RequestTaken,
    RestartPlanned,
    RestartSettled,
    RunEnded,
    Stalled,
    Stopping,
    Synced,
    TargetRaised,
    parse_event,
)
from engine.journal.reader import JournalReader
from engine.replay.trail import ASKED, STALL_ANSWERS
from engine.report.formatting import duration, signs
from engine.report.tables import grading_text
from engine.snapshot import RunSnapshot
from engine.supervise.restarts import WATCHDOG
from engine.supervise.watchdog import stall_text

MOST_EVENTS = 2000
PASSED_OVER = frozenset({"heartbeat", "generator_beat", "census", "list"})
"""Signs of life, and what its records tell as well."""

ANSWERS = (0, EXIT_REFUSED)
"""Exit codes of `next --do`: it began something, or there is nothing to begin."""

KEEPER, GENERATOR, POLICY = "keeper", "generator", "policy"

Tone = Literal["plain", "good", "warn", "bad"]
Said = tuple[str, str, Tone]
"""Source, sentence, and how that is to be taken."""

_AFTERMATH = re.compile(r"aftermath-(\d+)\.jsonl")
_END_TONES: dict[str, Tone] = {"succeeded": "good", "stopped": "warn"}


@dataclass(frozen=True, slots=True)
class RunEvent:
    """At `time` (UTC, ISO 8601), in `attempt`, `source` (part of the program, or who did it) says `sentence`.

    `pending`: it was asked for, and no keeper has taken it yet.
    """

    time: str
    attempt: int
    source: str
    sentence: str
    tone: Tone = "plain"
    pending: bool = False


@dataclass(frozen=True, slots=True)
class RunEvents:
    """The newest `MOST_EVENTS` events, oldest first; `left_out`: so many came before them."""

    events: tuple[RunEvent, ...]
    left_out: int = 0


class EventsReader:
    """Called with the run's present picture it gives what happened; it reads only what was appended since the last
    call."""

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        self._latest: tuple[object, RunEvents] | None = None
        self._begin()

    def _begin(self) -> None:
        self._journals: dict[Path, _Journal] = {}
        self._generator_file = file_identity(self._files.generator_journal)

    def __call__(self, run: RunSnapshot) -> RunEvents:
        if file_identity(self._files.generator_journal) != self._generator_file:  # begun anew: its old one was put away
            self._begin()
        for path in self._paths():
            self._journals.setdefault(path, _Journal(path)).read()
        read = sum(journal.read_in_all for journal in self._journals.values())
        pending = [action for action in run.actions if action.pending]
        state = (read, tuple(pending), run.gradings)
        if self._latest is None or self._latest[0] != state:
            self._latest = (state, self._merged(run))
        return self._latest[1]

    def _paths(self) -> list[Path]:
        files = self._files
        archived = sorted(files.archive(0).parent.glob(f"attempt-*/{files.generator_journal.name}"))
        after = [path for path in files.folder.glob("aftermath-*.jsonl") if _AFTERMATH.fullmatch(path.name)]
        return [files.keeper_journal, *sorted(after), *archived, files.generator_journal]

    def _merged(self, run: RunSnapshot) -> RunEvents:
        journals = self._journals.values()
        found = [event for journal in journals for event in journal.newest]
        found += _from_picture(run)
        found.sort(key=lambda event: event.time)
        attempt, placed = 0, []
        for event in found:
            attempt = max(attempt, event.attempt)
            placed.append(event if event.attempt else replace(event, attempt=attempt))
        left_out = sum(journal.seen - len(journal.newest) for journal in journals)
        return RunEvents(tuple(placed[-MOST_EVENTS:]), left_out + max(0, len(placed) - MOST_EVENTS))


class _Journal:
    """The newest events of one journal; `seen` is how many there were to be shown, `read_in_all` how many were read."""

    def __init__(self, path: Path) -> None:
        self._reader = JournalReader(path)
        self._step: LoadProgress | None = None
        self.newest: deque[RunEvent] = deque(maxlen=MOST_EVENTS)
        self.read_in_all = self.seen = 0

    def read(self) -> None:
        for value in self._reader.read_new():
            event = parse_event(value) if value.get("event") not in PASSED_OVER else None
            said = said_of(event) if event is not None else None
            if event is None or said is None:
                continue
            self.read_in_all += 1
            if self.newest and self._goes_on(event):  # of each stage of a start only how far it came
                self.newest.pop()
                self.seen -= 1
            self._step = event if isinstance(event, LoadProgress) else None
            self.newest.append(RunEvent(event.time, event.attempt, *said))
            self.seen += 1

    def _goes_on(self, event: AnyEvent) -> bool:
        step = self._step
        return step is not None and isinstance(event, LoadProgress) and event.stage == step.stage


def _from_picture(run: RunSnapshot) -> Iterator[RunEvent]:
    """What stands in no journal of it: where it was imported from, gradings, requests that nobody has taken."""
    if run.imported and run.started:
        yield RunEvent(run.started, 0, run.author, run.reason)
    for note in run.gradings:
        sentence = f"{grading_text(note)}; now: {signs(note.sentence)}".removeprefix("graded again by ")
        yield RunEvent(note.time, 0, note.author, f"graded it again{sentence.removeprefix(note.author)}")
    for action in run.actions:
        if action.pending:
            yield RunEvent(action.time, 0, action.author, action.action, "warn", pending=True)


def said_of(event: AnyEvent) -> Said | None:
    """One event in words; None where it tells nothing that a person would want to read."""
    match event:
        case KeeperStarted():
            return _taken(event)
        case TargetRaised():
            return event.author, f"raised its target to {event.examples:,}", "plain"
        case RequestTaken():
            what = ASKED.get(event.request, f"asked for {event.request!r}")
            return event.author, what + ("" if event.accepted else f", which was not done: {event.note}"), "plain"
        case GeneratorStarted():
            return KEEPER, f"started the generator: pid {event.process.pid}", "plain"
        case Stopping():
            return KEEPER, _rung(event), "plain" if event.step == "verify" else "warn"
        case GeneratorEnded():
            return KEEPER, _exit(event), "plain"
        case RunEnded():
            return KEEPER, _ended(event), "bad" if event.gpu_held else _END_TONES.get(event.state, "bad")
        case GenerationStarted():
            return GENERATOR, _began(event), "plain"
        case PhaseEntered():
            return GENERATOR, f"{event.phase} …", "plain"
        case GenerationEnded():
            return GENERATOR, _outcome(event), "bad" if event.outcome == "failed" else "plain"
        case _:
            return _watched(event) or _afterwards(event)


def _watched(event: AnyEvent) -> Said | None:
    """What a keeper notices while the run goes on."""
    match event:
        case Stalled():
            answer = STALL_ANSWERS.get(event.action) if event.action != "notify" else None
            return WATCHDOG, "; ".join(part for part in (stall_text(event), answer) if part), "warn"
        case Recovered():
            return WATCHDOG, f"it goes on again, after {duration(event.silent_s)}", "good"
        case LogTrimmed() if event.punched:
            return KEEPER, "run.log reached its limit: its oldest lines were given back to the disk", "plain"
        case LogTrimmed():
            return KEEPER, "run.log reached its limit and goes on growing: this disk cannot give back a part", "warn"
        case LoadProgress():
            share = f" {event.share:.0%}" if event.share is not None else ""
            return KEEPER, f"{event.stage}{share}" + (f", {event.detail}" if event.detail else ""), "plain"
        case EngineReady():
            return KEEPER, f"the engine answers, {duration(event.seconds)} after its start", "good"
        case EngineUse():
            return KEEPER, "the engine is in use" if event.in_use else "nothing uses the engine", "plain"
        case _:
            return None


def _afterwards(event: AnyEvent) -> Said | None:
    """What goes on beside a run, and after it."""
    match event:
        case Synced() if event.ok:
            last = " for the last time" if event.final else ""
            return "sync", f"copied away{last} in {event.seconds:.0f} s", "plain"
        case Synced():
            return "sync", f"copying away failed: {event.detail or 'no reason was given'}", "warn"
        case Notified() if event.ok:
            return "notify", f"told of this: {event.subject}", "plain"
        case Notified():
            return "notify", f"nobody was told of this: {event.subject}: {event.detail}", "warn"
        case RestartPlanned():
            return (
                WATCHDOG,
                f"restart {event.number} of {event.most} in {duration(event.delay_s)}: {event.reason}",
                "warn",
            )
        case RestartSettled() if event.started:
            return WATCHDOG, "restarted it", "plain"
        case RestartSettled():
            return event.author or WATCHDOG, f"its restart is off: {event.detail}", "warn"
        case PolicyAsked():
            answer = event.output.partition("\n")[0] or f"no answer, exit code {event.exit_code}"
            return POLICY, f"asked how to go on: {answer}", "plain" if event.exit_code in ANSWERS else "warn"
        case _:
            return None


def _taken(event: KeeperStarted) -> Said:
    on = f", on {event.engine}" if event.engine else ""
    author = event.author or "not known"
    if event.adopted:
        return author, "had a new keeper adopt it" if event.found_alive else "found it dead", "warn"
    return author, f"launched it{on}" if event.attempt == 1 else f"started attempt {event.attempt}{on}", "plain"


def _rung(event: Stopping) -> str:
    if event.step == "verify":
        return "looks whether anything of it is left, and whether GPU memory is back"
    many = "process" if event.processes == 1 else "processes"
    return f"{event.step} to {event.processes} {many}: {event.reason}"


def _exit(event: GeneratorEnded) -> str:
    if event.signal is not None:
        known = event.signal in {number.value for number in signal.Signals}
        return f"the generator ended by {signal.Signals(event.signal).name if known else f'signal {event.signal}'}"
    if event.exit_code is None:
        return "the generator ended, and nobody saw how"
    return f"the generator ended with exit code {event.exit_code}"


def _ended(event: RunEnded) -> str:
    held = f"; GPU memory still held by {'; '.join(event.gpu_held_by) or 'somebody'}" if event.gpu_held else ""
    return f"{event.state}: {event.reason}{held}"


def _began(event: GenerationStarted) -> str:
    start = f"goes on from {event.records_found:,} records" if event.records_found else "began"
    torn = f"; a torn last line of {event.repaired_bytes:,} octets was cut off" if event.repaired_bytes else ""
    wanted = f"{event.target:,} pairs from at most {event.max_candidates:,} candidates"
    return f"{start} on {event.backend}: {wanted}{torn}"


def _outcome(event: GenerationEnded) -> str:
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.outcome}{reason}; kept {event.kept:,} of {event.candidates:,} candidates"
