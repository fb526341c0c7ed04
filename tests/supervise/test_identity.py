"""A process is known by host, pid namespace, boot, pid and start time; nothing else is ever signalled."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from engine.journal.events import ProcessIdentity
from engine.supervise.census import is_marked, living_stats, marked_processes, with_descendants
from engine.supervise.identity import here, identity_of, is_alive, own_identity, read_stat, signal_process
from tests.waiting import wait_until

Start = Callable[[], ProcessIdentity]


def test_this_process_is_alive_and_knows_itself() -> None:
    me = own_identity()
    assert me.pid == os.getpid()
    assert (me.host, me.boot_id) == (here().host, here().boot_id)
    assert is_alive(me) is True


@pytest.mark.parametrize(
    ("changes", "alive"),
    [
        ({"start_ticks": 1}, False),
        ({"boot_id": "another-boot"}, False),
        ({"pid": 2**22 + 1}, False),
        ({"pid": -1}, False),
        ({"pid": 0}, False),
        ({"host": "another-host"}, None),
        ({"host": "another-host", "boot_id": "another-boot"}, None),
        ({"pid_namespace": "1"}, None),
    ],
)
def test_any_other_trait_means_another_process_which_is_never_signalled(
    bystander: Start, changes: dict[str, object], alive: bool | None
) -> None:
    real = bystander()
    planted = real.model_copy(update=changes)
    assert is_alive(planted) is alive
    assert signal_process(planted, signal.SIGKILL) is False
    assert is_alive(real) is True


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    identity = identity_of(child.pid)
    assert identity is not None
    stat = wait_until(lambda: (s := read_stat(child.pid)) and s.state == "Z" and s, what="a zombie")
    assert not stat.living
    assert is_alive(identity) is False
    assert signal_process(identity, signal.SIGTERM) is False
    child.wait()


def test_a_process_whose_first_thread_has_ended_is_alive() -> None:
    """Its stat says Z, yet it works on in another thread."""
    code = (
        "import ctypes, threading, time, os\n"
        "threading.Thread(target=time.sleep, args=(300,)).start()\n"
        "os.write(1, b'up')\n"
        "ctypes.CDLL(None).syscall(60, 0)\n"  # exit of this thread alone
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        identity = identity_of(child.pid)
        assert identity is not None
        if os.uname().machine != "x86_64":
            pytest.skip("number of the exit system call is that of x86-64")
        wait_until(lambda: (s := read_stat(child.pid)) and s.state == "Z", what="the first thread's end")
        assert is_alive(identity) is True
        assert signal_process(identity, signal.SIGKILL)
    finally:
        child.kill()
        child.communicate()


def test_a_name_with_blanks_and_parentheses_is_read_right() -> None:
    code = (
        "import ctypes, time, os\n"
        "ctypes.CDLL(None).prctl(15, b') S 1 (x y)', 0, 0, 0)\n"
        "os.write(1, b'up')\n"
        "time.sleep(300)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.read(2) == b"up"
        stat = read_stat(child.pid)
        assert stat is not None
        assert (stat.parent, stat.group) == (os.getpid(), os.getpgid(child.pid))
    finally:
        child.kill()
        child.communicate()


def test_the_signal_reaches_the_process_that_is_meant(bystander: Start) -> None:
    identity = bystander()
    assert signal_process(identity, signal.SIGTERM) is True
    wait_until(lambda: is_alive(identity) is False, what="its death")


def test_marked_processes_are_found_by_the_exact_mark() -> None:
    run_id = "5c0ffee0-0000-4000-8000-000000000001"
    marked = subprocess.Popen(["sleep", "300"], env={**os.environ, "PILOTHOUSE_RUN": run_id})
    similar = subprocess.Popen(["sleep", "300"], env={**os.environ, "PILOTHOUSE_RUN": run_id + "1"})
    try:
        wait_until(lambda: is_marked(marked.pid, run_id), what="the child's exec")
        assert [identity.pid for identity in marked_processes(run_id)] == [marked.pid]
    finally:
        for child in (marked, similar):
            child.kill()
            child.wait()


def test_descendants_are_followed_through_generations() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300 & echo up; wait"], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        stats = living_stats()
        family = with_descendants(stats, [child.pid])
        assert {stats[pid].parent for pid in family - {child.pid}} == {child.pid}
        assert len(family) == 3
    finally:
        for pid in sorted(family, reverse=True):
            os.kill(pid, signal.SIGKILL)
        child.communicate()


def test_the_kernel_lets_this_process_see_its_own_start() -> None:
    assert ctypes.sizeof(ctypes.c_long) == 8
    stat = read_stat(os.getpid())
    assert stat is not None
    assert stat.start_ticks > 0
