"""A server that is busy, fails, breaks off, lies, goes away and comes back: what becomes of the requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine.generate.backends.base import BackendLostError, RequestFailedError, label_tokens
from engine.generate.backends.server.backend import ServerBackend
from engine.generate.critics import LABELS
from engine.generate.models.tokenizer import TextTokenizer
from tests.generate.fake_server import SAMPLING, TOKENIZER, Asked, FakeServer, error, opened, serving, working
from tests.waiting import wait_until

PROMPT = "Short tasks:\n1."
BAD_SEED = 666
NAMES = [f"token_id:{number}" for number in label_tokens(TextTokenizer(TOKENIZER), LABELS).values()]


def ask(backend: ServerBackend, *seeds: int) -> list[Future[Any]]:
    return [backend.generate(PROMPT, replace(SAMPLING, seed=seed)) for seed in seeds]


def texts(futures: list[Future[Any]]) -> list[str]:
    return [future.result(60).text for future in futures]


def meeting(server: FakeServer, answer: Callable[[Asked, int], Any]) -> list[float]:
    """Have `answer(asked, how many before it)` meet the completions from now on; returns the times they came at."""
    times: list[float] = []

    async def meet(asked: Asked) -> web.StreamResponse | None:
        times.append(time.monotonic())
        found = answer(asked, len(times) - 1)
        return await found if asyncio.iscoroutine(found) else found  # type: ignore[no-any-return]

    server.meets = meet
    return times


async def broken_off(asked: Asked) -> web.StreamResponse:
    """Half an answer, and then the connection is gone."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(asked.request)
    await response.write(b'{"choices": [{"text": " half of')
    assert asked.request.transport is not None
    asked.request.transport.abort()
    return response


# --- busy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_wishes(status: int) -> None:
    with working() as (server, backend):
        [expected] = texts(ask(backend, 1))
        times = meeting(
            server, lambda asked, before: error(status, "slow down", **{"Retry-After": "1"}) if not before else None
        )
        assert texts(ask(backend, 1)) == [expected]
        assert len(times) == 2
        assert times[1] - times[0] >= 0.99


def test_a_busy_server_gets_half_as_many_and_nothing_is_lost() -> None:
    with working(options={"concurrency": 64}) as (server, backend):
        before = backend.concurrency

        def answer(asked: Asked, number: int) -> web.Response | None:
            return error(429, "too many") if server.at_once > 12 else None

        async def slowly(asked: Asked) -> web.StreamResponse | None:
            found = answer(asked, 0)
            await asyncio.sleep(0.005)
            return found

        server.meets = slowly
        found = texts(ask(backend, *range(300)))
        assert len(set(found)) == 300
        assert backend.concurrency < before


def test_who_is_turned_away_again_and_again_while_others_are_served_is_not_given_up() -> None:
    with working() as (server, backend):
        away = iter(range(12))
        meeting(
            server,
            lambda asked, _: (
                error(429, "not you") if asked.body["seed"] == 1 and next(away, None) is not None else None
            ),
        )
        patient, seed = ask(backend, 1)[0], 2
        while not patient.done():
            assert texts(ask(backend, seed))
            seed += 1
        assert patient.result(0).text


def test_a_server_that_is_faster_with_more_gets_more() -> None:
    """Each answer takes 50 ms, however many are asked for."""
    with working() as (server, backend):
        before = backend.concurrency

        async def slowly(asked: Asked) -> None:
            await asyncio.sleep(0.05)

        server.meets = slowly
        pending = ask(backend, *range(1500))
        wait_until(lambda: backend.concurrency > before, what="a higher limit")
        assert len(texts(pending)) == 1500
        assert server.most_at_once > 32


def test_a_server_that_turns_requests_away_while_it_works_is_not_lost() -> None:
    with working(options={"retry_for_s": 0.05}) as (server, backend):

        async def answer(asked: Asked) -> web.StreamResponse | None:
            if asked.body["seed"] == 1:
                await server.release.wait()
                return None
            return None if server.release.is_set() else error(429, "one at a time")

        times = meeting(server, lambda asked, _: answer(asked))
        first = ask(backend, 1)
        wait_until(lambda: server.at_once == 1)
        second = ask(backend, 2)
        wait_until(lambda: backend.concurrency == 9, what="a limit of one")
        assert times[-1] - times[1] > 0.05, "it was turned away for longer than a server may be away"
        server.let_go()
        assert len(texts(first + second)) == 2


