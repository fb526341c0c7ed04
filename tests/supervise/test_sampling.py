"""Who lives of a run, seen from outside, and what each process uses: real processes of real runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from engine.figures import ProcessFigures, RunProcesses
from engine.journal.events import Census, ProcessIdentity, dump_event
from engine.journal.writer import JournalWriter
from engine.service import Service
from engine.supervise import sampling
from engine.supervise.census import FOLDER_MARK, RUN_MARK
from engine.supervise.gpus import Gpu, GpuProcess
from engine.supervise.identity import here, identity_of, is_alive, own_identity, signal_process
from engine.supervise.liveness import KeeperRecord, read_keeper, write_keeper
from engine.supervise.sampling import ProcessSampler
from engine.supervise.stop import request_stop
from tests.supervise.conftest import Run, Runs
from tests.waiting import wait_until

FAMILY = """
    import os, subprocess, sys, time
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PILOTHOUSE")}
    unmarked = subprocess.Popen(["sleep", "301"], env=plain, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    block = bytearray(60_000_000)
    print("unmarked", unmarked.pid)
    print("ready", flush=True)
    while True:
        sum(range(100_000))
"""


@pytest.fixture
def families(runs: Runs) -> Iterator[Callable[[str], Run]]:
    """Starts a run of a program of its own that computes, holds 60 MB, and has a child, and one without its mark."""
    unmarked: list[ProcessIdentity] = []

    def start(name: str) -> Run:
        run = runs.python(FAMILY, name=name)
        run.start()
        run.said("ready")
        found = re.search(r"unmarked (\d+)", run.log())
        identity = identity_of(int(found[1])) if found is not None else None
        assert identity is not None
        unmarked.append(identity)
        return run

    yield start
    for identity in unmarked:
        signal_process(identity, signal.SIGKILL)


@pytest.fixture
def family(families: Callable[[str], Run]) -> Run:
    return families("pilot")


def look(run: Run, sampler: ProcessSampler | None = None, *, on_gpu: bool = False) -> RunProcesses:
    return (sampler or ProcessSampler(run.files))(on_gpu=on_gpu)


def by_role(found: RunProcesses) -> dict[str, list[ProcessFigures]]:
    roles: dict[str, list[ProcessFigures]] = {}
    for process in found.processes:
        roles.setdefault(process.role, []).append(process)
    return roles


def test_keeper_generator_and_all_that_descends_from_it_are_proven(family: Run) -> None:
    found = look(family)
    roles = by_role(found)
    assert found.host == here().host
    assert [process.pid for process in roles["keeper"]] == [family.keeper().pid]
    assert [process.pid for process in roles["generator"]] == [family.generator().pid]
    assert sorted(process.command.split()[-1] for process in roles["child"]) == ["301", "time.sleep(300)"]
    assert "stray" not in roles
    assert roles["generator"][0].command.startswith("python")


def test_cpu_is_that_since_the_look_before_and_memory_is_resident(family: Run) -> None:
    sampler = ProcessSampler(family.files)
    assert all(process.cpu is None for process in look(family, sampler).processes)

    def busy() -> ProcessFigures | None:
        (generator,) = by_role(look(family, sampler))["generator"]
        return generator if generator.cpu is not None and generator.cpu > 20 else None

    generator = wait_until(busy, what="a look that sees it compute")
    assert generator.rss_bytes > 60_000_000
    assert abs(generator.started - time.time()) < 120
    (keeper,) = by_role(look(family, sampler))["keeper"]
    assert keeper.cpu is not None


def test_a_suspended_process_is_seen_to_be(family: Run) -> None:
    family.kill(family.generator(), signal.SIGSTOP)
    wait_until(lambda: by_role(look(family))["generator"][0].state == "suspended", what="its suspension")


def test_bystanders_and_who_looks_are_none_of_it(family: Run) -> None:
    """A child of the viewer, and one that names the run's folder without being of the run."""
    environment = {**os.environ, FOLDER_MARK: str(family.files.folder.absolute()), RUN_MARK: "another"}
    bystander = subprocess.Popen(["sleep", "302"])
    claimant = subprocess.Popen(["sleep", "303"], env=environment)
    try:
        wait_until(lambda: "stray" in by_role(look(family)), what="the one that names its folder")
        found = look(family)
        (stray,) = by_role(found)["stray"]
        assert (stray.pid, stray.proven) == (claimant.pid, False)
        assert not {bystander.pid, os.getpid()} & {process.pid for process in found.processes}
    finally:
        for process in (bystander, claimant):
            process.kill()
            process.wait()


def test_what_outlived_its_keeper_is_still_proven(family: Run) -> None:
    family.kill(family.keeper())
    roles = by_role(look(family))
    assert "keeper" not in roles
    assert [process.pid for process in roles["generator"]] == [family.generator().pid]
    assert len(roles["child"]) == 2


def test_what_only_the_last_census_knows_is_still_proven(family: Run) -> None:
    """One without mark, without the log, and orphaned: keeper and generator are gone."""
    known = [identity_of(process.pid) for process in by_role(look(family))["child"]]
    keeper, generator = family.keeper(), family.generator()
    family.kill(keeper)
    with JournalWriter(family.files.keeper_journal) as journal:
        journal.append(dump_event(Census(processes=[who for who in known if who is not None])))
    family.kill(generator)
    assert sorted(process.command.split()[-1] for process in look(family).processes) == ["301", "time.sleep(300)"]


def test_of_a_stopped_run_nothing_lives(family: Run) -> None:
    request_stop(family.files, now=True, author="ann")
    keeper = family.keeper()
    wait_until(lambda: is_alive(keeper) is False, what="the end of what comes after the run")
    assert look(family).processes == ()
    assert look(family).in_sight


def test_before_its_keeper_came_there_is_nothing(runs: Runs) -> None:
    assert look(runs.python("pass")) == RunProcesses(here().host)


def test_a_run_of_another_host_is_out_of_sight_until_it_has_ended(runs: Runs) -> None:
    run = runs.python("pass")
    away = own_identity().model_copy(update={"host": "pod-9"})
    record = KeeperRecord(run=run.spec.id, run_id=run.spec.run_id, attempt=1, keeper=away)
    write_keeper(run.files, record)
    assert look(run) == RunProcesses("pod-9", in_sight=False)
    write_keeper(run.files, record.model_copy(update={"ended": "2027-01-15T08:00:00Z"}))
    assert look(run) == RunProcesses("pod-9")


def test_a_run_that_is_attached_shows_the_processes_behind_it_too(families: Callable[[str], Run], family: Run) -> None:
    behind = families("iteration-7")  # it stands in for an engine: what is behind it does not matter here
    record = read_keeper(family.files)
    assert record is not None
    family.kill(family.keeper(), signal.SIGSTOP)  # it writes keeper.json no more
    write_keeper(family.files, record.model_copy(update={"engine": "iteration-7"}))
    found = look(family)
    theirs = {process.pid for process in found.processes if process.of == "iteration-7"}
    assert len(theirs) == 4
    assert {behind.keeper().pid, behind.generator().pid} < theirs
    assert family.generator().pid in {process.pid for process in found.processes if not process.of}


def test_gpu_memory_is_told_by_process_and_whoever_else_is_on_the_gpu_is_a_stray(
    family: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bystander = subprocess.Popen(["sleep", "304"])
    gpu = Gpu(
        0,
        "GPU-1",
        "NVIDIA H200",
        used_bytes=9,
        total_bytes=10,
        processes=(GpuProcess(family.generator().pid, 7), GpuProcess(bystander.pid, 2), GpuProcess(1 << 22, 1)),
    )
    other = Gpu(1, "GPU-2", "NVIDIA H200", used_bytes=0, total_bytes=10)
    monkeypatch.setattr(sampling, "probe_gpus", lambda timeout_s: [gpu, other])
    record = read_keeper(family.files)
    assert record is not None
    family.kill(family.keeper(), signal.SIGSTOP)
    write_keeper(family.files, record.model_copy(update={"devices": ("GPU-1",)}))
    try:
        found = look(family, on_gpu=True)
        roles = by_role(found)
        assert [gpu.uuid for gpu in found.gpus] == ["GPU-1"]
        assert roles["generator"][0].gpu_bytes == 7
        assert [(stray.pid, stray.gpu_bytes) for stray in roles["stray"]] == [(bystander.pid, 2)]
        assert "stray" not in by_role(look(family)), "of a run that has left its GPUs nobody asks"
        monkeypatch.setattr(sampling, "probe_gpus", lambda timeout_s: None)
        assert not look(family, on_gpu=True).nvml
    finally:
        bystander.kill()
        bystander.wait()


def test_the_service_gives_it_by_the_runs_id(runs: Runs, family: Run) -> None:
    service = Service(runs.workspace.root)
    sample = service.processes(family.spec.id)
    run = service.look_at_run(family.spec.id)
    assert {process.role for process in sample(run).processes} == {"keeper", "generator", "child"}


def test_titles_of_vllms_processes_are_understood(runs: Runs) -> None:
    source = """
        import subprocess
        for title in ("VLLM::EngineCore", "VLLM::Worker_TP0"):
            subprocess.Popen([title, "305"], executable="/bin/sleep")
        print("ready", flush=True)
        input_never_comes = __import__("time").sleep(300)
    """
    run = runs.python(source)
    run.start()
    run.said("ready")
    wait_until(lambda: {"engine core", "worker"} <= by_role(look(run)).keys(), what="both of them")
