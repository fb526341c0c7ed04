"""Completions from a server: what is asked, what is made of the answer, what the backend says about itself."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine.generate.backends.base import RequestFailedError
from engine.generate.backends.server.backend import ServerBackend
from engine.generate.backends.server.options import parse_options
from engine.generate.critics import LABELS
from engine.generate.descriptors import KEPT_FREE
from engine.generate.models.tokenizer import TextTokenizer
from tests.generate.fake_server import (
    SAMPLING,
    TOKENIZER,
    Asked,
    FakeServer,
    backend_of,
    opened,
    serving,
    working,
)
from tests.waiting import wait_until

LIST = "Short tasks for a language model:\n1. Name the capital of Norway.\n2."
FREE = replace(SAMPLING, max_tokens=100)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with serving() as started:
        yield started


@pytest.fixture(scope="module")
def backend(server: FakeServer) -> Iterator[ServerBackend]:
    with opened(server) as found:
        yield found


def answering(server: FakeServer, choice: Any, **answer: Any) -> None:
    """Have the server answer the next requests with this choice."""

    async def meet(asked: Asked) -> web.Response:
        return web.json_response({"choices": [choice], **answer})

    server.meets = meet


@pytest.fixture(autouse=True)
def _unmet(server: FakeServer) -> Iterator[None]:
    yield
    server.meets = None


# --- what is asked -----------------------------------------------------------------------------------------------


def test_a_completion_is_asked_for_in_full_and_in_token_ids(server: FakeServer, backend: ServerBackend) -> None:
    backend.generate(LIST, replace(SAMPLING, stop=("\n3.",))).result(20)
    body = server.completions()[-1].body
    assert body == {
        "prompt": backend.token_ids(LIST, special=False),
        "model": "fake",
        "max_tokens": 10,
        "temperature": 0.9,
        "top_p": 0.95,
        "repetition_penalty": 1.1,
        "seed": 1,
        "stop": ["\n3."],
        "stream": False,
        # What the server would otherwise take from its model's folder.
        "top_k": -1,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }


def test_a_server_without_token_prompts_gets_text_and_is_told_to_add_nothing() -> None:
    with working(token_ids=False) as (server, backend):
        backend.generate(LIST, SAMPLING).result(20)
        body = server.completions()[-1].body
        assert (body["prompt"], body["add_special_tokens"]) == (LIST, False)
        assert backend.score("Label:", LABELS).result(20).prompt_tokens == backend.count_tokens("Label:")


def test_what_a_server_refuses_is_left_out() -> None:
    with working(refuses=("top_k", "add_special_tokens", "repetition_penalty"), token_ids=False) as (server, backend):
        assert backend.generate(LIST, SAMPLING).result(20).text
        assert not {"top_k", "min_p", "add_special_tokens", "repetition_penalty"} & set(server.completions()[-1].body)
        assert not backend.capabilities.repetition_penalty


def test_max_tokens_ends_where_the_context_does() -> None:
    with working(context=40) as (server, backend):
        prompt = "one two " * 8
        backend.generate(prompt, replace(SAMPLING, max_tokens=1000)).result(20)
        assert server.completions()[-1].body["max_tokens"] == 40 - backend.count_tokens(prompt)


@pytest.mark.parametrize(
    ("told", "option", "folder", "context"),
    [(60, None, 900, 60), (60, 50, 900, 50), (None, None, 70, 70), (None, 50, 70, 50), (60, 80, 900, 60)],
)
def test_the_context_is_the_servers_own_unless_the_campaign_wants_less(
    told: int | None, option: int | None, folder: int, context: int
) -> None:
    from tests.generate.fake_server import backend_of

    with serving(context=told) as server:
        backend = backend_of({**server.options, "max_model_len": option}, context=folder)
        try:
            asked = len(server.completions())
            failed = backend.generate("word " * 200, SAMPLING).exception(20)
            tokens = backend.count_tokens("word " * 200)
            assert isinstance(failed, RequestFailedError)
            assert str(failed) == f"the prompt has {tokens} tokens, and the model's context is {context}"
            assert str(backend.score("", LABELS).exception(20)) == "the prompt is empty"
            assert len(server.completions()) == asked, "nothing was sent"
        finally:
            backend.close()


def test_more_stop_strings_than_the_server_takes_still_end_the_text() -> None:
    with working(most_stops=4) as (server, backend):
        free = backend.generate(LIST, FREE).result(20)
        word = free.text.split()[5]
        stops = (*(f"never said {number}" for number in range(7)), word)
        cut = backend.generate(LIST, replace(FREE, stop=stops)).result(20)
        assert server.completions()[-1].body["stop"] == list(stops[:4])
        assert (cut.text, cut.finish_reason, cut.stop_reason) == (free.text.partition(word)[0], "stop", word)


def test_a_loop_detector_goes_with_every_completion() -> None:
    detection = {"max_pattern_size": 20, "min_pattern_size": 2, "min_count": 4}
    with working(options={"repetition_detection": detection}) as (server, backend):
        backend.generate(LIST, SAMPLING).result(20)
        assert server.completions()[-1].body["repetition_detection"] == detection


def test_a_tokenizer_that_panics_fails_the_request() -> None:
    """What its compiled part throws then is no Exception."""

    class Panicking(TextTokenizer):
        def token_ids(self, text: str, *, special: bool) -> list[int]:
            if text == "panic":
                raise BaseException("index out of\x1b[2J bounds")
            return super().token_ids(text, special=special)

    with serving() as server:
        backend = ServerBackend(parse_options(server.options), Panicking(TOKENIZER))
        try:
            failed = backend.generate("panic", SAMPLING).exception(20)
            assert isinstance(failed, RequestFailedError)
            assert str(failed) == "the prompt cannot be read: index out of bounds"
            assert backend.generate(LIST, SAMPLING).result(20).text
        finally:
            backend.close()


@pytest.fixture
def open_files() -> Iterator[Callable[[int], None]]:
    """Allows so many files beside those that are open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def allow(more: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + more, limits[1]))

    yield allow
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_no_more_is_in_flight_than_files_may_be_open(
    open_files: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(owner="vllm") as server:
        open_files(KEPT_FREE + 30)
        backend = backend_of({**server.options, "concurrency": 1000}, gone=lambda: None)
        try:
            holding(server)
            futures = [backend.generate(LIST, replace(SAMPLING, seed=seed)) for seed in range(300)]
            wait_until(lambda: server.at_once >= 20, what="as many in flight as may be")
            server.let_go()
            assert all(future.result(20).text for future in futures)
            assert server.most_at_once <= 30
            assert "requests at a time: so many sockets may be open here (ulimit -n)" in caplog.text
        finally:
            backend.close()


# --- how a text ended --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "reason", "stop"),
    [
        ({"finish_reason": "stop", "stop_reason": "\n3."}, "stop", "\n3."),
        ({"finish_reason": "stop", "stop_reason": None}, "eos", None),
        ({"finish_reason": "stop", "stop_reason": 151645}, "eos", None),
        ({"finish_reason": "stop", "matched_stop": "\n3."}, "stop", "\n3."),
        ({"finish_reason": "stop", "matched_stop": 2}, "eos", None),
        ({"finish_reason": "stop", "stop_reason": "not asked for"}, "stop", None),
        ({"finish_reason": "length", "stop_reason": None}, "length", None),
        ({"finish_reason": "repetition", "stop_reason": "repetition_detected"}, "repetition", None),
    ],
)
def test_finish_reasons(
    server: FakeServer, backend: ServerBackend, choice: dict[str, Any], reason: str, stop: str | None
) -> None:
    answering(server, {"index": 0, "text": " Oslo.", **choice}, usage={"completion_tokens": 3})
    got = backend.generate(LIST, replace(SAMPLING, stop=("\n3.",))).result(20)
    assert (got.text, got.finish_reason, got.stop_reason) == (" Oslo.", reason, stop)
    assert (got.prompt_tokens, got.generated_tokens) == (backend.count_tokens(LIST), 3)


