"""A backend without a model: every answer is a function of prompt and seed, and comes in scrambled order."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from engine.generate.backends.base import Capabilities, Completion, LabelScores, RequestFailedError, SamplingParameters

NOUNS = [
    f"{a}{b}" for a in ("riv", "can", "mon", "har", "win", "lam", "tor", "bel") for b in ("er", "dle", "key", "bour")
]
VERBS = ["Describe", "Define", "Name", "Explain", "Sort", "Count", "Draw", "Compare"]


def number_of(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:6], "big")


class ScriptedBackend:
    """`scramble` seeds the order of completion. `fails(prompt)` makes a request fail; `before(count)` is called
    before each answer and may raise, as a process that dies would."""

    def __init__(
        self,
        scramble: int = 0,
        fails: Callable[[str], bool] = lambda prompt: False,
        before: Callable[[int], None] = lambda count: None,
        concurrency: int = 4,
    ) -> None:
        self._random = random.Random(scramble)
        self._fails, self._before = fails, before
        self._concurrency = concurrency
        self._requests: SimpleQueue[tuple[Future[Any], str, Callable[[], Any]] | None] = SimpleQueue()
        self.asked: list[str] = []
        self.scored = 0
        self.most_in_flight = 0
        self.cancelled = False
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("scripted", True, True, True, True)

    @property
    def concurrency(self) -> int:
        return self._concurrency

    def figures(self) -> None:
        return None

    def generate(self, prompt: str, parameters: SamplingParameters) -> Future[Completion]:
        self.asked.append(prompt)
        write = self._list if prompt.rstrip().endswith(".") else self._response
        return self._put(prompt, lambda: write(parameters))

    def score(self, prompt: str, labels: Sequence[str]) -> Future[LabelScores]:
        self.scored += 1
        draw = random.Random(number_of("score", prompt))
        good = draw.random() < 0.7
        margin = draw.choice((0.4, 2.0, 5.0))
        worse = -0.1 - margin
        values = {" A": -0.1 if good else worse, "A": -9.0, " B": worse if good else -0.1, "B": -9.0}
        return self._put(prompt, lambda: LabelScores({label: values[label] for label in labels}, len(prompt)))

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def token_ids(self, text: str, *, special: bool) -> list[int]:
        return [1]

    def cancel(self) -> None:
        self.cancelled = True
        while True:
            try:
                request = self._requests.get_nowait()
            except Empty:
                return
            if request is not None:
                request[0].cancel()

    def close(self) -> None:
        self._requests.put(None)

    def _put(self, prompt: str, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._requests.put((future, prompt, work))
        return future

    def _answer(self) -> None:
        waiting: list[tuple[Future[Any], str, Callable[[], Any]]] = []
        count = 0
        while True:
            while not waiting or not self._requests.empty():
                request = self._requests.get()
                if request is None:
                    return
                waiting.append(request)
            self.most_in_flight = max(self.most_in_flight, len(waiting))
            future, prompt, work = waiting.pop(self._random.randrange(len(waiting)))
            count += 1
            try:
                self._before(count)
                if self._fails(prompt):
                    raise RequestFailedError("scripted failure")
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)

    def _list(self, parameters: SamplingParameters) -> Completion:
        draw = random.Random(parameters.seed)
        lines = []
        for _ in range(6):
            kind = draw.random()
            if kind < 0.08:
                lines.append("12")
            elif kind < 0.14:
                lines.append("Instruction: continue")
            elif kind < 0.3:
                lines.append("Name three rivers.")
            else:
                lines.append(f"{draw.choice(VERBS)} the {draw.choice(NOUNS)} {draw.randrange(400)}.")
        text = " " + "\n".join(line if i == 0 else f"{i + 3}. {line}" for i, line in enumerate(lines))
        return Completion(text + "\n9. Unfin", "length", None, 20, 60)

    def _response(self, parameters: SamplingParameters) -> Completion:
        draw = random.Random(parameters.seed)
        words = " ".join(draw.choice(NOUNS) for _ in range(draw.randrange(1, 30)))
        if draw.random() < 0.2:
            return Completion(f" {words}", "length", None, 30, parameters.max_tokens)
        return Completion(f" {words}.\n\nInstruction: more", "eos", None, 30, len(words.split()) + 5)
