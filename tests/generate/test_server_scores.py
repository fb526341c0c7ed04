"""Label scores from a server, each way against a model whose log probabilities are known."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from aiohttp import web

from engine.errors import ConfigurationError
from engine.generate.backends.base import RequestFailedError, label_tokens
from engine.generate.backends.server.backend import ServerBackend
from engine.generate.backends.server.waiting import Job, Queue
from engine.generate.critics import LABELS
from engine.generate.models.tokenizer import TextTokenizer
from tests.generate.fake_server import SAMPLING, TOKENIZER, Asked, FakeServer, error, opened, serving, working
from tests.waiting import wait_until

TOKENS = label_tokens(TextTokenizer(TOKENIZER), LABELS)
LIKELY = {TOKENS[" A"]: 20.0, TOKENS[" B"]: 18.0, TOKENS["A"]: 15.0, TOKENS["B"]: 15.5}
PROMPTS = [f"Instruction: Add {number} and 2.\nLabel:" for number in range(12)]

WAYS = {
    "named": {},
    "named, prompts as text": {"token_ids": False},
    "named, one at a time": {"together": 1},
    "named, four at a time": {"together": 4},
    "generate": {"named": False, "generate": True},
    "likeliest, as ids": {"named": False},
    "likeliest, as texts": {"named": False, "as_ids": False},
    "likeliest, as texts, prompts as text": {"named": False, "as_ids": False, "token_ids": False},
    "likeliest, as texts, no bias": {"named": False, "as_ids": False, "bias": False},
    "likeliest ten": {"named": False, "top": 10},
}


@pytest.fixture(scope="module", params=WAYS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[FakeServer, ServerBackend]]:
    """A server that scores in one way, whose labels are likely after `Instruction:`."""
    with working(**WAYS[request.param], boosts={"Instruction": LIKELY}) as (server, backend):
        yield server, backend


def test_scores_are_those_of_a_full_softmax(pair: tuple[FakeServer, ServerBackend]) -> None:
    """Asked for all at once, so that they share requests where the server takes that."""
    server, backend = pair
    futures = [backend.score(prompt, LABELS) for prompt in PROMPTS]
    for prompt, future in zip(PROMPTS, futures, strict=True):
        scores, known = future.result(20), server.log_probabilities(prompt)
        assert scores.prompt_tokens == backend.count_tokens(prompt)
        assert scores.logprobs == pytest.approx({label: known[TOKENS[label]] for label in LABELS}, abs=1e-9)
        assert scores.bounded == ()
    assert "echo" not in str([asked.body for asked in server.completions()])
    assert "prompt_logprobs" not in str([asked.body for asked in server.completions()])


def test_capabilities_say_so(pair: tuple[FakeServer, ServerBackend]) -> None:
    assert pair[1].capabilities.label_scores


@pytest.mark.parametrize("likely", [{}, {TOKENS["B"]: 30.0}, {0: 30.0}, {3071: 30.0}])
@pytest.mark.parametrize("switches", [{}, {"named": False, "generate": True}])
def test_named_labels_are_exact_however_unlikely(switches: dict[str, Any], likely: dict[int, float]) -> None:
    """Whatever is sampled: a label, or the token that is asked for beside them."""
    with working(**switches, boosts={"Add": likely}) as (server, backend):
        scores, known = backend.score(PROMPTS[0], LABELS).result(20), server.log_probabilities(PROMPTS[0])
        assert scores.logprobs == pytest.approx({label: known[TOKENS[label]] for label in LABELS}, abs=1e-9)


def test_labels_beyond_the_likeliest_are_bounded_by_the_last_of_them() -> None:
    boosts = {TOKENS[" A"]: 14.0, TOKENS[" B"]: 12.0, TOKENS["A"]: -20.0, TOKENS["B"]: -30.0}
    with working(named=False, boosts={"Instruction": boosts}) as (server, backend):
        scores, known = backend.score(PROMPTS[0], LABELS).result(20), server.log_probabilities(PROMPTS[0])
        bound = sorted(known.values())[-20]
        assert scores.bounded == ("A", "B")
        assert scores.logprobs == pytest.approx(
            {" A": known[TOKENS[" A"]], " B": known[TOKENS[" B"]], "A": bound, "B": bound}
        )
        assert all(known[TOKENS[label]] <= scores.logprobs[label] for label in scores.bounded)


def test_no_label_among_the_likeliest_fails_the_request() -> None:
    boosts = dict.fromkeys(TOKENS.values(), -30.0)
    with working(named=False, boosts={"Instruction": boosts}) as (_, backend):
        failed = backend.score(PROMPTS[0], LABELS).exception(20)
        assert isinstance(failed, RequestFailedError)
        assert "none of the labels is among the 20 tokens" in str(failed)


def test_labels_with_and_without_a_space_are_told_apart_by_text() -> None:
    """Texts that lost their spaces would make " A" and "A" one; that is found out, and nothing else is left."""
    with (
        serving(named=False, as_ids=False, strips_tokens=True) as server,
        pytest.raises(ConfigurationError, match="critics cannot work without"),
        opened(server),
    ):
        pass


def test_a_server_without_log_probabilities_cannot_be_worked_with() -> None:
    with serving(named=False, refuses=("logprobs",)) as server, pytest.raises(ConfigurationError) as caught:
        opened(server).__enter__()
    assert "no log probabilities of the labels A and B" in caught.value.what
    assert caught.value.remedy is not None


def test_logits_are_not_taken_for_log_probabilities() -> None:
    class Raw(FakeServer):
        def log_probabilities(self, prompt: str) -> dict[int, float]:
            return {number: value + 12.0 for number, value in super().log_probabilities(prompt).items()}

    server = Raw().start()
    try:
        with pytest.raises(ConfigurationError, match="critics cannot work without"), opened(server):
            pass
    finally:
        server.end()


def test_a_server_that_ignores_named_tokens_is_found_out_even_where_the_labels_are_its_likeliest() -> None:
    with working(named=False, boosts={"Paris": LIKELY}) as (server, backend):
        known = server.log_probabilities(PROMPTS[0])
        top = sorted(known, key=lambda number: -known[number])[:20]
        scores = backend.score(PROMPTS[0], LABELS)
        if not set(TOKENS.values()) & set(top):
            assert "none of the labels is among the 20 tokens" in str(scores.exception(20))
        else:
            assert scores.result(20).bounded == tuple(label for label in LABELS if TOKENS[label] not in top)


# --- together ----------------------------------------------------------------------------------------------------


def scored(server: FakeServer, since: int) -> list[int]:
    """How many prompts each request had that the server got since then."""
    return [asked.prompts for asked in server.completions()[since:]]


@pytest.mark.parametrize(("together", "expected"), [(100, [16, 16, 7]), (5, [4] * 9 + [3]), (1, [1] * 39)])
def test_scores_that_wait_go_together_and_no_more_than_the_server_takes(together: int, expected: list[int]) -> None:
    with working(together=together, options={"concurrency": 1}) as (server, backend):

        async def meet(asked: Asked) -> None:
            await server.release.wait()

        server.meets = meet
        first = backend.score("Label:", LABELS)
        wait_until(lambda: server.at_once == 1)
        since = len(server.completions())
        futures = [backend.score(f"{number}\nLabel:", LABELS) for number in range(39)]
        wait_until(lambda: len(backend._work._queue._scores) == 39)
        server.let_go()
        for future in (first, *futures):
            assert len(future.result(20).logprobs) == 4
        assert scored(server, since) == expected


def test_a_score_that_nothing_waits_beside_is_sent_at_once() -> None:
    with working() as (server, backend):
        since = len(server.completions())
        for number in range(3):
            backend.score(f"{number}\nLabel:", LABELS).result(20)
        assert scored(server, since) == [1, 1, 1]


@pytest.mark.parametrize("status", [400, 500])
def test_of_scores_sent_together_only_the_bad_one_fails(status: int) -> None:
    with working(options={"concurrency": 1}) as (server, backend):
        since = len(server.completions())

        async def meet(asked: Asked) -> web.Response | None:
            prompts = asked.body["prompt"] if asked.prompts > 1 else [asked.body["prompt"]]
            if any("poison" in server.tokenizer.decode(prompt) for prompt in prompts):
                return error(status, "will not have it")
            return None

        server.meets = meet
        futures = [
            backend.score("poison\nLabel:" if number == 5 else f"{number}\nLabel:", LABELS) for number in range(12)
        ]
        failed = [number for number, future in enumerate(futures) if future.exception(20) is not None]
        assert failed == [5]
        assert "will not have it" in str(futures[5].exception())
        assert max(scored(server, since)) > 1


def test_who_is_to_go_alone_goes_alone_and_whom_nobody_waits_for_does_not_go() -> None:
    labels, others = dict(TOKENS), dict(TOKENS)
    jobs = [Job(number, Future(), others if number == 6 else labels) for number in range(9)]
    jobs[2].alone = jobs[3].alone = True
    completion = Job(5, Future(), SAMPLING)
    queue = Queue()
    for job in (*jobs[:5], completion, *jobs[6:]):
        queue.add(job)
    jobs[0].future.cancel()
    jobs[4].future.cancel()
    taken = []
    while queue:
        taken.append([job.number for job in queue.take(16)])
    assert taken == [[1], [2], [3], [5], [6], [7, 8]]


def test_answers_are_placed_by_their_index() -> None:
    """The stand-in answers in reverse; one that numbers all alike is asked one by one."""

    class Unnumbered(FakeServer):
        def _choice(self, body: dict[str, Any], prompt: str) -> dict[str, Any]:
            return super()._choice(body, prompt) | {"index": 0}

        def completed(self, body: dict[str, Any]) -> web.Response:
            response = super().completed(body)
            assert isinstance(response.text, str)
            for number in range(1, 20):
                response.text = response.text.replace(f'"index": {number}', '"index": 0')
            return response

    server = Unnumbered().start()
    try:
        with opened(server) as backend:
            since = len(server.completions())
            for future, prompt in [(backend.score(prompt, LABELS), prompt) for prompt in PROMPTS]:
                known = server.log_probabilities(prompt)
                assert future.result(20).logprobs == pytest.approx({x: known[TOKENS[x]] for x in LABELS})
            assert set(scored(server, since)) == {1}
    finally:
        server.end()


def test_a_label_of_several_tokens_is_a_configuration_error() -> None:
    with working() as (_, backend), pytest.raises(ConfigurationError, match="must be one"):
        backend.score("Label:", ("certainly", "B"))