@pytest.mark.parametrize("ended", ["abort", "error", "content_filter", "\x1b[2Jwhatever"])
def test_a_request_that_the_server_gave_up_fails_at_once(
    server: FakeServer, backend: ServerBackend, ended: str
) -> None:
    answering(server, {"text": " Os", "finish_reason": ended})
    asked = len(server.completions())
    failed = backend.generate(LIST, SAMPLING).exception(20)
    assert isinstance(failed, RequestFailedError)
    assert "the server ended the request by" in str(failed)
    assert "\x1b" not in str(failed)
    assert len(server.completions()) == asked + 1


def test_a_server_that_tells_no_stop_reason_leaves_open_how_a_text_ended() -> None:
    with working(tells=None) as (_, backend):
        assert backend.generate(LIST, FREE).result(20).finish_reason == "eos", "nothing else can have ended it"
        unknown = backend.generate(LIST, replace(FREE, stop=("never said",))).result(20)
        assert (unknown.finish_reason, unknown.stop_reason) == ("stop", None)


def test_a_stop_reason_that_is_always_null_is_not_taken_for_the_models_own_end() -> None:
    """Proxies fill it in. The probe has seen that a stop string ended a text without being named."""

    def nameless(body: dict[str, Any]) -> web.Response:
        response = FakeServer.completed(server, body)
        assert isinstance(response.text, str)
        for stop in body.get("stop", []):
            response.text = response.text.replace(f'"stop_reason": "{stop}"', '"stop_reason": null')
        return response

    with serving() as server:
        server.completed = nameless  # type: ignore[method-assign]
        with opened(server) as backend:
            got = backend.generate(LIST, replace(FREE, stop=("never said",))).result(20)
    assert (got.finish_reason, got.stop_reason) == ("stop", None)


