"""The pipeline: list → critic → response → pair critic → filters, item by item, without a barrier between phases.

One thread coordinates. Requests go to the backend, and each result comes back as an event; what is decided on it
depends on the item alone. `Admission` says which items belong to the run: the same ones whatever the concurrency, the
order of completion, and whatever was killed in between.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeVar

from engine.campaign.models import Target
from engine.campaign.spec import RunSpec
from engine.errors import RunFailedError
from engine.generate.admission import Admission
from engine.generate.backends.base import (
    Backend,
    BackendLostError,
    Completion,
    LabelScores,
    RequestFailedError,
    SamplingParameters,
)
from engine.generate.cleaning import clean
from engine.generate.critics import LABELS, CriticVerdict, judge
from engine.generate.filters import filtered
from engine.generate.gate_watch import GateWatch
from engine.generate.history import History
from engine.generate.items import Item, Outcome, record_of
from engine.generate.lists import BARREN_LISTS, Lists
from engine.generate.progress import Progress, log
from engine.generate.prompts import PromptBuilder
from engine.generate.seeds import derive
from engine.generate.stopping import StopRequests
from engine.journal.clock import BEAT_S, generator_beat
from engine.journal.events import dump_event
from engine.journal.writer import JournalWriter

T = TypeVar("T")

FAILED_AT_FIRST = 20
"""When all of the first so many items fail, the cause is not in the items."""

LISTS_AHEAD = 1.1
"""So many times the lines that are likely to be needed are asked for: a list that comes late leaves the device idle."""

MOST_EVENTS = 256
"""Results that are taken in before new work is handed out: so that a wide device never waits for one turn."""


@dataclass(frozen=True, slots=True)
class Ending:
    outcome: Literal["completed", "exhausted", "decided", "stopped"]
    reason: str = ""


class Pipeline:
    """Generates until `target` is met; `kept` and `candidates` are those of the whole run, earlier attempts included.

    `seconds` is how long `run` took.

    `run` raises `RunFailedError` when nothing works, and `OSError` when a file cannot be written; every record that
    was written before stands.
    """

    def __init__(
        self,
        spec: RunSpec,
        target: Target,
        *,
        backend: Backend,
        prompts: PromptBuilder,
        history: History,
        records: JournalWriter,
        journal: JournalWriter,
        progress: Progress,
        gate: GateWatch,
        stop: StopRequests,
        attempt: int,
    ) -> None:
        self._spec, self._parameters = spec, spec.parameters
        self._target, self._max_candidates = target.examples, target.candidates_allowed
        self._backend, self._prompts = backend, prompts
        self._records, self._journal = records, journal
        self._progress, self._gate, self._stop, self._attempt = progress, gate, stop, attempt
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._done, self._highest = history.done, history.highest
        self._admission = Admission(
            self._target,
            self._max_candidates,
            kept=history.kept,
            candidates=history.candidates,
            answered=history.answered,
            failed=history.failed,
            highest=history.highest,
        )
        self._queue: deque[Item] = deque()
        self._queued = 0  # of those in the queue, how many go to the critic
        self._flying: dict[int, Item] = {}
        self._lists = Lists(spec, backend, prompts, journal, self._when, attempt=attempt)
        self._said_stopping = False
        self.seconds = 0.0
        self._beaten = time.monotonic()
        for event in history.lists:
            self._enqueue(self._lists.resume(event))

    @property
    def kept(self) -> int:
        return self._admission.kept

    @property
    def candidates(self) -> int:
        return self._admission.candidates

    def run(self) -> Ending:
        """Go on until an ending is reached; returns when nothing that belongs to the run is in flight any more."""
        began = time.monotonic()
        try:
            return self._run()
        finally:
            self.seconds = time.monotonic() - began

    def _run(self) -> Ending:
        self._stop.wake(self._events)
        while True:
            if not self._stop.requested and not self._is_decided:
                self._admit()
                self._ask_for_lists()
            ending = self._ending()
            if ending is not None:
                return ending
            self._take_events()
            if self._stop.requested:
                self._wind_down()
            else:
                self._enqueue(self._lists.take())

    # --- when to go on, when to end ------------------------------------------------------------------------------

    @property
    def _concurrency(self) -> int:
        return self._spec.pipeline.concurrency or self._backend.concurrency

    @property
    def _lists_lost(self) -> bool:
        """Whether records stand beyond the lists that are known, whose journal was damaged."""
        return self._highest >= self._lists.next_index

    @property
    def _is_decided(self) -> bool:
        """Whether the gate ends the run before its target; not while records are missing that had been there."""
        missing = self._lists_lost or (self._queue and self._queue[0].index < self._highest)
        return self._gate.reason is not None and not self._admission.is_full and not missing

    def _ending(self) -> Ending | None:
        admission = self._admission
        if admission.waits:
            return None
        if self._stop.requested:
            return Ending("stopped", f"asked to stop by {self._stop.reason}")
        if self._is_decided:
            return Ending("decided", self._gate.reason or "")
        if self._queue and admission.may_start(self._queue[0]):
            return None
        ending = self._settled() if not self._lists_lost else None
        if ending is None and not self._flying and self._lists.failure is not None:
            raise self._nothing_works(self._lists.failure)
        return ending

    def _settled(self) -> Ending | None:
        """How the run ends when no item waits; None when it needs more of them."""
        admission = self._admission
        if admission.failed and admission.failed == admission.resolved and admission.is_spent:
            raise self._nothing_works("every item failed")
        if admission.is_full:
            return Ending("completed")
        if admission.is_spent:
            return Ending("exhausted", f"{self.candidates} candidates gave {self.kept} of {self._target} pairs")
        if self._lists.is_barren and not self._queue:
            what = f"{BARREN_LISTS} lists in a row held no new instruction"
            if not self.candidates:
                raise RunFailedError(
                    what,
                    where="prompts.instructions",
                    remedy="check that the prompt ends in a list the model continues, or raise the temperature",
                )
            return Ending("exhausted", what)
        return None

    def _wind_down(self) -> None:
        if not self._said_stopping:
            self._said_stopping = True
            log.info("stopping: %d items in flight are finished first", len(self._flying))
        if self._stop.at_once and self._flying:
            log.info("stopping at once: %d items in flight are dropped and done again on restart", len(self._flying))
            self._backend.cancel()
            self._flying.clear()
            self._admission.drop()

    # --- lists ---------------------------------------------------------------------------------------------------

    def _ask_for_lists(self) -> None:
        """Keep enough new lines ahead to fill the places that may come free, and few that nobody needs."""
        admission = self._admission
        needed = math.ceil(LISTS_AHEAD * admission.candidates_wanted)
        wanted = min(self._concurrency, admission.candidates_left, needed)
        if self._lists_lost:
            wanted = max(wanted, 1)
        if wanted > self._queued:
            self._progress.phase("1: INSTRUCTION GENERATION")
        self._lists.ask(wanted, self._queued)

    def _enqueue(self, items: list[Item]) -> None:
        """Queue those that have no record yet."""
        for item in items:
            if item.index not in self._done:
                self._queue.append(item)
                self._queued += item.dropped is None

    # --- items ---------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        room = self._concurrency
        while self._queue and len(self._flying) < room and self._admission.may_start(self._queue[0]):
            item = self._queue.popleft()
            if item.dropped is not None:
                self._admission.resolve(item, self._record(item, item.dropped))
                continue
            self._queued -= 1
            self._admission.start(item)
            self._flying[item.index] = item
            prompt = self._prompts.instruction_critic_prompt(item.text)
            self._when(self._backend.score(prompt, LABELS), self._step(item, self._instruction_judged))
        self._write()

    def _judged(self, scores: LabelScores) -> CriticVerdict:
        return judge(scores.logprobs, self._parameters.critic.confidence_threshold, scores.bounded)

    def _instruction_judged(self, item: Item, scores: LabelScores) -> None:
        verdict = self._judged(scores)
        item.instruction_critic = verdict
        if not verdict.accepted:
            self._finish(item, "instruction_unsure" if verdict.good else "instruction_rejected")
            return
        self._admission.pass_on(item)
        self._progress.phase("2: RESPONSE GENERATION")
        sampling = self._parameters.response
        item.response_seed = derive(self._parameters.seed, "response", item.index)
        request = SamplingParameters(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=sampling.max_tokens,
            seed=item.response_seed,
            stop=sampling.stop,
        )
        future = self._backend.generate(self._prompts.response_prompt(item.text), request)
        self._when(future, self._step(item, self._responded))

    def _responded(self, item: Item, completion: Completion) -> None:
        self._progress.phase("3: PAIR FILTERING")
        pipeline = self._spec.pipeline
        item.completion = completion
        item.response = clean(completion.text, pipeline.delimiter) if pipeline.clean else completion.text.strip()
        item.response_tokens = self._backend.count_tokens(item.response)
        prompt = self._prompts.pair_critic_prompt(item.text, item.response)
        self._when(self._backend.score(prompt, LABELS), self._step(item, self._pair_judged))

    def _pair_judged(self, item: Item, scores: LabelScores) -> None:
        verdict = self._judged(scores)
        item.pair_critic = verdict
        if not verdict.accepted:
            self._finish(item, "pair_unsure" if verdict.good else "pair_rejected")
            return
        record = self._record(item, "kept")
        dropped = filtered(record, self._progress.tally.detectors)
        if dropped is not None:
            record |= {"outcome": dropped, "kept": False}
        self._land(item, record)

    def _finish(self, item: Item, outcome: Outcome, error: str | None = None) -> None:
        self._land(item, self._record(item, outcome, error))

    def _land(self, item: Item, record: dict[str, Any]) -> None:
        del self._flying[item.index]
        admission = self._admission
        admission.resolve(item, record)
        if admission.failed == admission.resolved >= FAILED_AT_FIRST:
            raise self._nothing_works(f"the first {admission.resolved} items all failed", record.get("error"))

    def _record(self, item: Item, outcome: Outcome, error: str | None = None) -> dict[str, Any]:
        return record_of(item, outcome, attempt=self._attempt, detectors=self._progress.tally.detectors, error=error)

    def _write(self) -> None:
        """Write the records of the items that are certain to belong to the run, and have come to their end."""
        for record in self._admission.records():
            self._records.append(record)
            self._progress.add(record)
            self._gate.take(record)
        self._gate.look()

    # --- events --------------------------------------------------------------------------------------------------

    def _take_events(self) -> None:
        """Wait for something to happen, then take in whatever has; what is settled by then is written in any case."""
        try:
            event = self._events.get(timeout=BEAT_S)
            for _ in range(MOST_EVENTS):
                if event is not None:
                    event()
                event = self._events.get_nowait()
            if event is not None:
                event()
        except Empty:
            pass
        finally:
            self._write()
        self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten >= BEAT_S:
            self._beaten = now
            self._journal.append(dump_event(generator_beat(self._attempt, self._backend.figures())))

    def _when(self, future: Future[T], act: Callable[[Future[T]], None]) -> None:
        """Have the coordinating thread call `act` once `future` is done."""

        def landed(done: Future[T]) -> None:
            self._events.put(lambda: self._act_on(done, act))

        future.add_done_callback(landed)

    def _act_on(self, done: Future[T], act: Callable[[Future[T]], None]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, BackendLostError):
            raise self._nothing_works("the backend is lost", error)
        act(done)

    def _step(self, item: Item, act: Callable[[Item, T], None]) -> Callable[[Future[T]], None]:
        """`act` on the item's result; a failed request ends the item and nothing else."""

        def take(future: Future[T]) -> None:
            if item.index not in self._flying:
                return
            try:
                result = future.result()
            except RequestFailedError as error:
                self._finish(item, "failed", str(error))
            except CancelledError:
                del self._flying[item.index]
            else:
                act(item, result)

        return take

    def _nothing_works(self, what: str, cause: Any = None) -> RunFailedError:
        return RunFailedError(
            f"{what}: {cause}" if cause else what,
            where=f"model.path {self._spec.model.path}, backend {self._spec.model.backend}",
            remedy="mend the cause, then restart the run",
        )
