"""Small experiments on a server. Each asks for a few tokens, and judges by what comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.generate.backends.base import SamplingParameters
from engine.generate.backends.server.asking import Asker, RefusedByServerError
from engine.generate.backends.server.scoring import GenerateEndpoint, LikeliestTokens, NamedTokens, Way
from engine.generate.backends.server.wire import (
    COMPLETIONS,
    Dialect,
    MalformedError,
    TopTokens,
    body,
    choices,
    completion_body,
    counted,
    top_tokens,
)
from engine.generate.models.tokenizer import TextTokenizer

OPEN = "The old harbour town had 3 bridges, 12 boats and a café. Every morning the fishermen"
"""Many different words may follow; tokenizers take it apart differently."""
ROUND = "one two one two one two one two"
QUESTION = "Is Paris the capital of France? A = yes, B = no.\nLabel:"

NEUTRAL: Mapping[str, Any] = {"top_k": -1, "min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""No sampling but what is asked for: servers take defaults from the model's folder, or have some of their own."""

SEEDS = ((2_000_000_011, 1_234_567_891), (1_900_000_001, 77), (1_800_000_011, 5))
PENALTY = 2.0
"""The largest that SGLang takes."""

STOP_STRINGS = (16, 4, 1)
TOGETHER = (16, 4)
TOP = (20, 10, 5)


