"""The project's own generator under its keeper, on the model that ships with it."""

from __future__ import annotations

import signal

import pytest

from engine.campaign.loading import load_campaign, load_prompts
from engine.campaign.spec import RunSpec, create_spec
from engine.files import make_private_folder
from engine.journal.reader import JournalReader
from engine.supervise.stop import request_stop
from tests.supervise.conftest import REPOSITORY, Run, Runs
from tests.waiting import wait_until

CAMPAIGN = REPOSITORY / "configs" / "demo.yaml"


@pytest.fixture
def pocket(runs: Runs) -> Run:
    """A run of the demo campaign that would go on for minutes."""
    campaign = load_campaign(CAMPAIGN)
    files = runs.workspace.run_files("demo", "pilot")
    make_private_folder(files.folder)
    spec = RunSpec(
        campaign="demo",
        run="pilot",
        kind="pilot",
        workspace=str(runs.workspace.root),
        model=campaign.model,
        prompts=load_prompts(campaign, CAMPAIGN),
        pipeline=campaign.pipeline,
        target={"examples": 5000},
        parameters=campaign.parameters,
    )
    create_spec(files, spec)
    run = Run(files, spec)
    runs.made.append(run)
    return run


def records(run: Run) -> list[int]:
    return [value["index"] for value in JournalReader(run.files.records).read_new()]


def test_a_graceful_stop_keeps_the_records_and_writes_the_artifacts(pocket: Run) -> None:
    pocket.start()
    wait_until(lambda: len(records(pocket)) >= 5, timeout=60, what="the first records")
    end = request_stop(pocket.files, author="ann")
    assert (end.state, end.reason, end.exit_code) == ("stopped", "stopped by ann", 0)
    assert pocket.alive() == []
    assert pocket.files.qc_summary.is_file()
    assert pocket.files.pilot_data.is_file()


def test_sigkill_of_keeper_and_generator_and_a_restart_keep_each_record_once(pocket: Run) -> None:
    pocket.start()
    wait_until(lambda: len(records(pocket)) >= 5, timeout=60, what="the first records")
    pocket.kill(pocket.keeper())
    pocket.kill(pocket.generator(), signal.SIGKILL)
    before = records(pocket)
    pocket.start()
    wait_until(lambda: len(records(pocket)) >= len(before) + 5, timeout=60, what="more records")
    end = request_stop(pocket.files, now=True, author="ann")
    assert end.attempt == 2
    after = records(pocket)
    assert after[: len(before)] == before
    assert len(set(after)) == len(after)


def test_an_adopted_generator_that_finishes_is_succeeded_by_its_own_word(pocket: Run) -> None:
    pocket.start(examples=8, max_candidates=200)
    wait_until(lambda: records(pocket), timeout=60, what="the first record")
    pocket.kill(pocket.keeper())
    pocket.adopt()
    end = pocket.end(timeout=90)
    assert (end.state, end.exit_code) == ("succeeded", None)
    assert "8" in end.reason
