"""The idle countdown: what starts, delays, ends and cancels it, by a real watcher and a command that leaves a mark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.supervision import OnIdle
from engine.errors import RefusedError
from engine.files import RunFiles, Workspace, make_private_folder, write_json
from engine.journal.events import ProcessIdentity, utc_now
from engine.supervise.claims import GpuClaim, claim_folder
from engine.supervise.identity import is_alive, own_identity, read_stat, signal_process
from engine.supervise.idle import (
    IdleRecord,
    cancel_idle,
    read_idle,
    read_watch,
    requests_home,
    start_idle_watch,
    tend_idle_watch,
    write_watch,
)
from engine.supervise.liveness import KeeperRecord, write_keeper
from engine.supervise.machine_use import machine_use
from engine.supervise.requests import write_request
from tests.waiting import wait_until
from tests.watchers import bury_watchers, watchers

REPOSITORY = Path(__file__).resolve().parents[2]
Bystander = Callable[[], ProcessIdentity]


def dead() -> ProcessIdentity:
    """Somebody of this boot who lives no more."""
    return own_identity().model_copy(update={"start_ticks": 1})


def elsewhere() -> ProcessIdentity:
    return own_identity().model_copy(update={"host": "another-host"})


class Place:
    """A workspace with the campaign `camp`, whose run `pilot` was kept here and has ended."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = Workspace(root)
        self.workspace.configs.mkdir(parents=True)
        self.fired = root / "fired"
        self.files = self.workspace.idle_files("camp")
        self.on_idle = OnIdle(after_minutes=10, command=("true",))
        self.run()

    def run(self, attempt: int = 1, *, keeper: ProcessIdentity | None = None, ended: bool = True) -> RunFiles:
        """Write what a keeper of the run would have."""
        files = self.workspace.run_files("camp", "pilot")
        make_private_folder(files.folder)
        write_json(files.spec, {})
        record = KeeperRecord(
            run="camp/pilot",
            run_id="one",
            attempt=attempt,
            keeper=keeper or dead(),
            ended=utc_now() if ended else None,
        )
        write_keeper(files, record)
        return files

    def wish(self, after_s: float, command: str = "echo fired >> fired") -> None:
        """Have the campaign file say so."""
        self.on_idle = OnIdle(after_minutes=after_s / 60, command=("/bin/sh", "-c", command))
        budget = {"on_idle": self.on_idle.model_dump(mode="json")}
        self.save({"name": "camp", "budget": budget, "generator": {"kind": "command", "argv": ["true"]}})

    def save(self, campaign: dict[str, Any]) -> None:
        write_json(self.workspace.configs / "camp.yaml", campaign)

    def start(self, least_visible_s: float | None = None) -> None:
        start_idle_watch(self.root, "camp", self.on_idle, "tester", least_visible_s=least_visible_s)

    def tend(self) -> None:
        tend_idle_watch(self.workspace, "camp", self.on_idle, "viewer")

    def watch(self, *states: str, timeout: float = 20.0) -> IdleRecord:
        """What the watcher says once its state is one of `states`."""

        def reached() -> IdleRecord | None:
            record = read_watch(self.files)
            return record if record is not None and record.state in states else None

        try:
            return wait_until(reached, timeout, f"the state {' or '.join(states)}")
        except AssertionError as error:
            said = self.files.log.read_text() if self.files.log.exists() else ""
            raise AssertionError(
                f"{error}; the watcher said {said!r}, and last wrote {read_watch(self.files)}"
            ) from None

    def idle(self) -> IdleRecord | None:
        return read_idle(self.workspace, "camp")

    def gone(self) -> None:
        wait_until(lambda: not watchers(self.root), what="the end of the watcher")

    def times_fired(self) -> int:
        return len(self.fired.read_text().splitlines()) if self.fired.exists() else 0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    made = Place(tmp_path / "workspace")
    yield made
    bury_watchers(made.root)


def test_the_command_is_run_once_after_a_countdown_that_everyone_sees(place: Place) -> None:
    place.wish(1.5)
    began = time.time()
    place.start()
    counting = place.watch("counting")
    assert place.idle() == counting
    assert (counting.command, counting.started_by) == (place.on_idle.command, "tester")
    assert datetime.fromisoformat(counting.due) > datetime.fromisoformat(counting.since)
    assert place.times_fired() == 0
    done = place.watch("done")
    assert place.fired.stat().st_mtime >= began + 1.5
    assert done.countdown == counting.countdown
    place.gone()
    assert place.idle() == done
    place.tend()
    place.start()  # nothing was live since
    place.gone()
    assert place.times_fired() == 1