@dataclass(frozen=True, slots=True)
class Trials:
    """The experiments. `dialect` is what is known so far of how the server wants to be asked."""

    asker: Asker
    tokenizer: TextTokenizer
    dialect: Dialect

    def prompt(self, text: str) -> str:
        return self.dialect.prompt(text, self.tokenizer.token_ids(text, special=False))

    async def tokens_of(self, token_ids: bool, more: Mapping[str, Any]) -> int | None:
        """Send `OPEN` in one form: the tokens that the server took it for, -1 if it does not say; None: refused."""
        dialect = replace(self.dialect, token_ids=token_ids)
        prompt = dialect.prompt(OPEN, self.tokenizer.token_ids(OPEN, special=False))
        parts = {"model": dialect.model, "max_tokens": 1, "temperature": 0.0, "stream": False, **more}
        try:
            answer = await self.asker.answer(COMPLETIONS, body(prompt, parts))
            choices(answer, 1)
        except MalformedError:
            return None
        except RefusedByServerError as refused:
            if refused.status in (401, 403):
                raise self.asker.locked_out(self.asker.last_refusal) from None
            return None
        return counted(answer, "prompt_tokens")

    async def _said(self, dialect: Dialect, prompt: str, wanted: SamplingParameters) -> dict[str, Any]:
        answer = await self.asker.answer(COMPLETIONS, completion_body(dialect, self.prompt(prompt), wanted))
        [choice] = choices(answer, 1)
        if not isinstance(choice.get("text"), str):
            raise MalformedError("the answer has no text")
        return choice

    async def seeds(self) -> bool | None:
        """Whether the same seed gives the same text and another one another; None when `seed` is refused."""
        found = False
        for prompt, (seed, other) in zip((OPEN, ROUND, QUESTION), SEEDS, strict=True):
            try:
                texts = [
                    (await self._said(self.dialect, prompt, _wanted(1.0, seed=each)))["text"]
                    for each in (seed, seed, other)
                ]
            except RefusedByServerError:
                return None
            except MalformedError:
                return False
            found = texts[0] == texts[1] != texts[2]
            if found:
                break
        return found

    async def repetition_penalty(self) -> bool:
        """Whether a large penalty changes a greedy text that repeats itself."""
        dialect = replace(self.dialect, repetition_penalty=True)
        try:
            texts = [
                (await self._said(dialect, ROUND, _wanted(0.0, penalty=penalty)))["text"]
                for penalty in (1.0, PENALTY, 1.0)
            ]
        except (RefusedByServerError, MalformedError):
            return False
        return texts[1] not in (texts[0], texts[2])

    async def stop_strings(self) -> tuple[int, bool | None, bool | None]:
        """How many stop strings it takes, whether they end a text, and whether it tells which one did (None: unknown).

        A piece of what the model says anyway is made the stop string.
        """
        prompt, text, piece = ROUND, "", ""
        try:
            for prompt in (ROUND, OPEN):
                text = (await self._said(self.dialect, prompt, _wanted(0.0)))["text"]
                piece = _piece(text)
                if piece:
                    break
        except (RefusedByServerError, MalformedError):
            return 0, None, None
        never = [f"never said {number}" for number in range(max(STOP_STRINGS))]
        for most in STOP_STRINGS:
            stops = tuple(([piece] if piece else []) + never)[:most]
            try:
                choice = await self._said(replace(self.dialect, stop_strings=most), prompt, _wanted(0.0, stop=stops))
            except (RefusedByServerError, MalformedError):
                continue
            if not piece:
                return most, None, None
            stopped = choice.get("finish_reason") == "stop" and len(choice["text"]) < len(text)
            told = choice.get("stop_reason", choice.get("matched_stop"))
            return most, stopped, told == piece if stopped else None
        return 0, False, None

    async def refusal(self) -> str | None:
        """Why the server does not take requests in this dialect; None when it does."""
        try:
            await self._said(self.dialect, OPEN, _wanted(0.0))
        except (RefusedByServerError, MalformedError):
            return self.asker.last_refusal
        return None

    # --- label scores --------------------------------------------------------------------------------------------

    async def way_to_score(self, labels: Mapping[str, int]) -> Way | None:
        """The best way to get log probabilities of `labels` that works here; None when there is none."""
        named = NamedTokens(self.dialect)
        if await self._names(named, labels):
            return replace(named, most=await self._together(named, labels))
        endpoint = GenerateEndpoint(self.dialect)
        if self.dialect.token_ids and await self._names(endpoint, labels):
            return endpoint
        for as_ids in (True, False):
            for count in TOP:
                likeliest = await self._likeliest(LikeliestTokens(self.dialect, count, as_ids), labels)
                if likeliest is not None:
                    return replace(likeliest, most=await self._together(likeliest, labels))
        return None

    async def _names(self, way: Way, labels: Mapping[str, int]) -> bool:
        """Whether this way gives any token that is named. Unlikely ones are named along with the labels: a server that
        ignores the names would give the likeliest."""
        odd = [number for number in self.tokenizer.token_ids(OPEN, special=False) if number not in labels.values()]
        tokens = {**labels, **{f"odd {number}": number for number in odd[:4]}}
        top = await self._top(way, way.body([self.prompt(QUESTION)], tokens))
        return top is not None and all(number in top.by_id for number in tokens.values()) and _is_normal(top)

    async def _likeliest(self, way: LikeliestTokens, labels: Mapping[str, int]) -> LikeliestTokens | None:
        top = await self._top(way, way.body([self.prompt(OPEN)], labels))
        found = (top.by_id or top.by_text) if top is not None else {}
        if top is None or len(found) < min(TOP) or not _is_normal(top):
            return None
        if not top.by_id and (way.as_ids or not await self._told_apart(way, labels, top)):
            return None
        return replace(way, count=min(way.count, len(found)))

    async def _told_apart(self, way: LikeliestTokens, labels: Mapping[str, int], top: TopTokens) -> bool:
        """Whether the texts of tokens are exact, so that "A" and " A" are two.

        Each label is made the sampled token by a bias. Where a bias does nothing, a space before some word will do.
        """
        sampled = []
        for number in labels.values():
            biased = await self._top(way, way.request([self.prompt(OPEN)], {"logit_bias": {str(number): 100}}))
            sampled.append(None if biased is None else biased.sampled)
        if len(set(sampled)) > 1:
            return sampled == list(labels)
        return any(text.startswith(" ") for text in top.by_text)

    async def _together(self, way: Way, labels: Mapping[str, int]) -> int:
        """How many prompts one request may hold, each with a choice of its own that is told by its index."""
        prompts = [self.prompt(QUESTION), self.prompt(OPEN)]
        alone = [await self._top(way, way.body([prompt], labels)) for prompt in prompts]
        first, second = alone
        if first is None or second is None:
            return 1
        for most in TOGETHER:
            try:
                answer = await self.asker.answer(way.path, way.body(prompts * (most // 2), labels))
                tops = [top_tokens(choice) for choice in choices(answer, most)]
            except (RefusedByServerError, MalformedError):
                continue
            if all(_distance(top, first) < _distance(top, second) for top in tops[::2]) and all(
                _distance(top, second) < _distance(top, first) for top in tops[1::2]
            ):
                return most
        return 1

    async def _top(self, way: Way, request: bytes) -> TopTokens | None:
        try:
            [choice] = choices(await self.asker.answer(way.path, request), 1)
            return top_tokens(choice)
        except (RefusedByServerError, MalformedError):
            return None


def _wanted(
    temperature: float, *, seed: int = 0, penalty: float = 1.0, stop: tuple[str, ...] = ()
) -> SamplingParameters:
    return SamplingParameters(temperature, 1.0, penalty, max_tokens=16, seed=seed, stop=stop)


def _piece(text: str) -> str:
    """Three characters from within `text`, from its middle on, that do not stand at its beginning; empty if none."""
    starts = [*range(len(text) // 2, len(text) - 3), *range(1, len(text) // 2)]
    pieces = (text[start : start + 3] for start in starts)
    return next((piece for piece in pieces if piece.strip() == piece and text.find(piece) > 0), "")


def _is_normal(top: TopTokens) -> bool:
    """Probabilities of different tokens do not add up to more than one; logits would."""
    return sum(math.exp(value) for value in (top.by_id or top.by_text).values()) <= 1.01


def _distance(one: TopTokens, other: TopTokens) -> float:
    """Mean difference of log probabilities in nats; a token that only one has counts for five."""
    a: Mapping[Any, float] = one.by_id or one.by_text
    b: Mapping[Any, float] = other.by_id or other.by_text
    keys: Sequence[Any] = [*a, *(key for key in b if key not in a)]
    return sum(min(5.0, abs(a[key] - b[key])) if key in a and key in b else 5.0 for key in keys) / max(1, len(keys))
