"""Finds the Hugging Face model that a campaign names, and checks in no time that vLLM can load it at all.

A model is a folder with `config.json`, a tokenizer and weights: one on this machine, or a snapshot in the hub's local
cache. Nothing here touches the network, and nothing that a file says is followed out of the model's folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError
from engine.generate.backends.base import label_tokens
from engine.generate.critics import LABELS
from engine.generate.models.folder import POCKET, POCKET_FOLDER, ModelFolder, context_of, has_chat_template
from engine.generate.models.hub import cache_folder, hub_name
from engine.generate.models.reading import DamagedFileError, MissingFileError, read_object, shown
from engine.generate.models.tokenizer import TextTokenizer
from engine.generate.models.weights import size_of, weight_files
from engine.logs.sanitise import sanitise

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


def find_model(model: ModelConfig, models_dir: Path | None) -> ModelFolder | None:
    """The folder behind `model.path`, checked; None when it is a hub name that must be downloaded (to its end).

    Raises `ConfigurationError` that says what is wrong where: no such folder, or no model that vLLM loads.
    """
    if model.path == POCKET:
        return check_folder(model, POCKET_FOLDER / "hf")
    name = hub_name(model.path)
    root = _local_folder(model.path, hub=name is not None)
    if root is not None:
        return check_folder(model, root)
    assert name is not None, "what is neither a folder nor on the hub was refused"
    cache = cache_folder(models_dir)
    snapshot = name.snapshot(cache)
    if snapshot is None or any((name.home(cache) / "blobs").glob("*.incomplete")):
        return None
    return check_snapshot(model, snapshot)


def check_snapshot(model: ModelConfig, snapshot: Path) -> ModelFolder | None:
    """The model in a folder of the hub's cache, checked; None when something of it has not been downloaded yet.

    Raises `ConfigurationError` when a file is damaged, which downloading what is missing would not mend.
    """
    try:
        return check_folder(model, snapshot)
    except MissingFileError:
        return None
    except DamagedFileError as error:
        remedy = f"delete it and {shown(error.path.resolve())}: the next start downloads it anew"
        raise ConfigurationError(error.what, where=error.where, remedy=remedy) from error


def _local_folder(path: str, *, hub: bool) -> Path | None:
    """The folder that `path` names; None when there is none and `path` may be one on the `hub`."""
    try:
        root = Path(path).expanduser()
        exists, is_folder = root.exists(), root.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # not permitted, no such user, a name that cannot be
        raise ConfigurationError(
            f"model.path cannot be looked at: {sanitise(str(error), 200)}",
            where=sanitise(path, 300),
            remedy="name a folder that this user may read",
        ) from error
    if not exists:
        if hub:
            return None
        raise ConfigurationError(
            "model.path: there is no such folder",
            where=shown(root.absolute()),
            remedy="check the path of the model folder; a model of the hub is named OWNER/NAME or OWNER/NAME@REVISION",
        )
    if not is_folder:
        raise ConfigurationError(
            "model.path: a file stands where a model folder is needed",
            where=shown(root),
            remedy="name the folder that holds config.json",
        )
    nested = root / "hf"
    return nested if nested.is_dir() and not (root / "config.json").exists() else root


def check_folder(model: ModelConfig, folder: Path) -> ModelFolder:
    """`folder` as a model for vLLM: configuration, weights (unless `load_format` is dummy) and tokenizer are there.

    Raises `MissingFileError` or `DamagedFileError`, both `ConfigurationError`.
    """
    try:
        names = set(os.listdir(folder))
    except OSError as error:
        raise MissingFileError(
            f"the model folder cannot be read: {error.strerror}", where=shown(folder), remedy="make it readable"
        ) from error
    if not names:
        raise MissingFileError(
            "model.path: the model folder is empty", where=shown(folder), remedy="copy or download the model into it"
        )
    if "model.bin" in names and not any(name.endswith(".safetensors") for name in names):
        raise ConfigurationError(
            "this is a model converted for CTranslate2, which vLLM cannot load",
            where=shown(folder),
            remedy="set model.backend to ctranslate2, or name the Hugging Face folder that it was converted from",
        )
    if "adapter_config.json" in names and "config.json" not in names:
        raise ConfigurationError(
            "this is an adapter (LoRA), not a whole model",
            where=shown(folder),
            remedy="merge it into its base model and name the folder of that",
        )
    config = read_object(folder / "config.json")
    weight_files(folder, model.options)
    _check_tokenizer(folder, names)
    return ModelFolder(
        name=model.path,
        weights=folder,
        tokenizer=folder,
        context=context_of(model, folder) if model.options.get("max_model_len") is not None else _context(config),
        chat_template=has_chat_template(folder),
    )


def check_labels(folder: ModelFolder) -> tuple[str, ...]:
    """Check that each label of the critics is a single token, and return what a person should know besides.

    Raises `ConfigurationError` when one is not, or the tokenizer cannot be read.
    """
    label_tokens(TextTokenizer(folder.tokenizer), LABELS)
    if folder.chat_template:
        return ("the tokenizer carries a chat template, so this may be no base model; it is not applied",)
    return ()


def _context(config: Mapping[str, Any]) -> int | None:
    """Tokens that the model was made for; models that see and hear keep it with the rest of their language part."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        limit = part.get("max_position_embeddings")
        if isinstance(limit, int) and not isinstance(limit, bool) and 0 < limit < 1 << 40:
            return limit
    return None


def _check_tokenizer(folder: Path, names: set[str]) -> None:
    found = [name for name in TOKENIZERS if name in names]
    found += sorted(name for name in names if name.endswith(".tiktoken"))
    if not found:
        raise MissingFileError(
            "the model's tokenizer is missing: there is no tokenizer.json",
            where=shown(folder),
            remedy="copy tokenizer.json and tokenizer_config.json from where the model came from",
        )
    size_of(folder / found[0])
    if "tokenizer_config.json" in names:
        read_object(folder / "tokenizer_config.json")
