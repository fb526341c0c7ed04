"""vLLM in this process: one continuous batch of whatever is asked, each result as it finishes.

The engine is used by one thread alone, which hands it what was asked since its last step and takes what that step
finished. Its core computes in a process of its own and never waits for us: it needs but a queue that does not run dry.
Scores ask for one token with `logprob_token_ids`, so that they use the prefix cache; `prompt_logprobs` would not.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from multiprocessing.connection import wait
from queue import Empty, SimpleQueue
from typing import Any, Literal

from engine.campaign.models import EngineConfig, ModelConfig
from engine.figures import EngineFigures
from engine.generate.backends.base import (
    BackendLostError,
    Capabilities,
    Completion,
    FinishReason,
    LabelScores,
    RequestFailedError,
    SamplingParameters,
    cancel_future,
    label_tokens,
)
from engine.generate.backends.counters import FigureMeter, counters_of
from engine.generate.backends.vllm_settings import engine_arguments, prepare_environment
from engine.generate.models.folder import ModelFolder
from engine.generate.models.repetition import parse_repetition
from engine.generate.models.tokenizer import TextTokenizer
from engine.logs.sanitise import sanitise

FIGURES_S = 2.0
CLOSING_S = 15.0
AHEAD = 1.25
"""So many times the engine's batch are kept in flight: what waits takes the place of what finishes without a gap."""

PREFIX_TOKENS = 16
"""One block of the prefix cache: prompts that begin with the same one are handed over together."""

_Command = Literal["cancel", "close"]


@dataclass(slots=True)
class _Request:
    id: str
    prompt: str
    parameters: Any
    future: Future[Any]
    answer: Callable[[Any], Any]


