"""Finds the CTranslate2 model that a campaign names, and checks in no time that it can be loaded at all."""

from __future__ import annotations

from pathlib import Path

from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError
from engine.generate.models.folder import POCKET, POCKET_FOLDER, ModelFolder, context_of, has_chat_template

NEEDED_BY_CTRANSLATE2 = ("model.bin", "config.json")
VOCABULARIES = ("vocabulary.json", "vocabulary.txt", "shared_vocabulary.json", "shared_vocabulary.txt")


def resolve_ctranslate2(model: ModelConfig) -> ModelFolder:
    """The folder behind `model.path`, checked; `ConfigurationError` that says what is missing where."""
    weights = _weights_folder(model.path)
    for name in NEEDED_BY_CTRANSLATE2:
        _check_file(weights / name)
    if not any((weights / name).is_file() for name in VOCABULARIES):
        raise _incomplete(weights, "vocabulary.json is missing")
    tokenizer = _tokenizer(weights)
    return ModelFolder(
        name=model.path,
        weights=weights,
        tokenizer=tokenizer,
        context=context_of(model, tokenizer.parent),
        chat_template=has_chat_template(tokenizer.parent),
    )


def _weights_folder(path: str) -> Path:
    root = POCKET_FOLDER if path == POCKET else Path(path).expanduser()
    if path == POCKET and not root.exists():
        raise ConfigurationError(
            "the pocket model that ships with the project is missing",
            where=str(root),
            remedy="install the project again",
        )
    if not root.exists():
        looks_local = path.startswith((".", "/", "~")) or path.count("/") != 1
        if looks_local:
            raise ConfigurationError(
                "model.path: there is no such folder", where=str(root), remedy="check the path of the model folder"
            )
        raise ConfigurationError(
            f"model.path: {path!r} is no local folder, and the backend ctranslate2 downloads nothing",
            where=str(root.absolute()),
            remedy=f"convert it once: ct2-transformers-converter --model {path} --output_dir FOLDER "
            "--copy_files tokenizer.json config.json, then set model.path to FOLDER; or use the backend vllm",
        )
    if not root.is_dir():
        raise ConfigurationError(
            "model.path: a file stands where a model folder is needed",
            where=str(root),
            remedy="name the folder that holds model.bin",
        )
    if not any(root.iterdir()):
        raise ConfigurationError(
            "model.path: the model folder is empty", where=str(root), remedy="copy or convert the model into it"
        )
    nested = root / "ct2"
    return nested if nested.is_dir() and not (root / "model.bin").is_file() else root


def _incomplete(folder: Path, what: str) -> ConfigurationError:
    hugging_face = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    remedy = (
        f"a Hugging Face folder: convert it with ct2-transformers-converter --model {folder} --output_dir FOLDER"
        if hugging_face
        else "convert the model again with ct2-transformers-converter, or name another folder"
    )
    return ConfigurationError(f"model.path: {what}", where=str(folder), remedy=remedy)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise _incomplete(path.parent, f"{path.name} is missing")
    if path.stat().st_size == 0:
        raise _incomplete(path.parent, f"{path.name} is empty")


def _tokenizer(weights: Path) -> Path:
    """tokenizer.json of the model folder itself, else of the Hugging Face folder beside it."""
    for folder in (weights, weights.parent / "hf"):
        path = folder / "tokenizer.json"
        if path.is_file():
            return path
    raise ConfigurationError(
        "model.path: tokenizer.json is missing",
        where=f"{weights} and {weights.parent / 'hf'}",
        remedy="copy tokenizer.json from the Hugging Face folder that the model was converted from",
    )
