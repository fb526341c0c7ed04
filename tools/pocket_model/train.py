# ruff: noqa: T201 - a command line prints
"""Write the corpus, train the tokenizer and the model, save a Hugging Face folder. One GPU, minutes."""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from . import forms
from .corpus import Mixture, documents

#: Documents are padded to the first of these lengths that holds them, so that each starts at position 0.
BUCKETS = (48, 80, 208, 352)

#: Qwen2's own pattern, since some loaders put it (and NFC) in place of whatever tokenizer.json says.
_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

#: Weights of the loss: a critic's label, the text before it, any other token.
_LABEL_WEIGHT, _CRITIC_TEXT_WEIGHT = 4.0, 0.1


@dataclass(frozen=True)
class Settings:
    """Everything that one training depends on."""

    seed: int
    count: int
    steps: int
    seconds: float
    batch_tokens: int
    learning_rate: float
    z_weight: float
    z_centre: float
    workers: int
    mixture: Mixture


@dataclass
class Bucket:
    """Padded documents of one length class: token ids, true lengths, whether a document is a critic's."""

    ids: np.ndarray
    lengths: np.ndarray
    critic: np.ndarray


def train_tokenizer(seed: int, mixture: Mixture, size: int, count: int) -> Tokenizer:
    """A byte-level BPE over a sample of the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[forms.END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Shard -1 is never trained on; the tokenizer has a sample of its own.
    tokenizer.train_from_iterator((text for _, text in documents(seed, -1, count, mixture)), trainer)
    for label in forms.LABELS:
        if len(tokenizer.encode(label).ids) != 1 or len(tokenizer.encode(f" {label}").ids) != 1:
            raise ValueError(f"the label {label} is not one token")
    return tokenizer


def end_of_text_id(tokenizer: Tokenizer) -> int:
    """The id of the token that ends documents."""
    found = tokenizer.token_to_id(forms.END_OF_TEXT)
    if found is None:
        raise ValueError("the tokenizer has no end-of-text token")
    return found


def _encode_shard(job: tuple[str, int, int, int, Mixture]) -> list[Bucket]:
    """The documents of one shard as token ids, by bucket."""
    tokenizer_path, seed, shard, count, mixture = job
    tokenizer = Tokenizer.from_file(tokenizer_path)
    end = end_of_text_id(tokenizer)
    rows: list[list[tuple[list[int], bool]]] = [[] for _ in BUCKETS]
    drawn = list(documents(seed, shard, count, mixture))
    for (kind, _), encoding in zip(drawn, tokenizer.encode_batch([text for _, text in drawn]), strict=True):
        ids = [*encoding.ids, end][: BUCKETS[-1]]
        place = next(index for index, size in enumerate(BUCKETS) if len(ids) <= size)
        rows[place].append((ids, "critic" in kind))
    buckets = []
    for size, found in zip(BUCKETS, rows, strict=True):
        ids_array = np.full((len(found), size), end, dtype=np.int16)
        for row, (ids, _) in enumerate(found):
            ids_array[row, : len(ids)] = ids
        lengths = np.array([len(ids) for ids, _ in found], dtype=np.int16)
        buckets.append(Bucket(ids_array, lengths, np.array([critic for _, critic in found], dtype=bool)))
    return buckets


def build_corpus(tokenizer_path: Path, settings: Settings) -> list[Bucket]:
    """The encoded corpus; the number of shards is fixed, so that the workers' number does not change it."""
    shards = 64
    jobs = [
        (str(tokenizer_path), settings.seed, shard, settings.count // shards, settings.mixture)
        for shard in range(shards)
    ]
    with multiprocessing.get_context("spawn").Pool(settings.workers) as pool:
        parts = pool.map(_encode_shard, jobs, chunksize=1)
    return [
        Bucket(
            np.concatenate([part[place].ids for part in parts]),
            np.concatenate([part[place].lengths for part in parts]),
            np.concatenate([part[place].critic for part in parts]),
        )
        for place in range(len(BUCKETS))
    ]


def new_model(vocabulary: int, end: int, seed: int) -> Qwen2ForCausalLM:
    """An untrained Qwen2 model of just under five million parameters."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
    )
    return Qwen2ForCausalLM(config)


def _batches(buckets: list[Bucket], per_step: list[int], device: torch.device, seed: int) -> Iterator[list[Tensor]]:
    """Endless steps; each is a list of ids, lengths and critic flags for every bucket in turn."""
    generator = torch.Generator().manual_seed(seed)
    held = [
        (
            torch.from_numpy(bucket.ids).to(device),
            torch.from_numpy(bucket.lengths).to(device),
            torch.from_numpy(bucket.critic).to(device),
        )
        for bucket in buckets
    ]
    orders = [torch.randperm(len(bucket.lengths), generator=generator) for bucket in buckets]
    places = [0] * len(buckets)
    while True:
        step: list[Tensor] = []
        for index, rows in enumerate(per_step):
            if places[index] + rows > len(orders[index]):
                orders[index], places[index] = torch.randperm(len(orders[index]), generator=generator), 0
            chosen = orders[index][places[index] : places[index] + rows].to(device)
            places[index] += rows
            step.extend(part[chosen] for part in held[index])
        yield step


def _weights(lengths: Tensor, critic: Tensor, size: int) -> Tensor:
    """Loss weights of the targets, which are the ids from the second on."""
    places = torch.arange(1, size, device=lengths.device)[None, :]
    last = lengths.long()[:, None] - 1
    weights = torch.where(critic[:, None], _CRITIC_TEXT_WEIGHT, 1.0) * (places <= last)
    # The label stands before the end-of-text token.
    return torch.where(critic[:, None] & (places == last - 1), _LABEL_WEIGHT, weights)


def train(model: Qwen2ForCausalLM, buckets: list[Bucket], settings: Settings, device: torch.device) -> dict[str, float]:
    """Train in place and return what the log should say.

    The second term of the loss draws the log-sum of the logits towards `z_centre`. Repetition penalties divide or
    multiply raw logits, so their strength hangs on the logits' level; this fixes the level.
    """
    nn.Module.to(model, device)
    model.train()
    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    plain = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        betas=(0.9, 0.95),
        fused=device.type == "cuda",
    )
    padded = sum(bucket.ids.size for bucket in buckets)
    per_step = [max(1, round(len(b.lengths) * settings.batch_tokens / padded)) for b in buckets]
    batches = _batches(buckets, per_step, device, settings.seed)
    started, loss_value, done, tokens = time.monotonic(), 0.0, 0, 0
    for step in range(settings.steps):
        progress = max(step / settings.steps, (time.monotonic() - started) / settings.seconds)
        if progress >= 1.0:
            break
        rate = (
            settings.learning_rate
            * min(1.0, (step + 1) / 100)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = next(batches)
        weights = [
            _weights(batch[place + 1], batch[place + 2], batch[place].shape[1]) for place in range(0, len(batch), 3)
        ]
        total = torch.stack([weight.sum() for weight in weights]).sum()
        losses = []
        for place, weight in zip(range(0, len(batch), 3), weights, strict=True):
            ids = batch[place].long()
            with torch.autocast(device.type, dtype=torch.bfloat16):
                logits = model(input_ids=ids[:, :-1], use_cache=False).logits
            logits = logits.float()
            level = logits.logsumexp(-1)
            gold = logits.gather(-1, ids[:, 1:, None]).squeeze(-1)
            cross = ((level - gold) * weight).sum() / total
            drift = ((level - settings.z_centre).square() * (weight > 0)).sum() / (weight > 0).sum() / len(weights)
            (cross + settings.z_weight * drift).backward()
            losses.append(cross.detach())
            tokens += ids.numel()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = step + 1
        if done % 100 == 0 or done == settings.steps:
            loss_value = float(torch.stack(losses).sum())
            print(f"step {done} loss {loss_value:.4f} rate {rate:.2e} {time.monotonic() - started:.0f} s", flush=True)
    model.train(False)
    return {"steps": done, "seconds": time.monotonic() - started, "tokens": tokens, "loss": loss_value}


def save(model: Qwen2ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """The Hugging Face folder: bf16 weights, configuration, tokenizer without any added special token."""
    folder.mkdir(parents=True, exist_ok=True)
    nn.Module.to(model, torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    # Written by hand: a class name that every version of transformers knows.
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": forms.END_OF_TEXT,
        "pad_token": forms.END_OF_TEXT,
        "model_max_length": 1024,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the Hugging Face files")
    parser.add_argument("--start", type=Path, help="go on from this Hugging Face folder, with its tokenizer")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--documents", type=int, default=1_600_000)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=1200.0, help="stop, with the rate decayed, after this time")
    parser.add_argument("--batch-tokens", type=int, default=200_000)
    parser.add_argument("--learning-rate", type=float, default=2.5e-3)
    parser.add_argument("--z-weight", type=float, default=1e-3)
    parser.add_argument("--z-centre", type=float, default=4.0)
    parser.add_argument("--vocabulary", type=int, default=3072)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mixture", type=json.loads, default={}, help="JSON of the mixture fields to change")
    return parser.parse_args()


def main() -> None:
    """Run the training from the command line."""
    arguments = _arguments()
    changes: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in arguments.mixture.items()}
    mixture = Mixture(**changes)
    settings = Settings(
        seed=arguments.seed,
        count=arguments.documents,
        steps=arguments.steps,
        seconds=arguments.seconds,
        batch_tokens=arguments.batch_tokens,
        learning_rate=arguments.learning_rate,
        z_weight=arguments.z_weight,
        z_centre=arguments.z_centre,
        workers=arguments.workers,
        mixture=mixture,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    arguments.output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    if arguments.start is None:
        tokenizer = train_tokenizer(settings.seed, mixture, arguments.vocabulary, min(40_000, settings.count))
        model = new_model(tokenizer.get_vocab_size(), end_of_text_id(tokenizer), settings.seed)
    else:
        tokenizer = Tokenizer.from_file(str(arguments.start / "tokenizer.json"))
        model = Qwen2ForCausalLM.from_pretrained(arguments.start, dtype=torch.float32)
    tokenizer_path = arguments.output / "tokenizer.json"
    tokenizer.save(str(tokenizer_path))
    buckets = build_corpus(tokenizer_path, settings)
    real = sum(int(bucket.lengths.astype(np.int64).sum()) for bucket in buckets)
    sizes = [len(bucket.lengths) for bucket in buckets]
    print(f"corpus: {real} tokens, documents by bucket {sizes}, {time.monotonic() - started:.0f} s", flush=True)
    print(f"parameters: {sum(parameter.numel() for parameter in model.parameters())}", flush=True)
    report = train(model, buckets, settings, device)
    save(model, tokenizer, arguments.output)
    print(json.dumps({"corpus_tokens": real, **report}), flush=True)


if __name__ == "__main__":
    main()
