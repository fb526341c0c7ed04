"""A keeper that was killed: noticed, replaced, the run goes on; and what is said when nobody saw the end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from engine.errors import RefusedError
from engine.files import read_json, write_json
from engine.journal.events import KeeperStarted, ProcessIdentity
from engine.supervise.ending import LOST_REMEDY
from engine.supervise.identity import is_alive
from engine.supervise.launch import start_attempt
from engine.supervise.liveness import SILENT_S, KeeperRecord, read_keeper, run_liveness, write_keeper
from engine.supervise.requests import write_request
from engine.supervise.stop import request_stop
from tests.supervise.conftest import Run, Runs
from tests.waiting import wait_until

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(300)\n"


def until_told(outcome: str | None) -> str:
    """A program that ends when the file `go` appears in its folder, and then leaves its end record."""
    record = {"v": 1, "event": "generation_ended", "time": "t", "attempt": 1, "outcome": outcome}
    record |= {"kept": 9, "candidates": 20, "reason": ""}
    return f"""
        import os, pathlib, time
        folder = pathlib.Path(os.environ["PILOTHOUSE_RUN_DIR"])
        print("up", flush=True)
        while not (folder / "go").exists():
            time.sleep(0.02)
        if {outcome!r}:
            (folder / "generator.jsonl").write_text({json.dumps(json.dumps(record))} + "\\n")
    """


def without_keeper(runs: Runs, source: str, **fields: object) -> Run:
    """A run whose keeper was killed while its generator goes on."""
    run = runs.python(source, **fields)
    run.start()
    run.said("up")
    generator = run.generator()
    run.kill(run.keeper())
    assert is_alive(generator)
    return run


def test_a_killed_keeper_shows_while_the_generator_goes_on(runs: Runs) -> None:
    run = without_keeper(runs, SLEEPER)
    life = run_liveness(run.files)
    assert (life.keeper_alive, life.generator_alive, life.live) == (False, True, True)


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        ("completed", "succeeded", "completed: kept 9"),
        ("exhausted", "succeeded", "max_candidates spent: kept 9"),
        ("stopped", "stopped", "the generator was asked to stop"),
        ("failed", "failed", "the generator says it failed"),
        (None, "lost", f"nobody saw how it ended, and it left no end record; {LOST_REMEDY}"),
    ],
)
def test_an_adopted_run_goes_on_and_ends_as_its_own_record_says(
    runs: Runs, outcome: str | None, state: str, reason: str
) -> None:
    run = without_keeper(runs, until_told(outcome))
    generator = run.generator()
    keeper = run.adopt()
    started = run.events("keeper_started")[-1]
    assert isinstance(started, KeeperStarted)
    assert (started.adopted, started.attempt, started.keeper) == (True, 1, keeper)
    assert run.generator() == generator
    assert is_alive(generator)
    (run.files.folder / "go").touch()
    end = run.end()
    assert (end.state, end.reason, end.exit_code) == (state, reason, None)
    assert run.exit()["adopted"] is True


def test_a_second_keeper_may_die_as_well(runs: Runs) -> None:
    run = without_keeper(runs, until_told("completed"))
    for _ in range(2):
        run.kill(run.adopt())
    run.adopt()
    (run.files.folder / "go").touch()
    assert run.end().state == "succeeded"
    assert len(run.events("keeper_started")) == 4
    record = read_keeper(run.files)
    assert record is not None
    assert record.adoption == 3


def test_both_killed_is_lost_and_can_be_started_again(runs: Runs) -> None:
    run = without_keeper(runs, SLEEPER)
    run.kill(run.generator())
    life = run_liveness(run.files)
    assert (life.keeper_alive, life.generator_alive, life.live) == (False, False, False)
    run.adopt()
    assert run.end().state == "lost"
    run.start()
    assert run_liveness(run.files).live


def test_restart_after_both_were_killed_needs_no_adoption_and_sweeps_strays(runs: Runs) -> None:
    run = runs.python("""
        import subprocess, time
        subprocess.Popen(["sleep", "300"], start_new_session=True)
        print("up", flush=True)
        time.sleep(300)
    """)
    run.start()
    run.said("up")
    keeper, generator = run.keeper(), run.generator()
    strays = [identity for identity in run.alive() if identity not in (keeper, generator)]
    assert len(strays) == 1
    run.kill(keeper)
    run.kill(generator)
    assert is_alive(strays[0])
    run.start()
    wait_until(lambda: (r := read_keeper(run.files)) and r.attempt == 2 and r.generator, what="the second generator")
    assert not is_alive(strays[0])


def test_stop_on_a_run_whose_keeper_was_killed_adopts_it_and_stops_it(runs: Runs) -> None:
    run = without_keeper(runs, SLEEPER)
    told: list[str] = []
    end = request_stop(run.files, author="ann", on_progress=told.append)
    assert (end.state, end.reason) == ("stopped", "stopped by ann")
    assert run.alive() == []
    assert any("a new keeper took over" in line for line in told)


def test_stop_cleans_up_what_a_lost_run_left_behind(runs: Runs) -> None:
    """Keeper and generator are dead, but a grandchild (an engine core, say) still holds the GPU."""
    run = runs.python("""
        import subprocess, time
        subprocess.Popen(["sleep", "300"], start_new_session=True)
        print("up", flush=True)
        time.sleep(300)
    """)
    run.start()
    run.said("up")
    run.kill(run.keeper())
    run.kill(run.generator())
    assert len(run.alive()) == 1
    assert request_stop(run.files, now=True, author="ann").state == "lost"
    assert run.alive() == []


def test_stop_goes_on_when_the_keeper_is_killed_in_the_middle_of_it(runs: Runs) -> None:
    run = runs.python("""
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("up", flush=True)
        time.sleep(300)
    """)
    run.start(grace_s=60)
    run.said("up")
    ends: list[str] = []
    stopper = threading.Thread(
        target=lambda: ends.append(request_stop(run.files, author="ann", grace_s=0.2).state), daemon=True
    )
    stopper.start()
    wait_until(lambda: run.events("request_taken"), what="the keeper's word")
    run.kill(run.keeper())
    stopper.join(timeout=30)
    assert not stopper.is_alive()
    assert ends == ["stopped"]
    assert run.alive() == []


def test_requests_left_while_no_keeper_lived_are_acted_on(runs: Runs) -> None:
    run = without_keeper(runs, SLEEPER)
    write_request(run.files, "stop", 1, "ann")
    run.adopt()
    end = run.end()
    assert (end.state, end.reason) == ("stopped", "stopped by ann")


def test_of_two_that_adopt_at_once_exactly_one_wins(runs: Runs) -> None:
    run = without_keeper(runs, SLEEPER)
    results: list[object] = []

    def adopt() -> None:
        try:
            results.append(run.adopt())
        except RefusedError as error:
            results.append(error)

    threads = [threading.Thread(target=adopt) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, RefusedError) for result in results) == 2
    assert len(run.events("keeper_started")) == 2


def test_a_run_with_a_keeper_or_without_an_open_attempt_is_not_adopted(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    keeper = run.start()
    with pytest.raises(RefusedError, match=f"has a keeper: pid {keeper.pid}"):
        run.adopt()
    request_stop(run.files, author="ann")
    with pytest.raises(RefusedError, match="nothing to take over"):
        run.adopt()


def test_a_run_whose_generator_lives_without_a_keeper_is_not_started_again(runs: Runs) -> None:
    run = without_keeper(runs, SLEEPER)
    with pytest.raises(RefusedError, match=f"running: attempt 1, pid {run.generator().pid}"):
        run.start()


def planted(run: Run, keeper: ProcessIdentity, generator: ProcessIdentity) -> None:
    write_keeper(
        run.files,
        KeeperRecord(run=run.spec.id, run_id=run.spec.run_id, attempt=1, keeper=keeper, generator=generator),
    )


@pytest.mark.parametrize("changes", [{"start_ticks": 5}, {"boot_id": "the-boot-before"}])
def test_a_record_that_points_at_a_bystander_harms_nobody(
    runs: Runs, bystander: Callable[[], ProcessIdentity], changes: dict[str, object]
) -> None:
    """The pid was reused, or the machine was rebooted: neither signalled nor adopted, the run is lost."""
    near = bystander()
    run = runs.python(SLEEPER)
    stale = near.model_copy(update=changes)
    planted(run, stale, stale)
    assert not run_liveness(run.files).live
    with pytest.raises(RefusedError, match="is not running"):
        request_stop(run.files, author="ann")
    run.adopt()
    assert run.end().state == "lost"
    assert is_alive(near)


def test_a_run_of_another_host_is_not_touched(runs: Runs, bystander: Callable[[], ProcessIdentity]) -> None:
    near = bystander()
    elsewhere = near.model_copy(update={"host": "another-pod"})
    run = runs.python(SLEEPER)
    planted(run, elsewhere, elsewhere)
    run.files.keeper_journal.touch()  # it was heard of just now
    life = run_liveness(run.files)
    assert (life.keeper_alive, life.generator_alive, life.live) == (None, None, True)
    with pytest.raises(RefusedError, match="another host"):
        run.adopt()
    with pytest.raises(RefusedError, match="on another-pod"):
        run.start()
    assert is_alive(near)


def test_a_damaged_keeper_file_is_no_keeper(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    run.files.keeper.write_text('{"v": 1, "keeper": {"pid": "x"')
    assert run_liveness(run.files).live is False
    write_json(run.files.keeper, {"v": 1})
    assert read_json(run.files.keeper) == {"v": 1}
    assert read_keeper(run.files) is None


def test_a_live_keeper_of_a_finished_attempt_is_not_a_live_run(
    runs: Runs, bystander: Callable[[], ProcessIdentity]
) -> None:
    """It may still be waiting for the policy's answer."""
    run = runs.python(SLEEPER)
    keeper = bystander()
    record = KeeperRecord(run=run.spec.id, run_id=run.spec.run_id, attempt=1, keeper=keeper, ended="now")
    write_keeper(run.files, record)
    life = run_liveness(run.files)
    assert (life.keeper_alive, life.ended, life.live) == (True, True, False)


