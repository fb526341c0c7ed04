"""Syncs and notifications with real children: told of, bounded in time, one at a time, and never in the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.spec import RunSpec
from engine.campaign.supervision import SyncConfig
from engine.files import RunFiles, make_private_folder
from engine.journal.events import Event, Notified, Synced
from engine.supervise import errands as errands_module
from engine.supervise import timed_child
from engine.supervise.census import MARKS, RUN_MARK, RunProcesses, marked_processes
from engine.supervise.errands import Errands, message_for
from engine.supervise.identity import identity_of, is_alive, read_stat
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
EVERY_S = 600.0
SLEEP = "import time\ntime.sleep(300)"


@dataclass
class Desk:
    """The errands of one attempt, as its keeper's loop sees them; `now` runs ahead of the clock by `ahead` seconds."""

    errands: Errands
    spec: RunSpec
    files: RunFiles
    root: Path
    events: list[Event] = field(default_factory=list)
    ahead: float = 0.0

    @property
    def now(self) -> float:
        return time.monotonic() + self.ahead

    def tick(self, *, later: float = 0.0) -> None:
        """One turn of the loop, `later` seconds on; it must not wait for anybody."""
        self.ahead += later
        before = time.monotonic()
        self.errands.tick(self.now)
        assert time.monotonic() - before < 1.0

    def begin(self) -> int:
        """The pid of a sync that has begun."""
        self.tick()
        self.tick(later=EVERY_S)
        (pid,) = self.errands.helpers()
        return pid

    def until(self, condition: Callable[[], Any], what: str = "the condition") -> Any:
        def turn() -> Any:
            self.tick()
            return condition()

        return wait_until(turn, what=what)

    def outcome(self, number: int = 1) -> Any:
        """The event that is `number` in order, once it has come."""
        self.until(lambda: len(self.events) >= number, f"event {number}")
        return self.events[number - 1]

    def path(self, name: str) -> Path:
        return self.root / name

    def pid_in(self, name: str) -> int:
        """The number that a child wrote into the file `name`."""
        return int(self.until(lambda: (p := self.path(name)).exists() and p.read_text().strip(), f"{name}"))


Make = Callable[..., Desk]


def python(source: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(source), *arguments]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes desks for a campaign with that `sync` command, and `notify`."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made: list[Desk] = []

    def make(sync: list[str] | None = None, notify: dict[str, Any] | None = None, attempt: int = 1) -> Desk:
        files = RunFiles(make_private_folder(tmp_path / "artifacts" / "camp" / "pilot"))
        spec = RunSpec(
            campaign="camp",
            run="pilot",
            kind="pilot",
            sync={"command": sync, "every_minutes": EVERY_S / 60} if sync else None,
            notify=notify,
        )
        events: list[Event] = []
        errands = Errands(files, spec, attempt=attempt, root=tmp_path, report=events.append)
        made.append(Desk(errands, spec, files, tmp_path, events))
        return made[-1]

    yield make
    for one in made:
        one.errands.kill_all()


def dead(pid: int) -> bool:
    identity = identity_of(pid)
    return identity is None or not is_alive(identity)


# --- syncs -----------------------------------------------------------------------------------------------------


def test_a_sync_begins_when_its_minutes_have_passed_and_again_after_as_many(desk: Make) -> None:
    here = desk(python("import sys; open('begun', 'a').write('x')"))
    here.tick()
    here.tick(later=EVERY_S - 60)
    assert not here.errands.busy
    here.tick(later=61)
    assert here.errands.busy
    assert (here.outcome().ok, here.outcome().detail, here.outcome().final) == (True, "", False)
    assert not here.errands.busy
    here.tick(later=EVERY_S - 60)
    assert not here.errands.busy
    here.tick(later=61)
    assert here.outcome(2).ok
    assert here.path("begun").read_text() == "xx"