class VllmBackend:
    """See `Backend`. A request may fail before it reaches the engine: an empty prompt, one beyond the context."""

    def __init__(self, model: ModelConfig, folder: ModelFolder, engine: EngineConfig) -> None:
        """Load the model; takes from seconds to minutes. What vLLM raises comes out as it is."""
        prepare_environment(engine)
        self._tokenizer = TextTokenizer(folder.tokenizer)
        import vllm
        from vllm.sampling_params import RepetitionDetectionParams, RequestOutputKind

        self._vllm, self._final = vllm, RequestOutputKind.FINAL_ONLY
        detection = parse_repetition(model.options.get("repetition_detection"))
        self._detection = RepetitionDetectionParams(**detection) if detection else None
        self._llm = vllm.LLM(**engine_arguments(model, folder), disable_log_stats=False)
        self._engine: Any = self._llm.llm_engine
        self._context = int(self._engine.model_config.max_model_len)
        self._batch = int(self._engine.vllm_config.scheduler_config.max_num_seqs)
        self._numbers = itertools.count()
        self._labels: dict[tuple[str, ...], dict[str, int]] = {}
        self._asked: SimpleQueue[_Request | _Command] = SimpleQueue()
        self._flying: dict[str, _Request] = {}
        self._lost: BackendLostError | None = None
        self._closing = threading.Event()
        self._meter, self._figures, self._looked = FigureMeter(), EngineFigures(), 0.0
        self._thread = threading.Thread(target=self._serve, name="vllm engine", daemon=True)
        self._thread.start()
        threading.Thread(target=self._watch_core, name="vllm core watch", daemon=True).start()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name="vllm",
            seed_per_request=True,
            label_scores=True,
            repetition_penalty=True,
            cancel=True,
            versions={"vllm": str(self._vllm.__version__)},
        )

    @property
    def concurrency(self) -> int:
        return round(AHEAD * self._batch)

    def figures(self) -> EngineFigures:
        return self._figures

    def generate(self, prompt: str, parameters: SamplingParameters) -> Future[Completion]:
        wanted = self._vllm.SamplingParams(
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            repetition_penalty=parameters.repetition_penalty,
            max_tokens=parameters.max_tokens,
            seed=parameters.seed,
            stop=list(parameters.stop) or None,
            repetition_detection=self._detection,
            output_kind=self._final,
            skip_clone=True,
        )
        return self._submit(prompt, wanted, _completion)

    def score(self, prompt: str, labels: Sequence[str]) -> Future[LabelScores]:
        key = tuple(labels)
        if key not in self._labels:
            self._labels[key] = label_tokens(self, labels)
        tokens = self._labels[key]
        wanted = self._vllm.SamplingParams(
            temperature=0.0,
            max_tokens=1,
            logprob_token_ids=list(tokens.values()),
            detokenize=False,
            output_kind=self._final,
            skip_clone=True,
        )
        return self._submit(prompt, wanted, lambda output: _scores(output, tokens))

    def count_tokens(self, text: str) -> int:
        return self._tokenizer.count(text)

    def token_ids(self, text: str, *, special: bool) -> list[int]:
        return self._tokenizer.token_ids(text, special=special)

    def cancel(self) -> None:
        """Drop what waits and what runs."""
        self._asked.put("cancel")

    def close(self) -> None:
        """Drop everything and end the engine; not waited for longer than `CLOSING_S`."""
        self._closing.set()
        self._asked.put("close")
        self._thread.join(0.0 if self._lost is not None else CLOSING_S)
        self._drop()

    # --- asking --------------------------------------------------------------------------------------------------

    def _submit(self, prompt: str, wanted: Any, answer: Callable[[Any], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._asked.put(_Request(f"pilothouse-{next(self._numbers)}", prompt, wanted, future, answer))
        if self._lost is not None:  # nobody takes it any more
            self._drop(self._lost)
        return future

    # --- the engine's thread -------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while not self._closing.is_set():
                self._take()
                if self._engine.has_unfinished_requests():
                    for output in self._engine.step():
                        self._land(output)
                self._look()
            self._abort()
            self._engine.engine_core.shutdown()
        except BaseException as error:
            if not self._closing.is_set():
                self._lose(_ended(error))

    def _take(self) -> None:
        """Hand over all that was asked; wait for something where nothing is in flight."""
        found: list[_Request] = []
        try:
            asked = self._asked.get_nowait() if self._flying else self._asked.get(timeout=FIGURES_S)
            while True:
                if isinstance(asked, _Request):
                    found.append(asked)
                elif asked == "cancel":
                    for request in found:
                        cancel_future(request.future)
                    found.clear()
                    self._abort()
                asked = self._asked.get_nowait()
        except Empty:
            pass
        if found:
            self._flying.update((request.id, request) for request in found)
            if self._lost is not None:  # meanwhile: whoever said so did not see these
                self._drop(self._lost)
            tokens = self._tokenizer.token_ids_of([request.prompt for request in found], special=False)
            for _, number in sorted((ids[:PREFIX_TOKENS], number) for number, ids in enumerate(tokens)):
                self._hand_over(found[number], tokens[number])

    def _hand_over(self, request: _Request, tokens: list[int]) -> None:
        why = ""
        if not tokens:
            why = "the prompt is empty"
        elif len(tokens) >= self._context:
            why = f"the prompt has {len(tokens)} tokens, and the model's context is {self._context}"
        else:
            try:
                self._engine.add_request(request.id, {"type": "token", "prompt_token_ids": tokens}, request.parameters)
            except (ValueError, TypeError) as error:  # what vLLM says of one request stays with that request
                why = f"vllm: {sanitise(str(error), 300)}"
        if why:
            del self._flying[request.id]
            _fail(request, RequestFailedError(why))

    def _land(self, output: Any) -> None:
        request = self._flying.pop(output.request_id, None) if output.finished else None
        if request is None:
            return
        try:
            answer = request.answer(output)
        except RequestFailedError as error:
            _fail(request, error)
        except Exception as error:  # an answer of no known kind: the engine is not to be trusted any more
            _fail(request, BackendLostError(_ended(error)))
            raise
        else:
            with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
                request.future.set_result(answer)

    def _abort(self) -> None:
        """Have the engine drop what it works on."""
        if self._flying:
            self._engine.abort_request(list(self._flying))
        flying, self._flying = list(self._flying.values()), {}
        for request in flying:
            cancel_future(request.future)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < FIGURES_S:
            return
        self._looked = now
        counters = counters_of(
            (metric.name, float(metric.value))
            for metric in self._engine.get_metrics()
            if isinstance(getattr(metric, "value", None), int | float)
        )
        if counters is not None:
            self._figures = self._meter.figures(counters, now)

    # --- its end -------------------------------------------------------------------------------------------------

    def _watch_core(self) -> None:
        """Notice the death of the engine's core: vLLM itself would wait for its next result for good."""
        cores = [process.sentinel for process in multiprocessing.active_children()]
        if cores and wait(cores) and not self._closing.is_set():
            self._lose("vLLM's engine core died; out of memory? The log may say")

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = BackendLostError(why)
            self._drop(self._lost)

    def _drop(self, error: BackendLostError | None = None) -> None:
        """Let nobody wait for what will not come: it failed with `error`, or is cancelled."""
        waiting = list(self._flying.values())
        try:
            while True:
                asked = self._asked.get_nowait()
                if isinstance(asked, _Request):
                    waiting.append(asked)
        except Empty:
            pass
        for request in waiting:
            if error is None:
                cancel_future(request.future)
            else:
                _fail(request, error)


def _ended(error: BaseException) -> str:
    return f"vLLM's engine ended: {type(error).__name__}: {sanitise(str(error), 300)}"


def _fail(request: _Request, error: Exception) -> None:
    with contextlib.suppress(InvalidStateError):
        request.future.set_exception(error)


def _completion(output: Any) -> Completion:
    [made] = output.outputs
    stopped_by = made.stop_reason if isinstance(made.stop_reason, str) else None
    reason: FinishReason
    if made.finish_reason == "stop":
        reason = "stop" if stopped_by is not None else "eos"
    elif made.finish_reason in ("length", "repetition"):
        reason = made.finish_reason
    else:
        raise RequestFailedError(f"vllm: the request ended by {made.finish_reason}")
    return Completion(
        text=made.text,
        finish_reason=reason,
        stop_reason=stopped_by if reason == "stop" else None,
        prompt_tokens=len(output.prompt_token_ids),
        generated_tokens=len(made.token_ids),
    )


def _scores(output: Any, labels: dict[str, int]) -> LabelScores:
    [made] = output.outputs
    if not made.logprobs:
        raise RequestFailedError(f"vllm: no log probabilities came, the request ended by {made.finish_reason}")
    found = made.logprobs[0]
    return LabelScores(
        logprobs={label: float(found[token].logprob) for label, token in labels.items()},
        prompt_tokens=len(output.prompt_token_ids),
    )
