"""The engine options that tests use, declared as the real ones are."""

from dataclasses import dataclass


@dataclass
class EngineArgs:
    model: str = ""
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    gpu_memory_utilization: float = 0.92
    enforce_eager: bool = False
    generation_config: str = "auto"
    dtype: str = "auto"
    load_format: str = "auto"
