"""The pipeline: list → critic → response → pair critic → filters, item by item, without a barrier between phases.

One thread coordinates. Requests go to the backend, and each result comes back as an event; what is decided on it
depends on the item alone. An item is admitted, in item order, only while kept + in flight < target and candidates are
left, so a finished run holds the same items whatever the concurrency, the order of completion, and whatever was
killed in between.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from engine.campaign.models import Target
from engine.campaign.spec import RunSpec
from engine.errors import RunFailedError
from engine.generate.backends.base import Backend, Completion, LabelScores, RequestFailedError, SamplingParameters
from engine.generate.cleaning import clean
from engine.generate.critics import LABELS, judge
from engine.generate.duplicates import InstructionIndex
from engine.generate.filters import filtered
from engine.generate.history import History
from engine.generate.items import Item, Outcome, record_of
from engine.generate.parsing import parse_list
from engine.generate.progress import Progress, log
from engine.generate.prompts import PromptBuilder
from engine.generate.seeds import derive
from engine.generate.stopping import StopRequests
from engine.journal.clock import BEAT_S, generator_beat
from engine.journal.events import ListGenerated, dump_event
from engine.journal.writer import JournalWriter

T = TypeVar("T")

FAILED_AT_FIRST = 20
"""When all of the first so many items fail, the cause is not in the items."""

BARREN_LISTS = 50
"""So many lists in a row without one new instruction: the model has no more to give."""

LIST_TRIES = 3
LINES_PER_LIST_AT_FIRST = 4.0


@dataclass(frozen=True, slots=True)
class Ending:
    outcome: Literal["completed", "exhausted", "stopped"]
    reason: str = ""


class Pipeline:
    """Generates until `target` is met; `kept` and `candidates` are those of the whole run, earlier attempts included.

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
        stop: StopRequests,
        attempt: int,
    ) -> None:
        self._spec, self._parameters = spec, spec.parameters
        self._target, self._max_candidates = target.examples, target.candidates_allowed
        self._backend, self._prompts = backend, prompts
        self._records, self._journal = records, journal
        self._progress, self._stop, self._attempt = progress, stop, attempt
        self._concurrency = spec.pipeline.concurrency or backend.concurrency
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._index = InstructionIndex(prompts.examples)
        self._done, self._highest = history.done, history.highest
        self.kept, self.candidates = history.kept, history.candidates
        self._failed = history.failed
        self._queue: deque[Item] = deque()
        self._flying: dict[int, Item] = {}
        self._lists_asked = self._lists_taken = 0
        self._lists_ready: dict[int, Completion] = {}
        self._next_index = 0
        self._new_lines = 0
        self._barren = 0
        self._said_stopping = False
        self._beaten = 0.0
        for event in history.lists:
            self._resume_list(event)
        self._lists_asked = self._lists_taken

    def run(self) -> Ending:
        """Go on until an ending is reached; returns when nothing is in flight any more."""
        self._stop.wake(self._events)
        while True:
            if not self._stop.requested:
                self._admit()
                self._ask_for_lists()
            ending = self._ending()
            if ending is not None:
                return ending
            event = self._events.get()
            if event is not None:
                event()
            if self._stop.requested:
                self._wind_down()

    # --- when to go on, when to end ------------------------------------------------------------------------------

    def _may_admit(self, item: Item) -> bool:
        """Items before one that has a record had been admitted already; others must fit."""
        if item.index < self._highest:
            return True
        return self.kept + len(self._flying) < self._target and self.candidates < self._max_candidates

    @property
    def _lists_lost(self) -> bool:
        """Whether records stand beyond the lists that are known, whose journal was damaged."""
        return self._highest >= self._next_index

    def _ending(self) -> Ending | None:
        if self._flying:
            return None
        if self._stop.requested:
            return Ending("stopped", f"asked to stop by {self._stop.reason}")
        if (self._queue and self._may_admit(self._queue[0])) or self._lists_lost:
            return None
        if self._failed and self._failed == self.candidates and self.candidates >= self._max_candidates:
            raise self._nothing_works("every item failed")
        if self.kept >= self._target:
            return Ending("completed")
        if self.candidates >= self._max_candidates:
            return Ending("exhausted", f"{self.candidates} candidates gave {self.kept} of {self._target} pairs")
        if self._barren >= BARREN_LISTS and not self._queue:
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

    # --- lists ---------------------------------------------------------------------------------------------------

    def _ask_for_lists(self) -> None:
        """Keep enough new lines ahead to fill the places that may come free, and few that nobody needs."""
        if self._barren >= BARREN_LISTS:
            return
        free = self._target - self.kept - len(self._flying)
        wanted = min(self._concurrency, self._max_candidates - self.candidates, 4 * free + 1)
        if self._lists_lost:
            wanted = max(wanted, 1)
        per_list = max(1.0, self._new_lines / self._lists_taken) if self._lists_taken else LINES_PER_LIST_AT_FIRST
        queued = sum(item.dropped is None for item in self._queue)
        while queued + (self._lists_asked - self._lists_taken) * per_list < wanted:
            self._ask_for_list(self._lists_asked)
            self._lists_asked += 1

    def _ask_for_list(self, number: int, tries: int = 1) -> None:
        self._progress.phase("1: INSTRUCTION GENERATION")
        sampling = self._parameters.instruction
        seed = derive(self._parameters.seed, "list", number)
        request = SamplingParameters(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=self._spec.pipeline.list_max_tokens,
            seed=seed,
        )
        future = self._backend.generate(self._prompts.list_prompt(seed).text, request)
        self._when(future, lambda done: self._list_done(number, tries, done))

    def _list_done(self, number: int, tries: int, future: Future[Completion]) -> None:
        if self._stop.requested:
            return
        try:
            self._lists_ready[number] = future.result()
        except RequestFailedError as error:
            if tries >= LIST_TRIES:
                raise self._nothing_works(f"list {number} could not be generated", error) from error
            self._ask_for_list(number, tries + 1)
        while self._lists_taken in self._lists_ready and self._barren < BARREN_LISTS:
            self._persist_list(self._lists_ready.pop(self._lists_taken))

    def _persist_list(self, completion: Completion) -> None:
        lines = parse_list(completion.text, finished=completion.finish_reason != "length")
        event = ListGenerated(
            attempt=self._attempt,
            list=self._lists_taken,
            seed=derive(self._parameters.seed, "list", self._lists_taken),
            raw=completion.text,
            finish_reason=completion.finish_reason,
            generated_tokens=completion.generated_tokens,
            first_index=self._next_index,
            lines=len(lines),
        )
        self._journal.append(dump_event(event), sync=True)
        self._take_list(event)

    def _resume_list(self, event: ListGenerated) -> None:
        lines = parse_list(event.raw, finished=event.finish_reason != "length")
        if (event.first_index, event.lines) != (self._next_index, len(lines)):
            raise RunFailedError(
                f"list {event.list} was taken apart differently when it was generated",
                where="generator.jsonl",
                remedy="another version of the program made this run: start it afresh, or go on with that version",
            )
        self._take_list(event)

    def _take_list(self, event: ListGenerated) -> None:
        """Number the list's lines, find repeats, and queue those that have no record yet."""
        new = 0
        for number, line in enumerate(parse_list(event.raw, finished=event.finish_reason != "length")):
            dropped = self._index.add(line.text) if line.verdict == "candidate" else line.verdict
            new += dropped is None
            item = Item(
                index=self._next_index,
                list=event.list,
                line=number,
                raw=line.raw,
                text=line.text,
                list_seed=event.seed,
                dropped=dropped,
            )
            self._next_index += 1
            if item.index not in self._done:
                self._queue.append(item)
        self._lists_taken += 1
        self._new_lines += new
        self._barren = 0 if new else self._barren + 1

    # --- items ---------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        while self._queue and len(self._flying) < self._concurrency and self._may_admit(self._queue[0]):
            item = self._queue.popleft()
            if item.dropped is not None:
                self._write(item, item.dropped)
                continue
            self.candidates += 1
            self._flying[item.index] = item
            prompt = self._prompts.instruction_critic_prompt(item.text)
            self._when(self._backend.score(prompt, LABELS), self._step(item, self._instruction_judged))

    def _instruction_judged(self, item: Item, scores: LabelScores) -> None:
        verdict = judge(scores.logprobs, self._parameters.critic.confidence_threshold)
        item.instruction_critic = verdict
        if not verdict.accepted:
            self._finish(item, "instruction_unsure" if verdict.good else "instruction_rejected")
            return
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
        verdict = judge(scores.logprobs, self._parameters.critic.confidence_threshold)
        item.pair_critic = verdict
        if not verdict.accepted:
            self._finish(item, "pair_unsure" if verdict.good else "pair_rejected")
            return
        detectors = self._progress.tally.detectors
        record = record_of(item, "kept", attempt=self._attempt, detectors=detectors)
        self._finish(item, filtered(record, detectors) or "kept")

    def _finish(self, item: Item, outcome: Outcome, error: str | None = None) -> None:
        self._write(item, outcome, error)
        del self._flying[item.index]
        self.kept += outcome == "kept"
        self._failed += outcome == "failed"
        finished = self.candidates - len(self._flying)
        if self._failed == finished >= FAILED_AT_FIRST:
            raise self._nothing_works(f"the first {finished} items all failed", error)

    def _write(self, item: Item, outcome: Outcome, error: str | None = None) -> None:
        record = record_of(item, outcome, attempt=self._attempt, detectors=self._progress.tally.detectors, error=error)
        self._records.append(record)
        self._progress.add(record)
        if time.monotonic() - self._beaten >= BEAT_S:
            self._beaten = time.monotonic()
            self._journal.append(dump_event(generator_beat(self._attempt)))

    # --- events --------------------------------------------------------------------------------------------------

    def _when(self, future: Future[T], act: Callable[[Future[T]], None]) -> None:
        """Have the coordinating thread call `act` once `future` is done."""
        future.add_done_callback(lambda done: self._events.put(lambda: act(done)))

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
