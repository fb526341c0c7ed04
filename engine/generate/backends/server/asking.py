"""Asks a server that is not known yet one thing after the other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from engine.errors import RefusedError, RunFailedError
from engine.generate.backends.server.client import Client, Reply, Trouble, UnreachableError
from engine.generate.backends.server.pacing import Backoff, Pacing
from engine.generate.backends.server.wire import MalformedError, parsed

log = logging.getLogger("pilothouse.generate")

ERRORS_BELIEVED = 3
"""A server's error is the answer when it comes so often in a row."""

NOT_SERVING = frozenset({408, 429, 502, 503, 504})
"""Statuses that say that the server, or what stands before it, does not serve just now."""


class RefusedByServerError(Exception):
    """The server does not do what was asked."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Asker:
    """Asks one thing after the other, with patience for a server that is away or busy. `last_refusal`: why it last did
    not do what was asked, in its words made safe, or ours. `gone` says why it will not come back (None: it may)."""

    def __init__(
        self,
        client: Client,
        address: str,
        retry_for_s: float,
        backoff: Backoff,
        *,
        gone: Callable[[], str | None] | None = None,
    ) -> None:
        self._client, self.address = client, address
        self._retry_for_s, self._backoff = retry_for_s, backoff
        self._gone = gone
        self._said = False
        self.last_refusal = ""

    async def reply(self, path: str, request: bytes | None = None) -> Reply:
        """What the server answers, whatever it is, once it serves; an error of its own only when it comes again.

        Raises `RunFailedError` when it is gone, or does not serve within `retry_for_s`.
        """
        pacing, errors = Pacing(self._retry_for_s, self._backoff), 0
        while True:
            try:
                reply = await (self._client.get(path) if request is None else self._client.post(path, request))
            except Trouble as trouble:
                why, after = str(trouble), None
                hopeless = isinstance(trouble, UnreachableError) and trouble.hopeless
            else:
                if reply.status not in NOT_SERVING:
                    errors += 1
                    if reply.status < 500 or errors == ERRORS_BELIEVED:
                        return reply
                    await asyncio.sleep(self._backoff.delay(errors))
                    continue
                why, after, hopeless = self.words(reply), reply.retry_after_s, False
            gone = self._gone() if self._gone is not None else None
            if gone is not None:
                raise RunFailedError(
                    gone, where=self.address, remedy="mend the cause, then restart the run, which starts another engine"
                )
            now = time.monotonic()
            pacing.trouble(now, down=True, retry_after_s=after)
            if hopeless or pacing.lost(now):
                raise RunFailedError(
                    f"the server does not answer: {why}",
                    where=self.address,
                    remedy="start it, or wait until it has loaded its model; check model.options and the network",
                )
            if not self._said:
                self._said = True
                log.warning(
                    "%s does not answer (%s): it is waited for up to %g s", self.address, why, self._retry_for_s
                )
            await asyncio.sleep(pacing.paused_until_s - now)

    async def answer(self, path: str, request: bytes | None = None) -> dict[str, Any]:
        """The JSON object that the server answers with.

        Raises `RefusedByServerError` for an error's status, `MalformedError`, and `RunFailedError` as `reply` does.
        """
        reply = await self.reply(path, request)
        if reply.status != 200:
            self.last_refusal = self.words(reply)
            raise RefusedByServerError(reply.status)
        try:
            return parsed(reply)
        except MalformedError as malformed:
            self.last_refusal = str(malformed)
            raise

    def locked_out(self, words: str) -> RefusedError:
        return RefusedError(
            f"the server does not let us in: {words}",
            where=self.address,
            remedy="put its API key into an environment variable and name that in model.options.api_key_env",
        )

    def words(self, reply: Reply) -> str:
        return self._client.words(reply)

    def clean(self, text: str, limit: int = 120) -> str:
        return self._client.clean(text, limit)