@pytest.mark.parametrize("switches", [{"leaves_stop": True}, {"stops": False}, {"leaves_stop": True, "tells": None}])
def test_no_text_holds_its_stop_string(switches: dict[str, Any]) -> None:
    with working(**switches) as (_, backend):
        free = backend.generate(LIST, FREE).result(20).text
        word = free.split()[5]
        got = backend.generate(LIST, replace(FREE, stop=("never said", word))).result(20)
        assert (got.text, got.finish_reason, got.stop_reason) == (free.partition(word)[0], "stop", word)


def test_tokens_are_counted_here_when_the_server_does_not() -> None:
    with working(usage=False) as (_, backend):
        got = backend.generate(LIST, SAMPLING).result(20)
        assert got.generated_tokens == backend.count_tokens(got.text)


# --- the socket, the figures, the end ----------------------------------------------------------------------------


def test_a_unix_socket_serves_as_well_and_no_proxy_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with working(socket=tmp_path / "s.sock") as (server, backend):
        one = backend.generate(LIST, SAMPLING).result(20)
        assert one == backend.generate(LIST, SAMPLING).result(20)
        assert server.completions()[-1].body["seed"] == 1


def test_figures_come_from_the_metrics_page() -> None:
    page = "# HELP x y\nvllm:num_requests_running 3.0\nvllm:num_requests_waiting 2\nvllm:kv_cache_usage_perc 0.25\n"
    with working(metrics=page) as (server, backend):
        assert backend.figures() is None, "nothing is in flight, so nothing is asked"
        assert server.metrics_asked == 0
        backend.generate(LIST, SAMPLING).result(20)
        figures = wait_until(backend.figures, what="figures")
        assert (figures.running, figures.waiting, figures.kv_cache_usage) == (3, 2, 0.25)


