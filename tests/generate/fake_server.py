"""A server with OpenAI's completions and a made-up model: real HTTP, in a thread of the test's process.

Its model is a function: a text of prompt and seed, log probabilities of a prompt over the pocket model's vocabulary.
What such servers differ in can be switched off one by one, and every request can be met with something else first.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import random
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tokenizers
from aiohttp import web

from engine.generate.backends.base import SamplingParameters
from engine.generate.backends.server.backend import ServerBackend
from engine.generate.backends.server.options import parse_options
from engine.generate.backends.server.pacing import Backoff
from engine.generate.models.folder import POCKET_FOLDER
from engine.generate.models.tokenizer import TextTokenizer

TOKENIZER = POCKET_FOLDER / "hf" / "tokenizer.json"
WORDS = ["river", "candle", "monkey", "harbour", "window", "lamp", "tower", "bell", "garden", "music", "letter"]


@dataclass
class Asked:
    """A request as it came: `body` is None where there was none. `number` counts those of its path, from 1."""

    path: str
    body: Any
    headers: dict[str, str]
    number: int
    request: web.Request = field(repr=False)

    @property
    def prompts(self) -> int:
        """How many prompts a request for completions holds."""
        prompt = self.body["prompt"]
        return len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1


Meeting = Callable[[Asked], Awaitable[web.StreamResponse | None]]


def number_of(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:6], "big")


def error(status: int, message: str, **headers: str) -> web.Response:
    body = json.dumps({"error": {"message": message, "code": status}})
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)


@dataclass
class FakeServer:
    """Switches: where it is and what it can do. `certificate` is a folder with cert.pem and key.pem. `boosts` are added
    to the logits of tokens after a prompt that holds the text: {text: {token id: boost}}. `meets` is awaited before
    each POST and may answer in the server's place."""

    socket: Path | None = None
    certificate: Path | None = None
    models: tuple[str, ...] = ("fake",)
    context: int | None = 512
    owner: str = "someone"
    version: str | None = "1.2.3"
    metrics: str | None = None
    key: str | None = None
    token_ids: bool = True
    refuses: tuple[str, ...] = ()
    seeds: bool = True
    penalty: bool = True
    stops: bool = True
    most_stops: int = 100
    tells: str | None = "stop_reason"
    leaves_stop: bool = False
    usage: bool = True
    named: bool = True
    generate: bool = False
    top: int = 20
    as_ids: bool = True
    bias: bool = True
    strips_tokens: bool = False
    together: int = 100
    boosts: dict[str, dict[int, float]] = field(default_factory=dict)
    meets: Meeting | None = None

    def __post_init__(self) -> None:
        self.tokenizer = tokenizers.Tokenizer.from_file(str(TOKENIZER))
        self.asked: list[Asked] = []
        self.gone = 0
        self.most_at_once = 0
        self.metrics_asked = 0
        self.at_once = 0
        self._counts: dict[str, int] = {}
        self._known: dict[str, dict[int, float]] = {}
        self._port = 0
        self._runner: web.AppRunner | None = None
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.release = asyncio.Event()

    # --- its life ------------------------------------------------------------------------------------------------

    def start(self) -> FakeServer:
        self._do(self._start())
        return self

    def stop(self) -> None:
        """As if its process were killed: every connection breaks, and no new one is taken."""
        self._do(self._stop())

    def end(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    @property
    def options(self) -> dict[str, Any]:
        """Where it is."""
        scheme = "https" if self.certificate else "http"
        return {"socket": str(self.socket)} if self.socket else {"url": f"{scheme}://127.0.0.1:{self._port}"}

    def completions(self) -> list[Asked]:
        """What was asked of it so far, without looking."""
        return [one for one in list(self.asked) if one.body is not None]

    def let_go(self) -> None:
        """Let whoever waits for `release` go on."""
        self.loop.call_soon_threadsafe(self.release.set)

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._meet)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.0, access_log=None)
        await self._runner.setup()
        if self.socket is not None:
            self.socket.unlink(missing_ok=True)
            await web.UnixSite(self._runner, str(self.socket)).start()
            return
        context = None
        if self.certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certificate / "cert.pem", self.certificate / "key.pem")
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context).start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            for connection in list(self._runner.server.connections if self._runner.server else []):
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
            self._runner = None

    # --- answers -------------------------------------------------------------------------------------------------

    async def _meet(self, request: web.Request) -> web.StreamResponse:
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return error(401, f"no entry with {request.headers.get('Authorization')}")
        if request.path == "/metrics":
            self.metrics_asked += 1
            return web.Response(text=self.metrics) if self.metrics is not None else web.Response(status=404)
        self._counts[request.path] = self._counts.get(request.path, 0) + 1
        body = await request.json() if request.method == "POST" else None
        asked = Asked(request.path, body, dict(request.headers), self._counts[request.path], request)
        self.asked.append(asked)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if body is not None and self.meets is not None:
                answer = await self.meets(asked)
                if answer is not None:
                    return answer
            return self._answer(asked)
        except asyncio.CancelledError:
            self.gone += 1
            raise
        finally:
            self.at_once -= 1

    def _answer(self, asked: Asked) -> web.Response:
        match asked.path:
            case "/v1/models":
                listed = [{"id": name, "owned_by": self.owner, "max_model_len": self.context} for name in self.models]
                return web.json_response({"object": "list", "data": listed})
            case "/version" if self.version is not None:
                return web.json_response({"version": self.version})
            case "/v1/completions":
                return self.completed(asked.body)
            case "/inference/v1/generate" if self.generate:
                return self._generated(asked.body)
        return error(404, "not found")

    def completed(self, body: dict[str, Any]) -> web.Response:
        """The honest answer to a request for completions."""
        prompt = body["prompt"]
        many = isinstance(prompt, list) and not isinstance(prompt[0], int)
        prompts = prompt if many else [prompt]
        if any(key in body for key in self.refuses):
            return error(400, "unexpected keyword argument")
        if len(prompts) > self.together or body.get("logprobs", 0) > self.top or body["model"] not in self.models:
            return error(400, "too many, or no such model")
        if len(body.get("stop", [])) > self.most_stops:
            return error(400, "too many stop strings")
        if not self.token_ids and not all(isinstance(one, str) for one in prompts):
            return error(422, "prompt must be a string")
        texts = [one if isinstance(one, str) else self.tokenizer.decode(one) for one in prompts]
        choices = [self._choice(body, text) | {"index": number} for number, text in enumerate(texts)]
        tokens = sum(self.count(text) for text in texts)
        made = sum(self.count(choice["text"]) for choice in choices)
        answer: dict[str, Any] = {"object": "text_completion", "choices": choices[::-1]}
        if self.usage:
            answer["usage"] = {"prompt_tokens": tokens, "completion_tokens": made}
        return web.json_response(answer)

    def _choice(self, body: dict[str, Any], prompt: str) -> dict[str, Any]:
        text, ended, stop = self._text(body, prompt)
        choice: dict[str, Any] = {"text": text, "finish_reason": ended}
        if self.tells is not None:
            choice[self.tells] = stop
        if "logprobs" in body:
            choice["logprobs"] = self._logprobs(body, prompt)
        return choice

    def _text(self, body: dict[str, Any], prompt: str) -> tuple[str, str, str | int | None]:
        seed = body.get("seed") if self.seeds else random.random()
        penalty = body.get("repetition_penalty", 1.0) if self.penalty else 1.0
        draw = random.Random(number_of(prompt, seed if body["temperature"] else "greedy", penalty))
        words = draw.choices(WORDS, k=min(body["max_tokens"], 12))
        text = "".join(f" {word}" for word in words)
        for stop in body.get("stop", []) if self.stops else []:
            if stop in text:
                return text[: text.find(stop) + (len(stop) if self.leaves_stop else 0)], "stop", stop
        return text, "length" if body["max_tokens"] <= 12 else "stop", None

    # --- its model -----------------------------------------------------------------------------------------------

    def count(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def log_probabilities(self, prompt: str) -> dict[int, float]:
        """Of every token after `prompt`, by a full softmax."""
        if prompt in self._known:
            return self._known[prompt]
        draw = random.Random(number_of("logits", prompt))
        logits = {number: draw.gauss(0.0, 2.0) for number in range(self.tokenizer.get_vocab_size())}
        for text, boosts in self.boosts.items():
            if text in prompt:
                for number, boost in boosts.items():
                    logits[number] += boost
        total = math.log(sum(math.exp(logit) for logit in logits.values()))
        return self._known.setdefault(prompt, {number: logit - total for number, logit in logits.items()})

    def _logprobs(self, body: dict[str, Any], prompt: str) -> dict[str, Any]:
        known = self.log_probabilities(prompt)
        biases = {int(number): bias for number, bias in body.get("logit_bias", {}).items()} if self.bias else {}
        sampled = max(known, key=lambda number: known[number] + biases.get(number, 0.0))
        as_ids = self.as_ids and body.get("return_tokens_as_token_ids", False)
        asked = body.get("logprob_token_ids") if self.named else None
        shown = asked or sorted(known, key=lambda number: -known[number])[: body["logprobs"]]
        name = (lambda number: f"token_id:{number}") if as_ids else self.text_of
        return {
            "tokens": [name(sampled)],
            "token_logprobs": [known[sampled]],
            "top_logprobs": [{name(number): known[number] for number in (sampled, *shown)}],
        }

    def text_of(self, number: int) -> str:
        text = str(self.tokenizer.decode([number], skip_special_tokens=False))
        return text.strip() if self.strips_tokens else text

    def _generated(self, body: dict[str, Any]) -> web.Response:
        """As vLLM 0.25: the sampled token and those that were named, cut to so many as `logprobs` says."""
        sampling = body["sampling_params"]
        known = self.log_probabilities(self.tokenizer.decode(body["token_ids"]))
        sampled = max(known, key=lambda number: known[number])
        numbers = list(dict.fromkeys([sampled, *sampling["logprob_token_ids"]]))[: sampling["logprobs"]]
        entries = [{"token": f"token_id:{number}", "logprob": known[number]} for number in numbers]
        content = [{**entries[0], "top_logprobs": entries}]
        return web.json_response(
            {"choices": [{"index": 0, "logprobs": {"content": content}, "finish_reason": "length"}]}
        )


# --- what tests do with it ---------------------------------------------------------------------------------------

QUICK = Backoff(first_s=0.01, longest_s=0.05, jitter=lambda: 1.0)
SAMPLING = SamplingParameters(temperature=0.9, top_p=0.95, repetition_penalty=1.1, max_tokens=10, seed=1)


@contextlib.contextmanager
def serving(**switches: Any) -> Iterator[FakeServer]:
    server = FakeServer(**switches).start()
    try:
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def opened(server: FakeServer, **options: Any) -> Iterator[ServerBackend]:
    backend = backend_of({**server.options, **options})
    try:
        yield backend
    finally:
        backend.close()


@contextlib.contextmanager
def working(*, options: dict[str, Any] | None = None, **switches: Any) -> Iterator[tuple[FakeServer, ServerBackend]]:
    """A server with these switches, and a backend that has found out about it."""
    with serving(**switches) as server, opened(server, **(options or {})) as backend:
        yield server, backend


def backend_of(options: dict[str, Any], **arguments: Any) -> ServerBackend:
    return ServerBackend(parse_options(options), TextTokenizer(TOKENIZER), backoff=QUICK, **arguments)
