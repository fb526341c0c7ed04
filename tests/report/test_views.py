"""Plain-text views say what the snapshot holds, aligned, and nothing that a log could smuggle in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.campaign.models import Parameters
from engine.cli import console
from engine.qc.verdicts import CheckVerdict, GateVerdict, Needs, Verdict
from engine.report.comparison import comparison_rows
from engine.report.formatting import duration, headline, limit_text, metric_value, money, parameter_value
from engine.report.tables import status_text
from engine.report.watch import CampaignLines, RunLines
from engine.snapshot import CampaignSnapshot, Counts, LoggedAction, RunSnapshot, RunState, Snapshot


def check(verdict: Verdict, value: float | None) -> CheckVerdict:
    return CheckVerdict(
        metric="runaway_rate",
        op="<",
        limit=0.05,
        percent=True,
        value=value,
        verdict=verdict,
        n=43,
        failures=9,
        lower=0.1,
        upper=0.3,
        evidence=1.0,
        threshold=60.0,
        evidence_fail=1.0,
        threshold_fail=120.0,
        needs=Needs(None, None),
        reachable=True,
        sentence="9 of 43",
    )


def run(name: str, state: RunState, verdict: Verdict, *, kept: int = 43, temperature: float = 0.4) -> RunSnapshot:
    parameters = Parameters.model_validate({"response": {"temperature": temperature}})
    return RunSnapshot(
        id=f"c/{name}",
        name=name,
        kind="pilot",
        attempt=1,
        state=state,
        phase="generating" if state == "running" else None,
        pid=None,
        started=None,
        ended=None,
        exit_code=None,
        parameters=parameters,
        parameters_known=True,
        parent=None,
        counts=Counts(target=100, max_candidates=400, kept=kept),
        metrics={"runaway_rate": 9 / 43, "median_tokens": 32.0},
        computed=None,
        gate=GateVerdict(verdict, (check(verdict, 9 / 43),), 0.95, True, f"{verdict}: runaway 9 of 43"),
        reason="",
        cost_usd=2.0,
        active_s=2400,
        examples_per_second=None,
        log="run.log",
        folder=".",
        model="m",
    )


def campaign(*runs: RunSnapshot) -> CampaignSnapshot:
    return CampaignSnapshot("c", "waiting", "c.yaml", None, None, None, runs)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (metric_value("runaway_rate", 0.2093), "20.9 %"),
        (metric_value("median_tokens", 32.0), "32"),
        (metric_value("median_tokens", 30.5), "30.5"),
        (metric_value("delimiter_leakage", None), "–"),
        (money(4.2), "$4.20"),
        (money(0.0023), "$0.002"),
        (money(0), "$0.00"),
        (duration(8.2), "0:08"),
        (duration(761), "12:41"),
        (duration(3723), "1:02:03"),
        (limit_text(">=", 0.5, percent=True), "≥ 50 %"),
        (parameter_value(["\nQ:"]), "1 string"),
        (parameter_value([]), "none"),
    ],
)
def test_values_read_as_people_write_them(shown: str, expected: str) -> None:
    assert shown == expected


def test_headline_says_the_verdict_once() -> None:
    verdict = run("pilot", "succeeded", "fail").gate
    assert headline(verdict) == "FAIL: runaway 9 of 43"


def test_status_without_campaigns_says_what_to_do() -> None:
    assert "pilothouse demo" in status_text(Snapshot(".", "h"))


def test_watch_says_each_thing_once() -> None:
    lines = CampaignLines()
    first = list(lines.update(campaign(run("pilot", "running", "undecided", kept=0))))
    assert any("running" in line for line in first)
    assert list(lines.update(campaign(run("pilot", "running", "undecided", kept=0)))) == []
    later = list(lines.update(campaign(run("pilot", "running", "undecided", kept=25))))
    assert len(later) == 1
    assert "kept 25 of 100" in later[0]
    ended = list(lines.update(campaign(run("pilot", "succeeded", "fail"))))
    assert any("gate FAIL" in line for line in ended)
    assert list(lines.update(campaign(run("pilot", "succeeded", "fail")))) == []


STALL = "stalled while generating: nothing finished for 10 min; log silent for 9 min"
LAUNCHED = LoggedAction("2027-01-15T08:00:00Z", "kim@pod", "launched it")
ASKED = LoggedAction("2027-01-15T08:12:30Z", "ann@pod", "asked to stop it", pending=True)
RUNNING = run("pilot", "running", "undecided", kept=25)


def watched(*pictures: RunSnapshot) -> list[list[str]]:
    """The lines that each of the pictures adds; of each there is a second look, which adds nothing."""
    lines = RunLines()
    said = []
    for picture in pictures:
        said.append(list(lines.update(picture)))
        assert list(lines.update(picture)) == []
    return said


def test_a_stall_and_its_end_are_said_once() -> None:
    longer = replace(RUNNING, stalled=f"{STALL}; GPU at 0 %")
    _, stalled, still, over = watched(RUNNING, replace(RUNNING, stalled=STALL), longer, RUNNING)
    assert stalled == [f"c/pilot: {STALL}"]
    assert still == []
    assert over == ["c/pilot: goes on again after its stall"]


def test_a_stall_that_is_answered_by_a_restart_is_no_recovery() -> None:
    """The attempt is taken down, its restart awaited, and the next one begins: none of that is going on again."""
    noticed = LoggedAction("2027-01-15T08:10:00Z", "watchdog", "takes it down to restart it")
    down = replace(RUNNING, state="stopping", stalled=STALL, actions=(noticed,))
    waits = replace(RUNNING, state="queued", reason=f"{STALL}; restart 1 of 2 at 08:13:40 UTC", actions=(noticed,))
    again = replace(RUNNING, attempt=2, actions=(noticed,))
    _, falls, waiting, begun = watched(RUNNING, down, waits, again)
    assert falls == [
        "c/pilot: watchdog takes it down to restart it",
        "c/pilot: stopping, generating",
        f"c/pilot: {STALL}",
    ]
    assert waiting == [f"c/pilot: queued, {STALL}; restart 1 of 2 at 08:13:40 UTC"]
    assert begun[0].startswith("c/pilot: attempt 2")
    assert not any("again" in line for line in begun)
    _, late = watched(replace(RUNNING, stalled=STALL), again)
    assert not any("again" in line for line in late)


def test_who_acts_on_a_run_is_said_once_whether_it_is_taken_yet_or_not() -> None:
    seen = replace(RUNNING, actions=(LAUNCHED,))
    asked = replace(RUNNING, actions=(LAUNCHED, ASKED))
    taken = replace(RUNNING, state="stopping", actions=(LAUNCHED, replace(ASKED, pending=False)))
    first, second, third = watched(seen, asked, taken)
    assert not any("launched" in line for line in first), "what was done before one looked is history"
    assert second == ["c/pilot: ann@pod asked to stop it"]
    assert third == ["c/pilot: stopping, generating"]
    (waiting,) = watched(asked)
    assert "c/pilot: ann@pod asked to stop it" in waiting
    assert not any("launched" in line for line in waiting)


def test_a_stall_that_the_watchdog_only_notices_has_one_line() -> None:
    noticed = LoggedAction("2027-01-15T08:10:00Z", "watchdog", "noticed that it stalled")
    _, stalled = watched(RUNNING, replace(RUNNING, stalled=STALL, actions=(noticed,)))
    assert stalled == [f"c/pilot: {STALL}"]


def test_a_copy_that_fails_and_works_again_is_said_once() -> None:
    _, failed, otherwise, works = watched(
        RUNNING,
        replace(RUNNING, sync_error="rclone: no route to host"),
        replace(RUNNING, sync_error="rclone: permission denied"),
        replace(RUNNING, synced="2027-01-15T08:12:30Z"),
    )
    assert failed == ["c/pilot: sync failed: rclone: no route to host"]
    assert otherwise == []
    assert works == ["c/pilot: sync works again"]


def test_who_holds_the_memory_of_a_stopped_run_is_said() -> None:
    held = replace(RUNNING, state="stopped", gpu_held=True, gpu_held_by=("pid 4711 (python) on GPU 0",))
    _, ended = watched(RUNNING, held)
    assert "c/pilot: GPU memory still held by pid 4711 (python) on GPU 0" in ended
    text = status_text(Snapshot(".", "h", (campaign(held),)))
    assert "■ stopped GPU held" in text
    assert "  pilot: GPU memory still held by pid 4711 (python) on GPU 0" in text


def test_status_and_comparison_show_a_stall_and_a_restart_that_is_awaited() -> None:
    stalled = replace(RUNNING, stalled=STALL, sync_error="no route")
    text = status_text(Snapshot(".", "h", (campaign(stalled),)))
    assert "⚠ stalled (generating)" in text
    assert f"  pilot: {STALL}" in text
    assert "  pilot: sync failed: no route" in text
    _, rows = comparison_rows(campaign(stalled))
    assert rows[0] == ["state", "", "⚠ stalled"]
    waits = replace(RUNNING, state="queued", reason="stalled; restart 1 of 2 at 08:13:40 UTC")
    text = status_text(Snapshot(".", "h", (campaign(waits),)))
    assert "○ queued " in text
    assert "  pilot: stalled; restart 1 of 2 at 08:13:40 UTC" in text
    assert "stalled" not in status_text(Snapshot(".", "h", (campaign(RUNNING),)))


def test_what_is_said_is_sanitised(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    console.say("a\x1b]0;owned\x07b\x9b31mc\nd")
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert out.endswith("\nd\n")
