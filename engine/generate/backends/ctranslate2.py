"""The CPU backend: CTranslate2, one seeded generator per completion.

CTranslate2 has no seed per request. Its random engine is local to the worker thread of a `Generator`, is seeded from
a process-wide value at its first use and never again. So each sampled completion gets a `Generator` of its own: under
one lock the process-wide seed is set, the generator is made and draws one token, which seeds its thread for good.
Making one takes some 4 ms for a model of 5 million parameters, whose files are kept in memory; it grows with the size
of the model.

`repetition_penalty` divides positive and multiplies negative logits of the tokens generated so far. Those of the
prompt are not penalised (transformers and vLLM do penalise them), so the same value is milder here.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import ctranslate2
import numpy as np
import tokenizers

from engine.errors import ConfigurationError
from engine.generate.backends.base import (
    Capabilities,
    Completion,
    FinishReason,
    LabelScores,
    RequestFailedError,
    SamplingParameters,
    label_tokens,
)
from engine.generate.models.folder import ModelFolder

T = TypeVar("T")

OPTIONS = ("threads", "compute_type", "max_model_len")
WINDOW_SLACK = 4
"""Tokens looked at beyond the longest stop string: a character may be spread over four byte tokens."""

_SEEDING = threading.Lock()


class CTranslate2Backend:
    """See `Backend`. Scores are those of the whole vocabulary in float64; each prompt is scored by itself, because
    batching does not pay at these sizes, so results do not depend on what else is scored."""

    def __init__(self, folder: ModelFolder, options: Mapping[str, Any]) -> None:
        self._folder = folder
        self._threads, self._compute_type = _checked_options(options)
        try:
            self._files = {path.name: path.read_bytes() for path in sorted(folder.weights.iterdir()) if path.is_file()}
            self._tokenizer = tokenizers.Tokenizer.from_file(str(folder.tokenizer))
        except Exception as error:  # tokenizers raises bare Exception
            raise ConfigurationError(
                f"the model's files cannot be read: {error}", where=str(folder.weights), remedy="copy the model again"
            ) from error
        _check_vocabulary(self._files, self._tokenizer, folder)
        self._shared = self._open(self._threads)
        self._labels: dict[tuple[str, ...], dict[str, int]] = {}
        self._aborted = threading.Event()
        self._pending: set[Future[Any]] = set()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="generate")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name="ctranslate2",
            seed_per_request=True,
            label_scores=True,
            repetition_penalty=True,
            cancel=True,
            versions={
                "ctranslate2": ctranslate2.__version__,
                "tokenizers": tokenizers.__version__,
                "numpy": np.__version__,
            },
        )

    @property
    def concurrency(self) -> int:
        return 2 * self._threads

    def figures(self) -> None:
        """Nothing that the run's own counts do not tell."""

    def generate(self, prompt: str, parameters: SamplingParameters) -> Future[Completion]:
        return self._submit(lambda: self._complete(prompt, parameters))

    def score(self, prompt: str, labels: Sequence[str]) -> Future[LabelScores]:
        key = tuple(labels)
        if key not in self._labels:
            self._labels[key] = label_tokens(self, labels)
        return self._submit(lambda: self._scored(prompt, self._labels[key]))

    def count_tokens(self, text: str) -> int:
        return len(self.token_ids(text, special=False))

    def token_ids(self, text: str, *, special: bool) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def cancel(self) -> None:
        for future in list(self._pending):
            future.cancel()

    def close(self) -> None:
        """Drop what waits, end what runs at its next token, free the model."""
        self._aborted.set()
        self.cancel()
        self._pool.shutdown(wait=True)
        self._files = {}

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        future = self._pool.submit(_guarded, work)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    # --- loading -------------------------------------------------------------------------------------------------

    def _open(self, replicas: int) -> Any:
        try:
            return ctranslate2.Generator(
                str(self._folder.weights),
                files=self._files,
                compute_type=self._compute_type,
                inter_threads=replicas,
                intra_threads=1,
            )
        except (RuntimeError, ValueError) as error:
            raise ConfigurationError(
                f"the model cannot be loaded: {str(error).splitlines()[0]}",
                where=str(self._folder.weights),
                remedy="convert the model again with this version of ctranslate2, and check model.options",
            ) from error

    def _seeded(self, seed: int) -> Any:
        """A generator whose random engine starts from `seed`."""
        first = self._tokenizer.id_to_token(0)
        with _SEEDING:
            ctranslate2.set_random_seed(seed)
            generator = self._open(1)
            generator.generate_batch([[first]], max_length=1, sampling_topk=0, include_prompt_in_result=False)
        return generator

    # --- requests ------------------------------------------------------------------------------------------------

    def _prompt_tokens(self, prompt: str) -> list[str]:
        tokens: list[str] = self._tokenizer.encode(prompt, add_special_tokens=False).tokens
        context = self._folder.context
        if not tokens:
            raise RequestFailedError("the prompt is empty")
        if context is not None and len(tokens) >= context:
            raise RequestFailedError(f"the prompt has {len(tokens)} tokens, and the model's context is {context}")
        return tokens

    def _complete(self, prompt: str, parameters: SamplingParameters) -> Completion:
        tokens = self._prompt_tokens(prompt)
        room = parameters.max_tokens if self._folder.context is None else self._folder.context - len(tokens)
        sampled: list[int] = []
        window = max((len(stop.encode()) for stop in parameters.stop), default=0) + WINDOW_SLACK

        def step(result: Any) -> bool:
            sampled.append(result.token_id)
            if parameters.stop:
                tail = self._decode(sampled[-window:])
                if any(stop in tail for stop in parameters.stop):
                    return True
            return self._aborted.is_set()

        greedy = parameters.temperature == 0.0
        generator = self._shared if greedy else self._seeded(parameters.seed)
        random = {} if greedy else {"sampling_topp": parameters.top_p, "sampling_temperature": parameters.temperature}
        [result] = generator.generate_batch(
            [tokens],
            max_length=min(parameters.max_tokens, room),
            include_prompt_in_result=False,
            repetition_penalty=parameters.repetition_penalty,
            sampling_topk=1 if greedy else 0,
            callback=step,
            **random,
        )
        if self._aborted.is_set():
            raise CancelledError
        ids: list[int] = list(result.sequences_ids[0])
        return _completion(self._decode(ids), parameters.stop, len(tokens), ids, ended=len(sampled) > len(ids))

    def _scored(self, prompt: str, labels: Mapping[str, int]) -> LabelScores:
        tokens = self._prompt_tokens(prompt)
        [result] = self._shared.generate_batch(
            [tokens], max_length=1, include_prompt_in_result=False, return_logits_vocab=True
        )
        logits = np.asarray(result.logits[0][0], dtype=np.float64).ravel()
        highest = logits.max()
        total = highest + np.log(np.exp(logits - highest).sum())
        return LabelScores(
            logprobs={label: float(logits[token] - total) for label, token in labels.items()},
            prompt_tokens=len(tokens),
        )

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))