def test_of_many_that_are_started_at_once_one_watches(place: Place) -> None:
    place.wish(2.0)
    starters = [threading.Thread(target=place.start) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(watchers(place.root)) > 1
    place.watch("counting")
    wait_until(lambda: len(watchers(place.root)) == 1, what="all watchers but one to give way")
    place.watch("done")
    place.gone()
    assert place.times_fired() == 1


def test_the_watcher_belongs_to_no_run_and_to_no_terminal(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_RUN", "of-a-run")
    monkeypatch.setenv("PILOTHOUSE_RUN_DIR", str(place.root))
    place.wish(600)
    place.start()
    watcher = place.watch("counting").watcher
    assert b"PILOTHOUSE_RUN" not in Path(f"/proc/{watcher.pid}/environ").read_bytes()
    stat = read_stat(watcher.pid)
    assert stat is not None
    assert stat.session == watcher.pid
    place.start()
    assert watchers(place.root) == [watcher]


# --- cancelling ------------------------------------------------------------------------------------------------------


def test_a_cancelled_countdown_stays_cancelled_until_something_has_been_live(place: Place) -> None:
    place.wish(600)
    place.start()
    place.watch("counting")
    cancelled = cancel_idle(place.workspace, "camp", "ann@desk")
    assert (cancelled.state, cancelled.author) == ("cancelled", "ann@desk")
    place.gone()
    assert place.idle() == cancelled
    with pytest.raises(RefusedError, match="cancelled already, by ann@desk"):
        cancel_idle(place.workspace, "camp", "bob@desk")
    place.tend()
    place.start()
    place.gone()
    assert place.idle() == cancelled
    place.run(attempt=2)
    assert place.idle() is None
    place.tend()
    assert place.watch("counting").countdown != cancelled.countdown
    assert place.times_fired() == 0


def test_nothing_can_be_cancelled_where_nothing_counts_down(place: Place) -> None:
    place.wish(600)
    with pytest.raises(RefusedError, match="nothing counts down"):
        cancel_idle(place.workspace, "camp", "ann@desk")


def test_it_is_too_late_to_cancel_once_the_command_is_run(place: Place) -> None:
    place.wish(0.2, "mkfifo gate; cat gate")
    place.start()
    place.watch("running")
    with pytest.raises(RefusedError, match="too late"):
        cancel_idle(place.workspace, "camp", "ann@desk")
    wait_until((place.root / "gate").exists, what="the command to wait")
    (place.root / "gate").write_text("go on\n")
    place.watch("done")


def test_a_request_meant_for_another_countdown_cancels_nothing(place: Place) -> None:
    place.wish(1.5)
    place.start()
    place.watch("counting")
    write_request(requests_home(place.files), "stop", 0, "ann@desk", countdown="the last one")
    place.watch("done")
    assert place.times_fired() == 1


# --- what is in use --------------------------------------------------------------------------------------------------


def test_nothing_counts_down_while_a_keeper_still_sees_to_what_comes_after(place: Place, bystander: Bystander) -> None:
    keeper = bystander()
    place.run(keeper=keeper, ended=True)
    place.wish(0.3)
    place.start()
    place.watch("waiting")
    wait_until(lambda: (place.files.watch.stat().st_mtime + 2) < time.time(), what="some looks of the watcher")
    assert place.idle() is None
    assert place.times_fired() == 0
    signal_process(keeper, signal.SIGKILL)
    place.watch("done")


def test_a_machine_is_stopped_though_the_keeper_of_its_last_run_was_killed(place: Place, bystander: Bystander) -> None:
    place.wish(0.3)
    keeper = bystander()
    place.run(keeper=keeper, ended=False)
    place.start()
    place.watch("waiting")
    signal_process(keeper, signal.SIGKILL)
    place.watch("done")
    assert place.times_fired() == 1


@pytest.mark.parametrize("shared", [False, True])
def test_nothing_counts_down_while_another_workspace_has_a_gpu(place: Place, shared: bool) -> None:
    claim = GpuClaim("GPU-of-a-test", "another", "else/pilot", shared=shared)
    place.wish(0.3)
    place.start()
    place.watch("waiting")
    wait_until(lambda: (place.files.watch.stat().st_mtime + 2) < time.time(), what="some looks of the watcher")
    assert place.times_fired() == 0
    claim.release()
    place.watch("done")


def test_what_is_in_use_and_what_is_not(place: Place, bystander: Bystander) -> None:
    def used() -> bool:
        return machine_use(place.workspace, claim_folder())[1]

    assert not used()
    living = bystander()
    place.run(keeper=living, ended=False)
    assert used()
    files = place.run(keeper=dead(), ended=False)
    assert not used(), "keeper and generator are dead"
    place.run(keeper=elsewhere(), ended=False)
    files.keeper_journal.touch()
    assert not used(), "it is live on another host"
    place.run()
    files.claim(2).touch()
    assert used(), "its keeper is on the way"
    os.utime(files.claim(2), (0, 0))
    assert not used(), "no keeper ever came"
    claim = GpuClaim("GPU-of-a-test", "another", "else/pilot")
    claim.note(living)
    os.close(claim._descriptor)
    assert used(), "its keeper was killed, and its generator goes on"
    signal_process(living, signal.SIGKILL)
    wait_until(lambda: not used(), what="the generator's death to be seen")


def test_a_run_between_two_looks_begins_the_countdown_anew(place: Place) -> None:
    place.wish(600)
    place.start()
    first = place.watch("counting")
    place.run(attempt=2)
    second = wait_until(
        lambda: (record := place.watch("counting")).countdown != first.countdown and record, what="another countdown"
    )
    assert second.watcher == first.watcher


# --- what the campaign says ------------------------------------------------------------------------------------------


def test_a_watcher_ends_when_the_campaign_wants_none_any_more(place: Place) -> None:
    place.wish(600)
    place.start()
    place.watch("counting")
    place.save({"name": "camp", "generator": {"kind": "command", "argv": ["true"]}})
    place.gone()
    assert not place.files.watch.exists()
    assert place.idle() is None


@pytest.mark.slow
def test_a_changed_wish_is_followed_but_never_at_once(place: Place) -> None:
    place.wish(600)
    place.start(least_visible_s=2.0)
    first = place.watch("counting")
    place.wish(0.01, "echo another >> fired")
    changed = time.time()
    seen = wait_until(
        lambda: (record := place.watch("counting", "done")).due != first.due and record, what="the change"
    )
    assert seen.state == "counting", "nobody could have seen it"
    assert seen.command == place.on_idle.command
    place.watch("done")
    assert place.fired.read_text() == "another\n"
    assert place.fired.stat().st_mtime >= changed + 2.0


def test_a_broken_campaign_file_stops_no_countdown(place: Place) -> None:
    place.wish(1.5)
    place.start()
    place.watch("counting")
    (place.workspace.configs / "camp.yaml").write_text("name: [")
    place.watch("done")
    assert place.times_fired() == 1


def test_a_watcher_knows_what_is_wanted_though_the_file_was_broken_before(place: Place) -> None:
    place.wish(0.3)
    (place.workspace.configs / "camp.yaml").write_text("name: [")
    place.start()
    place.watch("done")
    assert place.times_fired() == 1


def test_a_command_that_fails_is_shown_with_its_last_words_made_safe(place: Place) -> None:
    place.wish(0.1, "printf 'no such \\033[31mpod\\n' >&2; exit 7")
    place.start()
    failed = place.watch("failed")
    assert failed.detail == "exit code 7: no such pod"
    place.gone()
    assert place.idle() == failed


def test_a_command_that_is_not_there_is_shown(place: Place) -> None:
    place.wish(600)
    place.on_idle = OnIdle(after_minutes=0.001, command=("no-such-program",))
    budget = {"on_idle": place.on_idle.model_dump(mode="json")}
    place.save({"name": "camp", "budget": budget, "generator": {"kind": "command", "argv": ["true"]}})
    place.start()
    assert "cannot start no-such-program" in place.watch("failed").detail


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_watcher_is_replaced_and_counts_anew(place: Place) -> None:
    place.wish(3.0)
    place.start()
    first = place.watch("counting")
    signal_process(first.watcher, signal.SIGKILL)
    wait_until(lambda: is_alive(first.watcher) is False, what="its death")
    assert place.idle() is None
    killed = time.time()
    place.tend()
    second = wait_until(
        lambda: (record := place.watch("counting")).watcher != first.watcher and record, what="another watcher"
    )
    assert second.countdown != first.countdown
    place.watch("done")
    assert place.fired.stat().st_mtime >= killed + 3.0
    place.gone()
    assert place.times_fired() == 1


@pytest.mark.slow
def test_a_suspended_watcher_does_not_fire_when_it_wakes(place: Place) -> None:
    place.wish(2.0)
    place.start(least_visible_s=3.0)
    counting = place.watch("counting")
    os.kill(counting.watcher.pid, signal.SIGSTOP)
    due = datetime.fromisoformat(counting.due).timestamp()
    wait_until(lambda: time.time() > due + 2.0, what="the time it would have fired at")
    woken = time.time()
    os.kill(counting.watcher.pid, signal.SIGCONT)
    later = wait_until(
        lambda: (record := place.watch("counting", "done")).due != counting.due and record, what="a new due"
    )
    assert (later.state, later.countdown) == ("counting", counting.countdown)
    assert place.times_fired() == 0
    place.watch("done")
    assert place.fired.stat().st_mtime >= woken + 3.0


def test_a_request_that_came_while_it_was_suspended_is_taken_first(place: Place) -> None:
    place.wish(1.0)
    place.start()
    counting = place.watch("counting")
    os.kill(counting.watcher.pid, signal.SIGSTOP)
    write_request(requests_home(place.files), "stop", 0, "ann@desk", countdown=counting.countdown)
    due = datetime.fromisoformat(counting.due).timestamp()
    wait_until(lambda: time.time() > due + 1.0, what="the time it would have fired at")
    os.kill(counting.watcher.pid, signal.SIGCONT)
    assert place.watch("cancelled").author == "ann@desk"
    assert place.times_fired() == 0


def test_a_countdown_that_nobody_counts_is_not_shown(place: Place) -> None:
    make_private_folder(place.files.folder)
    now = datetime.now(UTC).isoformat()
    record = IdleRecord(watcher=dead(), state="counting", countdown="x", since=now, due=now, seen={"one": (1, 0)})
    write_watch(place.files, record)
    assert place.idle() is None
    write_watch(place.files, record.model_copy(update={"state": "running"}))
    stopped = place.idle()
    assert stopped is not None
    assert stopped.state == "done", "the command stopped the machine, and the watcher with it"
    place.files.watch.write_text('{"v": 1, "state": ')
    assert place.idle() is None


def test_another_hosts_countdown_is_shown_while_it_is_kept_up(place: Place) -> None:
    make_private_folder(place.files.folder)
    now = datetime.now(UTC).isoformat()
    record = IdleRecord(watcher=elsewhere(), state="counting", countdown="x", since=now, due=now)
    write_watch(place.files, record)
    assert place.idle() == record
    os.utime(place.files.watch, (0, 0))
    assert place.idle() is None


def test_no_watcher_is_started_where_no_run_was_kept(place: Place) -> None:
    place.wish(600)
    place.run(keeper=elsewhere())
    place.tend()
    assert not place.files.folder.exists()
    place.run(keeper=dead())
    place.tend()
    place.watch("counting")


def test_what_cannot_be_started_raises_nothing(place: Place) -> None:
    place.wish(600)
    place.workspace.idle_files("camp").folder.write_text("a file where a folder should be")
    place.start()
    place.tend()
    start_idle_watch(place.root / "nowhere", "not a name", place.on_idle, "tester")
    start_idle_watch(place.root, "camp", None, "tester")
    assert watchers(place.root) == []


def test_a_starter_that_ignores_signals_hands_none_of_it_on(place: Place) -> None:
    """Under nohup SIGHUP is ignored, and an ignored signal is inherited by all that is started."""
    place.wish(600)
    code = (
        "import signal, sys; from pathlib import Path\n"
        "from engine.campaign.supervision import OnIdle; from engine.supervise.idle import start_idle_watch\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "start_idle_watch(Path(sys.argv[1]), 'camp', OnIdle(after_minutes=10, command=('true',)), 'tester')"
    )
    subprocess.run([sys.executable, "-c", code, str(place.root)], check=True, timeout=30)
    watcher = place.watch("counting").watcher
    status = Path(f"/proc/{watcher.pid}/status").read_text()
    ignored = int(next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1], 16)
    assert not ignored & (1 << (signal.SIGINT - 1))
