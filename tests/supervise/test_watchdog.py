"""A run stalls when it finishes nothing, however alive it looks; loading and compiling are not stalls."""

from __future__ import annotations

import signal

import pytest

from engine.campaign.supervision import StallConfig
from engine.journal.events import Recovered, Stalled
from engine.supervise.identity import signal_process
from engine.supervise.watchdog import Signs, Stall, Watchdog, stall_text
from tests.supervise.conftest import Run, Runs
from tests.waiting import wait_until

CONFIG = StallConfig(after_minutes=10, startup_minutes=45)
GENERATING = Signs("generating", items=100, journal=10, log=1000)


def looked(*looks: tuple[float, Signs], config: StallConfig = CONFIG) -> list[object]:
    """What the watchdog says to signs at these minutes, looked at every ten seconds in between."""
    dog = Watchdog(config, 0.0)
    said: list[object] = []
    now, signs = 0.0, looks[0][1]
    for minute, following in looks:
        while now < minute * 60:
            said.append(dog.look(signs, now))
            now += 10
        signs = following
    said.append(dog.look(signs, now))
    return [word for word in said if word is not None]


def test_nothing_finished_for_the_whole_patience_is_a_stall_told_once() -> None:
    assert looked((0, GENERATING), (9.8, GENERATING)) == []
    (stall,) = looked((0, GENERATING), (30, GENERATING))
    assert stall == Stall("generating", 600, 600)


def test_a_chatting_log_is_no_progress_while_generating() -> None:
    looks = [(minute, Signs("generating", items=100, log=minute)) for minute in range(12)]
    (stall,) = looked(*looks)
    assert isinstance(stall, Stall)
    assert stall.log_silent_s < 120


@pytest.mark.parametrize("phase", ["downloading", "loading", "compiling", "saving", "starting", "running"])
def test_other_phases_take_their_time_and_a_log_that_grows_is_progress_there(phase: str) -> None:
    still = Signs(phase, log=5)
    assert looked((0, still), (44, still)) == []
    assert len(looked((0, still), (46, still))) == 1
    assert looked(*((minute, Signs(phase, log=minute)) for minute in range(0, 200, 20))) == []


def test_a_new_phase_and_a_finished_item_are_progress() -> None:
    loading = Signs("loading", log=5)
    assert looked((0, loading), (40, Signs("generating", log=5)), (49, Signs("generating", log=5))) == []
    stalled, recovered = looked((0, GENERATING), (15, Signs("generating", items=101)), (15.5, GENERATING))
    assert isinstance(stalled, Stall)
    assert recovered == Recovered(time=recovered.time, silent_s=900)  # type: ignore[attr-defined]


def test_time_in_which_nobody_looked_counts_for_nothing() -> None:
    """The keeper was suspended (SIGSTOP, a machine that slept), and the run perhaps with it."""
    dog = Watchdog(CONFIG, 0.0)
    seconds = [0, 10, *range(3600, 4250, 10)]
    said = {second: dog.look(GENERATING, float(second)) for second in seconds}
    (stalled_at,) = (second for second, word in said.items() if word is not None)
    assert stalled_at == 4190, "ten seconds before the gap count, and what came after it"


def test_a_stall_in_words() -> None:
    event = Stalled(
        phase="generating",
        silent_s=600,
        log_silent_s=590,
        last_item="2026-01-02T03:04:05.0Z",
        gpu_utilisation={"GPU-1": 0.0},
        suspended=True,
    )
    assert stall_text(event) == (
        "stalled while generating: nothing finished for 10 min; the generator is suspended (SIGSTOP); "
        "log silent for 10 min; GPU at 0 %; last item at 03:04:05 UTC"
    )


# --- in a real keeper ---------------------------------------------------------------------------------------------

TWO_THEN_NOTHING = """
    import os, pathlib, time
    folder = pathlib.Path(os.environ["PILOTHOUSE_RUN_DIR"])
    print("up", flush=True)
    for index in range(2):
        with (folder / "records.jsonl").open("a") as records:
            records.write('{"v": 1, "index": %d}\\n' % index)
        time.sleep(0.2)
    while not (folder / "go").exists():
        time.sleep(0.02)
        print("busy", flush=True)
    with (folder / "records.jsonl").open("a") as records:
        records.write('{"v": 1, "index": 2}\\n')
    time.sleep(300)
"""


def stalling(runs: Runs, action: str, *, source: str = TWO_THEN_NOTHING, **restarts: object) -> Run:
    stall = {"after_minutes": 0.02, "startup_minutes": 0.05, "action": action}
    return runs.python(source, supervision={"stall": stall, "restarts": {"backoff_s": 0.1, **restarts}})


def the_stall(run: Run) -> Stalled:
    event = wait_until(lambda: run.events("stalled"), what="the stall")[0]
    assert isinstance(event, Stalled)
    return event


def test_a_stall_is_raised_with_what_is_known_and_taken_back(runs: Runs) -> None:
    run = stalling(runs, "notify")
    run.start()
    stall = the_stall(run)
    assert (stall.phase, stall.action, stall.suspended) == ("generating", "notify", False)
    assert stall.last_item is not None
    assert stall.silent_s >= 1.2
    assert stall.log_silent_s is not None
    assert stall.log_silent_s < 1
    (run.files.folder / "go").touch()
    wait_until(lambda: run.events("recovered"), what="the recovery")
    assert run.generator() is not None


def test_a_suspended_generator_is_told_as_such(runs: Runs) -> None:
    run = runs.python(
        "import time\nprint('up', flush=True)\ntime.sleep(300)\n",
        supervision={"stall": {"startup_minutes": 0.02}},
    )
    run.start()
    run.said("up")
    assert signal_process(run.generator(), signal.SIGSTOP)
    assert the_stall(run).suspended


def test_by_policy_a_stalled_run_is_stopped_and_failed(runs: Runs) -> None:
    run = stalling(runs, "stop")
    run.start()
    end = run.end()
    assert end.state == "failed"
    assert end.reason.startswith("stalled while generating: nothing finished for")
    wait_until(lambda: run.alive() == [], what="the keeper's end")
