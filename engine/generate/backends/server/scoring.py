"""The ways to get log probabilities of labels out of a server. Each asks for one token and none for `prompt_logprobs`,
which would not use the prefix cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.generate.backends.base import LabelScores, RequestFailedError
from engine.generate.backends.server.wire import (
    COMPLETIONS,
    Dialect,
    MalformedError,
    TopTokens,
    body,
    choices,
    top_tokens,
)

GENERATE = "/inference/v1/generate"


class Way(Protocol):
    """`most`: how many prompts go into one request; `name`: how a log line calls it."""

    @property
    def name(self) -> str: ...
    @property
    def most(self) -> int: ...
    @property
    def path(self) -> str: ...

    def body(self, prompts: Sequence[str], labels: Mapping[str, int]) -> bytes:
        """The request for `labels` (label → token id) after each of `prompts`, which are JSON."""
        ...

    def read(self, answer: Mapping[str, Any], labels: Mapping[str, int], prompt_tokens: Sequence[int]) -> list[Scores]:
        """The scores of each prompt, or why there are none. Raises `MalformedError`."""
        ...


Scores = LabelScores | RequestFailedError


@dataclass(frozen=True, slots=True)
class NamedTokens:
    """`logprob_token_ids` of `/v1/completions`: exactly the labels, whatever else is likelier (vLLM from 0.32)."""

    dialect: Dialect
    most: int = 1
    name: str = "logprob_token_ids"
    path: str = COMPLETIONS

    def body(self, prompts: Sequence[str], labels: Mapping[str, int]) -> bytes:
        ids = list(labels.values())
        asked = {"logprobs": len(ids), "logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        return _one_token(self.dialect, prompts, asked)

    def read(self, answer: Mapping[str, Any], labels: Mapping[str, int], prompt_tokens: Sequence[int]) -> list[Scores]:
        return _exact(choices(answer, len(prompt_tokens)), labels, prompt_tokens)


@dataclass(frozen=True, slots=True)
class GenerateEndpoint:
    """vLLM's `/inference/v1/generate`, where `/v1/completions` does not take the labels (0.20 to 0.31).

    It gives back as many entries as `logprobs` says, the sampled token first. So one token more than the labels is
    asked for, last in the list: it, and no label, is cut off when the sampled token is none of them.
    """

    dialect: Dialect
    most: int = 1
    name: str = GENERATE
    path: str = GENERATE

    def body(self, prompts: Sequence[str], labels: Mapping[str, int]) -> bytes:
        ids = list(labels.values())
        ids.append(next(number for number in range(len(ids) + 1) if number not in ids))
        sampling = {
            "max_tokens": 1,
            "temperature": 0.0,
            "detokenize": False,
            "logprobs": len(ids),
            "logprob_token_ids": ids,
        }
        [prompt] = prompts
        return body(prompt, {"model": self.dialect.model, "sampling_params": sampling}, key="token_ids")

    def read(self, answer: Mapping[str, Any], labels: Mapping[str, int], prompt_tokens: Sequence[int]) -> list[Scores]:
        return _exact(choices(answer, 1), labels, prompt_tokens)


@dataclass(frozen=True, slots=True)
class LikeliestTokens:
    """The `count` likeliest tokens, among which the labels are looked for. A label that is not there is at most as
    likely as the last that is: its score is that bound, and `LabelScores.bounded` names it."""

    dialect: Dialect
    count: int
    as_ids: bool
    most: int = 1
    path: str = COMPLETIONS

    @property
    def name(self) -> str:
        return f"the {self.count} likeliest tokens"

    def body(self, prompts: Sequence[str], labels: Mapping[str, int]) -> bytes:
        del labels  # the likeliest are asked for, whichever they are
        return self.request(prompts, {})

    def request(self, prompts: Sequence[str], more: Mapping[str, Any]) -> bytes:
        asked = {"logprobs": self.count, **more}
        if self.as_ids:
            asked["return_tokens_as_token_ids"] = True
        return _one_token(self.dialect, prompts, asked)

    def read(self, answer: Mapping[str, Any], labels: Mapping[str, int], prompt_tokens: Sequence[int]) -> list[Scores]:
        return [
            self._scores(top_tokens(choice), labels, tokens)
            for choice, tokens in zip(choices(answer, len(prompt_tokens)), prompt_tokens, strict=True)
        ]

    def _scores(self, top: TopTokens, labels: Mapping[str, int], prompt_tokens: int) -> Scores:
        found = {
            label: top.by_id[number] if top.by_id else top.by_text[label]
            for label, number in labels.items()
            if (number in top.by_id if top.by_id else label in top.by_text)
        }
        if not found:
            return RequestFailedError(f"none of the labels is among the {self.count} tokens that are likeliest to come")
        bound = min((top.by_id or top.by_text).values())
        return LabelScores(
            logprobs={label: found.get(label, bound) for label in labels},
            prompt_tokens=prompt_tokens,
            bounded=tuple(label for label in labels if label not in found),
        )


def _one_token(dialect: Dialect, prompts: Sequence[str], asked: Mapping[str, Any]) -> bytes:
    parts = {"model": dialect.model, **dialect.neutral, "max_tokens": 1, "temperature": 0.0, "stream": False, **asked}
    if dialect.repetition_penalty:
        parts["repetition_penalty"] = 1.0
    return body(prompts[0] if len(prompts) == 1 else f"[{','.join(prompts)}]", parts)


def _exact(found: Sequence[Mapping[str, Any]], labels: Mapping[str, int], prompt_tokens: Sequence[int]) -> list[Scores]:
    scores: list[Scores] = []
    for choice, tokens in zip(found, prompt_tokens, strict=True):
        by_id = top_tokens(choice).by_id
        if not all(number in by_id for number in labels.values()):
            raise MalformedError("the answer lacks log probabilities of labels that were asked for")
        scores.append(LabelScores({label: by_id[number] for label, number in labels.items()}, tokens))
    return scores