# --- errors of the server ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [6, 60])
def test_errors_that_pass_are_survived(many: int) -> None:
    """However long they last: when nobody is served, no request is to blame."""
    with working() as (server, backend):
        expected = texts(ask(backend, 1, 2, 3))
        meeting(server, lambda asked, before: web.Response(status=500, text="oops") if before < many else None)
        assert texts(ask(backend, 1, 2, 3)) == expected


def test_a_server_with_nothing_but_errors_is_lost() -> None:
    with working(options={"retry_for_s": 0.3}) as (server, backend):
        meeting(server, lambda asked, _: error(500, "out of \x1b[31mmemory"))
        lost = [future.exception(20) for future in ask(backend, *range(10))]
        assert {type(one) for one in lost} == {BackendLostError}
        assert str(lost[0]).endswith("has served nothing for 0.3 s: 500: out of memory")


def test_a_request_that_the_server_always_fails_at_fails_alone() -> None:
    with working() as (server, backend):

        def answer(asked: Asked, _: int) -> web.Response | None:
            return error(500, "index \x1b[31mout\x1b]0;title\x07 of range") if asked.body["seed"] == BAD_SEED else None

        meeting(server, answer)
        bad, *good = ask(backend, BAD_SEED, *range(20))
        assert len(texts(good)) == 20
        failed = bad.exception(20)
        assert isinstance(failed, RequestFailedError)
        assert str(failed) == "the server failed 5 times: 500: index out of range"
        [last] = ask(backend, BAD_SEED)
        assert isinstance(last.exception(20), RequestFailedError), "nobody else is asking: the server would serve them"


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_a_request_that_the_server_refuses_fails_at_once(status: int) -> None:
    with working() as (server, backend):
        meeting(server, lambda asked, _: error(status, "no\x1b[2J thanks") if asked.body["seed"] == BAD_SEED else None)
        bad, *good = ask(backend, BAD_SEED, 1, 2)
        failed = bad.exception(20)
        assert isinstance(failed, RequestFailedError)
        assert str(failed) == f"the server refused the request: {status}: no thanks"
        assert len(texts(good)) == 2
        assert sum(one.body.get("seed") == BAD_SEED for one in server.completions()) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not let us in any more (401: no thanks): does it ask for a key now (api_key_env)?"),
        (403, "does not let us in any more (403: no thanks): does it ask for a key now (api_key_env)?"),
        (404, "has not what it had before (404: no thanks): does it serve another model now?"),
    ],
)
def test_a_server_that_denies_everybody_what_it_did_is_lost(status: int, words: str) -> None:
    with working() as (server, backend):
        meeting(server, lambda asked, _: error(status, "no\x1b[2J thanks"))
        for future in (*ask(backend, *range(20)), backend.score("Label:", LABELS)):
            lost = future.exception(20)
            assert isinstance(lost, BackendLostError)
            assert str(lost) == f"the server at {server.options['url']} {words}"


def test_of_a_key_that_is_taken_no_more_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "sk-hunter2")
    with working(key="sk-hunter2", options={"api_key_env": "SERVER_KEY"}) as (server, backend):
        server.key = "another"
        lost = ask(backend, 1)[0].exception(20)
        assert isinstance(lost, BackendLostError)
        assert "was the key in SERVER_KEY revoked" in str(lost)
        assert "hunter2" not in str(lost)


def test_redirects_are_not_followed() -> None:
    with serving() as other, working() as (server, backend):
        there = {"Location": f"{other.options['url']}/v1/completions"}
        meeting(server, lambda asked, _: web.Response(status=307, headers=there))
        assert "307" in str(ask(backend, 1)[0].exception(20))
        assert not other.asked


