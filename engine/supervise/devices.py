"""The devices of a run: which GPUs it gets, that no other run has them, and that their memory comes back.

GPUs are known by UUID. A run that needs none, or finds none, runs on `cpu@HOST`, which anyone may share.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.campaign.spec import RunSpec
from engine.errors import RefusedError
from engine.files import make_private_folder
from engine.journal.events import ProcessIdentity, utc_now
from engine.supervise.commands import python_module
from engine.supervise.identity import here, is_alive

PROBE_TIMEOUT_S = 10.0
MEMORY_BACK_TIMEOUT_S = 15.0
MEMORY_SLACK_BYTES = 256 << 20  # driver and display noise; a lost engine core holds gigabytes

_hung_probes: set[int] = set()


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML shows it; memory in bytes."""

    index: int
    uuid: str
    name: str
    used_bytes: int
    total_bytes: int


_GPUS: TypeAdapter[list[Gpu]] = TypeAdapter(list[Gpu])


def hung_probes() -> set[int]:
    """Pids of probes that did not answer in time and would not die: no process of the run."""
    return _hung_probes


def has_nvidia_driver() -> bool:
    """Whether asking NVML can have any use."""
    return any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"))


def probe_gpus(timeout_s: float = PROBE_TIMEOUT_S) -> list[Gpu] | None:
    """The machine's GPUs by index; [] without a driver; None when NVML did not answer within `timeout_s`."""
    if not has_nvidia_driver():
        return []
    process = subprocess.Popen(
        python_module("engine.supervise.probe"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        answer, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        _hung_probes.add(process.pid)  # not waited for: it may hang in the driver for good
        return None
    try:
        return _GPUS.validate_json(answer) if process.returncode == 0 else None
    except ValidationError:
        return None


def cpu_device() -> str:
    return f"cpu@{here().host}"


def wants_gpu(spec: RunSpec) -> bool:
    """CTranslate2 runs on the CPU; a foreign program is given a GPU where there is one."""
    return spec.generator.kind == "command" or spec.model.backend != "ctranslate2"


def gpus_wanted(spec: RunSpec) -> int:
    """How many GPUs the run uses when it names none: the product of its parallel sizes, else one."""
    wanted = 1
    for option in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
        size = spec.model.options.get(option)
        wanted *= size if isinstance(size, int) and size > 0 else 1
    return wanted


@dataclass(slots=True)
class Devices:
    """What a run was given. `names` are GPU UUIDs or `cpu@HOST`; `memory_before` bytes used per UUID at claim."""

    names: tuple[str, ...]
    memory_before: dict[str, int] = field(default_factory=dict)
    claims: list[GpuClaim] = field(default_factory=list)

    @property
    def are_gpus(self) -> bool:
        return bool(self.memory_before)

    def hold_for(self, generator: ProcessIdentity) -> None:
        """Tie the claims to the generator too, so that they outlast a killed keeper."""
        for claim in self.claims:
            claim.note(generator)

    def release(self) -> None:
        for claim in self.claims:
            claim.release()
        self.claims.clear()

    def memory_is_back(self, beat: Callable[[], None]) -> bool:
        """Wait, calling `beat` meanwhile, until every GPU is back at its memory before launch; False if it stays
        held, or if NVML no longer answers, for `MEMORY_BACK_TIMEOUT_S`. At once True where there is no GPU."""
        if not self.are_gpus:
            return True
        deadline = time.monotonic() + MEMORY_BACK_TIMEOUT_S
        while True:
            gpus = probe_gpus(timeout_s=5.0)
            if gpus is not None and not self.still_held(gpus):
                return True
            if time.monotonic() >= deadline:
                return False
            beat()
            time.sleep(0.25)

    def still_held(self, gpus: Sequence[Gpu]) -> list[str]:
        """UUIDs of ours whose used memory is above its level before launch."""
        used = {gpu.uuid: gpu.used_bytes for gpu in gpus}
        return [
            uuid for uuid, before in self.memory_before.items() if used.get(uuid, before) > before + MEMORY_SLACK_BYTES
        ]


class GpuClaim:
    """One GPU held for one run: a flock on a host-local file, which names the run and its generator.

    The lock goes with the keeper's life. The file's text outlasts it, so that a GPU whose generator still lives after
    its keeper was killed is not given away.
    """

    def __init__(self, uuid: str, run_id: str, run: str, folder: Path | None = None) -> None:
        """Claim the GPU; `RefusedError` naming the holder when another run has it."""
        self.uuid = uuid
        self._run_id = run_id
        self._run = run
        path = (folder or claim_folder()) / f"{uuid}.lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except OSError:
            locked = False
        holder = self._holder()
        if not locked or (holder.get("run_id") != run_id and _generator_lives(holder)):
            os.close(self._descriptor)
            raise RefusedError(
                f"GPU {uuid} is held by {holder.get('run') or 'another run'}",
                where=str(path),
                remedy="wait for that run to end or stop it, or name another GPU in CUDA_VISIBLE_DEVICES",
            )
        self.note(None)

    def note(self, generator: ProcessIdentity | None) -> None:
        """Write who holds the GPU."""
        text = {
            "run": self._run,
            "run_id": self._run_id,
            "since": utc_now(),
            "generator": generator.model_dump() if generator else None,
        }
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(text).encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _holder(self) -> dict[str, object]:
        try:
            value = json.loads(os.pread(self._descriptor, 65_536, 0))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def _generator_lives(holder: dict[str, object]) -> bool:
    try:
        return is_alive(ProcessIdentity.model_validate(holder.get("generator"))) is True
    except ValidationError:
        return False


def claim_folder() -> Path:
    """Where this host keeps its claims: never on a shared file system, only for this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "pilothouse" if runtime else Path(tempfile.gettempdir()) / f"pilothouse-{os.getuid()}"
    make_private_folder(folder)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid():
        raise RefusedError(
            "the folder for GPU claims belongs to somebody else", where=str(folder), remedy="set XDG_RUNTIME_DIR"
        )
    folder.chmod(0o700)
    return folder


def take_devices(spec: RunSpec) -> Devices:
    """Choose and claim the devices of the run.

    `spec.devices`, else `CUDA_VISIBLE_DEVICES`, name the GPUs that may be used (index or UUID); those of the spec are
    all taken, otherwise the first free ones. Raises `RefusedError` when not enough are free.
    """
    if not wants_gpu(spec) or "cpu" in spec.devices:
        return Devices(names=(cpu_device(),))
    gpus = probe_gpus() or []
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
    devices = Devices(names=names, memory_before=dict(memory_before))
    try:
        for uuid in memory_before:
            devices.claims.append(GpuClaim(uuid, spec.run_id, spec.id))
    except RefusedError:
        devices.release()
        raise
    return devices


def _claimed(usable: Sequence[Gpu], wanted: int, spec: RunSpec) -> Devices:
    devices = Devices(names=())
    refusal: RefusedError | None = None
    for gpu in usable:
        if len(devices.claims) == wanted:
            break
        try:
            devices.claims.append(GpuClaim(gpu.uuid, spec.run_id, spec.id))
            devices.memory_before[gpu.uuid] = gpu.used_bytes
        except RefusedError as error:
            refusal = error
    if len(devices.claims) < wanted:
        devices.release()
        raise refusal or RefusedError(
            f"the run wants {wanted} GPUs and may use {len(usable)}",
            where=here().host,
            remedy="lower the parallel sizes in model.options, or let it see more GPUs (CUDA_VISIBLE_DEVICES)",
        )
    devices.names = tuple(devices.memory_before)
    return devices


def _meant(token: str, gpu: Gpu) -> bool:
    return token == str(gpu.index) or (token.startswith("GPU-") and gpu.uuid.startswith(token))
