"""A run started detached: its true exit code or signal, its reason, what it was given, what it survives."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from engine.errors import RefusedError, RunFailedError
from engine.journal.events import GeneratorStarted, Heartbeat, KeeperStarted, TargetRaised
from engine.supervise.attempts import next_attempt
from engine.supervise.identity import is_alive, read_stat
from engine.supervise.launch import start_attempt
from engine.supervise.liveness import read_keeper, run_liveness
from tests.supervise.conftest import REPOSITORY, Run, Runs
from tests.waiting import wait_until

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(300)\n"


def own_word(outcome: str, code: int = 0) -> str:
    """A program that leaves the generator's end record and exits with `code`."""
    record = {"v": 1, "event": "generation_ended", "time": "t", "attempt": 1, "outcome": outcome}
    record |= {"kept": 43, "candidates": 100, "reason": f"{outcome}: kept 43 of 100"}
    return f"""
        import os, json, sys
        with open(os.environ["PILOTHOUSE_RUN_DIR"] + "/generator.jsonl", "a") as stream:
            stream.write({json.dumps(json.dumps(record))} + "\\n")
        sys.exit({code})
    """


@pytest.mark.parametrize(
    ("source", "state", "code", "reason"),
    [
        ("print('fine')", "succeeded", 0, "exit code 0"),
        ("import sys; sys.exit(7)", "failed", 7, "exit code 7"),
        ("raise RuntimeError('no model here')", "failed", 1, "exit code 1: RuntimeError: no model here"),
        ("import os; os.kill(os.getpid(), 9)", "failed", -9, "killed by SIGKILL (out of memory?)"),
        ("import os; os.kill(os.getpid(), 11)", "failed", -11, "killed by SIGSEGV"),
        (own_word("completed"), "succeeded", 0, "completed: kept 43 of 100"),
        (own_word("exhausted"), "succeeded", 0, "exhausted: kept 43 of 100"),
        (own_word("stopped"), "stopped", 0, "stopped: kept 43 of 100"),
        (own_word("failed", code=5), "failed", 5, "exit code 5: failed: kept 43 of 100"),
    ],
)
def test_the_end_tells_the_true_exit_code_and_why(runs: Runs, source: str, state: str, code: int, reason: str) -> None:
    run = runs.python(source)
    run.start()
    end = run.end()
    assert (end.state, end.exit_code, end.reason) == (state, code, reason)
    record = run.exit()
    assert (record["state"], record["exit_code"], record["attempt"]) == (state, code, 1)
    assert record["signal"] == (-code if code < 0 else None)
    assert record["resources"]["max_rss_bytes"] > 1 << 20


def test_a_program_that_is_not_there_is_a_failed_run_with_a_clear_reason(runs: Runs) -> None:
    run = runs.command(["no-such-program-anywhere", "--fast"])
    run.start()
    end = run.end()
    assert end.state == "failed"
    assert end.reason == "cannot start the generator: program not found: no-such-program-anywhere"
    assert end.exit_code is None


def test_a_hostile_last_line_reaches_the_reason_as_plain_text(runs: Runs) -> None:
    run = runs.python("import sys; sys.stdout.write('\\x1b]0;owned\\x07\\x1b[31mbad\\u202e end\\n'); sys.exit(3)")
    run.start()
    assert run.end().reason == "exit code 3: bad end"


def test_the_generator_gets_its_folder_marks_placeholders_and_a_group_of_its_own(runs: Runs) -> None:
    source = """
        import json, os, sys
        json.dump({
            "argv": sys.argv[1:], "cwd": os.getcwd(), "group": os.getpgid(0), "session": os.getsid(0),
            "pid": os.getpid(), "stdin": os.readlink("/proc/self/fd/0"), "fds": sorted(os.listdir("/proc/self/fd")),
            "env": {key: os.environ.get(key) for key in
                    ("PILOTHOUSE_RUN", "PILOTHOUSE_RUN_DIR", "SPT_NOENV", "PYTHONUNBUFFERED", "PYTHONPATH")},
        }, open(sys.argv[1] + "/seen.json", "w"))
        print("to stdout"); print("to stderr", file=sys.stderr)
    """
    argv = [*runs.program(source), "{output_dir}", "--count={count}", "{seed}"]
    run = runs.command(argv, target={"examples": 12}, parameters={"seed": 77})
    run.start()
    assert run.end().state == "succeeded"
    seen = json.loads((run.files.folder / "seen.json").read_text())
    folder = str(run.files.folder)
    assert seen["argv"] == [folder, "--count=12", "77"]
    assert seen["cwd"] == str(runs.workspace.root)
    assert seen["group"] == seen["session"] == seen["pid"]
    assert seen["stdin"] == "/dev/null"
    assert set(seen["fds"]) <= {"0", "1", "2", "3", "4"}  # 3, 4: the program's own
    assert seen["env"] == {
        "PILOTHOUSE_RUN": run.spec.run_id,
        "PILOTHOUSE_RUN_DIR": folder,
        "SPT_NOENV": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(REPOSITORY),
    }
    assert run.log() == "to stdout\nto stderr\n"