HOSTILE = [
    web.Response(text="<!DOCTYPE html><script>alert(1)</script>", content_type="text/html"),
    web.Response(text="not JSON \x1b[2J"),
    web.Response(text="[" * 200_000),
    web.Response(text='{"choices": [{"text": "x", "finish_reason": "stop", "index": ' + "9" * 5000 + "}]}"),
    web.Response(body=b"\xff\xfe\x00"),
    web.Response(text=""),
    web.json_response(None),
    web.json_response([]),
    web.json_response({}),
    web.json_response({"choices": []}),
    web.json_response({"choices": [5]}),
    web.json_response({"choices": [{}, {}]}),
    web.json_response({"choices": [{"text": 5, "finish_reason": "stop"}]}),
    web.json_response({"choices": [{"text": "x", "finish_reason": None}]}),
    web.json_response({"choices": [{"text": "x", "finish_reason": ["stop"]}]}),
    web.Response(body=json.dumps({"choices": [{"text": "x" * (10 << 20), "finish_reason": "stop"}]}).encode()),
    web.Response(body=b"x", headers={"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_completion_fails_that_request_and_no_other(hostile: web.Response) -> None:
    with working() as (server, backend):

        def answer(asked: Asked, _: int) -> web.Response | None:
            again = web.Response(
                body=hostile.body,
                headers={k: v for k, v in hostile.headers.items() if k in ("Content-Type", "Content-Encoding")},
            )
            return again if asked.body["seed"] == BAD_SEED else None

        meeting(server, answer)
        bad, *good = ask(backend, BAD_SEED, 1, 2)
        failed = bad.exception(30)
        assert isinstance(failed, RequestFailedError), failed
        assert "the server failed 5 times: the answer" in str(failed)
        assert "\x1b" not in str(failed)
        assert len(str(failed)) < 400
        assert len(texts(good)) == 2


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        5,
        {},
        {"top_logprobs": []},
        {"top_logprobs": [None]},
        *({"top_logprobs": [dict.fromkeys(NAMES, value)]} for value in ("x", None, True, float("nan"), 17.0, 10**400)),
        {"top_logprobs": [{"token_id:" + "9" * 10_000: -1.0}]},
        {"content": []},
        {"content": [{"top_logprobs": [1]}]},
        {"content": [{"top_logprobs": [], "logprob": -1}]},
    ],
)
def test_what_are_no_label_scores_fails_that_request(logprobs: Any) -> None:
    with working() as (server, backend):
        answer = {"choices": [{"index": 0, "text": "", "finish_reason": "length", "logprobs": logprobs}]}
        meeting(server, lambda asked, _: web.json_response(answer))
        assert isinstance(backend.score("Label:", LABELS).exception(30), RequestFailedError)
        server.meets = None
        assert backend.score("Label:", LABELS).result(20).logprobs


@pytest.mark.parametrize(
    "usage", [None, 5, {"completion_tokens": "x"}, {"completion_tokens": -5}, {"completion_tokens": 1e99}]
)
def test_a_count_that_is_none_is_made_here(usage: Any) -> None:
    with working() as (server, backend):
        choice = {"text": " one two", "finish_reason": "stop"}
        meeting(server, lambda asked, _: web.json_response({"choices": [choice], "usage": usage}))
        assert ask(backend, 1)[0].result(20).generated_tokens == backend.count_tokens(" one two")


# --- connections -------------------------------------------------------------------------------------------------


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    with working() as (server, backend):
        expected = texts(ask(backend, *range(8)))
        meeting(server, lambda asked, before: broken_off(asked) if before in (0, 3, 4) else None)
        assert texts(ask(backend, *range(8))) == expected


def test_a_request_that_breaks_every_connection_fails_alone() -> None:
    """As one would that crashes a worker: others are served in between, so it is not the server that is lost."""
    with working() as (server, backend):
        meeting(server, lambda asked, _: broken_off(asked) if asked.body["seed"] == BAD_SEED else None)
        bad = ask(backend, BAD_SEED)[0]
        seed = 1
        while not bad.done():
            assert texts(ask(backend, seed))
            seed += 1
        failed = bad.exception(0)
        assert isinstance(failed, RequestFailedError)
        assert "failed 5 times while others were served" in str(failed)


def test_connections_that_break_now_and_then_do_not_lose_a_server_that_works() -> None:
    """Two of them further apart than it may be away; the answers between them take longer than that."""
    with working(options={"retry_for_s": 0.2}) as (server, backend):

        async def answer(asked: Asked, number: int) -> web.StreamResponse | None:
            if number < 2:
                while server.at_once < 5 - number:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.5 * number)
                return await broken_off(asked)
            await server.release.wait()
            return None

        meeting(server, answer)
        futures = ask(backend, *range(5))
        wait_until(lambda: len(backend._work._queue._completions) == 2, what="both waiting for another try")
        server.let_go()
        assert len(texts(futures)) == 5


@pytest.mark.parametrize("unix", [False, True])
def test_a_server_that_restarts_loses_nothing(tmp_path: Path, unix: bool) -> None:
    with working(socket=tmp_path / "s.sock" if unix else None, options={"retry_for_s": 60}) as (server, backend):
        expected = texts(ask(backend, *range(200)))
        known = len(server.completions())

        async def hold(asked: Asked) -> None:
            if len(server.completions()) > known + 60:
                await server.release.wait()

        server.meets = hold
        futures = ask(backend, *range(200))
        scores = [backend.score(f"{number}\nLabel:", LABELS) for number in range(100)]
        wait_until(lambda: server.at_once >= 32, what="as many in flight as may be")
        server.stop()
        assert not all(future.done() for future in futures)
        futures += ask(backend, 500)
        server.meets = None
        server.start()
        assert texts(futures[:-1]) == expected
        assert futures[-1].result(20).text
        assert all(len(score.result(20).logprobs) == 4 for score in scores)


