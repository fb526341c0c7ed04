"""How a run is watched over: stalls, restarts, its log, and what goes on around it (sync, notifications, idleness)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.campaign.fields import LARGEST_MINUTES, Minutes, NotBool, Strict

Program = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
"""An argv list, the program first; never a shell."""

StallAction = Literal["notify", "restart", "stop"]


class StallConfig(Strict):
    """A run stalls when no item is finished for `after_minutes` of generating.

    Before and after generating (downloading, loading, compiling, saving) a log or a journal that grows is progress, and
    `startup_minutes` is the patience. `action` is what follows: `notify` alone, `restart` the attempt, or `stop` it.
    """

    after_minutes: Minutes = 10
    startup_minutes: Minutes = 45
    action: StallAction = "notify"


class RestartsConfig(Strict):
    """At most `most` restarts by itself since a person started the run, the first after `backoff_s` seconds, each
    later one after twice as long. `after_failure`: restart an attempt that failed, too, not only one that stalled."""

    most: Annotated[int, Field(ge=0, le=20), NotBool] = 2
    backoff_s: Annotated[float, Field(ge=0.0, le=86_400, allow_inf_nan=False), NotBool] = 30
    after_failure: bool = False


class SupervisionConfig(Strict):
    """`keeper_loss`: a generator whose keeper was killed is adopted and goes on, or is ended cleanly (`stop`).

    `share_gpu`: several runs may have the same GPU, if all of them say so. `gpu_free`: least share of each GPU's memory
    that must be free before a launch (null: what the backend will take). `log_limit_mb`: disk that run.log may
    take, the newest lines always kept. `reserve_disk_mb`: free space that must be left beside the forecast output.
    """

    keeper_loss: Literal["adopt", "stop"] = "adopt"
    stall: StallConfig = StallConfig()
    restarts: RestartsConfig = RestartsConfig()
    share_gpu: bool = False
    gpu_free: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False), NotBool] | None = None
    log_limit_mb: Annotated[float, Field(ge=1.0, le=1e9, allow_inf_nan=False), NotBool] = 256
    reserve_disk_mb: Annotated[float, Field(ge=0.0, le=1e9, allow_inf_nan=False), NotBool] = 64


class OnIdle(Strict):
    """`command` is run (it stops the machine, say) when no run has been live for `after_minutes`; any viewer sees the
    countdown and can cancel it."""

    after_minutes: Minutes
    command: Program


class SyncConfig(Strict):
    """`command` copies artifacts off the machine every `every_minutes` of a run and at its end.

    It runs in the folder that holds `configs/`; `{output_dir}` is the run's folder, `{campaign}` and `{run}` its names.
    It may take `timeout_minutes`.
    """

    command: Program
    every_minutes: Minutes = 10
    timeout_minutes: Annotated[float, Field(gt=0.0, le=LARGEST_MINUTES, allow_inf_nan=False), NotBool] = 60


class NotifyConfig(Strict):
    """Who is told when a run ends, stalls, is lost or fails: a webhook, whose address stands in the environment
    variable `webhook_env`, or a `command`, which gets the message as JSON on its standard input."""

    webhook_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    command: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.webhook_env is None) == (not self.command):
            raise ValueError("name either webhook_env or command")
        return self