def test_the_journal_tells_who_keeps_it_what_runs_and_that_it_lives(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    keeper = run.start()
    run.said("up")
    started, beat, generator = wait_until(lambda: len(found := run.events()) > 2 and found, what="three events")[:3]
    assert isinstance(started, KeeperStarted)
    assert (started.keeper, started.author, started.adopted) == (keeper, "tester", False)
    assert isinstance(beat, Heartbeat)
    assert beat.devices == [f"cpu@{keeper.host}"]
    assert isinstance(generator, GeneratorStarted)
    assert is_alive(generator.process)
    assert run_liveness(run.files).live
    wait_until(lambda: len(run.events("heartbeat")) >= 2, timeout=5, what="a second heartbeat")
    beats = [event for event in run.events("heartbeat") if isinstance(event, Heartbeat)]
    assert 1.9 < beats[1].monotonic - beats[0].monotonic < 3.5
    assert beats[1].rss_bytes > 1 << 20


def test_of_two_that_start_at_once_exactly_one_wins_and_the_other_is_told_who(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    results: list[object] = []

    def start(author: str) -> None:
        try:
            results.append(start_attempt(run.files, attempt=1, author=author))
        except RefusedError as error:
            results.append(error)

    threads = [threading.Thread(target=start, args=(f"person {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [result for result in results if isinstance(result, RefusedError)]
    assert len(refused) == 3
    assert len(run.events("keeper_started")) == 1
    started = run.events("keeper_started")[0]
    assert isinstance(started, KeeperStarted)
    assert all(started.author in str(error) or "running" in str(error) for error in refused)


def test_a_live_run_is_not_started_again_under_the_next_number(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    keeper = run.start()
    with pytest.raises(RefusedError, match=rf"running: attempt 1, pid {keeper.pid} .* started by tester"):
        run.start()
    assert not run.files.claim(2).exists()


def test_an_ended_run_is_started_again_at_once_and_keeps_one_journal(runs: Runs) -> None:
    run = runs.python("import sys; sys.exit(1)")
    for attempt in (1, 2, 3):
        run.start()
        wait_until(lambda n=attempt: [e for e in run.events("run_ended") if e.attempt == n], what="its end")
    assert [event.attempt for event in run.events("run_ended")] == [1, 2, 3]
    assert run.end(3).state == "failed"


def test_extending_raises_the_target_for_this_and_later_attempts(runs: Runs) -> None:
    argv = [*runs.program("import sys; print('count', sys.argv[1])"), "{count}"]
    run = runs.command(argv, target={"examples": 10, "max_candidates": 30})
    run.start()
    run.end()
    run.start(examples=25)
    run.end(2)
    run.start()
    run.end(3)
    assert run.log() == "count 10\ncount 25\ncount 25\n"
    raised = run.events("target_raised")
    assert len(raised) == 1
    assert isinstance(raised[0], TargetRaised)
    assert (raised[0].examples, raised[0].max_candidates, raised[0].attempt) == (25, 75, 2)


def test_a_spent_budget_stops_the_run_gracefully(runs: Runs) -> None:
    run = runs.python(SLEEPER, budget={"gpu_usd_per_hour": 3600.0})
    run.start(budget_left=0.5)
    end = run.end()
    assert end.state == "stopped"
    assert end.reason == "budget spent: this attempt may cost $0.50"


def test_a_torn_journal_is_repaired_and_gone_on_with(runs: Runs) -> None:
    run = runs.python("print('fine')")
    run.files.keeper_journal.write_bytes(b'{"v":1,"event":"heartb')
    run.start()
    assert run.end().state == "succeeded"
    assert b"heartb{" not in run.files.keeper_journal.read_bytes()
    assert all(json.loads(line) for line in run.files.keeper_journal.read_text().splitlines())


def test_a_keeper_that_cannot_start_gives_its_claim_back_and_says_why(runs: Runs) -> None:
    run = runs.python("print('fine')")
    run.files.keeper_journal.mkdir()  # a folder where the journal is to be
    with pytest.raises((RefusedError, RunFailedError)) as caught:
        run.start()
    assert "keeper.jsonl" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not run.files.claim(1).exists()
    run.files.keeper_journal.rmdir()
    run.start()
    assert run.end().state == "succeeded"


def test_modules_of_the_workspace_do_not_hide_the_librarys(runs: Runs) -> None:
    """A campaign's folder may hold an engine/ or a json.py of its own."""
    (runs.workspace.root / "json.py").write_text("raise RuntimeError('the wrong json')\n")
    (runs.workspace.root / "engine").mkdir()
    (runs.workspace.root / "engine" / "__init__.py").write_text("raise RuntimeError('the wrong engine')\n")
    run = runs.command(["true"])
    run.start()
    assert run.end().state == "succeeded"


def viewer(run: Run) -> list[str]:
    """A process that starts the run and then waits, as a dashboard would."""
    code = textwrap.dedent(f"""
        import pathlib, time
        from engine.files import RunFiles
        from engine.supervise.launch import start_attempt
        start_attempt(RunFiles(pathlib.Path({str(run.files.folder)!r})), attempt=1, author="viewer")
        print("started", flush=True)
        time.sleep(300)
    """)
    return [sys.executable, "-c", code]


def test_the_run_survives_a_sigkill_of_its_viewer(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    process = subprocess.Popen(viewer(run), stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    run.said("up")
    beats = len(run.events("heartbeat"))
    wait_until(lambda: len(run.events("heartbeat")) > beats, timeout=5, what="a heartbeat after the viewer's death")
    assert is_alive(run.generator())


def test_the_run_survives_the_closing_of_its_terminal(runs: Runs) -> None:
    run = runs.python(SLEEPER)
    pid, master = pty.fork()
    if pid == 0:
        argv = viewer(run)
        os.execv(argv[0], argv)
    heard = b""
    while b"started" not in heard:
        heard += os.read(master, 1024)
    os.close(master)  # the kernel hangs up the session
    os.waitpid(pid, 0)
    run.said("up")
    beats = len(run.events("heartbeat"))
    wait_until(lambda: len(run.events("heartbeat")) > beats, timeout=5, what="a heartbeat after the hang-up")
    assert is_alive(run.generator())
    os.kill(run.keeper().pid, signal.SIGHUP)
    stat = read_stat(run.keeper().pid)
    assert stat is not None
    assert stat.session == run.keeper().pid


def test_with_auto_the_policy_is_asked_after_success_only(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the command a person would type, in the workspace, without this run's marks."""
    home = runs.workspace.root / "elsewhere"
    (home / "engine").mkdir(parents=True)
    for entry in (REPOSITORY / "engine").iterdir():
        if entry.name not in ("__main__.py", "__pycache__"):
            (home / "engine" / entry.name).symlink_to(entry)
    (home / "engine" / "__main__.py").write_text(
        "import os, sys\nprint(sys.argv[1:], os.getcwd(), os.environ.get('PILOTHOUSE_RUN'), "
        "os.environ['PILOTHOUSE_AUTHOR'])\nsys.exit(4)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(home))
    failing = runs.python("import sys; sys.exit(1)", name="iteration-1", policy={"auto": True})
    failing.start()
    failing.end()
    run = runs.python("print('fine')", policy={"auto": True})
    keeper = run.start()
    run.end()
    wait_until(lambda: is_alive(keeper) is False, what="the keeper's end")
    asked = run.aftermath("policy_asked")[0]
    assert asked.exit_code == 4
    assert asked.argv[1:] == ["-P", "-m", "engine", "next", "camp", "--do", "--yes"]
    assert asked.output == f"['next', 'camp', '--do', '--yes'] {runs.workspace.root} None policy after camp/pilot"
    assert failing.aftermath("policy_asked") == []


def test_the_keeper_is_up_within_a_second(runs: Runs) -> None:
    """It takes some 0.15 s on an idle machine; the bound leaves room for a busy one."""
    run = runs.python(SLEEPER)
    began = time.monotonic()
    run.start()
    assert time.monotonic() - began < 1.0
    assert next_attempt(run.files) == 2
    assert read_keeper(run.files) is not None
    assert Path(f"/proc/{run.keeper().pid}").exists()
