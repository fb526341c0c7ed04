"""Completions and label log-probabilities from the CTranslate2 model, as a generator would ask for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

from . import forms


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of one stage."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_tokens: int
    stop: tuple[str, ...] = ()

    def at(self, temperature: float) -> Sampling:
        """The same parameters at another temperature."""
        return replace(self, temperature=temperature)


@dataclass(frozen=True)
class Completion:
    """A completion up to its stop string; `limited` when only `max_tokens` ended it."""

    text: str
    tokens: int
    limited: bool


@dataclass(frozen=True)
class Labels:
    """Log-probabilities of the two labels, each the sum over its forms with and without a space."""

    good: float
    bad: float

    @property
    def is_good(self) -> bool:
        """Whether the label for good wins."""
        return self.good > self.bad

    @property
    def margin(self) -> float:
        """The distance of the two log-probabilities."""
        return abs(self.good - self.bad)


class PocketModel:
    """The converted model with its tokenizer, on the CPU."""

    def __init__(self, converted: Path, tokenizer: Path, threads: int = 2, seed: int = 1) -> None:
        """Load both; `seed` counts for everything drawn from this instance."""
        ctranslate2.set_random_seed(seed)
        self._generator = ctranslate2.Generator(str(converted), device="cpu", inter_threads=1, intra_threads=threads)
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self._labels = {
            label: [self.tokenizer.encode(text).ids[0] for text in (label, f" {label}")] for label in forms.LABELS
        }

    def complete(self, prompts: Sequence[str], sampling: Sampling, batch: int = 32) -> list[Completion]:
        """One completion per prompt."""
        pieces = [encoding.tokens for encoding in self.tokenizer.encode_batch(list(prompts))]
        results = self._generator.generate_batch(
            pieces,
            max_batch_size=batch,
            max_length=sampling.max_tokens,
            sampling_temperature=sampling.temperature,
            sampling_topk=0,
            sampling_topp=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            include_prompt_in_result=False,
            end_token=forms.END_OF_TEXT,
        )
        return [self._cut(result.sequences_ids[0], sampling) for result in results]

    def _cut(self, ids: list[int], sampling: Sampling) -> Completion:
        text = self.tokenizer.decode(ids)
        found = [place for place in (text.find(stop) for stop in sampling.stop) if place >= 0]
        if found:
            text = text[: min(found)]
            return Completion(text, len(self.tokenizer.encode(text).ids), False)
        return Completion(text, len(ids), len(ids) >= sampling.max_tokens)

    def labels(self, prompts: Sequence[str], batch: int = 64) -> list[Labels]:
        """The label log-probabilities behind each prompt, from one forward pass."""
        found = []
        for start in range(0, len(prompts), batch):
            encodings = self.tokenizer.encode_batch(list(prompts[start : start + batch]))
            logits = np.array(
                self._generator.forward_batch([encoding.tokens for encoding in encodings]).to(
                    ctranslate2.DataType.float32
                )
            )
            for row, encoding in zip(logits, encodings, strict=True):
                last = row[len(encoding.ids) - 1].astype(np.float64)
                total = last.max() + math.log(float(np.exp(last - last.max()).sum()))
                good, bad = (float(np.logaddexp.reduce(last[self._labels[label]])) - total for label in forms.LABELS)
                found.append(Labels(good, bad))
        return found
