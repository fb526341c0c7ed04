"""Live figures of an inference engine, of GPUs, as they stand in the journals and on the screen, and of processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]


class EngineFigures(BaseModel):
    """What an engine does just now; None for what it does not tell.

    Tokens per second are over the last interval that was looked at: `prompt` those computed or taken from the prefix
    cache, `generation` those sampled. `running` and `waiting` count requests, `kv_cache_usage` is a share of the KV
    cache, `prefix_cache_hit_rate` the share of prompt tokens found in the prefix cache in the interval.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    prompt_tokens_per_s: Amount | None = None
    generation_tokens_per_s: Amount | None = None
    running: Annotated[int, Field(ge=0)] | None = None
    waiting: Annotated[int, Field(ge=0)] | None = None
    kv_cache_usage: Share | None = None
    prefix_cache_hit_rate: Share | None = None


class GpuFigures(BaseModel):
    """One GPU just now: `utilisation` in per cent, memory in bytes, power in watts; None where the driver is silent."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    uuid: str
    index: int
    name: str = ""
    utilisation: Amount | None = None
    used_bytes: Bytes = 0
    total_bytes: Bytes = 0
    power_w: Amount | None = None


ProcessRole = Literal["keeper", "aftermath", "generator", "server", "engine core", "worker", "child", "helper", "stray"]


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """One living process just now. `cpu` is in per cent of one core since the look before (None: this is the first),
    `gpu_bytes` the GPU memory that NVML says it holds (None: it says nothing), `started` unix time.

    `of` names the kept engine that it belongs to, empty for the run itself. A `stray` is not proven to be the run's:
    it computes on the run's GPU, or says that it works in the run's folder.
    """

    pid: int
    role: ProcessRole
    command: str
    state: str
    cpu: float | None
    rss_bytes: int
    gpu_bytes: int | None
    started: float
    of: str = ""

    @property
    def proven(self) -> bool:
        return self.role != "stray"


@dataclass(frozen=True, slots=True)
class RunProcesses:
    """Whoever lives of a run, and of the kept engine behind it, on `host`; `in_sight` is false where that is another
    machine or container. `gpus` are its GPUs, where NVML answers; `nvml` false where it should and does not."""

    host: str
    in_sight: bool = True
    processes: tuple[ProcessFigures, ...] = ()
    gpus: tuple[GpuFigures, ...] = ()
    nvml: bool = True