def _guarded(work: Callable[[], T]) -> T:
    """What the library raises about one request stays with that request."""
    try:
        return work()
    except (RuntimeError, ValueError, MemoryError) as error:
        raise RequestFailedError(f"ctranslate2: {str(error) or type(error).__name__}") from error


def _completion(text: str, stops: Sequence[str], prompt_tokens: int, ids: list[int], *, ended: bool) -> Completion:
    """Cut `text` before the first stop string in it, and say how it ended. `ended`: by the model's own end token."""
    found = min(((text.find(stop), stop) for stop in stops if stop in text), default=None)
    reason: FinishReason = "stop" if found else "eos" if ended else "length"
    return Completion(
        text=text[: found[0]] if found else text,
        finish_reason=reason,
        stop_reason=found[1] if found else None,
        prompt_tokens=prompt_tokens,
        generated_tokens=len(ids),
    )


def _checked_options(options: Mapping[str, Any]) -> tuple[int, str]:
    unknown = [key for key in options if key not in OPTIONS]
    if unknown:
        raise ConfigurationError(
            f"model.options.{unknown[0]} is not an option of the backend ctranslate2",
            remedy=f"options are: {', '.join(OPTIONS)}",
        )
    threads = options.get("threads", len(os.sched_getaffinity(0)))
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= 1024:
        raise ConfigurationError(
            f"model.options.threads: {threads!r} is not a number of threads", remedy="write a whole number from 1"
        )
    return threads, str(options.get("compute_type", "default"))


def _check_vocabulary(files: Mapping[str, bytes], tokenizer: tokenizers.Tokenizer, folder: ModelFolder) -> None:
    """A tokenizer of another model would turn every prompt into noise without a word."""
    data = files.get("vocabulary.json") or files.get("shared_vocabulary.json")
    if data is None:
        return
    try:
        vocabulary = json.loads(data)
    except ValueError as error:
        raise ConfigurationError(
            "the model's vocabulary is not JSON", where=str(folder.weights), remedy="convert the model again"
        ) from error
    fits = all(
        number < len(vocabulary) and vocabulary[number] == token for token, number in tokenizer.get_vocab().items()
    )
    if not fits:
        raise ConfigurationError(
            "tokenizer and model do not belong together: their vocabularies differ",
            where=f"{Path(folder.tokenizer)} and {folder.weights}",
            remedy="use the tokenizer.json of the model that was converted",
        )
