"""A keeper starts its run again by itself so often and no more, later and later, and lets itself be told no."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.spec import RunSpec
from engine.files import RunFiles, make_private_folder
from engine.journal.events import KeeperStarted, RestartPlanned, RestartSettled, RunEnded
from engine.supervise.ending import Ending, StopOrder
from engine.supervise.generator import Exit
from engine.supervise.identity import own_identity
from engine.supervise.keeper_journal import KeeperJournal
from engine.supervise.restarts import WATCHDOG, Plan, plan_restart
from engine.supervise.stop import request_stop
from tests.supervise.conftest import Run, Runs
from tests.waiting import wait_until

FAILED = Ending("failed", "exit code 1")
STALLED = Ending("failed", "stalled")
STALL_ORDER = StopOrder("stalled", fault=True, restart=True)


def spec(**restarts: object) -> RunSpec:
    return RunSpec.model_validate(
        {"campaign": "c", "run": "pilot", "kind": "pilot", "supervision": {"restarts": restarts}}
    )


@pytest.fixture
def journal(tmp_path: Path) -> KeeperJournal:
    files = RunFiles(tmp_path / "c" / "pilot")
    make_private_folder(files.folder)
    return KeeperJournal(files)


def attempts(journal: KeeperJournal, *authors: str, progressed: bool | None = True) -> KeeperJournal:
    """A journal of so many attempts; all but the last have ended."""
    for number, author in enumerate(authors, 1):
        journal.append(KeeperStarted(attempt=number, author=author, keeper=own_identity()))
        if number < len(authors):
            journal.append(RunEnded(attempt=number, state="failed", reason="", progressed=progressed))
    return journal


def planned(journal: KeeperJournal, ending: Ending = STALLED, **options: Any) -> tuple[Ending, Plan | None]:
    options = {"order": STALL_ORDER, "ended": Exit(code=0), "progressed": True, "spec": spec(backoff_s=30)} | options
    return plan_restart(
        options.pop("spec"), ending, options.pop("order"), options.pop("ended"), journal=journal, **options
    )


def test_each_restart_waits_twice_as_long_and_then_there_are_none(journal: KeeperJournal) -> None:
    assert planned(attempts(journal, "ann"))[1] == Plan(1, 2, 30, "stalled")
    assert planned(attempts(journal, "ann", WATCHDOG))[1] == Plan(2, 2, 60, "stalled")
    ending, plan = planned(attempts(journal, "ann", WATCHDOG, WATCHDOG))
    assert plan is None
    assert ending == Ending("failed", "stalled; not restarted: all 2 restarts are spent")


def test_a_person_who_starts_it_begins_the_count_anew(journal: KeeperJournal) -> None:
    assert planned(attempts(journal, "ann", WATCHDOG, WATCHDOG, "ben"))[1] == Plan(1, 2, 30, "stalled")


def test_two_attempts_in_a_row_that_finished_nothing_end_it(journal: KeeperJournal) -> None:
    attempts(journal, "ann", WATCHDOG, progressed=False)
    ending, plan = planned(journal, progressed=False)
    assert plan is None
    assert ending.reason == "stalled; not restarted: two attempts in a row finished nothing"
    assert planned(journal, progressed=True)[1] is not None
    assert planned(journal, progressed=None)[1] is not None, "of a foreign program it is not known"


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        (Ending("stopped", "stopped by ann"), {"order": StopOrder("stopped by ann")}),
        (Ending("failed", "the disk is full"), {"order": StopOrder("the disk is full", fault=True)}),
        (Ending("succeeded", "completed"), {}),
        (Ending("lost", "nobody saw it"), {"order": None}),
        (FAILED, {"order": None, "ended": Exit(code=1)}),
        (FAILED, {"order": None, "ended": Exit(code=2), "spec": spec(after_failure=True)}),
    ],
)
def test_what_is_not_restarted(journal: KeeperJournal, ending: Ending, options: dict[str, Any]) -> None:
    assert planned(attempts(journal, "ann"), ending, **options) == (ending, None)


def test_a_failure_is_restarted_where_the_campaign_says_so(journal: KeeperJournal) -> None:
    plan = planned(
        attempts(journal, "ann"), FAILED, order=None, ended=Exit(signal=9), spec=spec(after_failure=True, backoff_s=1)
    )[1]
    assert plan == Plan(1, 2, 1, "exit code 1")


# --- in a real keeper ---------------------------------------------------------------------------------------------

CAMPAIGN = """
name: camp
generator: {kind: command, argv: [python3, x]}
"""


def failing(runs: Runs, backoff_s: float, most: int = 1) -> Run:
    (runs.workspace.configs / "camp.yaml").write_text(CAMPAIGN)
    restarts = {"most": most, "backoff_s": backoff_s, "after_failure": True}
    return runs.python("import sys; print('tried', flush=True); sys.exit(3)", supervision={"restarts": restarts})


def test_a_failing_run_is_restarted_so_often_and_no_more(runs: Runs) -> None:
    run = failing(runs, backoff_s=0.1)
    run.start()
    end = run.end(attempt=2, timeout=30)
    assert end.state == "failed"
    assert end.reason == "exit code 3: tried; not restarted: all 1 restarts are spent"
    assert [event.author for event in run.events("keeper_started")] == ["tester", WATCHDOG]  # type: ignore[attr-defined]
    (plan,) = run.aftermath("restart_planned")
    assert isinstance(plan, RestartPlanned)
    assert (plan.number, plan.most, plan.reason) == (1, 1, "exit code 3: tried")
    (settled,) = wait_until(lambda: run.aftermath("restart_settled"), what="the first keeper's word")
    assert isinstance(settled, RestartSettled)
    assert settled.started
    assert run.log().count("tried") == 2
    wait_until(lambda: run.alive() == [], what="the end of all keepers")
    assert not run.files.claim(3).exists()


def test_a_stop_calls_a_planned_restart_off(runs: Runs) -> None:
    run = failing(runs, backoff_s=60)
    run.start()
    wait_until(lambda: run.aftermath("restart_planned"), what="the plan")
    end = request_stop(run.files, author="ann")
    assert end.state == "failed"
    (settled,) = run.aftermath("restart_settled")
    assert isinstance(settled, RestartSettled)
    assert (settled.started, settled.author) == (False, "ann")
    wait_until(lambda: run.alive() == [], what="the keeper's end")
    assert not run.files.claim(2).exists()


def test_a_person_who_restarts_at_once_makes_the_planned_restart_moot(runs: Runs) -> None:
    run = failing(runs, backoff_s=60)
    keeper = run.start()
    wait_until(lambda: run.aftermath("restart_planned"), what="the plan")
    run.start()
    (settled,) = wait_until(lambda: run.aftermath("restart_settled"), what="the first keeper's word")
    assert isinstance(settled, RestartSettled)
    assert (settled.started, settled.detail) == (False, "somebody else started the run")
    wait_until(lambda: not Path(f"/proc/{keeper.pid}/exe").exists() or keeper.pid == os.getpid(), what="its end")
    run.end(attempt=2)
