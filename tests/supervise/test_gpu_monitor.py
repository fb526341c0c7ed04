"""Figures of GPUs by a real child process, which asks an NVML that is made up for the test."""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path

import pytest

from engine.figures import GpuFigures
from engine.supervise import gpu_monitor
from engine.supervise.gpu_monitor import GpuMonitor
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
A, B = "GPU-aaaa", "GPU-bbbb"

NVML = """
    from pathlib import Path
    from types import SimpleNamespace as Some

    HOME = Path(__file__).parent

    def nvmlInit():
        if (HOME / "no-driver").exists():
            raise RuntimeError("Driver Not Loaded")

    def nvmlDeviceGetCount():
        if (HOME / "lost").exists():
            raise RuntimeError("GPU is lost")
        return 2

    def nvmlDeviceGetHandleByIndex(index):
        return index

    def nvmlDeviceGetMemoryInfo(index):
        return Some(used=(index + 1) << 30, total=80 << 30)

    def nvmlDeviceGetUUID(index):
        return ("GPU-aaaa", b"GPU-bbbb")[index]

    def nvmlDeviceGetName(index):
        return "H200"

    def nvmlDeviceGetUtilizationRates(index):
        if (HOME / "mute").exists():
            raise RuntimeError("Not Supported")
        return Some(gpu=37)

    def nvmlDeviceGetPowerUsage(index):
        return 250_500
"""


@pytest.fixture
def nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an NVML with two GPUs; files in it make it fail."""
    (tmp_path / "pynvml.py").write_text(textwrap.dedent(NVML))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{REPOSITORY}")
    monkeypatch.setattr(gpu_monitor, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(gpu_monitor, "EVERY_S", 0.02)
    return tmp_path


def ended(monitor: GpuMonitor) -> bool:
    """Whether the child is gone, or a zombie."""
    (pid,) = monitor.helpers()
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_without_a_driver_nothing_is_started_and_nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_monitor, "has_nvidia_driver", lambda: False)
    monitor = GpuMonitor([A])
    assert (monitor.latest(), monitor.helpers()) == ([], set())
    monitor.close()


@pytest.mark.usefixtures("nvml")
def test_a_run_without_gpus_asks_for_none() -> None:
    monitor = GpuMonitor([])
    assert (monitor.latest(), monitor.helpers()) == ([], set())


@pytest.mark.usefixtures("nvml")
def test_figures_are_those_of_the_runs_gpus_alone_until_it_is_closed() -> None:
    monitor = GpuMonitor([B])
    assert wait_until(monitor.latest, what="figures") == [
        GpuFigures(
            uuid=B, index=1, name="H200", utilisation=37.0, used_bytes=2 << 30, total_bytes=80 << 30, power_w=250.5
        )
    ]
    (pid,) = monitor.helpers()
    monitor.close()
    assert not Path(f"/proc/{pid}").exists()
    assert (monitor.latest(), monitor.helpers()) == ([], set())
    monitor.close()


def test_one_figure_that_is_not_told_hides_no_other(nvml: Path) -> None:
    (nvml / "mute").touch()
    monitor = GpuMonitor([A])
    (gpu,) = wait_until(monitor.latest, what="figures")
    monitor.close()
    assert (gpu.utilisation, gpu.power_w, gpu.used_bytes) == (None, 250.5, 1 << 30)


def test_while_nvml_fails_nothing_is_known_and_then_it_is_again(nvml: Path) -> None:
    monitor = GpuMonitor([A, B])
    wait_until(monitor.latest, what="figures")
    (nvml / "lost").touch()
    wait_until(lambda: not monitor.latest(), what="no figures")
    (nvml / "lost").unlink()
    assert len(wait_until(monitor.latest, what="figures")) == 2
    monitor.close()


def test_a_driver_that_does_not_start_raises_nothing(nvml: Path) -> None:
    (nvml / "no-driver").touch()
    monitor = GpuMonitor([A])
    wait_until(lambda: ended(monitor), what="its end")
    assert monitor.latest() == []
    monitor.close()


@pytest.mark.usefixtures("nvml")
def test_figures_of_a_driver_that_fell_silent_are_not_of_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_monitor, "EVERY_S", 600.0)
    monitor = GpuMonitor([A])
    wait_until(monitor.latest, what="figures")
    assert monitor.latest(), "they are kept until the next ones come"
    monkeypatch.setattr(gpu_monitor, "STALE_S", 0.01)
    wait_until(lambda: not monitor.latest(), what="their end")
    monitor.close()


@pytest.mark.parametrize("lines", ["not JSON", '[{"uuid": 7}]', "{", "[[[[[[", pytest.param("x" * 20_000, id="long")])
def test_garbage_from_the_child_changes_nothing(lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = f'[{{"uuid": "{A}", "index": 0, "utilisation": 5.0, "unknown": []}}]'
    (tmp_path / "said").write_text(f"{good}\n{lines}\n{lines}")
    monkeypatch.setattr(gpu_monitor, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(
        gpu_monitor, "python_module", lambda module: ["/bin/sh", "-c", f"cat {tmp_path}/said; sleep 60 #"]
    )
    monitor = GpuMonitor([A])
    wait_until(monitor.latest, what="figures")
    assert [gpu.utilisation for gpu in monitor.latest()] == [5.0]
    monitor.close()


def test_it_never_waits_for_a_child_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_monitor, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(gpu_monitor, "python_module", lambda module: ["/bin/sh", "-c", "exec sleep 60 #"])
    monitor = GpuMonitor([A])
    began = time.monotonic()
    assert monitor.latest() == []
    monitor.close()
    assert time.monotonic() - began < 0.9


def test_a_child_that_cannot_be_started_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_monitor, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(gpu_monitor, "python_module", lambda module: ["/no/such/python"])
    assert GpuMonitor([A]).latest() == []
