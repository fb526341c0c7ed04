"""What a launch makes of the campaign's engine: started, attached to, replaced, or refused; and what is said of it."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engine.campaign.models import Campaign, ModelConfig
from engine.campaign.naming import check_not_an_engine
from engine.campaign.spec import read_spec
from engine.errors import ConfigurationError, NotFoundError, RefusedError
from engine.files import Workspace, make_private_folder, write_json
from engine.journal.events import RequestTaken, utc_now
from engine.replay.engines import ASSUMED_START_S, engine_snapshot
from engine.replay.run import RunReplay
from engine.snapshot import EngineSnapshot
from engine.supervise.charge import Charge
from engine.supervise.engines.kept import live_engine
from engine.supervise.engines.users import users_of
from engine.supervise.keeper_journal import KeeperJournal
from engine.supervise.liveness import read_keeper
from engine.supervise.requests import pending, write_request
from engine.supervise.takedown import Takedown
from engine.warm import EnginePlan, ensure_engine, plan_engine, start_on_engine, stop_engine
from tests.supervise.conftest import Run, Runs
from tests.supervise.fake_engine import MODEL, dead, elsewhere, kept, says_of_itself
from tests.waiting import wait_until

LONGER = MODEL.model_copy(update={"options": {"max_model_len": 4096}})


@pytest.fixture
def workspace(runs: Runs) -> Workspace:
    return runs.workspace


def campaign(**fields: Any) -> Campaign:
    given = {"name": "camp", "model": MODEL, "engine": {"keep_warm": True}, "budget": {"gpu_usd_per_hour": 4.0}}
    return Campaign.model_validate(given | fields)


def plan(workspace: Workspace, model: ModelConfig = MODEL, picture: EngineSnapshot | None = None) -> EnginePlan:
    return plan_engine(workspace, campaign(), model, picture)


def ensure(
    workspace: Workspace,
    model: ModelConfig = MODEL,
    *,
    said: list[str] | None = None,
    wanted: bool | None = None,
    **fields: Any,
) -> str:
    say = (said if said is not None else []).append
    return ensure_engine(workspace, campaign(**fields), model, author="ann", budget_left=None, say=say, wanted=wanted)


# --- the plan --------------------------------------------------------------------------------------------------------


def test_where_there_is_no_engine_one_is_started_at_a_price(workspace: Workspace) -> None:
    assert plan(workspace) == EnginePlan(
        "start", "starts an engine: about 2 min and $0.10 until it answers", ASSUMED_START_S, 0.1
    )


@pytest.mark.parametrize(
    ("start_s", "fits", "words"),
    [
        (27.0, True, "about 27 s and $0.03"),
        (360.0, True, "about 6 min and $0.40"),
        (360.0, False, "about 2 min and $0.10"),
        (None, True, "about 2 min and $0.10"),
    ],
)
def test_the_price_is_that_of_the_last_start_of_such_an_engine(
    workspace: Workspace, start_s: float | None, fits: bool, words: str
) -> None:
    files, spec = kept(workspace, "engine-1", ended=utc_now())
    picture = replace(engine_snapshot(RunReplay(files, spec), None, ()), start_s=start_s, fits=fits)
    found = plan(workspace, picture=picture)
    assert (found.kind, found.sentence) == ("start", f"starts an engine: {words} until it answers")
    assert found.cost_usd == pytest.approx(found.start_s / 900)


def test_an_engine_that_is_up_and_fits_is_attached_to_for_nothing(workspace: Workspace) -> None:
    kept(workspace, "engine-3")
    assert plan(workspace) == EnginePlan("attach", "attaches to engine-3, which is up")
    cold = campaign(engine={"keep_warm": False})
    assert plan_engine(workspace, cold, MODEL, None).kind == "attach", "also where none would be started"


def test_other_options_replace_the_engine_and_the_change_is_named(workspace: Workspace) -> None:
    kept(workspace, "engine-1")
    found = plan(workspace, LONGER)
    assert found.kind == "replace"
    assert found.sentence.startswith("stops engine-1 and starts another (max_model_len 2048 → 4096): about 2 min and $")
    assert found.cost_usd == pytest.approx(0.1)


def test_an_engine_that_is_about_to_end_is_not_attached_to(workspace: Workspace) -> None:
    files, _ = kept(workspace, "engine-1")
    says_of_itself(files, "ready")
    assert plan(workspace).kind == "attach"
    says_of_itself(files, "ended")
    assert plan(workspace).kind == "start", "the launch starts another, so that is what is said"
    assert plan(workspace, LONGER).kind == "start"
    assert plan_engine(workspace, campaign(engine={"keep_warm": False}), MODEL, None).kind == "none"


@pytest.mark.parametrize(
    "fields",
    [
        {"engine": {"keep_warm": False}},
        {"model": {"path": "pocket", "backend": "ctranslate2"}},
        {"model": {"path": "m", "backend": "server", "options": {"url": "http://127.0.0.1:1"}}},
        {"generator": {"kind": "command", "argv": ["true"]}},
    ],
)
def test_without_an_engine_to_keep_the_run_loads_its_model_itself(workspace: Workspace, fields: dict[str, Any]) -> None:
    config = campaign(**fields)
    assert plan_engine(workspace, config, config.model, None) == EnginePlan("none")
    name = ensure_engine(workspace, config, config.model, author="ann", budget_left=None, say=print)
    assert name == ""
    assert not workspace.artifacts.exists()


# --- the launch ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [None, True, False])
def test_a_run_attaches_to_what_is_up(workspace: Workspace, wanted: bool | None) -> None:
    kept(workspace, "engine-1", keeper=dead)
    kept(workspace, "engine-2")
    said: list[str] = []
    assert ensure(workspace, said=said, wanted=wanted) == "engine-2"
    assert said == []


@pytest.mark.parametrize("model", [MODEL, LONGER])
def test_an_engine_is_not_started_where_none_is_wanted(workspace: Workspace, model: ModelConfig) -> None:
    files, _ = kept(workspace, "engine-1")
    says_of_itself(files, "ended" if model is MODEL else "ready")
    assert ensure(workspace, model, wanted=False) == ""
    assert not workspace.run_files("camp", "engine-2").folder.exists()


def test_an_engine_in_use_is_not_replaced(workspace: Workspace) -> None:
    files, _ = kept(workspace, "engine-1")
    kept(workspace, "pilot", attached="engine-1")
    said: list[str] = []
    with pytest.raises(RefusedError) as refused:
        ensure(workspace, LONGER, said=said)
    assert refused.value.what == "camp/engine-1 serves something else (max_model_len 2048 → 4096), and pilot uses it"
    assert said == []
    assert not files.requests.exists(), "nobody asked it to stop"
    assert not workspace.run_files("camp", "engine-2").folder.exists()


def test_what_is_refused_before_its_start_leaves_no_engine(workspace: Workspace) -> None:
    said: list[str] = []
    with pytest.raises(RefusedError, match=r"too little for camp/engine-1"):
        ensure(workspace, said=said, supervision={"reserve_disk_mb": 1e9})
    files = workspace.run_files("camp", "engine-1")
    assert not files.spec.exists()
    assert not files.launch_claim.exists()
    assert said == []
    assert plan(workspace).kind == "start"


def test_of_two_launches_at_once_one_starts_the_engine_that_both_attach_to(workspace: Workspace) -> None:
    files, _ = kept(workspace, "engine-1")
    files.keeper.unlink()  # claimed, and its keeper on the way
    found: list[str] = []
    second = threading.Thread(target=lambda: found.append(ensure(workspace)))
    second.start()
    second.join(0.15)
    assert second.is_alive(), "it waits for that keeper"
    kept(workspace, "engine-1")
    second.join(10)
    assert found == ["engine-1"]
    assert not workspace.run_files("camp", "engine-2").folder.exists()


def test_the_next_engine_is_started_with_a_keeper_of_its_own(runs: Runs) -> None:
    files, _ = kept(runs.workspace, "engine-4")
    files.keeper.unlink()
    os.utime(files.launch_claim, (0, 0))  # claimed long ago by somebody who never came: it is not waited for
    kept(runs.workspace, "engine-1", keeper=dead, ended=utc_now())
    killed_over = runs.workspace.run_files("camp", "engine-5")
    make_private_folder(killed_over.folder)
    killed_over.launch_claim.touch()
    os.utime(killed_over.folder, (0, 0))
    said: list[str] = []
    assert ensure(runs.workspace, said=said) == "engine-6"
    assert said == ["camp/engine-6 starts"]
    started = runs.workspace.run_files("camp", "engine-6")
    spec = read_spec(started)
    runs.made.append(Run(started, spec))
    assert (spec.kind, spec.author, spec.model, spec.budget.gpu_usd_per_hour) == ("engine", "ann", MODEL, 4.0)
    found = live_engine(runs.workspace, "camp")
    assert found is not None
    assert found.name == "engine-6"


def test_an_engine_that_somebody_claims_just_now_is_waited_for(workspace: Workspace) -> None:
    files = workspace.run_files("camp", "engine-1")
    make_private_folder(files.folder)
    files.launch_claim.touch()
    with pytest.raises(RefusedError, match="at the same time"):
        ensure(workspace)
    assert not workspace.run_files("camp", "engine-2").folder.exists()


# --- attaching against stopping --------------------------------------------------------------------------------------


def test_a_run_whose_engine_just_stops_is_started_on_the_next(runs: Runs) -> None:
    engine, _ = kept(runs.workspace, "engine-1")
    kept(runs.workspace, "engine-2")
    run = runs.python("import time; time.sleep(60)")
    names = iter(["engine-1", "engine-2"])
    says_of_itself(engine, "ended")
    start_on_engine(runs.workspace, "camp", lambda: next(names), run.start)
    record = read_keeper(run.files)
    assert record is not None
    assert (record.attempt, record.engine) == (1, "engine-2")
    assert [event.attempt for event in run.events("keeper_started")] == [1]


def test_a_run_waits_while_its_engine_decides(runs: Runs) -> None:
    engine, _ = kept(runs.workspace, "engine-1")
    says_of_itself(engine, "stopping")
    run = runs.python("import time; time.sleep(60)")
    started = threading.Thread(target=lambda: run.start(engine="engine-1"))
    started.start()
    wait_until(run.files.keeper.exists, what="its word that it uses the engine")
    assert users_of(engine) == ["pilot"]
    assert run.events() == []
    says_of_itself(engine, "ready")
    started.join(10)
    assert run.events("keeper_started")


def test_what_is_refused_for_another_reason_is_not_tried_again(workspace: Workspace) -> None:
    kept(workspace, "engine-1")
    tries: list[str] = []

    def start(engine: str) -> None:
        tries.append(engine)
        raise RefusedError("the disk is full")

    with pytest.raises(RefusedError, match="the disk is full"):
        start_on_engine(workspace, "camp", lambda: "engine-1", start)
    assert tries == ["engine-1"]


def test_a_run_whose_keeper_is_on_the_way_uses_its_engine_while_its_claim_is_fresh(workspace: Workspace) -> None:
    engine, _ = kept(workspace, "engine-1")
    files, _ = kept(workspace, "pilot")
    assert users_of(engine) == []
    write_json(files.claim(2), {"engine": "engine-1"})
    assert users_of(engine) == ["pilot"]
    os.utime(files.claim(2), (0, 0))
    assert users_of(engine) == []


def test_the_keeper_of_an_engine_refuses_a_plain_stop_that_came_too_late(runs: Runs) -> None:
    run = runs.python("import time; time.sleep(60)", "pilot")
    minder = SimpleNamespace(claim_end=lambda: ["pilot"])
    down = Takedown(run.files, run.spec, Charge(1, "ann"), errands=None)  # type: ignore[arg-type]
    down.minder = minder  # type: ignore[assignment]
    down.journal = KeeperJournal(run.files)
    write_request(run.files, "stop", 1, "ann")
    down.take_requests()
    (taken,) = run.events("request_taken")
    assert isinstance(taken, RequestTaken)
    assert (taken.accepted, taken.note, down.order) == (False, "it is used by pilot", None)
    write_request(run.files, "stop-now", 1, "ann")
    down.take_requests()
    assert down.order is not None


def test_who_asked_for_a_stop_is_told_that_it_is_refused(workspace: Workspace) -> None:
    files, _ = kept(workspace, "engine-1")
    journal = KeeperJournal(files)

    def answer() -> None:
        (request,) = wait_until(lambda: pending(files, ()), what="a request")
        journal.append(
            RequestTaken(
                attempt=1, file=request.file, request="stop", author="ann", accepted=False, note="it is used by pilot"
            )
        )

    threading.Thread(target=answer).start()
    with pytest.raises(RefusedError, match="camp/engine-1 is not stopped: it is used by pilot"):
        stop_engine(workspace, "camp", now=False, author="ann", say=print)


def test_the_end_of_a_run_gives_its_engine_a_keeper_where_that_was_killed(runs: Runs) -> None:
    engine, _ = kept(runs.workspace, "engine-1")
    run = runs.python("import time; time.sleep(1)")
    run.start(engine="engine-1")
    kept(runs.workspace, "engine-1", keeper=dead)
    wait_until(lambda: (found := read_keeper(engine)) and found.adoption == 1 and found.ended, what="its end")


# --- stopping --------------------------------------------------------------------------------------------------------


def test_a_campaign_without_an_engine_has_none_to_stop(workspace: Workspace) -> None:
    kept(workspace, "pilot")
    with pytest.raises(NotFoundError, match="camp has no engine"):
        stop_engine(workspace, "camp", now=False, author="ann", say=print)


def test_an_engine_in_use_is_not_stopped_unless_at_once(workspace: Workspace) -> None:
    files, _ = kept(workspace, "engine-1")
    kept(workspace, "pilot", attached="engine-1")
    kept(workspace, "iteration-1", attached="engine-1")
    with pytest.raises(RefusedError) as refused:
        stop_engine(workspace, "camp", now=False, author="ann", say=print)
    assert refused.value.what == "camp/engine-1 is used by iteration-1, pilot"
    assert "pilothouse stop camp/iteration-1" in (refused.value.remedy or "")
    assert not files.requests.exists()


@pytest.mark.parametrize("now", [False, True])
def test_an_engine_that_has_ended_is_not_running(workspace: Workspace, now: bool) -> None:
    kept(workspace, "engine-1", keeper=dead, ended=utc_now())
    kept(workspace, "engine-2", keeper=dead, ended=utc_now())
    with pytest.raises(RefusedError, match="camp/engine-2 is not running"):
        stop_engine(workspace, "camp", now=now, author="ann", say=print)
    with pytest.raises(RefusedError, match="camp/engine-1 is not running"):
        stop_engine(workspace, "camp", now=now, author="ann", say=print, name="engine-1")


def test_an_engine_on_another_host_is_none_to_attach_to(workspace: Workspace) -> None:
    kept(workspace, "engine-1", keeper=elsewhere)
    assert plan(workspace).kind == "start"


def test_no_run_is_called_as_engines_are() -> None:
    with pytest.raises(ConfigurationError, match="is what a kept engine is called"):
        check_not_an_engine("engine-7")
    for name in ("pilot", "engine", "engine-x", "my-engine-1"):
        check_not_an_engine(name)
