"""Devices: the CPU for whoever wants it, one run per GPU, and memory that must come back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.campaign.spec import RunSpec
from engine.errors import RefusedError
from engine.journal.events import ProcessIdentity
from engine.supervise import devices
from engine.supervise.devices import Devices, Gpu, GpuClaim, claim_folder, cpu_device, take_devices

A, B = "GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0000"


def gpu(index: int, uuid: str, used: int = 0) -> Gpu:
    return Gpu(index=index, uuid=uuid, name="H200", used_bytes=used, total_bytes=141 << 30)


@pytest.fixture(autouse=True)
def _private_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: [gpu(0, A, 7 << 30), gpu(1, B)])


def spec(backend: str = "vllm", **fields: object) -> RunSpec:
    model = {"path": "m", "backend": backend, "options": fields.pop("options", {})}
    return RunSpec.model_validate({"campaign": "c", "run": "pilot", "kind": "pilot", "model": model, **fields})


@pytest.mark.usefixtures("two_gpus")
def test_ctranslate2_runs_on_the_cpu_even_beside_gpus() -> None:
    taken = take_devices(spec("ctranslate2"))
    assert taken.names == (cpu_device(),)
    assert not taken.are_gpus
    assert taken.memory_is_back(lambda: None)


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: [])
    assert take_devices(spec()).names == (cpu_device(),)
    with pytest.raises(RefusedError, match="there is no GPU 3 here"):
        take_devices(spec(devices=("3",)))


@pytest.mark.usefixtures("two_gpus")
def test_runs_get_one_free_gpu_each_until_none_is_left() -> None:
    first, second = take_devices(spec()), take_devices(spec())
    assert (first.names, second.names) == ((A,), (B,))
    assert first.memory_before == {A: 7 << 30}
    with pytest.raises(RefusedError, match=rf"GPU {B} is held by c/pilot"):
        take_devices(spec())
    first.release()
    assert take_devices(spec()).names == (A,)


@pytest.mark.usefixtures("two_gpus")
def test_parallel_sizes_ask_for_more_and_get_all_or_none() -> None:
    both = take_devices(spec(options={"tensor_parallel_size": 2}))
    assert both.names == (A, B)
    both.release()
    one = take_devices(spec())
    with pytest.raises(RefusedError):
        take_devices(spec(options={"tensor_parallel_size": 2}))
    assert take_devices(spec()).names == (B,), "the refused run let go of the one it could have had"
    one.release()


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("visible", "names"), [("1", (B,)), ("GPU-bbbb", (B,)), ("1,0", (B,)), ("", None)])
def test_only_visible_gpus_are_used(
    monkeypatch: pytest.MonkeyPatch, visible: str, names: tuple[str, ...] | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert take_devices(spec()).names == (names or (cpu_device(),))


@pytest.mark.usefixtures("two_gpus")
def test_named_devices_are_all_taken() -> None:
    assert take_devices(spec(devices=("0", "1"))).names == (A, B)


def test_a_claim_goes_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, time\n"
        "from engine.supervise.devices import GpuClaim\n"
        f"claim = GpuClaim({A!r}, 'one', 'c/one', pathlib.Path({str(tmp_path)!r}))\n"
        "print('held', flush=True)\ntime.sleep(300)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RefusedError, match="held by c/one"):
        GpuClaim(A, "two", "c/two", tmp_path)
    holder.kill()
    holder.communicate()
    GpuClaim(A, "two", "c/two", tmp_path).release()


def test_a_claim_outlives_its_keeper_while_the_generator_lives(
    tmp_path: Path, bystander: Callable[[], ProcessIdentity]
) -> None:
    generator = bystander()
    claim = GpuClaim(A, "one", "c/one", tmp_path)
    claim.note(generator)
    os.close(claim._descriptor)  # what the kernel does when the keeper is killed
    with pytest.raises(RefusedError, match="held by c/one"):
        GpuClaim(A, "two", "c/two", tmp_path)
    GpuClaim(A, "one", "c/one", tmp_path).release()  # the run's own new keeper may have it


def test_the_claim_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert claim_folder() == tmp_path / "pilothouse"
    assert claim_folder().stat().st_mode & 0o777 == 0o700
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "pilothouse").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    with pytest.raises(RefusedError, match="belongs to somebody else"):
        claim_folder()


def test_gpu_memory_must_come_back_to_its_level_before_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, [gpu(0, A, 122 << 30)], [gpu(0, A, 1 << 30)], [gpu(0, A, 100 << 20)]])
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: next(answers))
    beats: list[int] = []
    taken = Devices(names=(A,), memory_before={A: 64 << 20})
    assert taken.memory_is_back(lambda: beats.append(1))
    assert len(beats) == 3
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: [gpu(0, A, 122 << 30)])
    monkeypatch.setattr(devices, "MEMORY_BACK_TIMEOUT_S", 0.3)
    assert not taken.memory_is_back(lambda: None)


def test_a_probe_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(devices, "python_module", lambda module: ["sleep", "300"])
    assert devices.probe_gpus(timeout_s=0.1) is None
    assert devices.hung_probes()


def test_without_nvml_the_probe_says_so() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "engine.supervise.probe"], capture_output=True, env=environment, check=False
    )
    assert done.returncode in (0, 1)
    assert done.stderr == b""
