"""What is asked of `/v1/completions`, and how an answer is read. Every answer is untrusted: nothing in it has a type
until it has been looked at."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.generate.backends.base import Completion, FinishReason, RequestFailedError, SamplingParameters
from engine.generate.backends.server.client import Reply

COMPLETIONS = "/v1/completions"

TOKEN_ID = "token_id:"
"""How vLLM writes a token where its id is asked for instead of its text."""

MOST_TOKENS = 1 << 40


class MalformedError(Exception):
    """An answer that is no answer to what was asked; the text says what is wrong, in our words."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How this server wants to be asked. `neutral` goes into every request: what would otherwise be the server's or
    its model's own default (`top_k`, …) is switched off, where the server knows the parameter.

    `token_ids`: prompts go as ids, else as text. `stop_strings`: how many it takes. `tells_stop`: whether it says which
    one ended a text; None when that is not known.
    """

    model: str
    token_ids: bool = True
    neutral: Mapping[str, Any] = field(default_factory=dict)
    seed: bool = True
    repetition_penalty: bool = False
    stop_strings: int = 4
    tells_stop: bool | None = None
    repetition_detection: Mapping[str, int] | None = None

    def prompt(self, text: str, ids: Sequence[int]) -> str:
        """A prompt as JSON, in the form that the server takes."""
        return json.dumps(ids if self.token_ids else text)


def body(prompt: str, parts: Mapping[str, Any], *, key: str = "prompt") -> bytes:
    """A request. `prompt` is JSON already: its ids are many, and were written down once."""
    return f'{{"{key}":{prompt},{json.dumps(parts)[1:]}'.encode()


def completion_body(dialect: Dialect, prompt: str, wanted: SamplingParameters) -> bytes:
    parts: dict[str, Any] = {
        "model": dialect.model,
        **dialect.neutral,
        "max_tokens": wanted.max_tokens,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "stream": False,
    }
    if dialect.seed:
        parts["seed"] = wanted.seed
    if dialect.repetition_penalty:
        parts["repetition_penalty"] = wanted.repetition_penalty
    if wanted.stop and dialect.stop_strings:
        parts["stop"] = wanted.stop[: dialect.stop_strings]
    if dialect.repetition_detection is not None:
        parts["repetition_detection"] = dialect.repetition_detection
    return body(prompt, parts)


def parsed(reply: Reply) -> dict[str, Any]:
    """The JSON object of an answer; `MalformedError` for anything else."""
    if reply.body is None:
        raise MalformedError("the answer is larger than any answer should be")
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise MalformedError("the answer is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("the answer is no JSON object")
    return value


def choices(answer: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The answer's choices, one for each of `count` prompts, in the order of the prompts."""
    found = answer.get("choices")
    if not isinstance(found, list) or len(found) != count or not all(isinstance(choice, dict) for choice in found):
        raise MalformedError("the answer's choices are not those that were asked for")
    if count == 1:
        return found
    placed = {choice["index"]: choice for choice in found if isinstance(choice.get("index"), int)}
    if set(placed) != set(range(count)):
        raise MalformedError("the answer's choices do not say which prompt they belong to")
    return [placed[number] for number in range(count)]


def completion_of(
    answer: Mapping[str, Any],
    wanted: SamplingParameters,
    tells_stop: bool | None,
    prompt_tokens: int,
    count: Callable[[str], int],
) -> Completion:
    """The one completion of `answer`. `count` counts the tokens of a text, where the server does not.

    Raises `MalformedError`, or `RequestFailedError` when the server gave the request up.
    """
    [choice] = choices(answer, 1)
    text, ended = choice.get("text"), choice.get("finish_reason")
    if not isinstance(text, str) or not isinstance(ended, str):
        raise MalformedError("the answer has no text, or does not say how it ended")
    reason, stop = _ending(choice, ended, wanted.stop, tells_stop)
    generated = counted(answer, "completion_tokens")
    if generated < 0:
        generated = count(text)
    cut = min(((text.find(one), one) for one in wanted.stop if one in text), default=None)
    if cut is not None:
        text, reason, stop = text[: cut[0]], "stop", cut[1]
    return Completion(
        text=text,
        finish_reason=reason,
        stop_reason=stop,
        prompt_tokens=prompt_tokens,
        generated_tokens=generated,
    )


