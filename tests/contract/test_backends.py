"""What every backend must hold, tried on the real thing: the same scenarios for each of them."""

from __future__ import annotations

import time
from concurrent.futures import wait
from dataclasses import replace

import pytest

from engine.generate.backends.base import (
    BackendLostError,
    RequestFailedError,
    SamplingParameters,
    label_tokens,
)
from engine.generate.critics import LABELS, judge
from tests.contract.conftest import CONTEXT, Subject
from tests.waiting import wait_until

SAMPLING = SamplingParameters(temperature=0.9, top_p=0.95, repetition_penalty=1.1, max_tokens=40, seed=1)
LIST = "Short tasks for a language model:\n1. Name the capital of Norway.\n2. Add 47 and 12.\n3."
TASK = "Instruction: Subtract 8 from 50.\nResponse:"
CRITIC = "Does the response do the task correctly? A = yes, B = no.\nInstruction: {}\nResponse: {}\nLabel:"
PAIRS = [("Name the capital of Norway.", "Oslo."), ("Name a bird.", "Hammer."), ("Add 2 and 3.", "5")]


def test_same_seed_same_text_whatever_else_runs(subject: Subject) -> None:
    seeds = range(100, 148)
    crowd = [subject.backend.generate(LIST, replace(SAMPLING, seed=seed)) for seed in seeds]
    scores = [subject.backend.score(CRITIC.format("Add 1 and 2.", number), LABELS) for number in range(48)]
    together = [future.result().text for future in crowd]
    assert all(future.result().prompt_tokens > 0 for future in scores)
    alone = [subject.backend.generate(LIST, replace(SAMPLING, seed=seed)).result().text for seed in reversed(seeds)]
    same = sum(one == other for one, other in zip(together, alone[::-1], strict=True))
    # On a GPU another shape of the batch rounds differently now and then: a seed is a promise of the sampler alone.
    assert same >= 0.75 * len(together)
    assert len(set(together)) > 36, "other seeds give other texts"


def test_the_same_request_again_gives_the_same_text(subject: Subject) -> None:
    texts = {subject.backend.generate(LIST, SAMPLING).result().text for _ in range(4)}
    assert len(texts) == 1


def test_zero_temperature_is_greedy_and_needs_no_seed(subject: Subject) -> None:
    greedy = [replace(SAMPLING, temperature=0.0, seed=seed) for seed in range(4)]
    assert len({subject.backend.generate(LIST, wanted).result().text for wanted in greedy}) == 1


def test_max_tokens_ends_a_text_by_length(subject: Subject) -> None:
    completion = subject.backend.generate(LIST, replace(SAMPLING, max_tokens=3)).result()
    assert (completion.finish_reason, completion.generated_tokens, completion.stop_reason) == ("length", 3, None)
    assert completion.prompt_tokens == subject.backend.count_tokens(LIST)


def test_a_stop_string_ends_the_text_early_and_is_left_out(subject: Subject) -> None:
    free = subject.backend.generate(LIST, SAMPLING).result()
    assert "\n4." in free.text
    stopped = subject.backend.generate(LIST, replace(SAMPLING, stop=("never said", "\n4."))).result()
    assert stopped.text == free.text.partition("\n4.")[0]
    assert (stopped.finish_reason, stopped.stop_reason) == ("stop", "\n4.")
    assert stopped.generated_tokens < free.generated_tokens, "it stopped instead of being cut afterwards"


def test_only_the_whole_stop_string_stops(subject: Subject) -> None:
    """A stop string that ends in ':' or '.' must not make every one of them end the text."""
    free = subject.backend.generate(LIST, SAMPLING).result()
    stopped = subject.backend.generate(LIST, replace(SAMPLING, stop=("\nInstruction.", "Zebra 4."))).result()
    assert (stopped.text, stopped.finish_reason) == (free.text, free.finish_reason)


def test_the_model_may_end_by_itself(subject: Subject) -> None:
    wanted = [replace(SAMPLING, seed=seed, max_tokens=150) for seed in range(40)]
    found = [future.result() for future in [subject.backend.generate(TASK, one) for one in wanted]]
    ended = [completion for completion in found if completion.finish_reason == "eos"]
    assert ended
    assert all(completion.generated_tokens < 150 and completion.stop_reason is None for completion in ended)
    assert not any("<|" in completion.text for completion in ended), "the end token is no text"
    with_stop = [subject.backend.generate(TASK, replace(one, stop=("never said",))) for one in wanted]
    assert any(future.result().finish_reason == "eos" for future in with_stop), "and is told from a stop string"


def test_a_repetition_penalty_makes_texts_repeat_less(subject: Subject) -> None:
    def distinct(penalty: float) -> float:
        wanted = replace(SAMPLING, temperature=0.0, repetition_penalty=penalty, max_tokens=60)
        ids = subject.backend.token_ids(subject.backend.generate(LIST, wanted).result().text, special=False)
        return len(set(ids)) / len(ids)

    assert distinct(3.0) > distinct(1.0) + 0.1


