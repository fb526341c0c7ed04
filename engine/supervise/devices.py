"""The devices of a run: which GPUs it gets, that they are fit for it, and that their memory comes back.

GPUs are known by UUID. A run that needs none, or finds none, runs on `cpu@HOST`, which anyone may share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError, RefusedError
from engine.files import RunFiles
from engine.journal.events import ProcessIdentity
from engine.logs.sanitise import sanitise
from engine.supervise.claims import GpuClaim
from engine.supervise.gpus import Gpu, probe_gpus
from engine.supervise.identity import PROC, here
from engine.supervise.liveness import read_keeper

MEMORY_BACK_TIMEOUT_S = 15.0
MEMORY_SLACK_BYTES = 256 << 20  # driver and display noise; a lost engine core holds gigabytes
COMMAND_SHARE = 0.5  # of a foreign program nothing is known; a GPU that is half full is no place for a model


def cpu_device() -> str:
    return f"cpu@{here().host}"


def wants_gpu(spec: RunSpec) -> bool:
    """CTranslate2 runs on the CPU, a server on its own; a foreign program is given a GPU where there is one."""
    return spec.generator.kind == "command" or spec.model.backend == "vllm"


def gpus_wanted(spec: RunSpec) -> int:
    """How many GPUs the run uses when it names none: the product of its parallel sizes, else one."""
    wanted = 1
    for option in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
        size = spec.model.options.get(option)
        wanted *= size if isinstance(size, int) and size > 0 else 1
    return wanted


def share_wanted(spec: RunSpec) -> float:
    """Share of each GPU's memory that must be free before a launch, from 0 to 1."""
    if spec.supervision.gpu_free is not None:
        return spec.supervision.gpu_free
    if spec.supervision.share_gpu:
        return 0.0
    if spec.generator.kind == "command":
        return COMMAND_SHARE
    from engine.generate.models.architectures import default_gpu_memory_utilization

    share = spec.model.options.get("gpu_memory_utilization")
    return share if isinstance(share, int | float) and 0 <= share <= 1 else default_gpu_memory_utilization()


@dataclass(slots=True)
class Devices:
    """What a run was given. `names` are GPU UUIDs or `cpu@HOST`; `memory_before` bytes used per UUID at claim.

    Where the GPU is `shared` its memory says nothing about this run alone, and is not waited for.
    """

    names: tuple[str, ...]
    memory_before: dict[str, int] = field(default_factory=dict)
    claims: list[GpuClaim] = field(default_factory=list)
    shared: bool = False

    @property
    def are_gpus(self) -> bool:
        return bool(self.memory_before)

    def hold_for(self, generator: ProcessIdentity | None) -> None:
        """Tie the claims to the generator too, so that they outlast a killed keeper."""
        for claim in self.claims:
            claim.note(generator)

    def release(self, held_by: Sequence[str] | None = None) -> None:
        """Let go of all; with `held_by`, as GPUs whose memory did not come back."""
        for claim in self.claims:
            if held_by is None:
                claim.release()
            else:
                claim.leave(self.memory_before.get(claim.uuid, 0), held_by)
        self.claims.clear()

    def memory_is_back(self, beat: Callable[[], None]) -> tuple[str, ...] | None:
        """Wait, calling `beat` meanwhile, until every GPU is back at its memory before launch: None then.

        Who holds it, as far as that can be seen, if it stays held, or if NVML no longer answers, for
        `MEMORY_BACK_TIMEOUT_S`. At once None where there is no GPU, or it is shared.
        """
        if not self.are_gpus or self.shared:
            return None
        deadline = time.monotonic() + MEMORY_BACK_TIMEOUT_S
        while True:
            gpus = probe_gpus(timeout_s=5.0)
            held = self.still_held(gpus) if gpus is not None else []
            if gpus is not None and not held:
                return None
            if time.monotonic() >= deadline:
                return holders(held) if gpus is not None else ("not known: NVML does not answer",)
            beat()
            time.sleep(0.1)

    def still_held(self, gpus: Sequence[Gpu]) -> list[Gpu]:
        """Those of ours whose used memory is above its level before launch."""
        return [
            gpu
            for gpu in gpus
            if gpu.used_bytes > self.memory_before.get(gpu.uuid, gpu.used_bytes) + MEMORY_SLACK_BYTES
        ]


