"""Stop means stopped: whatever the run's processes do about it, all are gone when it returns, and only they."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import pytest

from engine.errors import RefusedError
from engine.journal.events import ProcessIdentity, RequestTaken, Stopping
from engine.supervise.census import living_stats, with_descendants
from engine.supervise.identity import identity_from, is_alive, signal_process
from engine.supervise.liveness import run_liveness
from engine.supervise.requests import pending, write_request
from engine.supervise.stop import request_stop
from tests.supervise.conftest import Run, Runs
from tests.waiting import wait_until

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(300)\n"

GRACEFUL = """
    import os, signal, sys, time
    def finish(number, frame):
        time.sleep(0.3)
        print("saved", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGINT, finish)
    print("up", flush=True)
    time.sleep(300)
"""

DEAF = """
    import signal, time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("up", flush=True)
    time.sleep(300)
"""

STONE_DEAF = """
    import signal, time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up", flush=True)
    time.sleep(300)
"""


def child(body: str, **options: object) -> str:
    """A program that starts a child with the source `body` and sleeps; the child prints `child up`."""
    source = textwrap.dedent(body)
    return f"""
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", {source!r}], **{options!r})
        print("up", flush=True)
        time.sleep(300)
    """


def steps(run: Run) -> list[str]:
    return [event.step for event in run.events("stopping") if isinstance(event, Stopping)]


def assert_gone(run: Run) -> None:
    assert run.alive() == []
    life = run_liveness(run.files)
    assert (life.keeper_alive, life.generator_alive) == (False, False)


def test_a_graceful_stop_lets_the_generator_finish(runs: Runs) -> None:
    run = runs.python(GRACEFUL)
    run.start()
    run.said("up")
    told: list[str] = []
    end = request_stop(run.files, author="ann", on_progress=told.append)
    assert_gone(run)
    assert (end.state, end.reason, end.exit_code) == ("stopped", "stopped by ann", 0)
    assert run.log() == "up\nsaved\n"
    assert steps(run) == ["SIGINT", "verify"]
    assert told[0] == "asked its keeper to stop it"
    assert "all its processes are gone" in told
    taken = run.events("request_taken")[0]
    assert isinstance(taken, RequestTaken)
    assert (taken.author, taken.accepted, taken.request) == ("ann", True, "stop")


def test_stop_now_skips_the_grace(runs: Runs) -> None:
    run = runs.python(DEAF)
    run.start(grace_s=60)
    run.said("up")
    began = time.monotonic()
    end = request_stop(run.files, now=True, author="ann")
    assert time.monotonic() - began < 5
    assert_gone(run)
    assert (end.state, end.exit_code) == ("stopped", -signal.SIGTERM)
    assert steps(run) == ["SIGTERM", "verify"]


def test_stop_now_hurries_a_stop_that_is_under_way(runs: Runs) -> None:
    run = runs.python(DEAF)
    run.start(grace_s=60)
    run.said("up")
    write_request(run.files, "stop", 1, "ann")
    wait_until(lambda: steps(run) == ["SIGINT"], what="the first rung")
    end = request_stop(run.files, now=True, author="bob")
    assert_gone(run)
    assert end.reason == "stopped by ann"
    assert steps(run) == ["SIGINT", "SIGTERM", "verify"]


def test_a_generator_that_ignores_sigint_gets_sigterm_after_the_grace(runs: Runs) -> None:
    run = runs.python(DEAF)
    run.start(grace_s=0.5)
    run.said("up")
    end = request_stop(run.files, author="ann")
    assert_gone(run)
    assert (end.state, end.exit_code) == ("stopped", -signal.SIGTERM)
    assert steps(run) == ["SIGINT", "SIGTERM", "verify"]


def test_one_that_ignores_sigterm_too_is_killed(runs: Runs) -> None:
    run = runs.python(STONE_DEAF)
    run.start(grace_s=0.2)
    run.said("up")
    end = request_stop(run.files, now=True, author="ann")
    assert_gone(run)
    assert (end.state, end.exit_code) == ("stopped", -signal.SIGKILL)
    assert steps(run) == ["SIGTERM", "SIGKILL", "verify"]


def test_a_suspended_generator_is_stopped_as_well(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    run.start(grace_s=0.2)
    run.said("up")
    run.kill(run.generator(), signal.SIGSTOP)
    assert request_stop(run.files, now=True, author="ann").state == "stopped"
    assert_gone(run)


def test_a_suspended_keeper_is_woken_and_does_its_work(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    run.start()
    run.said("up")
    run.kill(run.keeper(), signal.SIGSTOP)
    assert request_stop(run.files, author="ann").state == "stopped"
    assert_gone(run)


WIPE = """
    import ctypes, os, time
    libc = ctypes.CDLL(None)
    libc.clearenv()
    os.execve("/bin/sh", ["sh", "-c", "trap '' INT TERM; echo child up; while :; do sleep 1; done"], {})