def _ending(
    choice: Mapping[str, Any], ended: str, stops: Sequence[str], tells_stop: bool | None
) -> tuple[FinishReason, str | None]:
    if ended in ("length", "repetition"):
        return ("length" if ended == "length" else "repetition"), None
    if ended != "stop":
        known = ended if ended in ("abort", "error", "content_filter") else "something unknown"
        raise RequestFailedError(f"the server ended the request by {known}")
    told = choice.get("stop_reason", choice.get("matched_stop"))
    if isinstance(told, str) and told in stops:
        return "stop", told
    if tells_stop is None:
        tells_stop = "stop_reason" in choice or "matched_stop" in choice
    # A server that would have named the stop string did not: it was the model's own end, as it was without stops.
    if not stops or (tells_stop and not isinstance(told, str)):
        return "eos", None
    return "stop", None


def counted(answer: Mapping[str, Any], key: str) -> int:
    """A number of tokens in the answer's `usage`; -1 where there is none."""
    usage = answer.get("usage")
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_TOKENS else -1


@dataclass(frozen=True, slots=True)
class TopTokens:
    """Natural log probabilities at one position, by token id or by the token's text, whichever the server gives.

    `sampled` is the text of the sampled token, where it gives texts.
    """

    by_id: Mapping[int, float]
    by_text: Mapping[str, float]
    sampled: str | None = None


def top_tokens(choice: Mapping[str, Any]) -> TopTokens:
    """The log probabilities at the first generated position, in the forms that servers write them.

    `top_logprobs` as a mapping from text (OpenAI's completions, vLLM, SGLang), or `content` as a list of tokens (vLLM's
    `/inference/v1/generate`, llama.cpp). Raises `MalformedError`.
    """
    found = choice.get("logprobs")
    by_id: dict[int, float] = {}
    by_text: dict[str, float] = {}
    sampled: str | None = None

    def put(token: Any, number: Any, value: Any) -> None:
        if isinstance(token, str) and token.startswith(TOKEN_ID) and token[len(TOKEN_ID) :].isdecimal():
            number = int(token[len(TOKEN_ID) :][:12])
        if isinstance(number, int) and not isinstance(number, bool):
            by_id[number] = _log_probability(value)
        elif isinstance(token, str):
            by_text[token] = _log_probability(value)
        else:
            raise MalformedError("a log probability belongs to no token")

    if isinstance(found, dict) and isinstance(found.get("content"), list):
        first = found["content"][0] if found["content"] else None
        entries = first.get("top_logprobs") if isinstance(first, dict) else None
        if first is None or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise MalformedError("the answer has no log probabilities")
        for entry in (first, *entries):
            put(entry.get("token"), entry.get("token_id", entry.get("id")), entry.get("logprob"))
        sampled = first.get("token")
    elif isinstance(found, dict):
        places, tokens = found.get("top_logprobs"), found.get("tokens")
        first = places[0] if isinstance(places, list) and places else None
        if not isinstance(first, dict):
            raise MalformedError("the answer has no log probabilities")
        for token, value in first.items():
            put(token, None, value)
        sampled = tokens[0] if isinstance(tokens, list) and tokens else None
    if not by_id and not by_text:
        raise MalformedError("the answer has no log probabilities")
    return TopTokens(by_id, by_text, sampled if isinstance(sampled, str) else None)


def _log_probability(value: Any) -> float:
    """A little above 0 is rounding; what is more (a logit) is no log probability. One of nothing at all is very low."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > 0.01:
        raise MalformedError("what should be a log probability is none")
    return min(float(max(value, -1e9)), 0.0)
