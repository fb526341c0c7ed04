"""Sends what waits, as much at a time as the server takes well, and deals with whatever comes of it.

Everything here runs on the event loop. A request that the server did not answer goes back into the queue, until the
server is back or counts as lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import InvalidStateError
from typing import Any

from engine.generate.backends.base import (
    BackendLostError,
    Completion,
    LabelScores,
    RequestFailedError,
    SamplingParameters,
)
from engine.generate.backends.server.asking import NOT_SERVING
from engine.generate.backends.server.client import Client, Reply, TimedOutError, Trouble, UnreachableError
from engine.generate.backends.server.figures import EVERY_S, MetricsPage
from engine.generate.backends.server.limit import START, START_OF_QUEUES, AdaptiveLimit
from engine.generate.backends.server.options import ServerOptions
from engine.generate.backends.server.pacing import LONGEST_RETRY_AFTER_S, Backoff, Pacing
from engine.generate.backends.server.probe import Findings
from engine.generate.backends.server.waiting import Job, Queue
from engine.generate.backends.server.wire import COMPLETIONS, MalformedError, completion_body, completion_of, parsed

STRIKES = 5
"""A request fails alone after so many errors of the server, or broken connections while others were served."""

NEARLY = 0.75
"""With that share of the limit in flight the limit counts as reached."""

CLOSING_S = 1.0
"""A hung server delays the end no longer than that."""

DENIALS = frozenset({401, 403, 404})
"""What a server answers to everything once it was given another key or another model."""

SMALLEST = SamplingParameters(temperature=0.0, top_p=1.0, repetition_penalty=1.0, max_tokens=1, seed=0)

Result = Completion | LabelScores | RequestFailedError


class Dispatcher:
    """`count` counts the tokens of a text, for servers that do not say how many they generated. `sample` is a prompt in
    JSON that the server took when it was tried out. `gone` says of a kept engine why it will not come back, see
    `ServerBackend`. `lost` says why no request can succeed any more, once that is so."""

    def __init__(
        self,
        client: Client,
        options: ServerOptions,
        found: Findings,
        count: Callable[[str], int],
        backoff: Backoff,
        *,
        sample: str,
        gone: Callable[[], str | None] | None = None,
    ) -> None:
        self._client, self._options, self._found, self._count = client, options, found, count
        self._backoff, self._pacing = backoff, Pacing(options.retry_for_s, backoff)
        start = options.concurrency if gone is not None else START_OF_QUEUES if found.queues else START
        self.limit = AdaptiveLimit(options.concurrency, start)
        self._sample, self._gone = sample, gone or _may_come_back
        self.metrics = MetricsPage()
        self.lost: str | None = None
        self._queue = Queue()
        self._resting: set[Job] = set()
        self._flying: dict[asyncio.Task[None], list[Job]] = {}
        self._served = 0
        self._pump_handle: asyncio.Handle | None = None
        self._metrics_task: asyncio.Task[None] | None = None

    # --- sending -------------------------------------------------------------------------------------------------

    def enqueue(self, job: Job) -> None:
        """Send `job` as soon as there is room."""
        self._resting.discard(job)
        if self.lost is not None:
            _fail(job, BackendLostError(self.lost))
            return
        self._queue.add(job)
        self._pump_soon()

    def _pump_soon(self) -> None:
        """Once for all that happens in this turn of the loop, so that scores which come together go together."""
        if self._pump_handle is None:
            self._pump_handle = asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_handle = None
        pause = self._pacing.paused_until_s - time.monotonic()
        if pause > 0 and self._queue:
            self._pump_handle = asyncio.get_running_loop().call_later(pause, self._pump)
            return
        while len(self._flying) < (1 if self._pacing.down else self.limit.limit):
            jobs = self._queue.take(self._found.way.most)
            if not jobs:
                break
            self._send(jobs)
        if not self._flying and not self._queue and not self._resting:
            self._pacing.forget()

    def _send(self, jobs: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._exchange(jobs, self.limit.epoch))
        self._flying[task] = jobs
        task.add_done_callback(self._landed)
        if self._metrics_task is None and self.metrics.exists:
            self._metrics_task = loop.create_task(self._watch_metrics())

    def _landed(self, task: asyncio.Task[None]) -> None:
        jobs = self._flying.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a fault of ours: nobody may be left waiting because of it
            for job in jobs:
                _fail(job, RequestFailedError(f"{type(error).__name__}: {self._client.clean(str(error), 200)}"))
        self._pump_soon()

    async def _exchange(self, jobs: list[Job], epoch: int) -> None:
        path, request = self._request(jobs)
        try:
            reply = await self._client.post(path, request)
        except UnreachableError as trouble:
            self._not_served(jobs, str(trouble), down=True, absent=True)
        except Trouble as trouble:
            if isinstance(trouble, TimedOutError):
                self.limit.too_busy(epoch)
            self._not_served(self._suspected(jobs, str(trouble)), str(trouble), down=True)
        else:
            await self._judge(jobs, reply, epoch)

    def _request(self, jobs: Sequence[Job]) -> tuple[str, bytes]:
        """Path and body for jobs of one kind."""
        wanted = jobs[0].wanted
        if isinstance(wanted, SamplingParameters):
            return COMPLETIONS, completion_body(self._found.dialect, jobs[0].prompt, wanted)
        return self._found.way.path, self._found.way.body([job.prompt for job in jobs], wanted)

    # --- what comes back -----------------------------------------------------------------------------------------

    async def _judge(self, jobs: list[Job], reply: Reply, epoch: int) -> None:
        if reply.status in NOT_SERVING:
            why = self._client.words(reply)
            self.limit.too_busy(epoch)
            again = jobs if reply.status == 429 else self._suspected(jobs, why)
            self._not_served(again, why, down=False, retry_after_s=reply.retry_after_s)
            return
        if reply.status >= 500:
            await self._failed(jobs, self._client.words(reply), reply.retry_after_s)
            return
        self._pacing.served()
        if reply.status == 200:
            self._take(jobs, reply)
        elif len(jobs) > 1:
            self._one_by_one(jobs)
        elif reply.status in DENIALS:
            await self._denied(jobs[0], reply)
        else:
            self._served += 1
            self._refused(jobs[0], reply)

    def _refused(self, job: Job, reply: Reply) -> None:
        _fail(job, RequestFailedError(f"the server refused the request: {self._client.words(reply)}"))

    async def _denied(self, job: Job, reply: Reply) -> None:
        """The server denies what it did at first: to everybody, or to this job alone (a firewall that reads it)."""
        status = await self._status_of_another(job)
        if status == 200:
            self._refused(job, reply)
        elif status in DENIALS:
            self._lose(self._changed(reply))
        else:
            self._not_served([job], self._client.words(reply), down=False)

    def _changed(self, reply: Reply) -> str:
        where, why = f"the server at {self._options.address}", self._client.words(reply)
        if reply.status == 404:
            return f"{where} has not what it had before ({why}): does it serve another model now?"
        key = self._options.api_key_env
        return f"{where} does not let us in any more ({why}): " + (
            f"was the key in {key} revoked, or replaced?" if key else "does it ask for a key now (api_key_env)?"
        )

    async def _failed(self, jobs: list[Job], why: str, retry_after_s: float | None) -> None:
        """The server has an error. It is the job's when others are served meanwhile, or would be; else it is the
        server's own, and everybody waits for it to pass."""
        if len(jobs) == 1:
            [job] = jobs
            if job.served_then == self._served and len(self._flying) <= 1:
                await self._status_of_another(job)
            if job.served_then == self._served:
                self._not_served(jobs, why, down=False, retry_after_s=retry_after_s)
                return
            job.served_then = self._served
        self._erred(jobs, why, retry_after_s)

    async def _status_of_another(self, job: Job) -> int | None:
        """What the server answers to a small request of the same kind that is known to be good; None: nothing."""
        wanted = SMALLEST if isinstance(job.wanted, SamplingParameters) else job.wanted
        path, request = self._request([Job(job.number, job.future, wanted, prompt=self._sample)])
        try:
            status = (await self._client.post(path, request)).status
        except Trouble:
            return None
        if status == 200:
            self._served += 1
            self._pacing.served()
        return status

    def _take(self, jobs: list[Job], reply: Reply) -> None:
        try:
            results = self._results(jobs, parsed(reply))
        except MalformedError as malformed:
            self._erred(jobs, str(malformed), None)
            return
        self._served += 1
        work = sum(result.generated_tokens if isinstance(result, Completion) else 1 for result in results)
        # Answers come in bursts, and a burst leaves places free for a moment.
        full = bool(self._queue) or len(self._flying) >= NEARLY * self.limit.limit
        self.limit.finished(work, time.monotonic(), full=full)
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, RequestFailedError):
                _fail(job, result)
            else:
                with contextlib.suppress(InvalidStateError):  # cancelled in this moment
                    job.future.set_result(result)

    def _results(self, jobs: Sequence[Job], answer: Mapping[str, Any]) -> Sequence[Result]:
        wanted = jobs[0].wanted
        if not isinstance(wanted, SamplingParameters):
            return self._found.way.read(answer, wanted, [job.tokens for job in jobs])
        try:
            return [completion_of(answer, wanted, self._found.dialect.tells_stop, jobs[0].tokens, self._count)]
        except RequestFailedError as error:
            return [error]

    # --- what does not come back ---------------------------------------------------------------------------------

    def _not_served(
        self, jobs: Sequence[Job], why: str, *, down: bool, absent: bool = False, retry_after_s: float | None = None
    ) -> None:
        """The server is away, or too busy: `jobs` wait for it, unless that has taken too long.

        Only one that is `absent`, not to be reached at all, is lost while there are answers that it may still work on.
        """
        now = time.monotonic()
        self._pacing.trouble(now, down=down, retry_after_s=retry_after_s)
        for job in jobs:
            self.enqueue(job)
        gone = self._gone() if down else None
        if gone is not None:
            self._lose(gone)
        elif self._pacing.lost(now) and (absent or len(self._flying) <= 1):
            done = "could not be reached" if absent else "has served nothing"
            self._lose(f"the server at {self._options.address} {done} for {self._options.retry_for_s:g} s: {why}")

    def _suspected(self, jobs: Sequence[Job], why: str) -> list[Job]:
        """Those of `jobs` to try again. Who was in flight when a connection broke may be the cause of it: after some
        such times, the server having served others in between, it is given up."""
        again = []
        for job in jobs:
            job.alone = True
            if job.served_then != self._served:
                job.served_then = self._served
                job.strikes += 1
            if job.strikes >= STRIKES:
                _fail(job, RequestFailedError(f"the request failed {STRIKES} times while others were served: {why}"))
            else:
                again.append(job)
        return again

    def _erred(self, jobs: list[Job], why: str, retry_after_s: float | None) -> None:
        """The server failed at these very jobs: each gets more tries, later and by itself."""
        if len(jobs) > 1:
            self._one_by_one(jobs)
            return
        [job] = jobs
        job.strikes += 1
        if job.strikes >= STRIKES:
            _fail(job, RequestFailedError(f"the server failed {STRIKES} times: {why}"))
            return
        delay = max(self._backoff.delay(job.strikes), min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))
        self._resting.add(job)
        asyncio.get_running_loop().call_later(delay, self.enqueue, job)

    def _one_by_one(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.alone = True
            self.enqueue(job)

    def _lose(self, why: str) -> None:
        self.lost = why
        waiting = [job for jobs in self._flying.values() for job in jobs]
        while jobs := self._queue.take(1):
            waiting += jobs
        for job in (*waiting, *self._resting):
            _fail(job, BackendLostError(why))
        self._resting.clear()
        self.drop_done()

    # --- its end -------------------------------------------------------------------------------------------------

    def drop_done(self) -> None:
        """End the requests that nobody waits for any more: closing the connection makes the server stop, too."""
        for task, jobs in self._flying.items():
            if all(job.future.done() for job in jobs) and task is not asyncio.current_task():
                task.cancel()
        if self._pump_handle is not None:
            self._pump_handle.cancel()
            self._pump_handle = None
        self._pump_soon()

    async def shut(self) -> None:
        """End everything, within about `CLOSING_S`."""
        tasks = [*self._flying, *([self._metrics_task] if self._metrics_task else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_S)

    async def _watch_metrics(self) -> None:
        """Look at the metrics page while there is work, and once more after it."""
        try:
            working = True
            while working and self.metrics.exists:
                working = bool(self._flying or self._queue or self._resting)
                await self.metrics.look(self._client, time.monotonic())
                await asyncio.sleep(EVERY_S)
        finally:
            self._metrics_task = None


def _may_come_back() -> str | None:
    return None


def _fail(job: Job, error: Exception) -> None:
    with contextlib.suppress(InvalidStateError):  # cancelled in this moment
        job.future.set_exception(error)
