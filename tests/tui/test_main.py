"""The entry point: what needs no screen loads none, and the terminal is left as it was."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.terminal import Terminal, terminal

ROOT = Path(__file__).resolve().parents[2]


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
        **options,
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_a_command_loads_no_screen(argument: str) -> None:
    code = (
        "import sys\nfrom tui.__main__ import main\n"
        f"code = main([{argument!r}])\n"
        "sys.exit(code or ('textual' in sys.modules) * 99)"
    )
    result = python("-c", code)
    assert result.returncode == 0, result.stderr


def test_without_a_terminal_it_names_the_command_to_use(tmp_path: Path) -> None:
    result = python("-m", "tui", cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert result.returncode == 2
    assert "pilothouse status" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


APPLICATION = """
import sys
from pathlib import Path
from tests.tui import pictures
from tui import __main__ as entry
import engine.service
service = pictures.FakeService(pictures.seed_story(), Path.cwd())
engine.service.Service = lambda root, tend: service
if "crash" in sys.argv:
    import tui.screens.dashboard
    def broken(*_):
        secret = "do-not-print-me"
        raise RuntimeError("drawn wrongly")
    tui.screens.dashboard.draw = broken
raise SystemExit(entry.open_dashboard(Path.cwd(), "stage1"))
"""


def application(tmp_path: Path, *arguments: str) -> AbstractContextManager[Terminal]:
    return terminal([sys.executable, "-c", APPLICATION, *arguments], tmp_path)


LEFT_ALTERNATE_SCREEN = b"\x1b[?1049l"


def test_it_opens_in_a_terminal_and_quits_saying_what_goes_on(tmp_path: Path) -> None:
    with application(tmp_path) as screen:
        text = screen.read("q quit")
        assert "iteration-1 ● running" in text
        screen.type(b"q")
        assert screen.read_to_end() == 0
        assert LEFT_ALTERNATE_SCREEN in screen.raw
        assert b"stage1/iteration-1 goes on; pilothouse shows it again" in screen.raw


def test_an_engine_that_goes_on_costs_money_and_is_named_at_the_end(tmp_path: Path) -> None:
    code = APPLICATION.replace("seed_story()", "seed_story(engine=pictures.engine())")
    with terminal([sys.executable, "-c", code], tmp_path) as screen:
        screen.read("q quit")
        screen.type(b"q")
        assert screen.read_to_end() == 0
        assert b"stage1/iteration-1, stage1/engine-1 go on; pilothouse shows them again" in screen.raw


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_clean_and_says_what_goes_on_where_somebody_is_left(
    tmp_path: Path, number: signal.Signals
) -> None:
    with application(tmp_path) as screen:
        screen.read("q quit")
        screen.process.send_signal(number)
        assert screen.read_to_end() == 128 + number
        assert LEFT_ALTERNATE_SCREEN in screen.raw
        assert (b"stage1/iteration-1 goes on; pilothouse" in screen.raw) == (number == signal.SIGTERM)
        assert b"Traceback" not in screen.raw


def test_a_defect_of_the_screen_ends_it_without_a_traceback_and_keeps_it_in_a_private_file(tmp_path: Path) -> None:
    with application(tmp_path, "crash") as screen:
        assert screen.read_to_end() == 1
        assert b"runs are not affected" in screen.raw
        assert b"Traceback" not in screen.raw
        assert b"do-not-print-me" not in screen.raw
    log = tmp_path / "state" / "pilothouse" / "crash.log"
    assert "RuntimeError: drawn wrongly" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


JOB_CONTROL = """
import os, signal, subprocess, sys
job = subprocess.Popen(["/bin/sh", "-c", '"$0" -c "$1"; true', sys.executable, sys.argv[1]], process_group=0)
_, status = os.waitpid(job.pid, os.WUNTRACED)
print("\\x1b[2J\\x1b[HTHE WHOLE JOB STOPPED" if os.WIFSTOPPED(status) else f"ended with {status}", flush=True)
sys.stdin.readline()
os.killpg(job.pid, signal.SIGCONT)
sys.exit(job.wait())
"""


def test_ctrl_z_stops_the_whole_job_as_a_terminal_would_and_it_comes_back(tmp_path: Path) -> None:
    """Started by make or a script, the screen is not the job's leader: the shell waits for the leader to stop."""
    with terminal([sys.executable, "-c", JOB_CONTROL, APPLICATION], tmp_path) as screen:
        screen.read("q quit")
        screen.type(b"\x1a")
        screen.read("THE WHOLE JOB STOPPED")
        screen.type(b"\n")
        screen.read("q quit")
        screen.type(b"q")
        assert screen.read_to_end() == 0
        assert b"goes on" in screen.raw


