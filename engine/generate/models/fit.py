"""Whether a model fits into GPUs, asked before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from engine.campaign.models import ModelConfig
from engine.generate.models.architectures import default_gpu_memory_utilization
from engine.generate.models.folder import ModelFolder
from engine.generate.models.memory import check_memory, estimate
from engine.generate.models.reading import read_object
from engine.generate.models.weights import tensor_bytes, weight_bytes


def check_fit(model: ModelConfig, folder: ModelFolder, gpu_total_bytes: Sequence[int]) -> None:
    """`ConfigurationError` with the figures when the model in `folder` cannot fit into GPUs of those sizes."""
    found = estimate(
        read_object(folder.weights / "config.json"),
        weight_bytes=weight_bytes(folder.weights, model.options),
        tensor_bytes=tensor_bytes(folder.weights, model.options),
        options=model.options,
    )
    check_memory(
        found,
        gpu_total_bytes=gpu_total_bytes,
        options=model.options,
        default_utilization=default_gpu_memory_utilization(),
    )
