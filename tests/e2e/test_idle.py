"""The idle countdown as a person meets it: real runs, a real watcher, the real command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import PYTHON, Desk
from tests.waiting import wait_until
from tests.watchers import bury_watchers, watchers

CAMPAIGN = """
name: camp
generator: {{kind: command, argv: [/bin/sh, -c, "{program}"]}}
budget: {{on_idle: {{after_minutes: {minutes}, command: [/bin/sh, -c, "echo fired >> fired"]}}}}
"""


@pytest.fixture
def idle_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The campaign `camp`, whose countdown nobody will live to see the end of."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(desk.folder / "runtime"))
    save(desk)
    yield desk
    bury_watchers(desk.folder)


def save(desk: Desk, *, minutes: float = 10, program: str = "exit 0") -> None:
    (desk.folder / "configs" / "camp.yaml").write_text(CAMPAIGN.format(minutes=minutes, program=program))


def ok(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def launch(desk: Desk, run: str = "pilot") -> None:
    ok(desk.run("launch", "camp", "--run", run, "--yes", "--wait"))


def countdown(desk: Desk, *states: str) -> dict[str, Any]:
    """The countdown as `status --json` shows it, once its state is one of `states`."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] | None = desk.status("camp")["idle"]
        return found if found is not None and found["state"] in states else None

    return wait_until(look, what=f"a countdown that is {' or '.join(states)}")


@pytest.mark.slow
def test_an_idle_machine_is_stopped_after_its_last_run(idle_desk: Desk) -> None:
    save(idle_desk, minutes=0.02)
    launch(idle_desk)
    assert countdown(idle_desk, "done")["command"] == ["/bin/sh", "-c", "echo fired >> fired"]
    assert (idle_desk.folder / "fired").read_text() == "fired\n"
    assert "was run" in ok(idle_desk.run("idle", "camp"))


@pytest.mark.slow
def test_every_view_shows_the_countdown_and_anyone_cancels_it(idle_desk: Desk) -> None:
    launch(idle_desk)
    countdown(idle_desk, "counting")
    words = ok(idle_desk.run("idle", "camp"))
    assert words.startswith("nothing runs since ")
    assert "; in 9:5" in words
    assert "`/bin/sh -c 'echo fired >> fired'` is run; `pilothouse idle camp --cancel` keeps the machine" in words
    assert f"  idle: {words[:20]}" in ok(idle_desk.run("status", "camp"))
    assert json.loads(ok(idle_desk.run("idle", "camp", "--json")))["state"] == "counting"
    (idle_desk.folder / "configs" / "camp.yaml").write_text("name: [")
    assert idle_desk.status("camp")["idle"]["state"] == "counting", "a broken file hides nothing"
    cancelled = json.loads(ok(idle_desk.run("idle", "camp", "--cancel", "--json")))
    assert cancelled["state"] == "cancelled"
    assert cancelled["author"] in ok(idle_desk.run("status", "camp"))
    wait_until(lambda: not watchers(idle_desk.folder), what="the end of the watcher")
    again = idle_desk.run("idle", "camp", "--cancel")
    assert again.returncode == 4
    assert "cancelled already" in again.stderr
    assert not (idle_desk.folder / "fired").exists()


@pytest.mark.slow
def test_a_run_that_starts_ends_the_countdown_and_its_own_end_begins_another(idle_desk: Desk) -> None:
    launch(idle_desk)
    first = countdown(idle_desk, "counting")
    save(idle_desk, program="until test -e enough; do sleep 0.1; done")
    run = subprocess.Popen(
        [PYTHON, "-m", "tui", "launch", "camp", "--run", "second", "--yes", "--wait"],
        cwd=idle_desk.folder,
        env=idle_desk.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    watch = idle_desk.folder / "artifacts" / "camp" / ".idle" / "watch.json"
    wait_until(lambda: json.loads(watch.read_text())["state"] == "waiting", what="the end of the countdown")
    assert idle_desk.status("camp")["idle"] is None
    assert ok(idle_desk.run("idle", "camp")).startswith("no countdown: camp/second is ")
    refused = idle_desk.run("idle", "camp", "--cancel")
    assert refused.returncode == 4
    assert "nothing counts down" in refused.stderr
    (idle_desk.folder / "enough").touch()
    assert run.wait(30) == 0
    second = countdown(idle_desk, "counting")
    assert second["since"] > first["since"]
    assert len(watchers(idle_desk.folder)) == 1


def test_there_is_nothing_to_cancel_without_a_countdown(idle_desk: Desk) -> None:
    refused = idle_desk.run("idle", "camp", "--cancel")
    assert refused.returncode == 4
    assert "nothing counts down for camp" in refused.stderr
    assert idle_desk.run("idle", "nobody", "--cancel").returncode == 3
    assert ok(idle_desk.run("idle", "demo")) == "no countdown: demo has no budget.on_idle\n"
    assert ok(idle_desk.run("idle", "demo", "--json")) == "null\n"
