"""Base-model hygiene, checked before anything is generated and kept in the manifest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError
from engine.generate.backends.base import Backend, Capabilities, label_tokens
from engine.generate.critics import LABELS
from engine.generate.models.folder import ModelFolder
from engine.generate.progress import log
from engine.generate.prompts import PromptBuilder

LITTLE_DISK_BYTES = 200 << 20
SENTINELS = ("The capital of France is", "1. Write a short sentence.\n2.", "Instruction: Name a colour.\nResponse:")


def check_needs(capabilities: Capabilities, spec: RunSpec) -> None:
    """`ConfigurationError` when the campaign asks for what the backend cannot do; the log says what it does without."""
    if not capabilities.label_scores:
        raise ConfigurationError(
            f"{capabilities.name} gives no log probabilities for the critics' labels, and they cannot judge without",
            where="model.backend",
            remedy="use a server that answers `logprobs` on /v1/completions, such as vLLM's",
        )
    penalties = {
        "parameters.instruction.repetition_penalty": spec.parameters.instruction.repetition_penalty,
        "parameters.response.repetition_penalty": spec.parameters.response.repetition_penalty,
    }
    penalised = [key for key, penalty in penalties.items() if penalty != 1.0]
    if penalised and not capabilities.repetition_penalty:
        key = penalised[0]
        raise ConfigurationError(
            f"{capabilities.name} ignores repetition_penalty, and {key} is {penalties[key]:g}",
            where=key,
            remedy="set it to 1.0 everywhere, or use a server that takes it, such as vLLM's",
        )
    if not capabilities.seed_per_request:
        log.warning("preflight: %s ignores seeds: the run cannot be repeated draw by draw", capabilities.name)


def run_preflight(backend: Backend, folder: ModelFolder, prompts: PromptBuilder, output: Path) -> dict[str, Any]:
    """Check and report. Raises `ConfigurationError` when a critic label is not one token; all else is a warning.

    `ok` is true when no chat template is applied and no special token is added: the sentinel prompts have the same
    token ids with and without special tokens.
    """
    sentinels = (*SENTINELS, prompts.list_prompt(0).text, prompts.response_prompt("Name a colour."))
    same = [backend.token_ids(text, special=True) == backend.token_ids(text, special=False) for text in sentinels]
    labels = label_tokens(backend, LABELS)
    free = shutil.disk_usage(output).free
    result = {
        "ok": all(same),
        "chat_template_applied": False,
        "chat_template_present": folder.chat_template,
        "special_tokens_added": not all(same),
        "sentinels": [{"prompt": text, "same_ids": equal} for text, equal in zip(sentinels, same, strict=True)],
        "label_tokens": labels,
        "disk_free_bytes": free,
    }
    log.info(
        "preflight: no chat template applied; special tokens added: %s (%d sentinel prompts); labels are single tokens",
        "none" if all(same) else "yes",
        len(sentinels),
    )
    if not all(same):
        log.warning("preflight: the tokenizer would add special tokens; prompts are sent without them")
    if folder.chat_template:
        log.warning("preflight: the tokenizer carries a chat template, so this may be no base model; it is not applied")
    if free < LITTLE_DISK_BYTES:
        log.warning("preflight: only %d MB are free in %s", free >> 20, output)
    return result