def test_quitting_names_the_folder_when_it_is_another(tmp_path: Path) -> None:
    elsewhere = tmp_path / "a folder"
    elsewhere.mkdir()
    with terminal(
        [sys.executable, "-c", APPLICATION.replace("Path.cwd()", f"Path({str(elsewhere)!r})")], tmp_path
    ) as screen:
        screen.read("q quit")
        screen.type(b"q")
        assert screen.read_to_end() == 0
        assert f"goes on; cd '{elsewhere}' && pilothouse shows it again" in screen.raw.decode()


# --- terminals ---------------------------------------------------------------------------------------------------

RENDITION = re.compile(rb"\x1b\[([0-9;]*)m")
COLOUR = re.compile(rb"(?:^|;)(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;|$)")


def colours(raw: bytes) -> set[bytes]:
    """Every rendition that sets a colour other than the terminal's own."""
    return {found for found in RENDITION.findall(raw) if COLOUR.search(found)}


@contextmanager
def opened_with(tmp_path: Path, *variables: str) -> Iterator[Terminal]:
    """The application under these environment variables, once it is drawn."""
    with terminal(["env", *variables, sys.executable, "-c", APPLICATION], tmp_path) as screen:
        screen.read("q quit")
        yield screen


def test_without_colours_none_is_sent_and_what_is_chosen_is_still_seen(tmp_path: Path) -> None:
    with opened_with(tmp_path, "NO_COLOR=1") as screen:
        screen.type(b"s")
        assert "▸ no (n) ◂" in screen.read("stop it")
        assert not colours(screen.raw)
        renditions = b";".join(RENDITION.findall(screen.raw)).split(b";")
        assert {b"1", b"2", b"4", b"7"} <= set(renditions), "bold, dim, underlined, reversed"
    with opened_with(tmp_path, "TERM=xterm-256color") as screen:
        assert colours(screen.raw)


@pytest.mark.parametrize("kind", ["linux", "xterm", "xterm-16color", "screen"])
def test_a_terminal_of_few_colours_is_given_its_own(tmp_path: Path, kind: str) -> None:
    with opened_with(tmp_path, f"TERM={kind}", "COLORTERM=") as screen:
        assert "iteration-1 ● running" in screen.text
        used = {part for found in colours(screen.raw) for part in found.split(b";")}
        assert {b"31", b"32", b"33"} <= used, "red, green and yellow as the terminal has them"
        assert not {b"38", b"48"} & used


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_on_a_terminal_that_cannot_show_it_it_says_why_not(tmp_path: Path, kind: str) -> None:
    with terminal(["env", f"TERM={kind}", sys.executable, "-c", APPLICATION], tmp_path) as screen:
        assert screen.read_to_end() == 2
        assert f"TERM={kind}" in screen.text
        assert "pilothouse status" in screen.text
        assert b"\x1b" not in screen.raw


def test_settings_that_cannot_be_used_do_not_keep_it_from_opening(tmp_path: Path) -> None:
    file = tmp_path / "config" / "pilothouse" / "settings.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("theme: nord\nrefresh: 2\n")
    with terminal([sys.executable, "-c", APPLICATION], tmp_path) as screen:
        assert "unknown key 'refresh'" in screen.read("to do:")
        assert ":2, refresh" in screen.text
        screen.type(b"\r")
        assert "iteration-1 ● running" in screen.read("q quit")


def test_what_is_copied_reaches_the_terminal(tmp_path: Path) -> None:
    with opened_with(tmp_path) as screen:
        screen.type(b"y")
        screen.read("its folder")
        screen.type(b"i")
        screen.read("Sent to the clipboard")
        assert b"\x1b]52;c;" + base64.b64encode(b"stage1/iteration-1") + b"\x07" in screen.raw


OSC = re.compile(rb"\x1b\][^\x07]*\x07")
ENDS = """
def poll():
    story = pictures.seed_story()
    lost = pictures.snapshot(pictures.campaign(pictures.run(), pictures.live_run(state="lost")))
    return lost if Path("end").exists() else story
service.poll = poll
"""


def test_an_end_rings_the_bell_and_is_handed_to_the_terminal(tmp_path: Path) -> None:
    code = APPLICATION.replace("engine.service.Service =", f"{ENDS}engine.service.Service =")
    argv = ["env", "-u", "TMUX", "PILOTHOUSE_NOTIFY=bell,osc9", sys.executable, "-c", code]
    with terminal(argv, tmp_path) as screen:
        screen.read("iteration-1 ● running")
        assert b"\x07" not in OSC.sub(b"", screen.raw)
        (tmp_path / "end").touch()
        screen.read("iteration-1 ? lost")
        screen.type(b"q")
        screen.read_to_end()
        assert screen.raw.count(b"\x1b]9;Pilothouse: stage1/iteration-1 is lost\x07") == 1
        assert OSC.sub(b"", screen.raw).count(b"\x07") == 1


def test_a_shell_learns_what_it_may_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_PILOTHOUSE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "pilothouse st")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert python("-m", "tui").stdout.split() == ["stop", "status"]
