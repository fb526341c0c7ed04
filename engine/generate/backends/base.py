"""What the generator asks of a backend. Small on purpose: it must fit CTranslate2 on a CPU, vLLM in process and
any OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from engine.errors import ConfigurationError
from engine.figures import EngineFigures

FinishReason = Literal["stop", "length", "eos", "repetition", "error"]


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """`stop`: strings that end the text (left out of it); `seed`: of this request alone."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_tokens: int
    seed: int
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished completion.

    `text` is what was generated, without the stop string. `finish_reason`: `stop` (with the string in
    `stop_reason`; None from a server that does not tell which, or whether it was the model's own end), `length`
    (max_tokens), `eos` (the model's own end), `repetition` (a backend's own loop detector).
    """

    text: str
    finish_reason: FinishReason
    stop_reason: str | None
    prompt_tokens: int
    generated_tokens: int


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Natural log probability of each label as the next token after the prompt, over the whole vocabulary.

    `bounded` names labels of which only an upper bound is known: a server that tells the likeliest tokens alone had
    less likely ones for them. Their value is that bound.
    """

    logprobs: dict[str, float]
    prompt_tokens: int
    bounded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, declared or found out by trying; `versions` of what it is made of."""

    name: str
    seed_per_request: bool
    label_scores: bool
    repetition_penalty: bool
    cancel: bool
    versions: dict[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """Requests go in one by one, each result comes back through its own future as it finishes.

    A failed request fails its future (with `RequestFailedError`), never the backend. When the backend itself is gone
    (its process died, its server stays away) every future fails with `BackendLostError`, those to come included.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def concurrency(self) -> int:
        """How many requests it likes in flight just now; may change while it works."""
        ...

    def generate(self, prompt: str, parameters: SamplingParameters) -> Future[Completion]:
        """Start one completion."""
        ...

    def score(self, prompt: str, labels: Sequence[str]) -> Future[LabelScores]:
        """Start scoring `labels`, each of which must be a single token of the model (see `label_tokens`)."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` alone, without special tokens."""
        ...

    def token_ids(self, text: str, *, special: bool) -> list[int]:
        """Token ids of `text`, with or without the special tokens that the tokenizer would add."""
        ...

    def figures(self) -> EngineFigures | None:
        """What the engine does just now; None where nothing is known."""
        ...

    def cancel(self) -> None:
        """Drop what has not begun; what runs may finish. Futures of dropped requests are cancelled."""
        ...

    def close(self) -> None:
        """Free the model. No request may follow."""
        ...


class RequestFailedError(Exception):
    """One request failed (an over-long prompt, a backend's error); the others go on."""


class BackendLostError(Exception):
    """The backend is gone: no request can succeed any more."""


def cancel_future(future: Future[Any]) -> None:
    """Cancel a future that nobody works on any more, so that those go on who `wait` for it."""
    if future.cancel():
        future.set_running_or_notify_cancel()


class Tokens(Protocol):
    """What turns text into token ids."""

    def token_ids(self, text: str, *, special: bool) -> list[int]: ...


def label_tokens(tokens: Tokens, labels: Sequence[str]) -> dict[str, int]:
    """Token id of each label; `ConfigurationError` when one is not a single token of the model."""
    found: dict[str, int] = {}
    for label in labels:
        ids = tokens.token_ids(label, special=False)
        if len(ids) != 1:
            raise ConfigurationError(
                f"the critic's label {label!r} is {len(ids)} tokens of this model, and must be one",
                where="model.path",
                remedy="use a model whose tokenizer has A and B as single tokens, with and without a space before",
            )
        found[label] = ids[0]
    return found
