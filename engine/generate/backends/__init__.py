"""Backends by name. The packages behind them are heavy and are imported only when one is opened."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.campaign.models import EngineConfig, ModelConfig
from engine.errors import ConfigurationError
from engine.generate.attaching import AttachedEngine
from engine.generate.backends.base import Backend
from engine.generate.models.folder import ModelFolder

if TYPE_CHECKING:
    from engine.generate.backends.server.options import ServerOptions

_PACKAGES: dict[str, tuple[str, ...]] = {
    "ctranslate2": ("ctranslate2", "tokenizers"),
    "vllm": ("vllm",),
    "server": ("aiohttp", "tokenizers"),
}
_REMEDIES = {
    "ctranslate2": "pip install ctranslate2 tokenizers",
    "vllm": "on the machine with the GPU: pip install 'pilothouse[gpu]', or pip install 'vllm>=0.25'",
    "server": "pip install aiohttp tokenizers",
}
ENGINE_GONE_S = 15.0
"""An engine of ours that is gone does not come back by itself: so long a run waits for it to answer again."""


def missing_packages(name: str) -> list[str]:
    """Packages that the backend `name` needs and that are not installed."""
    return [package for package in _PACKAGES.get(name, ()) if importlib.util.find_spec(package) is None]


def check_backend(model: ModelConfig) -> None:
    """`ConfigurationError` when the backend that `model` names cannot be used here. Loads nothing."""
    missing = missing_packages(model.backend)
    if missing:
        raise ConfigurationError(
            f"backend {model.backend} needs the package {missing[0]}, which is not installed",
            where="model.backend",
            remedy=_REMEDIES[model.backend],
        )


def models_folder(engine: EngineConfig) -> Path | None:
    """Where downloaded models are kept, None for the hub's own cache."""
    return Path(engine.models_dir).expanduser().absolute() if engine.models_dir is not None else None


def check_model(model: ModelConfig, engine: EngineConfig) -> ModelFolder | None:
    """The model's folder, checked for whatever can be found wrong without loading it; None when it is to be downloaded.

    Of a server's model it is the folder of its tokenizer. Raises `ConfigurationError`.
    """
    check_backend(model)
    if model.backend == "ctranslate2":
        from engine.generate.models.converted import resolve_ctranslate2

        folder: ModelFolder | None = resolve_ctranslate2(model)
    elif model.backend == "server":
        from engine.generate.backends.server.options import server_options, tokenizer_folder

        folder = tokenizer_folder(model, server_options(model))
    else:
        from engine.generate.models.architectures import check_engine_options
        from engine.generate.models.hugging_face import find_model

        check_engine_options(model.options)
        folder = find_model(model, models_folder(engine))
    if folder is not None:
        check_folder(model, folder)
    return folder


def check_folder(model: ModelConfig, folder: ModelFolder) -> None:
    """`ConfigurationError` when the critics' labels, or the model's architecture, will not do."""
    from engine.generate.models.hugging_face import check_labels

    check_labels(folder)
    if model.backend == "vllm":
        from engine.generate.models.architectures import check_architecture

        check_architecture(folder, model.options)


def open_backend(
    model: ModelConfig, folder: ModelFolder, engine: EngineConfig, attached: AttachedEngine | None = None
) -> Backend:
    """Load the model, or find its server; with `attached` the engine that is kept. May take minutes.

    Raises `ConfigurationError` when it cannot be used, `RunFailedError` when a server does not answer, and whatever
    vLLM raises.
    """
    if attached is not None:
        from engine.generate.backends.server.options import attached_options

        options = attached_options(model, attached.record, retry_for_s=ENGINE_GONE_S)
        return _server(model, options, folder, gone=attached.gone)
    check_backend(model)
    if model.backend == "vllm":
        from engine.generate.backends.vllm import VllmBackend

        return VllmBackend(model, folder, engine)
    if model.backend == "server":
        from engine.generate.backends.server.options import server_options

        return _server(model, server_options(model), folder)
    from engine.generate.backends.ctranslate2 import CTranslate2Backend

    return CTranslate2Backend(folder, model.options)


def _server(
    model: ModelConfig, options: ServerOptions, folder: ModelFolder, gone: Callable[[], str | None] | None = None
) -> Backend:
    from engine.generate.backends.server.backend import ServerBackend
    from engine.generate.models.tokenizer import TextTokenizer

    return ServerBackend(options, TextTokenizer(folder.tokenizer), context=folder.context, path=model.path, gone=gone)
