"""The machine's idle countdown beside a kept engine: one that only waits for its next run keeps no machine up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.campaign.supervision import OnIdle
from engine.files import RunFiles, Workspace, write_json
from engine.journal.events import utc_now
from engine.supervise.claims import GpuClaim, claim_folder
from engine.supervise.identity import own_identity
from engine.supervise.idle import read_idle, tend_idle_watch
from engine.supervise.idle_watch import IdleWatch
from engine.supervise.liveness import read_keeper
from engine.supervise.machine_use import attempts_now, been_live_since, machine_use
from tests.supervise.fake_engine import dead, elsewhere, kept, says_of_itself
from tests.waiting import wait_until
from tests.watchers import bury_watchers

REPOSITORY = Path(__file__).resolve().parents[2]
ON_IDLE = OnIdle(after_minutes=10, command=("true",))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    found = Workspace(tmp_path / "workspace")
    found.configs.mkdir(parents=True)
    yield found
    bury_watchers(found.root)


@pytest.fixture
def engine(workspace: Workspace) -> RunFiles:
    """The files of an engine whose keeper lives."""
    return kept(workspace, "engine-1")[0]


def used(workspace: Workspace) -> bool:
    return machine_use(workspace, claim_folder())[1]


def test_an_engine_uses_the_machine_while_it_starts_works_or_ends(workspace: Workspace, engine: RunFiles) -> None:
    assert used(workspace), "its keeper has not written its record yet"
    says_of_itself(engine, "starting")
    assert used(workspace)
    says_of_itself(engine, "ready", in_use=True)
    assert used(workspace)
    says_of_itself(engine, "ended")
    assert used(workspace), "its keeper still sees to its end"
    engine.engine.write_text("{")
    assert used(workspace), "what cannot be read is not taken for idle"


def test_an_engine_that_waits_for_its_next_run_does_not(workspace: Workspace, engine: RunFiles) -> None:
    says_of_itself(engine, "ready")
    assert not used(workspace)


def test_a_run_beside_an_idle_engine_does(workspace: Workspace, engine: RunFiles) -> None:
    says_of_itself(engine, "ready")
    kept(workspace, "pilot", attached="engine-1")
    assert used(workspace)
    kept(workspace, "pilot", attached="engine-1", keeper=dead, ended=utc_now())
    assert not used(workspace)


def test_the_gpu_of_an_idle_engine_is_no_sign_of_use_but_that_of_another_is(
    workspace: Workspace, engine: RunFiles
) -> None:
    says_of_itself(engine, "ready")
    claim = GpuClaim("GPU-of-the-engine", "id-of-engine-1", "camp/engine-1")
    claim.note(own_identity())
    assert not used(workspace)
    other = GpuClaim("GPU-of-another", "id-of-another", "else/engine-1")
    other.note(own_identity())
    assert used(workspace), "nobody here knows whether that one is idle"
    other.release()
    assert not used(workspace)
    says_of_itself(engine, "ready", in_use=True)
    claim.release()
    kept(workspace, "engine-1", keeper=dead, ended=utc_now())
    assert not used(workspace)


@pytest.mark.parametrize("said", [True, False])
def test_an_engine_whose_keeper_was_killed_is_used_by_whom_is_attached_whatever_was_said(
    workspace: Workspace, engine: RunFiles, said: bool
) -> None:
    says_of_itself(engine, "ready", in_use=said)
    kept(workspace, "engine-1", keeper=dead)
    assert not used(workspace)
    kept(workspace, "pilot", attached="engine-1")
    assert used(workspace)


def test_the_watcher_gives_an_engine_whose_keeper_was_killed_another(workspace: Workspace, engine: RunFiles) -> None:
    kept(workspace, "engine-1", keeper=dead)
    says_of_itself(engine, "ready", in_use=True)
    IdleWatch(workspace, "camp", None, "viewer", least_visible_s=1)._tend_engines()
    record = wait_until(lambda: (found := read_keeper(engine)) and found.ended and found, what="its recorded end")
    assert record.adoption == 1


def test_an_engine_on_another_host_does_not_use_this_machine(workspace: Workspace) -> None:
    engine, _ = kept(workspace, "engine-1", keeper=elsewhere)
    says_of_itself(engine, "ready", in_use=True)
    assert not used(workspace)


def test_an_engine_that_was_started_has_been_live(workspace: Workspace) -> None:
    before = attempts_now(workspace)
    engine, _ = kept(workspace, "engine-1")
    says_of_itself(engine, "ready")
    after = attempts_now(workspace)
    assert after == {"id-of-engine-1": (1, 0)}
    assert been_live_since(before, after)
    assert not been_live_since(after, attempts_now(workspace)), "that it is idle still is nothing new"


def test_the_countdown_runs_beside_an_idle_engine(workspace: Workspace, engine: RunFiles) -> None:
    budget = {"on_idle": ON_IDLE.model_dump(mode="json")}
    generator = {"kind": "command", "argv": ["true"]}
    write_json(workspace.configs / "camp.yaml", {"name": "camp", "budget": budget, "generator": generator})
    says_of_itself(engine, "ready")
    tend_idle_watch(workspace, "camp", ON_IDLE, "viewer")
    counting = wait_until(lambda: read_idle(workspace, "camp"), what="a countdown")
    assert (counting.state, counting.command) == ("counting", ("true",))