def test_signals_are_the_kernels_own(runs: Runs) -> None:
    """The keeper reports what the kernel said, not what it guessed."""
    run = runs.python(SLEEPER)
    run.start()
    run.said("up")
    run.kill(run.generator(), signal.SIGKILL)
    end = run.end()
    assert (end.state, end.exit_code) == ("failed", -9)
    assert end.reason == "killed by SIGKILL (out of memory?)"


def test_an_end_that_stands_is_not_judged_again(runs: Runs) -> None:
    """The keeper was killed after it had recorded the end and before it had let go."""
    run = runs.python("import sys; sys.exit(7)")
    run.start()
    end = run.end()
    record = read_keeper(run.files)
    assert record is not None
    wait_until(lambda: is_alive(record.keeper) is False, what="the keeper's end")
    write_keeper(run.files, record.model_copy(update={"ended": None}))
    run.adopt()
    wait_until(lambda: (found := read_keeper(run.files)) and found.ended, what="its second keeper's leave")
    assert run.events("run_ended") == [end]
    assert run.exit()["exit_code"] == 7


def test_a_run_of_a_machine_that_is_gone_can_be_started_here(
    runs: Runs, bystander: Callable[[], ProcessIdentity]
) -> None:
    elsewhere = bystander().model_copy(update={"host": "the-pod-before"})
    run = runs.python("print('up', flush=True)\n")
    run.files.keeper_journal.write_text("")
    planted(run, elsewhere, elsewhere)
    long_ago = time.time() - 2 * SILENT_S
    os.utime(run.files.keeper_journal, (long_ago, long_ago))
    start_attempt(run.files, attempt=2, author="ann")
    assert run.end(attempt=2).state == "succeeded"


def test_an_adopted_run_keeps_its_budget(runs: Runs) -> None:
    run = runs.python(SLEEPER, budget={"gpu_usd_per_hour": 3600})
    run.start(budget_left=3.0)
    run.said("up")
    run.kill(run.keeper())
    run.adopt()
    end = run.end()
    assert (end.state, end.reason) == ("stopped", "budget spent: this attempt may cost $3.00")


def test_by_policy_an_orphaned_run_is_ended_cleanly(runs: Runs) -> None:
    run = without_keeper(runs, SLEEPER, supervision={"keeper_loss": "stop"})
    run.adopt()
    end = run.end()
    assert (end.state, end.reason) == ("stopped", "its keeper was killed, and supervision.keeper_loss says stop")