def test_a_sync_runs_in_the_workspace_unmarked_and_knows_its_run(desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        import json, os, sys
        told = {"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ), "stdin": sys.stdin.read()}
        json.dump(told, open("told.json", "w"))
    """
    here = desk(python(source, "{output_dir}", "remote:{campaign}/{run}", "{other}"))
    for mark in MARKS:
        monkeypatch.setenv(mark, here.spec.run_id)
    here.begin()
    assert here.outcome().ok
    told = json.loads(here.path("told.json").read_text())
    assert told["argv"] == [str(here.files.folder), "remote:camp/pilot", "{other}"]
    assert (told["cwd"], told["stdin"]) == (str(here.root), "")
    assert here.spec.run_id not in [told["env"].get(mark) for mark in MARKS]


def test_two_syncs_never_overlap_and_none_is_waited_for(desk: Make) -> None:
    here = desk(python("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(300)"))
    first = here.begin()
    assert here.pid_in("pid") == first
    for _ in range(3):
        here.tick(later=EVERY_S)
        assert here.errands.helpers() == {first}
    os.kill(first, signal.SIGKILL)
    assert here.outcome().detail == "killed by SIGKILL"
    second = here.until(here.errands.helpers)
    assert second != {first}


def test_the_last_sync_waits_its_turn_and_is_the_last(desk: Make) -> None:
    here = desk(python("import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"))
    first = here.begin()
    here.errands.final_sync(here.now)
    here.errands.final_sync(here.now)
    here.tick()
    assert here.errands.helpers() == {first}
    assert here.errands.busy
    here.path("go").touch()
    here.until(lambda: not here.errands.busy)
    here.errands.final_sync(here.now)
    here.tick(later=3 * EVERY_S)
    assert not here.errands.busy
    assert [(event.ok, event.final) for event in here.events] == [(True, False), (True, True)]  # type: ignore[attr-defined]


def test_the_last_sync_begins_at_once_where_none_is_under_way(desk: Make) -> None:
    here = desk(python("pass"))
    here.errands.final_sync(here.now)
    assert here.errands.helpers()
    assert (here.outcome().ok, here.outcome().final) == (True, True)


def test_one_that_overruns_is_ended_with_all_that_it_started(desk: Make) -> None:
    source = """
        import os, signal, subprocess, sys, time
        deaf = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        deaf += "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(300)"
        subprocess.Popen([sys.executable, "-c", deaf, "grandchild"])
        subprocess.Popen([sys.executable, "-c", deaf, "elsewhere"], start_new_session=True)
        print("copying", flush=True)
        time.sleep(300)
    """
    here = desk(python(source))
    family = [here.begin(), here.pid_in("grandchild"), here.pid_in("elsewhere")]
    here.tick(later=3599)
    assert not any(map(dead, family))
    here.tick(later=2)  # SIGTERM
    wait_until(lambda: dead(family[0]), what="the end of the one that heeds SIGTERM")
    assert not any(map(dead, family[1:]))
    assert here.errands.helpers() == {family[0]}
    here.tick(later=timed_child.TERMINATE_S + 0.1)  # SIGKILL
    wait_until(lambda: all(map(dead, family)), what="the end of all")
    assert (here.outcome().ok, here.outcome().detail) == (False, "took longer than 60 min: copying")


def test_what_a_sync_leaves_running_is_ended_and_said(desk: Make) -> None:
    source = f"""
        import subprocess, sys
        left = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
        open("left", "w").write(str(left.pid))
    """
    here = desk(python(source))
    leader = here.begin()
    left = here.pid_in("left")
    wait_until(lambda: dead(leader), what="its end")
    here.tick()
    assert (dead(left), here.errands.busy) == (False, True)
    here.tick(later=timed_child.LEFTOVER_S + 0.1)
    assert (here.outcome().ok, here.outcome().detail) == (True, "what it left running was ended")
    assert here.outcome().seconds < 5
    assert dead(left)


def test_a_failure_tells_its_last_words_as_plain_text(desk: Make) -> None:
    source = r"""
        import sys
        sys.stdout.write("first\nsecond\n")
        sys.stdout.flush()
        sys.stderr.buffer.write(b"10%\r99%\r\x1b]0;owned\x07\x1b[31mno route\x1b[0m \xff\n\nto \xe2\x80\xaehost\n \n")
        sys.exit(3)
    """
    here = desk(python(source))
    here.begin()
    assert isinstance(here.outcome(), Synced)
    assert (here.outcome().ok, here.outcome().attempt) == (False, 1)
    assert here.outcome().detail == "exit code 3: second | no route \ufffd | to host"


def test_a_flood_of_words_takes_little_room_and_the_last_ones_are_kept(desk: Make) -> None:
    source = """
        import os, sys, time
        for _ in range(200): sys.stdout.write("x" * 99_999 + "\\n")
        sys.stdout.flush()
        open("said", "w").write("all")
        while not os.path.exists("go"): time.sleep(0.01)
        print("y" * 90_000)
        sys.exit("no space left")
    """
    here = desk(python(source))
    leader = here.begin()
    here.until(lambda: here.path("said").exists())
    here.tick()
    taken = os.stat(f"/proc/{leader}/fd/1")
    assert taken.st_size > 15_000_000
    assert taken.st_blocks * 512 < 2_000_000
    here.path("go").touch()
    assert here.outcome().detail.endswith("no space left")
    assert len(here.outcome().detail) < 1000


def test_a_missing_program_is_an_event_and_is_tried_again_in_its_time(desk: Make) -> None:
    here = desk(["no-such-program-\x1b[31m", "x"])
    here.tick()
    here.tick(later=EVERY_S)
    here.tick()
    assert [(e.ok, e.detail) for e in here.events] == [(False, "cannot start no-such-program-: program not found")]  # type: ignore[attr-defined]
    assert not here.errands.busy
    here.errands.final_sync(here.now)
    assert [event.final for event in here.events] == [False, True]  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", [["/"], ["sh", "-c", "a\0b"]])
def test_what_cannot_be_started_is_an_event(desk: Make, command: list[str]) -> None:
    here = desk(command)
    here.errands.final_sync(here.now)
    assert not here.outcome().ok
    assert here.outcome().detail.startswith(f"cannot start {command[0]} in ")


def test_a_folder_that_is_gone_is_an_event(desk: Make) -> None:
    here = desk(python("pass"))
    gone = Errands(here.files, here.spec, attempt=1, root=here.root / "gone", report=here.events.append)
    gone.final_sync(here.now)
    assert here.outcome().detail == f"cannot start {sys.executable} in {here.root / 'gone'}: No such file or directory"


def test_one_that_somebody_else_collected_is_still_told(desk: Make) -> None:
    here = desk(python("pass"))
    os.waitpid(here.begin(), 0)
    assert (here.outcome().ok, here.outcome().detail) == (False, "it ended, and nobody saw how")
    assert here.errands.helpers() == set()


def test_one_that_cannot_be_ended_holds_nothing_up(desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here = desk(python(SLEEP))
    leader = here.begin()
    with monkeypatch.context() as patch:
        patch.setattr(timed_child.TimedChild, "_kill", lambda *arguments: None)  # as of one that hangs in the kernel
        os.kill(leader, signal.SIGSTOP)
        wait_until(lambda: (stat := read_stat(leader)) and stat.state == "T", what="its stop")
        here.tick(later=3601)
        here.tick(later=timed_child.TERMINATE_S)
        here.tick(later=timed_child.HOPELESS_S)
        assert here.outcome().detail == "took longer than 60 min, and SIGKILL does not end it"
        assert not here.errands.busy
        here.tick(later=EVERY_S)
        assert here.errands.helpers() == {leader}
        here.errands.final_sync(here.now)
        here.tick()
        assert (here.outcome(2).ok, here.outcome(2).final) == (False, True)
        assert not here.errands.busy


def test_a_stop_leaves_errands_alone(desk: Make) -> None:
    source = f"""
        import subprocess, sys, time
        inner = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
        open("inner", "w").write(str(inner.pid))
        time.sleep(300)
    """
    here = desk(python(source), notify={"command": python(SLEEP)})
    ours = {here.begin(), here.pid_in("inner")}
    here.errands.notify("stalled", {})
    assert len(here.errands.helpers()) == 2
    found = {who.pid for who in RunProcesses(here.spec.run_id, helpers=here.errands.helpers).scan()}
    assert not found & (ours | here.errands.helpers())
    assert ours & {who.pid for who in RunProcesses(here.spec.run_id).scan()}


def test_giving_up_ends_and_tells_all_that_is_under_way(desk: Make) -> None:
    here = desk(python(SLEEP), notify={"command": python(SLEEP)})
    sync = here.begin()
    here.errands.notify("ended", {})
    children = here.errands.helpers()
    here.errands.final_sync(here.now)
    here.errands.kill_all()
    assert [type(event).__name__ for event in here.events] == ["Notified", "Synced", "Synced"]
    assert not any(event.ok for event in here.events)  # type: ignore[attr-defined]
    assert [event.final for event in here.events[1:]] == [False, True]  # type: ignore[attr-defined]
    assert sync in children
    wait_until(lambda: all(map(dead, children)), what="their end")
    assert not here.errands.busy
    assert here.errands.helpers() == set()
    here.errands.kill_all()
    assert len(here.events) == 3


def test_giving_up_lets_none_get_away_that_is_just_started(desk: Make) -> None:
    source = """
        import subprocess, time
        for number in range(300):
            subprocess.Popen(["sleep", "300"], start_new_session=True)
            open("started", "w").write(str(number))
        time.sleep(300)
    """
    here = desk(python(source))
    here.begin()
    here.until(lambda: here.pid_in("started") > 3)
    here.errands.kill_all()
    wait_until(lambda: not marked_processes(f"sync of {here.spec.run_id}"), what="the end of all")


def test_the_last_copy_of_another_attempt_is_waited_for_and_ended_once_its_keeper_is_dead(
    desk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands_module, "OTHER_SYNC_S", 0.0)
    here = desk(python("pass"))
    copying = python("import os, time\nopen('copy', 'w').write(str(os.getpid()))\ntime.sleep(300)")
    spec = here.spec.model_copy(update={"sync": SyncConfig(command=tuple(copying))})
    other_keeper = """
        import sys, time
        from pathlib import Path
        from engine.campaign.spec import RunSpec
        from engine.files import RunFiles
        from engine.supervise.errands import Errands
        spec, root = RunSpec.model_validate_json(sys.argv[1]), Path.cwd()
        Errands(RunFiles(root), spec, attempt=1, root=root, report=print).final_sync(time.monotonic())
        time.sleep(300)
    """
    with subprocess.Popen(
        python(other_keeper, spec.model_dump_json()), cwd=here.root, env=os.environ | {RUN_MARK: spec.run_id}
    ) as keeper:
        copy = here.pid_in("copy")
        try:
            here.errands.final_sync(here.now)
            for _ in range(3):
                here.tick()
            assert (here.errands.helpers(), here.errands.busy, dead(copy)) == (set(), True, False)
        finally:
            keeper.kill()
            keeper.wait()
        assert here.outcome().ok
        assert dead(copy)


# --- notifications ---------------------------------------------------------------------------------------------


def test_a_command_gets_the_message_once(desk: Make) -> None:
    source = "import sys\nopen('told', 'a').write(sys.argv[1] + ' ' + sys.stdin.read())"
    here = desk(notify={"command": python(source, "{campaign}/{run}")}, attempt=2)
    here.errands.notify("failed", {"state": "failed", "reason": "exit code 3", "kept": 7, "target": 100})
    assert here.errands.busy
    assert isinstance(here.outcome(), Notified)
    assert (here.outcome().subject, here.outcome().ok, here.outcome().attempt) == ("failed", True, 2)
    here.tick()
    assert len(here.events) == 1
    run, told = here.path("told").read_text().split(" ", 1)
    assert run == "camp/pilot"
    message = json.loads(told)
    assert message["text"].startswith("camp/pilot, attempt 2, failed: exit code 3 (7 of 100 kept, on ")
    assert (message["subject"], message["kept"], message["host"]) == ("failed", 7, os.uname().nodename)


def test_a_command_that_hangs_is_ended(desk: Make) -> None:
    here = desk(notify={"command": python(SLEEP)})
    here.errands.notify("ended", {"state": "succeeded"})
    here.errands.notify("stalled", {})
    assert len(here.errands.helpers()) == 2
    here.tick(later=errands_module.NOTIFY_LIMIT_S + 1)
    assert here.outcome(2).detail == "took longer than 60 s"
    assert {event.subject for event in here.events} == {"ended", "stalled"}  # type: ignore[attr-defined]


def test_a_missing_command_is_an_event(desk: Make) -> None:
    here = desk(notify={"command": ["no-such-program"]})
    here.errands.notify("lost", {})
    assert (here.outcome().subject, here.outcome().ok) == ("lost", False)
    assert here.outcome().detail == "cannot start no-such-program: program not found"


def test_where_nothing_is_named_nothing_happens(desk: Make) -> None:
    here = desk()
    here.errands.notify("ended", {"state": "succeeded"})
    here.errands.final_sync(here.now)
    here.tick(later=10 * EVERY_S)
    assert not here.errands.busy
    here.errands.kill_all()
    assert here.events == []


@pytest.mark.parametrize(("status", "ok", "detail"), [(204, True, ""), (410, False, "410 Gone")])
def test_the_webhook_is_told_and_its_address_shows_nowhere(
    desk: Make, monkeypatch: pytest.MonkeyPatch, status: int, ok: bool, detail: str
) -> None:
    bodies: list[dict[str, Any]] = []
    asked, answer = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            asked.set()
            answer.wait(20)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("TEST_HOOK", f"http://127.0.0.1:{server.server_port}/T0PSECRET")
        here = desk(notify={"webhook_env": "TEST_HOOK"})
        here.errands.notify("ended", {"state": "succeeded", "reason": "completed: kept 100", "cost_usd": 1.976})
        (child,) = here.errands.helpers()
        assert asked.wait(20)
        here.tick()
        assert here.errands.busy
        assert b"T0PSECRET" not in Path(f"/proc/{child}/cmdline").read_bytes()
        answer.set()
        assert here.outcome().ok is ok
        server.shutdown()
    assert detail in here.outcome().detail
    assert "T0PSECRET" not in here.outcome().model_dump_json()
    assert list(here.files.folder.iterdir()) == []
    assert [body["content"] for body in bodies] == [
        f"camp/pilot succeeded: completed: kept 100 ($1.98, on {os.uname().nodename})"
    ]


def test_a_webhook_whose_variable_is_not_set_is_said(desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_HOOK", raising=False)
    here = desk(notify={"webhook_env": "TEST_HOOK"})
    here.errands.notify("ended", {"state": "stopped"})
    assert here.outcome().detail == "exit code 1: TEST_HOOK is not set where the run was started, or is empty"


@pytest.mark.parametrize("before", [0, 4000, 4096, 5000])
def test_a_sync_that_prints_its_environment_gives_no_address_away(
    desk: Make, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setenv("TEST_HOOK", "https://hooks.example.org/services/T0P/SECRET")
    source = f"import os, sys\nsys.exit(os.environ['TEST_HOOK'] + '.' * {before} + ' done')"
    here = desk(python(source), notify={"webhook_env": "TEST_HOOK"})
    here.begin()
    assert here.outcome().detail.startswith("exit code 1: ")
    assert not any(part in here.outcome().detail for part in ("hooks", "T0P", "SECRET", "CRET"))


# --- the message -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "facts", "sentence"),
    [
        ("ended", {"state": "succeeded", "reason": "completed: kept 100"}, "c/pilot succeeded: completed: kept 100"),
        ("ended", {"state": "stopped", "reason": ""}, "c/pilot stopped"),
        ("ended", {}, "c/pilot ended"),
        ("failed", {"reason": "exit code 3", "kept": 0, "target": 9}, "c/pilot failed: exit code 3 (0 of 9 kept)"),
        ("lost", {"kept": 12, "cost_usd": 0.5, "host": "pod"}, "c/pilot is lost (12 kept, $0.50, on pod)"),
        ("stalled", {"reason": "silent for 12 min", "kept": None}, "c/pilot has stalled: silent for 12 min"),
        ("failed", {"reason": "<!channel>\x1b[2J\nx"}, "c/pilot failed: ‹!channel› x"),
    ],
)
def test_the_message_is_a_sentence_and_its_parts(subject: str, facts: dict[str, Any], sentence: str) -> None:
    message = message_for(subject, RunSpec(campaign="c", run="pilot", kind="pilot"), 1, facts)
    assert message["text"] == message["content"] == sentence
    assert (message["campaign"], message["run"], message["attempt"], message["subject"]) == ("c", "pilot", 1, subject)
    assert message["allowed_mentions"] == {"parse": []}
    kept = {key: value for key, value in facts.items() if value not in (None, "") and key != "reason"}
    assert kept.items() <= message.items()