def holders(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Who computes on `gpus`, in words. In a container NVML names processes by the host's pids, or none at all."""
    found = []
    for gpu in gpus:
        for process in gpu.processes:
            size = f" with {_gib(process.used_bytes)} GiB" if process.used_bytes else ""
            found.append(f"pid {process.pid}{_name(process.pid)} on GPU {gpu.index}{size}")
        if not gpu.processes:
            found.append(
                f"{_gib(gpu.used_bytes)} GiB on GPU {gpu.index}, by a process that is not to be seen from here"
            )
    return tuple(found)


def _gib(octets: float) -> str:
    return f"{octets / (1 << 30):.1f}"


def _name(pid: int) -> str:
    """` (python)` where a process of that pid is in sight; in a container it may be another one's."""
    try:
        return f" ({sanitise((PROC / str(pid) / 'comm').read_text().strip(), 32)})"
    except OSError:
        return " (not in sight: the host's numbering, or another user's)"


def attached_devices(engine: RunFiles) -> Devices:
    """The devices of a run that is attached to a kept engine: the engine's, which are claimed already and cost once."""
    keeper = read_keeper(engine)
    return Devices(names=keeper.devices if keeper is not None else (cpu_device(),))


def take_devices(spec: RunSpec) -> Devices:
    """Choose and claim the devices of the run.

    `spec.devices`, else `CUDA_VISIBLE_DEVICES`, name the GPUs that may be used (index or UUID); those of the spec are
    all taken, otherwise the first free ones. Raises `RefusedError` when not enough are free, or their memory is not.
    """
    if not wants_gpu(spec) or "cpu" in spec.devices:
        return Devices(names=(cpu_device(),))
    gpus = probe_gpus()
    if gpus is None:
        raise RefusedError(
            "the GPU driver does not answer: NVML hangs",
            where=here().host,
            remedy="see `nvidia-smi`; the driver or the machine may need a restart",
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    tokens = spec.devices or (tuple(visible.split(",")) if visible is not None else None)
    usable = gpus if tokens is None else [gpu for token in tokens for gpu in gpus if _meant(token.strip(), gpu)]
    if not usable:
        if spec.devices:
            raise RefusedError(
                f"there is no GPU {', '.join(spec.devices)} here",
                where=here().host,
                remedy=f"GPUs here: {', '.join(f'{gpu.index} ({gpu.uuid})' for gpu in gpus) or 'none'}",
            )
        return Devices(names=(cpu_device(),))
    return _claimed(usable, len(spec.devices) or gpus_wanted(spec), spec)


def retake_devices(spec: RunSpec, names: tuple[str, ...], memory_before: dict[str, int]) -> Devices:
    """Claim the devices `names` that an earlier keeper of the run had; the level of their memory is from then."""
    shared = spec.supervision.share_gpu
    devices = Devices(names=names, memory_before=dict(memory_before), shared=shared)
    try:
        for uuid in memory_before:
            devices.claims.append(GpuClaim(uuid, spec.run_id, spec.id, shared=shared))
    except RefusedError:
        for claim in devices.claims:
            claim.drop()
        raise
    devices.hold_for(None)
    return devices


def _claimed(usable: Sequence[Gpu], wanted: int, spec: RunSpec) -> Devices:
    shared = spec.supervision.share_gpu
    devices = Devices(names=(), shared=shared)
    refusal: RefusedError | None = None
    for gpu in usable:
        if len(devices.claims) == wanted:
            break
        try:
            claim = GpuClaim(gpu.uuid, spec.run_id, spec.id, shared=shared)
        except RefusedError as error:
            refusal = error
            continue
        refusal = _unfit(gpu, claim, spec)
        if refusal is not None:
            claim.give_back()
            continue
        devices.claims.append(claim)
        devices.memory_before[gpu.uuid] = gpu.used_bytes
    if len(devices.claims) < wanted:
        devices.release()
        raise refusal or RefusedError(
            f"the run wants {wanted} GPUs and may use {len(usable)}",
            where=here().host,
            remedy="lower the parallel sizes in model.options, or let it see more GPUs (CUDA_VISIBLE_DEVICES)",
        )
    devices.names = tuple(devices.memory_before)
    try:
        _check_model_fits(spec, [gpu.total_bytes for gpu in usable if gpu.uuid in devices.memory_before])
    except RefusedError:
        devices.release()
        raise
    devices.hold_for(None)
    return devices


def _check_model_fits(spec: RunSpec, gpu_total_bytes: Sequence[int]) -> None:
    """`RefusedError` when vLLM would find out, after a minute of loading, that the model is too large for the GPUs.

    A model that is yet to be downloaded is not known well enough, and one that is not there at all is refused by the
    launch, or by the generator, in words of their own.
    """
    if spec.generator.kind != "builtin" or spec.model.backend != "vllm":
        return
    from engine.generate.backends import models_folder
    from engine.generate.models.fit import check_fit
    from engine.generate.models.hugging_face import find_model

    try:
        folder = find_model(spec.model, models_folder(spec.engine))
    except ConfigurationError:
        return
    if folder is None:
        return
    try:
        check_fit(spec.model, folder, gpu_total_bytes)
    except ConfigurationError as error:
        raise RefusedError(error.what, where=error.where, remedy=error.remedy) from error


def _unfit(gpu: Gpu, claim: GpuClaim, spec: RunSpec) -> RefusedError | None:
    """Why a GPU that was free to claim is no place for the run; None when it is."""
    left = claim.left
    before = left.get("memory_before") if left is not None else None
    if left is not None and isinstance(before, int) and gpu.used_bytes > before + MEMORY_SLACK_BYTES:
        return RefusedError(
            f"GPU {gpu.index} still holds {_gib(gpu.used_bytes)} GiB since {sanitise(str(left.get('run')), 200)} was "
            f"stopped: {'; '.join(holders([gpu]))}",
            where=str(claim.path),
            remedy="end that process; where it is not to be seen, restart the container or the machine",
        )
    wanted = share_wanted(spec) * gpu.total_bytes
    free = gpu.total_bytes - gpu.used_bytes
    if free < wanted:
        return RefusedError(
            f"GPU {gpu.index} has {_gib(free)} GiB free of {_gib(gpu.total_bytes)}, and {_gib(wanted)} are wanted; "
            f"it is used by {'; '.join(holders([gpu]))}",
            where=gpu.uuid,
            remedy="end what uses it, name another GPU in CUDA_VISIBLE_DEVICES, or set supervision.gpu_free",
        )
    return None


def _meant(token: str, gpu: Gpu) -> bool:
    return token == str(gpu.index) or (token.startswith("GPU-") and gpu.uuid.startswith(token))
