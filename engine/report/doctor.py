"""`pilothouse doctor`: what this machine has of what a run needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.campaign.loading import load_prompts
from engine.campaign.models import EngineConfig, ModelConfig
from engine.errors import PilothouseError
from engine.files import Workspace
from engine.replay.campaigns import load_checked

LOW_DISK_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `ok` is false when a run would stumble over it."""

    ok: bool
    text: str


def examine(root: Path) -> list[Finding]:
    """Look at Python, packages, the pocket model, GPUs, the folder and its campaigns."""
    return [*_python(), *_pocket_model(), *_gpus(), *_folder(root), *_campaigns(root)]


def _python() -> Iterator[Finding]:
    yield Finding(True, f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in ("textual", "pydantic", "ctranslate2", "tokenizers", "psutil"):
        try:
            yield Finding(True, f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(False, f"{package} is missing: install Pilothouse anew")
    found = importlib.util.find_spec("vllm") is not None
    yield Finding(True, "vllm is installed" if found else "vllm is not installed (needed for backend: vllm only)")


def _pocket_model() -> Iterator[Finding]:
    from engine.generate.backends import check_model

    try:
        check_model(ModelConfig(path="pocket", backend="ctranslate2"), EngineConfig())
        yield Finding(True, "the pocket model is complete")
    except PilothouseError as error:
        yield Finding(False, f"pocket model: {error.what}")


def _gpus() -> Iterator[Finding]:
    from engine.supervise.gpus import probe_gpus

    gpus = probe_gpus()
    if gpus is None:
        yield Finding(False, "NVML does not answer: the GPU driver hangs")
    elif not gpus:
        yield Finding(True, "no GPU seen (the pocket model runs on the CPU)")
    for gpu in gpus or ():
        yield Finding(True, f"GPU {gpu.index}: {gpu.name}, {gpu.used_bytes >> 20} of {gpu.total_bytes >> 20} MiB used")


def _folder(root: Path) -> Iterator[Finding]:
    workspace = Workspace(root)
    place = workspace.artifacts if workspace.artifacts.is_dir() else root
    writable = os.access(place, os.W_OK)
    yield Finding(writable, f"{place} is writable" if writable else f"{place} cannot be written: runs could not start")
    free = shutil.disk_usage(place).free
    enough = free >= LOW_DISK_BYTES
    yield Finding(enough, f"{free / (1 << 30):.1f} GiB free there" + ("" if enough else ": too little for a run"))


def _campaigns(root: Path) -> Iterator[Finding]:
    from engine.generate.backends import check_model

    paths = Workspace(root).campaign_files()
    if not paths:
        yield Finding(True, "no configs/ here: start in the folder that holds it, or run `pilothouse demo`")
    for path in paths:
        try:
            campaign = load_checked(path)
            load_prompts(campaign, path)
            if campaign.generator.kind == "builtin":
                check_model(campaign.model, campaign.engine)
            yield Finding(True, f"campaign {campaign.name}: {campaign.model.path} on {campaign.model.backend}")
        except PilothouseError as error:
            yield Finding(False, f"campaign {path.stem}: {error.what} ({error.where})")
