"""What a launch makes of the campaign's engine: started, attached to, replaced, or refused; and what is said of it."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import Any

import pytest

from engine.campaign.models import Campaign, ModelConfig
from engine.campaign.naming import check_not_an_engine
from engine.campaign.spec import read_spec
from engine.errors import ConfigurationError, NotFoundError, RefusedError
from engine.files import Workspace, make_private_folder
from engine.journal.events import utc_now
from engine.replay.engines import ASSUMED_START_S, engine_snapshot
from engine.replay.run import RunReplay
from engine.snapshot import EngineSnapshot
from engine.supervise.engines.kept import live_engine
from engine.warm import EnginePlan, ensure_engine, plan_engine, stop_engine
from tests.supervise.conftest import Run, Runs
from tests.supervise.fake_engine import MODEL, dead, elsewhere, kept, says_of_itself

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
