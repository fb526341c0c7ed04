"""The lists of a run: asked for ahead of need, taken in order of their numbers, journalled before their items start."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future

from engine.campaign.spec import RunSpec
from engine.errors import RunFailedError
from engine.generate.backends.base import Backend, Completion, RequestFailedError, SamplingParameters
from engine.generate.duplicates import InstructionIndex
from engine.generate.items import Item
from engine.generate.parsing import parse_list
from engine.generate.prompts import PromptBuilder
from engine.generate.seeds import derive
from engine.journal.events import ListGenerated, dump_event
from engine.journal.writer import JournalWriter

BARREN_LISTS = 50
"""So many lists in a row without one new instruction: the model has no more to give."""

LIST_TRIES = 3
LINES_THAT_ARE_NEW = 0.7
"""Of the lines that a list has room for, the share that is taken to be usable until lists have come."""

NUMBER_TOKENS = 3

WhenDone = Callable[[Future[Completion], Callable[[Future[Completion]], None]], None]
"""Has the coordinating thread call the second once the first is done."""


class Lists:
    """Where a run's items come from. Items are numbered, and repeats found, in the order of the lists.

    Everything here is called by the coordinating thread alone.
    """

    def __init__(
        self,
        spec: RunSpec,
        backend: Backend,
        prompts: PromptBuilder,
        journal: JournalWriter,
        when: WhenDone,
        *,
        attempt: int,
    ) -> None:
        self._spec, self._backend, self._prompts = spec, backend, prompts
        self._journal, self._when, self._attempt = journal, when, attempt
        self._index = InstructionIndex(prompts.examples)
        self._asked = self._taken = 0
        self._ready: dict[int, Completion] = {}
        self._new_lines = self._barren = 0
        self._lines_at_first = _lines_of(spec.pipeline.list_max_tokens, backend, prompts.examples)
        self._failures: dict[int, RequestFailedError] = {}
        self.next_index = 0

    @property
    def is_barren(self) -> bool:
        """Whether the model has nothing new to say any more."""
        return self._barren >= BARREN_LISTS

    @property
    def failure(self) -> str | None:
        """Why the next list will not come. One further ahead may not be needed, and says nothing yet."""
        error = self._failures.get(self._taken)
        return f"list {self._taken} could not be generated: {error}" if error is not None else None

    def ask(self, wanted: int, queued: int) -> None:
        """Ask for as many lists as are likely to bring `wanted` new lines, where `queued` are there already."""
        per_list = max(1.0, self._new_lines / self._taken) if self._taken else self._lines_at_first
        while not self.is_barren and queued + (self._asked - self._taken) * per_list < wanted:
            self._ask(self._asked)
            self._asked += 1

    def resume(self, event: ListGenerated) -> list[Item]:
        """The items of a list that an earlier attempt journalled.

        Raises `RunFailedError` when another version of the program took it apart differently.
        """
        lines = parse_list(event.raw, finished=event.finish_reason != "length")
        if (event.first_index, event.lines) != (self.next_index, len(lines)):
            raise RunFailedError(
                f"list {event.list} was taken apart differently when it was generated",
                where="generator.jsonl",
                remedy="another version of the program made this run: start it afresh, or go on with that version",
            )
        self._asked += 1
        return self._items(event)

    def take(self) -> list[Item]:
        """Items of the lists that came, as far as none before them is missing; the lists are on disk then."""
        items: list[Item] = []
        while self._taken in self._ready and not self.is_barren:
            event = self._event(self._ready.pop(self._taken))
            items += self._items(event)
            # One sync for all that came together: what is on disk is every list before the last line.
            self._journal.append(dump_event(event), sync=self._taken not in self._ready or self.is_barren)
        return items

    def _ask(self, number: int, tries: int = 1) -> None:
        sampling = self._spec.parameters.instruction
        seed = derive(self._spec.parameters.seed, "list", number)
        request = SamplingParameters(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=self._spec.pipeline.list_max_tokens,
            seed=seed,
        )
        future = self._backend.generate(self._prompts.list_prompt(seed).text, request)
        self._when(future, lambda done: self._came(number, tries, done))

    def _came(self, number: int, tries: int, future: Future[Completion]) -> None:
        try:
            self._ready[number] = future.result()
        except CancelledError:
            return
        except RequestFailedError as error:
            if tries >= LIST_TRIES:
                self._failures[number] = error
            else:
                self._ask(number, tries + 1)

    def _event(self, completion: Completion) -> ListGenerated:
        lines = parse_list(completion.text, finished=completion.finish_reason != "length")
        return ListGenerated(
            attempt=self._attempt,
            list=self._taken,
            seed=derive(self._spec.parameters.seed, "list", self._taken),
            raw=completion.text,
            finish_reason=completion.finish_reason,
            generated_tokens=completion.generated_tokens,
            first_index=self.next_index,
            lines=len(lines),
        )

    def _items(self, event: ListGenerated) -> list[Item]:
        """Number the list's lines and find repeats."""
        items: list[Item] = []
        new = 0
        for number, line in enumerate(parse_list(event.raw, finished=event.finish_reason != "length")):
            dropped = self._index.add(line.text) if line.verdict == "candidate" else line.verdict
            new += dropped is None
            items.append(
                Item(
                    index=self.next_index,
                    list=event.list,
                    line=number,
                    raw=line.raw,
                    text=line.text,
                    list_seed=event.seed,
                    dropped=dropped,
                )
            )
            self.next_index += 1
        self._taken += 1
        self._new_lines += new
        self._barren = 0 if new else self._barren + 1
        return items


def _lines_of(tokens: int, backend: Backend, examples: tuple[str, ...]) -> float:
    """How many usable lines a list of so many tokens is likely to hold, when they are as long as the examples."""
    line = sum(backend.count_tokens(example) + NUMBER_TOKENS for example in examples) / max(1, len(examples))
    return max(1.0, LINES_THAT_ARE_NEW * tokens / line)