def test_a_server_without_a_metrics_page_is_asked_for_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.generate.backends.server.dispatch.EVERY_S", 0.005)
    with working() as (server, backend):
        for seed in range(50):
            backend.generate(LIST, replace(SAMPLING, seed=seed)).result(20)
        assert (server.metrics_asked, backend.figures()) == (1, None)


def test_the_metrics_page_is_looked_at_while_there_is_work_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.generate.backends.server.dispatch.EVERY_S", 0.005)
    with working(metrics="vllm:num_requests_running 1\n") as (server, backend):
        holding(server)
        future = backend.generate(LIST, SAMPLING)
        wait_until(lambda: server.metrics_asked > 5)
        server.let_go()
        future.result(20)
        # The task that looks ends by itself; the next request starts another.
        wait_until(lambda: backend._work._metrics_task is None)
        asked = server.metrics_asked
        backend.generate(LIST, SAMPLING).result(20)
        wait_until(lambda: server.metrics_asked > asked)


def holding(server: FakeServer) -> None:
    """Have every answer wait for `release`."""

    async def meet(asked: Asked) -> None:
        await server.release.wait()

    server.meets = meet


def test_cancel_drops_what_waits_and_what_runs_and_the_backend_goes_on() -> None:
    with working(options={"concurrency": 4}) as (server, backend):
        holding(server)
        futures = [backend.generate(LIST, replace(SAMPLING, seed=seed)) for seed in range(20)]
        wait_until(lambda: server.at_once == 4)
        backend.cancel()
        assert all(future.cancelled() for future in futures)
        wait_until(lambda: server.gone == 4, what="the server hearing that nobody waits")
        server.let_go()
        assert backend.generate(LIST, SAMPLING).result(20).text


def test_close_does_not_wait_for_a_hung_server() -> None:
    before = set(threading.enumerate())
    with serving() as server, opened(server) as backend:
        threads = {thread for thread in set(threading.enumerate()) - before if thread.name.startswith("server ")}
        assert threads
        holding(server)
        futures = [backend.generate(LIST, SAMPLING), backend.score("Label:", LABELS)]
        wait_until(lambda: server.at_once == 2)
        backend.close()
        wait_until(lambda: not any(thread.is_alive() for thread in threads), timeout=5)
        for future in futures:
            with pytest.raises(CancelledError):
                future.result(0)
        with pytest.raises(RuntimeError):
            backend.generate(LIST, SAMPLING)


def test_nothing_blocks_the_caller() -> None:
    """A thousand requests are taken while the server answers none of them."""
    with working(options={"concurrency": 8}) as (server, backend):
        holding(server)
        began = time.monotonic()
        futures = [backend.generate(LIST, replace(SAMPLING, seed=seed)) for seed in range(1000)]
        assert time.monotonic() - began < 10
        assert not wait(futures, timeout=0).done
        server.let_go()
        assert len({future.result(60).text for future in futures}) > 900
        assert server.most_at_once <= 8


def test_what_was_found_is_said_in_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, "pilothouse.generate"),
        working(seeds=False, version="9.9\x1b[31m") as (_, found),
    ):
        assert found.capabilities.versions["server"] == "someone 9.9"
    [line] = [record.getMessage() for record in caplog.records if record.name == "pilothouse.generate"]
    for part in ("(someone 9.9) serves fake, context 512", "as token ids", "by logprob_token_ids, up to 16 at once"):
        assert part in line
    assert "seeds are not honoured, the repetition penalty is honoured, stop strings are honoured" in line


def test_the_event_loop_is_its_own() -> None:
    """A caller with a running loop is not disturbed."""
    with working() as (_, backend):

        async def ask() -> str:
            return (await asyncio.wrap_future(backend.generate(LIST, SAMPLING))).text

        assert asyncio.run(ask()) == backend.generate(LIST, SAMPLING).result(20).text