"""


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(child(STONE_DEAF.replace('"up"', '"child up"')), id="child that ignores SIGTERM"),
        pytest.param(child(STONE_DEAF.replace('"up"', '"child up"'), start_new_session=True), id="with setsid"),
        pytest.param(child(WIPE, start_new_session=True), id="with setsid and no environment"),
        pytest.param(
            child(
                "import os, sys, time\n"
                "if os.fork(): sys.exit()\n"
                "os.setsid()\n"
                "if os.fork(): sys.exit()\n"
                "print('child up', flush=True); time.sleep(300)\n"
            ),
            id="daemon that outlived its parent",
        ),
        pytest.param(
            child(
                "import os, sys, time\n"
                "if os.fork(): sys.exit()\n"
                "os.setsid()\n"
                "os.execve('/bin/sh', ['sh', '-c', 'echo child up; while :; do sleep 1; done'], {})\n"
            ),
            id="orphan with setsid and no environment",
        ),
    ],
)
def test_no_descendant_escapes(runs: Runs, source: str) -> None:
    run = runs.python(source)
    run.start()
    run.said("child up")
    group = run.generator().pid
    before = _sleepers_of(run)
    assert len(before) >= 2
    assert request_stop(run.files, now=True, author="ann").state == "stopped"
    assert_gone(run)
    assert [identity for identity in before if is_alive(identity)] == []
    assert [stat for stat in living_stats().values() if group in (stat.group, stat.session)] == []


def test_a_program_that_forks_in_a_loop_is_stopped(runs: Runs) -> None:
    run = runs.python("""
        import os, signal, sys, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("up", flush=True)
        for _ in range(50):
            if os.fork():
                time.sleep(300)
            time.sleep(0.01)
        while os.fork() == 0:  # and then it lives from fork to fork
            time.sleep(0.002)
    """)
    run.start()
    run.said("up")
    assert request_stop(run.files, now=True, author="ann").state == "stopped"
    assert_gone(run)


def test_stop_while_starting_is_heeded(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    run.start()
    assert request_stop(run.files, author="ann").state == "stopped"
    assert_gone(run)


def test_sigterm_to_the_keeper_stops_the_run_gracefully(runs: Runs) -> None:
    run = runs.python(GRACEFUL)
    keeper = run.start()
    run.said("up")
    assert signal_process(keeper, signal.SIGTERM)
    end = run.end()
    assert (end.state, end.reason) == ("stopped", "the keeper was asked to end by a signal")
    assert "saved" in run.log()
    wait_until(lambda: not run.alive(), what="its end")


def test_leftovers_of_a_generator_that_ended_by_itself_are_swept_before_the_end_is_said(runs: Runs) -> None:
    run = runs.python("""
        import subprocess, sys
        subprocess.Popen(["sleep", "300"], start_new_session=True)
        subprocess.Popen(["sleep", "301"])
        print("done", flush=True)
    """)
    run.start()
    end = run.end()
    assert (end.state, end.exit_code) == ("succeeded", 0)
    assert [identity for identity in run.alive() if identity != run.keeper()] == []
    assert steps(run) == ["SIGTERM"]


def test_bystanders_are_left_alone(runs: Runs, bystander: Callable[[], ProcessIdentity]) -> None:
    other = runs.python(SLEEPER, name="iteration-1")
    other.start()
    other.said("up")
    near = bystander()
    run = runs.python(SLEEPER)
    run.start()
    run.said("up")
    request_stop(run.files, author="ann")
    assert is_alive(near)
    assert is_alive(other.generator())
    assert is_alive(other.keeper())


def test_what_does_not_run_cannot_be_stopped(runs: Runs) -> None:
    run = runs.python("print('fine')")
    with pytest.raises(RefusedError, match="camp/pilot is not running"):
        request_stop(run.files, author="ann")
    run.start()
    run.end()
    wait_until(lambda: not run.alive(), what="the keeper's end")
    with pytest.raises(RefusedError, match="camp/pilot is not running"):
        request_stop(run.files, author="ann")


@pytest.mark.parametrize("ignored", ["INT", "INT QUIT HUP TERM"])
def test_started_with_signals_ignored_sigint_still_stops_it_gracefully(runs: Runs, ignored: str) -> None:
    """`nohup pilothouse launch &` in a script: children inherit ignored signals."""
    run = runs.python(GRACEFUL.replace("signal.signal(signal.SIGINT, finish)", "").replace("def finish", "def unused"))
    code = textwrap.dedent(f"""
        import pathlib
        from engine.files import RunFiles
        from engine.supervise.launch import start_attempt
        start_attempt(RunFiles(pathlib.Path({str(run.files.folder)!r})), attempt=1, author="script")
    """)
    script = f'trap "" {ignored}; exec "$0" -c "$1"'
    subprocess.run(["sh", "-c", script, sys.executable, code], check=True, env={**os.environ}, timeout=30)
    run.said("up")
    end = request_stop(run.files, author="ann")
    assert_gone(run)
    assert steps(run) == ["SIGINT", "verify"]
    assert end.exit_code == -signal.SIGINT
    assert "KeyboardInterrupt" in run.log()


def test_a_request_for_another_attempt_is_acknowledged_and_not_acted_on(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    write_request(run.files, "stop", 7, "ann")
    (run.files.requests / "00000000000000000000-garbage.json").write_text("{not json")
    run.start()
    wait_until(lambda: len(run.events("request_taken")) == 2, what="both acknowledgements")
    assert [
        (event.accepted, event.note) for event in run.events("request_taken") if isinstance(event, RequestTaken)
    ] == [
        (False, "no such request"),
        (False, "meant for attempt 7, this is attempt 1"),
    ]
    run.said("up")
    assert is_alive(run.generator())


def test_requests_come_out_in_the_order_they_were_written(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    names = [write_request(run.files, "stop", 1, f"person {number}", why=number) for number in range(5)]
    (run.files.requests / ".half-written.json").write_text("{")
    found = pending(run.files, {names[0]})
    assert [request.file for request in found] == names[1:]
    assert [request.wanted for request in found] == [{"why": number} for number in range(1, 5)]
    assert (run.files.requests.stat().st_mode & 0o777) == 0o700


def _sleepers_of(run: Run) -> list[ProcessIdentity]:
    """Everything below the keeper."""
    stats = living_stats()
    keeper = run.keeper().pid
    return [identity_from(stats[pid]) for pid in with_descendants(stats, [keeper]) - {keeper}]
