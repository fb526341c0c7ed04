"""What the keeper of an engine minds: that it answers, who uses it, and when it has been idle for too long."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.campaign.spec import RunSpec
from engine.errors import RefusedError
from engine.files import RunFiles, Workspace
from engine.journal.engine_record import EngineRecord, read_engine
from engine.journal.events import EngineReady, EngineUse, Event, LoadProgress
from engine.supervise.ending import StopOrder
from engine.supervise.engines import minder, poller
from engine.supervise.engines.minder import GAP_S, SILENT_S, USERS_S, EngineMinder, known_socket, socket_path
from tests.supervise.conftest import Run, Runs
from tests.supervise.fake_engine import FakeEngine, answer, dead, fake_engine, kept, says_of_itself
from tests.waiting import wait_until

IDLE_S = 30.0
SPEC = RunSpec(campaign="camp", run="engine-1", kind="engine", run_id="0123456789-123456")


class Minded:
    """An engine of the campaign `camp` at a socket in `folder`, minded by a keeper whose clock is the test's."""

    def __init__(self, folder: Path, minutes: float = IDLE_S / 60) -> None:
        self.workspace = Workspace(folder)
        self.files, self.spec = kept(self.workspace, "engine-1", engine={"idle_stop_minutes": minutes})
        self.events: list[Event] = []
        self.socket = str(folder / "engine.sock")
        self.now = time.monotonic()
        says_of_itself(self.files, "starting", socket_path=self.socket)
        self.minder = self._keeper()

    def _keeper(self) -> EngineMinder:
        return EngineMinder(self.files, self.spec, self.events.append, began=self.now - 12.5, socket=Path(self.socket))

    def take_over(self) -> None:
        """Have a new keeper of the same engine, the one before having been killed."""
        self.minder._poller.close()
        self.minder = self._keeper()

    def record(self) -> EngineRecord:
        record = read_engine(self.files)
        assert record is not None
        return record

    def tick(self) -> StopOrder | None:
        self.now = max(self.now, time.monotonic())
        return self.minder.tick(self.now)

    def ready(self) -> None:
        wait_until(lambda: self.tick() is not None or self.minder.is_ready, what="its first answer")

    def heard(self) -> None:
        """Wait for what the engine says from now on."""
        for _ in range(2):
            before = self.minder._poller.latest
            wait_until(lambda before=before: self.minder._poller.latest is not before, what="an answer")  # type: ignore[misc]

    def pass_by(self, seconds: float) -> StopOrder | None:
        """Let so much time go by on the keeper's clock, which looks every five seconds; the first order, if any."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + USERS_S, until)
            order = self.minder.tick(self.now)
            if order is not None:
                return order
        return None

    def uses(self) -> list[bool]:
        return [event.in_use for event in self.events if isinstance(event, EngineUse)]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "STARTING_S", 0.01)
    monkeypatch.setattr(poller, "ANSWERING_S", 0.01)
    monkeypatch.setattr(poller, "TIMEOUT_S", 0.05)


@pytest.fixture
def minded(tmp_path: Path) -> Iterator[Minded]:
    made = Minded(tmp_path)
    yield made
    made.minder.ended("the test's end")


@pytest.fixture
def served(minded: Minded, tmp_path: Path) -> Iterator[FakeEngine]:
    with fake_engine(tmp_path) as engine:
        yield engine


# --- its start -------------------------------------------------------------------------------------------------------


def test_until_it_answers_it_starts_however_long_that_takes(minded: Minded) -> None:
    assert minded.pass_by(3600) is None
    assert (minded.record().state, minded.minder.is_ready, minded.events) == ("starting", False, [])


def test_how_far_its_start_is_stands_in_its_record_until_it_answers(minded: Minded, tmp_path: Path) -> None:
    minded.minder.progressed(LoadProgress(stage="weights", share=0.4))
    assert minded.record().progress == "weights 40%"
    minded.minder.progressed(LoadProgress(stage="compiling"))
    assert minded.record().progress == "compiling"
    with fake_engine(tmp_path):
        minded.ready()
    minded.minder.progressed(LoadProgress(stage="weights", share=0.5))
    assert (minded.record().state, minded.record().progress) == ("ready", "")


@pytest.mark.usefixtures("served")
def test_its_first_answer_is_told_once_with_the_time_its_start_took(minded: Minded) -> None:
    minded.ready()
    minded.heard()
    minded.tick()
    (ready,) = [event for event in minded.events if isinstance(event, EngineReady)]
    assert (ready.address, ready.model) == (minded.socket, "/models/7B")
    assert 12.5 <= ready.seconds < 12.5 + 20
    assert minded.record().state == "ready"


def test_its_figures_are_those_of_its_metrics(minded: Minded, served: FakeEngine) -> None:
    served.metrics(running=7)
    minded.ready()
    minded.heard()
    figures = minded.minder.figures
    assert figures is not None
    assert figures.running == 7


# --- use and idleness ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("served")
def test_an_engine_that_nothing_uses_goes_after_its_time_and_not_before(minded: Minded) -> None:
    minded.ready()
    assert minded.uses() == [False]
    assert minded.pass_by(IDLE_S - 2) is None
    assert minded.pass_by(3) == StopOrder("idle: nothing has used it for 0.5 min (engine.idle_stop_minutes)")


@pytest.mark.parametrize("busy", [{"running": 1}, {"waiting": 2}])
def test_requests_in_flight_are_use(minded: Minded, served: FakeEngine, busy: dict[str, int]) -> None:
    served.metrics(**busy)
    minded.ready()
    assert (minded.uses(), minded.record().in_use) == ([True], True)
    assert minded.pass_by(SILENT_S - 10) is None, "longer than it may be idle"
    served.metrics()
    minded.heard()
    assert minded.pass_by(1) is None
    assert (minded.uses(), minded.record().in_use) == ([True, False], False)


def test_requests_that_came_and_went_between_two_looks_are_use(minded: Minded, served: FakeEngine) -> None:
    minded.ready()
    assert minded.pass_by(IDLE_S - 5) is None
    served.metrics(generated=50)
    minded.heard()
    assert minded.pass_by(IDLE_S) is None
    order = minded.pass_by(10)
    assert order is not None
    assert order.reason.startswith("idle: ")


@pytest.mark.usefixtures("served")
def test_a_run_that_is_attached_is_use_though_it_asks_for_nothing(minded: Minded) -> None:
    kept(minded.workspace, "pilot", attached="engine-1")
    minded.ready()
    assert minded.uses() == [True]
    assert minded.pass_by(2 * IDLE_S) is None
    kept(minded.workspace, "pilot", attached="engine-1", keeper=dead)
    assert minded.pass_by(IDLE_S - 5) is None
    assert minded.uses() == [True, False]
    order = minded.pass_by(10)
    assert order is not None
    assert order.reason.startswith("idle: ")


@pytest.mark.usefixtures("served")
def test_a_run_that_is_attached_to_another_engine_is_no_use_of_this_one(minded: Minded) -> None:
    kept(minded.workspace, "pilot", attached="engine-2")
    minded.ready()
    assert minded.uses() == [False]


@pytest.mark.parametrize(
    "said", [None, answer("no such page", 404), answer(b"\xff" * 100)], ids=["silent", "missing", "binary"]
)
def test_metrics_that_fail_for_a_while_are_no_use(minded: Minded, served: FakeEngine, said: bytes | None) -> None:
    served.metrics(generated=5000)
    minded.ready()
    minded.heard()
    minded.tick()
    uses = minded.uses()
    served.says["/metrics"] = said
    minded.heard()
    minded.tick()
    served.metrics(generated=5000)
    minded.heard()
    minded.tick()
    assert minded.uses() == uses, "what was counted before was not generated just now"


def test_a_keeper_that_takes_over_does_not_take_old_tokens_for_use(minded: Minded, served: FakeEngine) -> None:
    served.metrics(generated=5000)
    minded.ready()
    minded.events.clear()
    minded.take_over()
    assert minded.minder.is_ready
    minded.heard()
    minded.tick()
    assert minded.uses() == [False]
    assert not any(isinstance(event, EngineReady) for event in minded.events), "it was ready before"


@pytest.mark.usefixtures("served")
def test_a_run_that_attached_in_the_last_moment_keeps_its_engine(minded: Minded) -> None:
    minded.ready()
    assert minded.pass_by(IDLE_S - 2) is None
    kept(minded.workspace, "pilot", attached="engine-1")
    minded.now += 2
    minded.minder._users_known = (minded.now, False)  # as it was looked up just before
    assert minded.minder.tick(minded.now) is None
    assert minded.record().state == "ready"
    assert minded.pass_by(2 * IDLE_S) is None


def test_who_stops_an_engine_says_so_before_it_looks_for_users(minded: Minded, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def users(_: RunFiles) -> list[str]:
        seen.append(minded.record().state)
        return ["pilot"] if len(seen) == 1 else []

    monkeypatch.setattr(minder, "users_of", users)
    assert minded.minder.claim_end() == ["pilot"]
    assert minded.record().state == "starting"
    assert minded.minder.claim_end() == []
    assert (seen, minded.record().state) == (["stopping", "stopping"], "stopping")
    minded.take_over()
    assert minded.record().state == "starting", "its keeper was killed over it"


# --- silence ---------------------------------------------------------------------------------------------------------


def test_an_engine_that_answered_and_falls_silent_is_taken_down_as_faulty(minded: Minded, served: FakeEngine) -> None:
    kept(minded.workspace, "pilot", attached="engine-1")
    minded.ready()
    served.says["/health"] = None
    wait_until(lambda: served.asked[-1] == "/health", what="a question in vain")
    assert minded.pass_by(SILENT_S - 5) is None
    assert minded.pass_by(20) == StopOrder("the engine has not answered for 120 s", fault=True)


def test_one_that_answers_again_in_time_stays(minded: Minded, served: FakeEngine) -> None:
    kept(minded.workspace, "pilot", attached="engine-1")
    minded.ready()
    for _ in range(2):
        assert minded.pass_by(SILENT_S - 20) is None
        minded.now = time.monotonic()
        minded.heard()
        assert minded.tick() is None


def test_an_engine_that_never_answers_its_new_keeper_is_taken_down(minded: Minded, served: FakeEngine) -> None:
    minded.ready()
    served.close()
    minded.take_over()
    assert minded.minder.is_ready
    assert minded.pass_by(SILENT_S - 5) is None
    assert minded.pass_by(20) == StopOrder("the engine has not answered for 120 s", fault=True)


@pytest.mark.usefixtures("served")
def test_a_keeper_that_was_suspended_does_not_take_its_own_gap_for_silence(minded: Minded) -> None:
    kept(minded.workspace, "pilot", attached="engine-1")
    minded.ready()
    minded.now += SILENT_S + GAP_S
    assert minded.minder.tick(minded.now) is None
    assert minded.pass_by(SILENT_S - 5) is None
    assert minded.pass_by(10) is not None, "silent ever since"


# --- its end and its files -------------------------------------------------------------------------------------------


def test_nobody_finds_an_engine_that_has_ended(minded: Minded, served: FakeEngine) -> None:
    minded.ready()
    minded.minder.ended("stopped by ann")
    assert (minded.record().state, minded.record().reason) == ("ended", "stopped by ann")
    assert not served.path.exists()
    minded.minder.ended("exit code 0")
    assert minded.record().reason == "stopped by ann", "the first word stands"


def test_an_engine_that_was_being_taken_down_is_not_made_ready_again(minded: Minded, served: FakeEngine) -> None:
    minded.ready()
    minded.minder.ended("stopped by ann")
    served.close()
    with fake_engine(served.path.parent):
        minded.take_over()
        minded.heard()
        assert minded.tick() == StopOrder("stopped by ann")
    assert minded.record().state == "ended"


def test_only_its_own_socket_is_removed_at_its_end(minded: Minded) -> None:
    precious = minded.files.folder / "precious"
    precious.write_text("x")
    for named in (str(precious), "a\0b"):
        says_of_itself(minded.files, "ready", socket_path=named)
        minded.take_over()
        assert minded.record().socket == minded.socket
        Path(minded.socket).write_text("no socket")
        minded.minder.ended("stopped")
    assert precious.exists()
    assert Path(minded.socket).exists()


@pytest.mark.usefixtures("served")
def test_that_it_is_ready_is_told_before_it_is_written(minded: Minded) -> None:
    states: list[str] = []
    minded.minder._report = lambda event: (
        states.append(minded.record().state) if isinstance(event, EngineReady) else None
    )
    minded.ready()
    assert states == ["starting"]


def test_a_record_that_cannot_be_written_is_written_later(minded: Minded, served: FakeEngine) -> None:
    away = minded.files.folder.with_name("away")
    minded.files.folder.rename(away)
    minded.ready()
    away.rename(minded.files.folder)
    assert minded.record().state == "starting"
    served.metrics(running=1)
    wait_until(lambda: minded.tick() is not None or minded.record().in_use, what="its use")
    assert minded.record().state == "ready"


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The host's folder for temporary files, with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_its_socket_lies_in_a_private_folder_of_the_host(temporary: Path) -> None:
    (temporary / f"pilothouse-{os.getuid()}").mkdir(0o755)
    found = socket_path(SPEC)
    assert found == temporary / f"pilothouse-{os.getuid()}" / "0123456789-12.sock"
    assert found.parent.stat().st_mode & 0o777 == 0o700


def test_a_socket_has_a_path_that_the_kernel_takes(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / ("x" * 90)))
    with socket.socket(socket.AF_UNIX) as listening:
        path = socket_path(SPEC)
        listening.bind(str(path))
        path.unlink()


def test_the_socket_of_an_earlier_keeper_is_believed_if_it_is_one_of_ours(minded: Minded, temporary: Path) -> None:
    usual = socket_path(minded.spec)
    other = temporary / "tmp" / usual.parent.name / usual.name
    other.parent.mkdir(parents=True)
    for named, found in (
        (other, other),
        (other.with_name("else.sock"), usual),
        (temporary / "nowhere" / usual.parent.name / usual.name, usual),
        (f"/a\0b/{usual.parent.name}/{usual.name}", usual),
    ):
        says_of_itself(minded.files, "ready", socket_path=str(named))
        assert known_socket(minded.files, minded.spec) == found


def test_an_engine_without_a_place_for_its_socket_is_refused_and_an_adopted_one_ends(
    runs: Runs, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runs.workspace.root / "runtime"))
    (temporary / "elsewhere").mkdir()
    (temporary / f"pilothouse-{os.getuid()}").symlink_to(temporary / "elsewhere")
    files, spec = kept(runs.workspace, "engine-1", keeper=dead)
    run = Run(files, spec)
    runs.made.append(run)
    run.adopt()
    assert run.end().state == "lost"
    files, spec = kept(runs.workspace, "engine-2")
    files.keeper.unlink()
    run = Run(files, spec)
    runs.made.append(run)
    with pytest.raises(RefusedError, match="belongs to somebody else"):
        run.start()
    assert not files.keeper.exists()
    assert run.events() == []


def test_a_folder_that_leads_elsewhere_is_not_taken(temporary: Path) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / f"pilothouse-{os.getuid()}").symlink_to(temporary / "elsewhere")
    with pytest.raises(RefusedError, match="belongs to somebody else"):
        socket_path(SPEC)
