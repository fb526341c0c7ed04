"""The `server` backend: what the pipeline calls, from whatever thread."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from engine.figures import EngineFigures
from engine.generate.backends.base import (
    BackendLostError,
    Capabilities,
    Completion,
    LabelScores,
    RequestFailedError,
    SamplingParameters,
    cancel_future,
    label_tokens,
)
from engine.generate.backends.server.asking import Asker, log
from engine.generate.backends.server.client import Client
from engine.generate.backends.server.dispatch import CLOSING_S, Dispatcher
from engine.generate.backends.server.options import ServerOptions, api_key
from engine.generate.backends.server.pacing import Backoff
from engine.generate.backends.server.probe import Findings, probe
from engine.generate.backends.server.trials import QUESTION
from engine.generate.backends.server.waiting import Job, Labels
from engine.generate.descriptors import sockets_left
from engine.generate.models.tokenizer import TextTokenizer
from engine.logs.sanitise import sanitise

T = TypeVar("T")

SPARE = 8
"""Requests beyond the limit, at least: what waits while an answer travels."""


class ServerBackend:
    """See `Backend`. Requests run on the event loop of one thread; prompts are turned into tokens on another, so that
    neither the caller nor the loop waits for that. `cancel` drops what runs as well."""

    def __init__(
        self,
        options: ServerOptions,
        tokenizer: TextTokenizer,
        *,
        context: int | None = None,
        path: str | None = None,
        gone: Callable[[], str | None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Find out what the server can do; takes a second, and up to `retry_for_s` when the server is not there yet.

        `context` (tokens) counts where the server does not tell its own; `path`, the campaign's `model.path`, names the
        model where the server has several. With `gone` it is an engine that is kept for this campaign alone: it gets
        all that it takes from the start, and once it cannot be reached, `gone` says why it will not come back (None: it
        may). Raises `ConfigurationError` when this server cannot be worked with,
        `RefusedError` when it wants another key, `RunFailedError` when it does not answer.
        """
        self._tokenizer = tokenizer
        self._client = Client(options, api_key(options))
        self._numbers = itertools.count()
        self._labels: dict[tuple[str, ...], Labels] = {}
        self._pending: set[Future[Any]] = set()
        self._closed = False
        self._dispatcher: Dispatcher | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="server tokens")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="server requests", daemon=True)
        self._thread.start()
        patience = backoff or Backoff()
        try:
            self._found = self._call(self._open(options, path, patience, gone)).result()
        except BaseException:
            self.close()
            raise
        told = [limit for limit in (options.max_model_len, self._found.context) if limit is not None]
        self._context = min(told) if told else context
        most = min(options.concurrency, sockets_left())
        if most < options.concurrency:
            log.warning("no more than %d requests at a time: so many sockets may be open here (ulimit -n)", most)
        self._dispatcher = Dispatcher(
            self._client,
            options.model_copy(update={"concurrency": most}),
            self._found,
            tokenizer.count,
            patience,
            sample=self._found.dialect.prompt(QUESTION, tokenizer.token_ids(QUESTION, special=False)),
            gone=gone,
        )

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _open(
        self, options: ServerOptions, path: str | None, backoff: Backoff, gone: Callable[[], str | None] | None
    ) -> Findings:
        await self._client.open()
        asker = Asker(self._client, options.address, options.retry_for_s, backoff, gone=gone)
        return await probe(asker, options, self._tokenizer, path)

    @property
    def capabilities(self) -> Capabilities:
        import aiohttp

        return Capabilities(
            name="server",
            seed_per_request=self._found.seeds,
            label_scores=True,
            repetition_penalty=self._found.dialect.repetition_penalty,
            cancel=True,
            versions={"server": self._found.version or "unknown", "aiohttp": aiohttp.__version__},
        )

    @property
    def concurrency(self) -> int:
        limit = self._work.limit.limit
        return limit + max(SPARE, limit // 8)

    def figures(self) -> EngineFigures | None:
        return self._work.metrics.latest(time.monotonic())

    def generate(self, prompt: str, parameters: SamplingParameters) -> Future[Completion]:
        return self._submit(prompt, parameters)

    def score(self, prompt: str, labels: Sequence[str]) -> Future[LabelScores]:
        key = tuple(labels)
        if key not in self._labels:
            self._labels[key] = label_tokens(self, labels)
        return self._submit(prompt, self._labels[key])

    def count_tokens(self, text: str) -> int:
        return self._tokenizer.count(text)

    def token_ids(self, text: str, *, special: bool) -> list[int]:
        return self._tokenizer.token_ids(text, special=special)

    def cancel(self) -> None:
        """Drop what waits and what runs; a connection that is closed makes the server stop working on it."""
        for future in list(self._pending):
            cancel_future(future)
        if not self._closed:
            self._loop.call_soon_threadsafe(self._work.drop_done)

    def close(self) -> None:
        """Drop everything and end both threads. A request that follows raises `RuntimeError`."""
        if self._closed:
            return
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for future in list(self._pending):
            cancel_future(future)
        shut = self._call(self._shut())
        try:
            shut.result(3 * CLOSING_S)
        except TimeoutError:
            shut.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_S)

    async def _shut(self) -> None:
        if self._dispatcher is not None:
            await self._dispatcher.shut()
        await asyncio.wait_for(self._client.close(), CLOSING_S)

    # --- asking --------------------------------------------------------------------------------------------------

    @property
    def _work(self) -> Dispatcher:
        assert self._dispatcher is not None
        return self._dispatcher

    def _call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _submit(self, prompt: str, wanted: SamplingParameters | Labels) -> Future[Any]:
        job = Job(next(self._numbers), Future(), wanted)
        if self._work.lost is not None:
            job.future.set_exception(BackendLostError(self._work.lost))
            return job.future
        self._pool.submit(self._prepare, job, prompt)
        self._pending.add(job.future)
        job.future.add_done_callback(self._pending.discard)
        return job.future

    def _prepare(self, job: Job, prompt: str) -> None:
        """On the tokenizer's thread: check the prompt and write it down, then hand it to the loop."""
        try:
            ids = self._tokens(prompt)
        except RequestFailedError as error:
            with contextlib.suppress(InvalidStateError):  # cancelled in this moment
                job.future.set_exception(error)
            return
        if isinstance(job.wanted, SamplingParameters) and self._context is not None:
            room = self._context - len(ids)
            job.wanted = replace(job.wanted, max_tokens=min(job.wanted.max_tokens, room))
        job.tokens, job.prompt = len(ids), self._found.dialect.prompt(prompt, ids)
        if not self._closed:
            self._loop.call_soon_threadsafe(self._work.enqueue, job)

    def _tokens(self, prompt: str) -> list[int]:
        try:
            ids = self._tokenizer.token_ids(prompt, special=False)
        except BaseException as error:  # whatever a tokenizer makes of a text; a panic of its own is no Exception
            raise RequestFailedError(f"the prompt cannot be read: {sanitise(str(error), 200)}") from error
        if not ids:
            raise RequestFailedError("the prompt is empty")
        if self._context is not None and len(ids) >= self._context:
            raise RequestFailedError(f"the prompt has {len(ids)} tokens, and the model's context is {self._context}")
        return ids