def test_a_server_that_stays_away_fails_everything_that_is_asked_and_will_be() -> None:
    with working(options={"retry_for_s": 0.3}) as (server, backend):

        async def hold(asked: Asked) -> None:
            await server.release.wait()

        server.meets = hold
        futures = [*ask(backend, *range(100)), backend.score("Label:", LABELS)]
        wait_until(lambda: server.at_once > 3)
        server.stop()
        url = server.options["url"]
        for future in futures:
            lost = future.exception(20)
            assert isinstance(lost, BackendLostError)
            assert str(lost) == f"the server at {url} could not be reached for 0.3 s: Connection refused"
        for later in (*ask(backend, 1), backend.score("Label:", LABELS)):
            assert isinstance(later.exception(20), BackendLostError)
        server.start()


def test_while_it_is_away_one_request_at_a_time_looks_for_it() -> None:
    """A hundred that wait do not run against a closed door, and do not fall upon a server that has just come back."""
    with working(options={"retry_for_s": 60}) as (server, backend):
        server.stop()
        futures = ask(backend, *range(100))
        wait_until(lambda: backend._work._pacing.down and len(backend._work._queue._completions) >= 99)
        tries: list[int] = []

        async def hold(asked: Asked) -> None:
            tries.append(server.at_once)
            await server.release.wait()

        server.meets = hold
        server.start()
        wait_until(lambda: tries)
        futures += ask(backend, *range(100, 120))
        wait_until(lambda: len(backend._work._queue._completions) >= 119)
        assert tries == [1]
        server.let_go()
        assert len(set(texts(futures))) == 120


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_whose_server_restarts_loses_nothing(status: int) -> None:
    with working(options={"retry_for_s": 60}) as (server, backend):
        expected = texts(ask(backend, *range(3)))
        meeting(server, lambda asked, before: error(status, "upstream") if before < 30 else None)
        assert texts(ask(backend, *range(3))) == expected


def test_a_gateway_whose_server_stays_away_is_lost() -> None:
    with working(options={"retry_for_s": 0.3}) as (server, backend):
        meeting(server, lambda asked, _: error(503, "no \x1b[5mupstream"))
        lost = [future.exception(20) for future in ask(backend, *range(10))]
        assert {type(one) for one in lost} == {BackendLostError}
        assert str(lost[0]).endswith("has served nothing for 0.3 s: 503: no upstream")


def test_a_request_that_is_not_answered_in_time_is_asked_again_and_fewer_are_sent() -> None:
    with working(options={"timeout_s": 0.5, "retry_for_s": 60}) as (server, backend):
        before = backend.concurrency

        async def hang() -> None:
            await asyncio.Event().wait()

        meeting(server, lambda asked, number: hang() if number == 0 else None)
        assert texts(ask(backend, 1))
        assert backend.concurrency < before
        wait_until(lambda: server.gone == 1, what="the server hearing that nobody waits")


def test_a_server_that_hangs_for_good_is_lost() -> None:
    with working(options={"timeout_s": 0.3, "retry_for_s": 0.4}) as (server, backend):

        async def hang() -> None:
            await asyncio.Event().wait()

        meeting(server, lambda asked, _: hang())
        lost = ask(backend, 1)[0].exception(30)
        assert isinstance(lost, BackendLostError)
        assert "no answer within 0.3 s" in str(lost)


def test_trouble_of_long_ago_is_not_held_against_a_server() -> None:
    """It was away while requests were dropped; the next ones get their full time again."""
    with working(options={"retry_for_s": 1.0}) as (server, backend):
        server.stop()
        ask(backend, *range(5))
        wait_until(lambda: backend._work._pacing._since is not None)
        backend.cancel()
        wait_until(lambda: backend._work._pacing._since is None)
        futures = ask(backend, *range(5))
        server.start()
        assert len(texts(futures)) == 5


def test_a_lost_backend_can_still_be_closed_and_cancelled(tmp_path: Path) -> None:
    with serving(socket=tmp_path / "s.sock") as server, opened(server, retry_for_s=0.1) as backend:
        server.stop()
        assert isinstance(ask(backend, 1)[0].exception(20), BackendLostError)
        backend.cancel()
        backend.close()
        server.start()
