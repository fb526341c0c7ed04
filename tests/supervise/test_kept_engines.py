"""Kept engines as others see them: which is up, who uses it, and what would need another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.campaign.loading import load_campaign
from engine.campaign.models import ModelConfig
from engine.campaign.spec import RunSpec, read_spec
from engine.files import Workspace
from engine.journal.events import utc_now
from engine.supervise.engines.kept import (
    attached_keepers,
    attached_runs,
    differing_options,
    engines_of,
    live_engine,
    serves,
)
from tests.supervise.fake_engine import MODEL, dead, elsewhere, kept


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_engines_are_told_from_runs_and_counted_not_spelt(workspace: Workspace) -> None:
    for name in ("engine-10", "pilot", "engine-9", "engine-x", "iteration-1"):
        kept(workspace, name)
    assert [files.folder.name for files in engines_of(workspace, "camp")] == ["engine-9", "engine-10"]
    assert engines_of(workspace, "another") == []


def test_the_newest_engine_that_lives_is_the_one_that_is_up(workspace: Workspace) -> None:
    assert live_engine(workspace, "camp") is None
    kept(workspace, "engine-1")
    kept(workspace, "engine-2")
    kept(workspace, "engine-3", keeper=dead)
    kept(workspace, "engine-4", ended=utc_now())
    kept(workspace, "engine-5", keeper=elsewhere)
    kept(workspace, "pilot")
    found = live_engine(workspace, "camp")
    assert found is not None
    assert (found.name, found.live, found.spec.run_id) == ("engine-2", True, "id-of-engine-2")


def test_an_engine_whose_spec_is_damaged_is_seen_and_serves_nothing(workspace: Workspace) -> None:
    damaged, _ = kept(workspace, "engine-1")
    damaged.spec.write_text("{")
    found = live_engine(workspace, "camp")
    assert found is not None
    assert (found.name, found.live, serves(found.spec, MODEL)) == ("engine-1", True, False)


def test_the_keepers_of_its_users_tell_what_they_may_spend(workspace: Workspace) -> None:
    engine, _ = kept(workspace, "engine-1")
    kept(workspace, "pilot", attached="engine-1")
    assert {name: record.attempt for name, record in attached_keepers(engine).items()} == {"pilot": 1}


def test_the_users_of_an_engine_are_the_live_runs_that_name_it(workspace: Workspace) -> None:
    engine, _ = kept(workspace, "engine-1")
    kept(workspace, "pilot", attached="engine-1")
    kept(workspace, "iteration-1", attached="engine-1")
    kept(workspace, "iteration-2", attached="engine-1", keeper=dead)
    kept(workspace, "iteration-3", attached="engine-1", ended=utc_now())
    kept(workspace, "iteration-4", attached="engine-2")
    kept(workspace, "iteration-5")
    kept(workspace, "engine-2", attached="engine-1")
    broken, _ = kept(workspace, "iteration-6", attached="engine-1")
    broken.keeper.write_text("{")
    (workspace.artifacts / "camp" / "notes.txt").write_text("not a run")
    assert attached_runs(engine) == ["iteration-1", "pilot"]


# --- what would need another engine ----------------------------------------------------------------------------------

ENGINE = RunSpec(campaign="camp", run="engine-1", kind="engine", model=MODEL)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"path": "/models/32B"}, ["path /models/7B → /models/32B"]),
        ({"backend": "server"}, ["backend vllm → server"]),
        ({"options": {"max_model_len": 4096}}, ["max_model_len 2048 → 4096"]),
        ({"options": {}}, ["max_model_len 2048 → –"]),
        ({"options": {"max_model_len": 2048, "dtype": "half"}}, ["dtype – → half"]),
        ({"options": {"max_model_len": 2048, "dtype": None}}, ["dtype – → null"]),
        ({"options": {"max_model_len": None}}, ["max_model_len 2048 → null"]),
        ({"options": {"max_model_len": 1, "seed": 2}}, ["max_model_len 2048 → 1", "seed – → 2"]),
    ],
)
def test_another_model_or_other_engine_options_need_another_engine(fields: dict[str, Any], told: list[str]) -> None:
    wanted = MODEL.model_copy(update=fields)
    assert not serves(ENGINE, wanted)
    assert differing_options(ENGINE, wanted) == told, "whatever needs another engine is named"


@pytest.mark.parametrize(
    "options",
    [
        {"max_model_len": 2048},
        {"max_model_len": 2048, "repetition_detection": {"max_pattern_size": 20, "min_count": 4}},
    ],
)
def test_what_each_request_carries_needs_no_other_engine(options: dict[str, Any]) -> None:
    wanted = ModelConfig(path="/models/7B", backend="vllm", options=options)
    assert serves(ENGINE, wanted)
    assert differing_options(ENGINE, wanted) == []


def test_a_campaign_is_served_by_the_engine_that_it_started_whatever_its_options_are(workspace: Workspace) -> None:
    workspace.configs.mkdir()
    path = workspace.configs / "camp.yaml"
    options = (
        "{a: 1, b: [1, [2.5, x]], c: {x: null, y: true}, d: 1.0e-3, e: 'ü', f: '1', g: null, h: 12345678901234567}"
    )
    path.write_text(
        "name: camp\n"
        "prompts: {instructions: a, response: b, instruction_critic: c, pair_critic: d}\n"
        f"model: {{path: m, backend: vllm, options: {options}}}\n"
    )
    model = load_campaign(path).model
    files, _ = kept(workspace, "engine-1", model=model)
    assert serves(read_spec(files), load_campaign(path).model)