@pytest.mark.parametrize(("instruction", "response"), PAIRS)
def test_label_scores_are_those_of_a_full_softmax(subject: Subject, instruction: str, response: str) -> None:
    prompt = CRITIC.format(instruction, response)
    scores = subject.backend.score(prompt, LABELS).result()
    expected = subject.softmax(prompt)
    assert scores.prompt_tokens == subject.backend.count_tokens(prompt)
    assert scores.bounded == ()
    likely = 0.0
    for label, token in label_tokens(subject.backend, LABELS).items():
        # Far down the tail low precision is off by more nats, and by nothing that a verdict could notice.
        slack = 1.0 if expected[token] < -9.0 else 1.0 if subject.tolerance > 0.1 and expected[token] < -6.0 else 0.0
        assert scores.logprobs[label] == pytest.approx(expected[token], abs=subject.tolerance + slack)
        likely = max(likely, scores.logprobs[label] + 9.0)
    assert likely > 0.0, "one of the labels is likely"
    expected_verdict = judge({label: expected[t] for label, t in label_tokens(subject.backend, LABELS).items()}, 1.0)
    assert judge(scores.logprobs, 1.0).good == expected_verdict.good


def test_scores_do_not_depend_on_what_else_is_scored(subject: Subject) -> None:
    prompts = [CRITIC.format("Add 1 and 2.", number) for number in range(64)]
    together = [future.result() for future in [subject.backend.score(prompt, LABELS) for prompt in prompts]]
    for prompt, scores in zip(prompts[::9], together[::9], strict=True):
        alone = subject.backend.score(prompt, LABELS).result()
        for label in LABELS:
            assert scores.logprobs[label] == pytest.approx(alone.logprobs[label], abs=max(subject.tolerance, 1e-6))


def test_a_bad_request_fails_alone(subject: Subject) -> None:
    long = subject.backend.generate("word " * 5000, SAMPLING)
    empty = subject.backend.generate("", SAMPLING)
    fine = subject.backend.generate(LIST, SAMPLING)
    scored = subject.backend.score("word " * 5000, LABELS)
    with pytest.raises(RequestFailedError, match=f"tokens, and the model's context is {CONTEXT}"):
        long.result()
    with pytest.raises(RequestFailedError, match="empty"):
        empty.result()
    with pytest.raises(RequestFailedError):
        scored.result()
    assert fine.result().text


def test_a_completion_ends_where_the_context_does(subject: Subject) -> None:
    filler = LIST
    while subject.backend.count_tokens(filler + "\n" + LIST) < CONTEXT - 20:
        filler += "\n" + LIST
    made = subject.backend.generate(filler, replace(SAMPLING, max_tokens=400, seed=3)).result()
    assert made.prompt_tokens + made.generated_tokens <= CONTEXT
    assert made.finish_reason in ("length", "eos", "repetition")


def test_text_that_goes_round_in_circles_is_ended_where_that_is_switched_on(subject: Subject) -> None:
    if subject.name == "ctranslate2":
        pytest.skip("CTranslate2 has no such detector")
    wanted = replace(SAMPLING, temperature=0.0, repetition_penalty=0.8, max_tokens=200)
    made = subject.backend.generate("1, 2, " * 6 + "1, 2,", wanted).result()
    assert made.finish_reason == "repetition"
    assert made.stop_reason is None
    assert made.generated_tokens < 200


def test_cancel_drops_what_waits_and_the_backend_goes_on(subject: Subject) -> None:
    futures = [subject.backend.generate(LIST, replace(SAMPLING, seed=seed, max_tokens=400)) for seed in range(400)]
    wait(futures[:1])
    subject.backend.cancel()
    done, waiting = wait(futures, timeout=60)
    assert not waiting
    assert sum(future.cancelled() for future in done) >= 200
    assert subject.backend.generate(LIST, SAMPLING).result().text


def test_figures_follow_what_is_asked(subject: Subject) -> None:
    if subject.name == "ctranslate2":
        assert subject.backend.figures() is None
        return
    deadline = time.monotonic() + 30

    def busy() -> bool:
        wait([subject.backend.generate(LIST, replace(SAMPLING, seed=seed)) for seed in range(32)])
        figures = subject.backend.figures()
        assert time.monotonic() < deadline, figures
        return figures is not None and bool(figures.generation_tokens_per_s)

    wait_until(busy, 60, "tokens per second")
    figures = subject.backend.figures()
    assert figures is not None
    assert figures.running is not None
    assert figures.kv_cache_usage is not None


def test_a_backend_that_dies_says_so_at_once_and_for_good(subject: Subject) -> None:
    """Last of all: nothing works after it."""
    if subject.kill is None:
        pytest.skip("it dies with this process")
    flying = [subject.backend.generate(LIST, replace(SAMPLING, seed=seed, max_tokens=400)) for seed in range(64)]
    subject.kill()
    done, waiting = wait(flying, timeout=60)
    assert not waiting
    assert any(isinstance(future.exception(), BackendLostError) for future in done)
    with pytest.raises(BackendLostError):
        subject.backend.generate(LIST, SAMPLING).result(timeout=60)
