"""A model on disk, whatever loads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError
from engine.generate.models.reading import read_object

POCKET = "pocket"
POCKET_FOLDER = Path(__file__).resolve().parents[2] / "models" / "pocket"
"""Holds the pocket model twice: `hf` as transformers and vLLM load it, `ct2` converted for CTranslate2."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """`name` is how the campaign calls it, `weights` the folder that is loaded (of a server's model, which is loaded
    elsewhere, that of its tokenizer), `tokenizer` the file or folder its tokenizer is read from.

    `context` is the most tokens (prompt and completion) that fit, None where nothing says so.
    """

    name: str
    weights: Path
    tokenizer: Path
    context: int | None
    chat_template: bool


def context_of(model: ModelConfig, folder: Path) -> int | None:
    """`model.options.max_model_len`, else what `config.json` in the Hugging Face `folder` says."""
    option = model.options.get("max_model_len")
    if option is not None:
        if not isinstance(option, int) or isinstance(option, bool) or option < 1:
            raise ConfigurationError(
                f"model.options.max_model_len: {option!r} is not a number of tokens", remedy="write a whole number"
            )
        return option
    limit = _object_in(folder / "config.json").get("max_position_embeddings")
    return limit if isinstance(limit, int) else None


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer's folder carries a chat template: a hint that this is no base model."""
    if (folder / "chat_template.jinja").is_file():
        return True
    return bool(_object_in(folder / "tokenizer_config.json").get("chat_template"))


def _object_in(path: Path) -> dict[str, Any]:
    """The JSON object in a file that need not be there, nor be right: empty then."""
    try:
        return read_object(path)
    except ConfigurationError:
        return {}
