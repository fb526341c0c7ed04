"""Devices: the CPU for whoever wants it, one run per GPU, and memory that must come back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.campaign.spec import RunSpec
from engine.errors import RefusedError
from engine.journal.events import ProcessIdentity
from engine.supervise import devices, gpus
from engine.supervise.claims import GpuClaim, claim_folder
from engine.supervise.devices import Devices, cpu_device, take_devices
from engine.supervise.gpus import Gpu, GpuProcess, hung_probes, probe_gpus

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
    assert taken.memory_is_back(lambda: None) is None


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
        "from engine.supervise.claims import GpuClaim\n"
        f"claim = GpuClaim({A!r}, 'one', 'c/one', pathlib.Path({str(tmp_path)!r}))\n"
        "claim.note(None)\n"
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
    assert taken.memory_is_back(lambda: beats.append(1)) is None
    assert len(beats) == 3
    held = replace(gpu(0, A, 122 << 30), processes=(GpuProcess(1, 121 << 30),))
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: [held])
    monkeypatch.setattr(devices, "MEMORY_BACK_TIMEOUT_S", 0.3)
    by = taken.memory_is_back(lambda: None)
    assert by is not None
    assert by[0].startswith("pid 1 (")
    assert by[0].endswith("on GPU 0 with 121.0 GiB")
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: None)
    assert taken.memory_is_back(lambda: None) == ("not known: NVML does not answer",)


def test_gpu_memory_that_stayed_held_refuses_the_next_run_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    level = [1 << 30]
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: [gpu(0, A, level[0])])
    first = take_devices(spec())
    level[0] = 123 << 30
    first.release(held_by=["pid 7 on GPU 0"])
    for _ in range(2):  # a refusal forgets nothing
        with pytest.raises(RefusedError, match=r"GPU 0 still holds 123\.0 GiB since c/pilot was stopped"):
            take_devices(spec())
    level[0] = 1 << 30
    take_devices(spec()).release()
    level[0] = 2 << 30
    take_devices(spec()).release()


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, "126.9"),
        ({"options": {"gpu_memory_utilization": 0.5}}, "70.5"),
        ({"supervision": {"gpu_free": 1.0}}, "141.0"),
        ({"generator": {"kind": "command", "argv": ["x"]}}, "70.5"),
    ],
)
def test_a_gpu_without_room_is_refused_with_the_numbers(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], wanted: str
) -> None:
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: [gpu(0, A, 100 << 30)])
    with pytest.raises(RefusedError, match=rf"has 41\.0 GiB free of 141\.0, and {wanted} are wanted"):
        take_devices(spec(**fields))
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: [gpu(0, A, 100 << 30), gpu(1, B)])
    if wanted != "141.0":
        assert take_devices(spec(**fields)).names == (B,), "the next GPU has room"


@pytest.mark.usefixtures("two_gpus")
def test_runs_that_both_say_so_share_a_gpu() -> None:
    sharing = {"devices": ("1",), "supervision": {"share_gpu": True}}
    first, second = take_devices(spec(**sharing)), take_devices(spec(run_id="other", **sharing))
    assert (first.names, second.names) == ((B,), (B,))
    assert first.memory_is_back(lambda: None) is None
    with pytest.raises(RefusedError, match="is held by"):
        take_devices(spec(devices=("1",)))


def test_a_driver_that_hangs_refuses_the_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "probe_gpus", lambda timeout_s=1.0: None)
    with pytest.raises(RefusedError, match="NVML hangs"):
        take_devices(spec())
    assert take_devices(spec("ctranslate2")).names == (cpu_device(),)


def test_a_probe_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(gpus, "python_module", lambda module: ["sleep", "300"])
    assert probe_gpus(timeout_s=0.1) is None
    assert hung_probes()


def test_without_nvml_the_probe_says_so() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "engine.supervise.probe"], capture_output=True, env=environment, check=False
    )
    assert done.returncode in (0, 1)
    assert done.stderr == b""
