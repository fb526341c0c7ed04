"""Backends by name. The packages behind them are heavy and are imported only when one is opened."""

from __future__ import annotations

import importlib.util

from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError
from engine.generate.backends.base import Backend

_PACKAGES: dict[str, tuple[str, ...]] = {"ctranslate2": ("ctranslate2", "tokenizers"), "vllm": ("vllm",), "server": ()}
_REMEDIES = {"ctranslate2": "pip install ctranslate2 tokenizers"}
BUILT = frozenset({"ctranslate2"})


def missing_packages(name: str) -> list[str]:
    """Packages that the backend `name` needs and that are not installed."""
    return [package for package in _PACKAGES.get(name, ()) if importlib.util.find_spec(package) is None]


def backend_available(name: str) -> bool:
    """Whether this version generates with `name` and its packages are installed."""
    return name in BUILT and not missing_packages(name)


def check_backend(model: ModelConfig) -> None:
    """`ConfigurationError` when the backend that `model` names cannot be used here. Loads nothing."""
    name = model.backend
    missing = missing_packages(name)
    if missing and name in BUILT:
        raise ConfigurationError(
            f"backend {name} needs the package {missing[0]}, which is not installed",
            where="model.backend",
            remedy=_REMEDIES[name],
        )
    if name not in BUILT:
        raise ConfigurationError(
            f"backend {name} is not part of this version, which generates with ctranslate2 only"
            + (f"; its package {missing[0]} is not installed either" if missing else ""),
            where="model.backend",
            remedy="set model.backend to ctranslate2 and model.path to a converted model, or run your own program "
            "with generator: {kind: command, argv: [...]}",
        )


def check_model(model: ModelConfig) -> None:
    """`ConfigurationError` when the backend or the model folder cannot be used; loads nothing."""
    from engine.generate.models.converted import resolve_ctranslate2

    check_backend(model)
    resolve_ctranslate2(model)


def open_backend(model: ModelConfig) -> Backend:
    """Load the model. `ConfigurationError` when backend or model folder cannot be used; may take minutes."""
    check_backend(model)
    from engine.generate.backends.ctranslate2 import CTranslate2Backend
    from engine.generate.models.converted import resolve_ctranslate2

    return CTranslate2Backend(resolve_ctranslate2(model), model.options)
