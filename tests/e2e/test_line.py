"""What happens to the line while the screen is on it: other sizes, signals, a shell's job control, a quiet picture."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.snapshot import Snapshot
from tests.terminal import Terminal, terminal
from tests.tui import pictures
from tests.tui.test_main import APPLICATION
from tui.cells import plain
from tui.panels.arrange import PARTS, draw
from tui.view import View

ENDED = "2027-01-15T08:12:00Z"
STILL = """
ended = pictures.live_run(state="succeeded", ended="2027-01-15T08:12:00Z")
service.snapshot = pictures.snapshot(pictures.campaign(pictures.run(), ended))
"""
PROGRAM = APPLICATION.replace("engine.service.Service =", f"{STILL}engine.service.Service =")
"""The screen on a story that has come to rest, so that what it shows depends on nothing but its size."""

LINES = tuple(f"line {number}" for number in range(60))


def story() -> Snapshot:
    """As `PROGRAM` shows it."""
    ended = pictures.live_run(state="succeeded", ended=ENDED)
    return pictures.snapshot(pictures.campaign(pictures.run(), ended))


def picture(size: tuple[int, int], run: str | None = None, log: tuple[str, ...] = LINES) -> list[str]:
    """What has to stand on a terminal of that size."""
    drawn = draw(View(snapshot=story(), campaign="stage1", run=run), log, *size)
    lines = [line for part in PARTS for line in plain(getattr(drawn, part)).split("\n") if getattr(drawn, part)]
    return [*lines[:-1], *[""] * (size[1] - len(lines)), lines[-1]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of the run that is selected where nobody chose one."""
    for name in ("pilot", "iteration-1"):
        file = tmp_path / "artifacts" / "stage1" / name / "run.log"
        file.parent.mkdir(parents=True)
        file.write_text("".join(f"{line}\n" for line in LINES))
    return file


@contextmanager
def opened(folder: Path, size: tuple[int, int] = (80, 24)) -> Iterator[Terminal]:
    with terminal([sys.executable, "-c", PROGRAM], folder, size) as screen:
        shows(screen, size)
        yield screen


def shows(screen: Terminal, size: tuple[int, int], run: str | None = None) -> None:
    wanted = picture(size, run)
    screen.until(lambda: screen.rows == wanted, f"it does not show {run} at {size}")


def test_another_size_gets_another_picture_of_the_same_run(tmp_path: Path, log: Path) -> None:
    with opened(tmp_path) as screen:
        assert screen.underlined.startswith("iteration-1")
        screen.type(b"\x1b[D")
        for size in ((80, 24), (120, 40), (60, 16), (200, 50)):
            screen.resize(*size)
            shows(screen, size, "pilot")
            assert screen.underlined.startswith("pilot")
        screen.resize(59, 15)
        screen.read("60 × 16 are needed")
        assert "It is 59 × 15;" in screen.text
        screen.resize(80, 24)
        shows(screen, (80, 24), "pilot")
        screen.type(b"q")
        assert screen.read_to_end() == 0


def test_the_terminal_knows_its_size_better_than_the_environment(tmp_path: Path, log: Path) -> None:
    """As after `docker exec -e COLUMNS=70 -e LINES=20`."""
    with terminal(["env", "COLUMNS=70", "LINES=20", sys.executable, "-c", PROGRAM], tmp_path) as screen:
        shows(screen, (80, 24))
        screen.resize(120, 40)
        shows(screen, (120, 40))


def test_a_page_and_a_question_fit_the_window_that_was_made_smaller_or_larger(tmp_path: Path, log: Path) -> None:
    with opened(tmp_path, (120, 40)) as screen:
        screen.type(b"l")
        screen.read("line 59")
        screen.type(b"g")
        screen.read("line 0")
        screen.resize(60, 16)
        screen.until(lambda: screen.rows[1:14] == [f" line {number}" for number in range(13)], "no 13 first lines")
        screen.type(b"q")
        shows(screen, (60, 16))
        screen.type(b"R")
        screen.read("▸ no (n) ◂")
        screen.resize(80, 24)
        screen.until(lambda: "▸ no (n) ◂" in screen.text and is_framed(screen, 80), "the question is not in the middle")
        screen.type(b"n")
        shows(screen, (80, 24))


def is_framed(screen: Terminal, columns: int) -> bool:
    """Whether a whole box stands in the middle."""
    corners = [(row.find(left), row.rfind(right)) for row in screen.rows for left, right in ("╭╮", "╰╯")]
    found = [(left, right) for left, right in corners if left >= 0]
    return len(found) == 2 and found[0] == found[1] and abs(found[0][0] - (columns - 1 - found[0][1])) <= 1


# --- how the terminal is left --------------------------------------------------------------------------------------

MODE = re.compile(rb"\x1b\[\?(\d+)([hl])")
AS_USUAL = {b"25": b"h", b"7": b"h"}
"""Modes that are on in a terminal that nobody uses: the cursor is seen, lines wrap. All others are off."""


def assert_left_clean(screen: Terminal) -> None:
    """Every mode is as before, the pen writes plainly, keys are reported as ever, and the line echoes."""
    last = dict(MODE.findall(screen.raw))
    assert {b"1049", b"1000", b"1003", b"1006", b"2004", b"25", b"7"} <= set(last)
    assert {mode for mode, state in last.items() if state != AS_USUAL.get(mode, b"l")} == set()
    assert re.findall(rb"\x1b\[[\d;]*m", screen.raw)[-1:] in ([], [b"\x1b[m"], [b"\x1b[0m"])
    assert len(re.findall(rb"\x1b\[>\d+u", screen.raw)) == screen.raw.count(b"\x1b[<u") >= 1
    ours, theirs = pty.openpty()
    try:
        assert screen.settings == list(termios.tcgetattr(ours))
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("way", [b"qq", b"\x11", signal.SIGTERM, signal.SIGHUP], ids=["q", "ctrl+q", "TERM", "HUP"])
def test_however_it_ends_the_terminal_is_as_it_was(tmp_path: Path, log: Path, way: bytes | signal.Signals) -> None:
    with opened(tmp_path) as screen:
        screen.type(b"?")
        screen.read("▸ close ◂")
        if isinstance(way, signal.Signals):
            screen.process.send_signal(way)
        else:
            screen.type(way)
        assert screen.read_to_end() == (128 + way if isinstance(way, signal.Signals) else 0)
        assert_left_clean(screen)


def test_a_screen_that_breaks_down_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with terminal([sys.executable, "-c", APPLICATION, "crash"], tmp_path) as screen:
        assert screen.read_to_end() == 1
        assert_left_clean(screen)


SHELL = """
import fcntl, os, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.environ["PS1"] = "shell> "
os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell with job control")
def test_a_shell_gets_the_terminal_back_and_gives_it_again(tmp_path: Path, log: Path) -> None:
    """ctrl+z, a command in between, another size, and fg."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with terminal([sys.executable, "-c", SHELL], tmp_path) as screen:
        screen.read("shell>")
        screen.type(f"{sys.executable} program.py\n".encode())
        shows(screen, (80, 24))
        screen.type(b"\x1b[D")
        shows(screen, (80, 24), "pilot")
        screen.type(b"\x1a")
        screen.read("Stopped")
        assert_left_clean(screen)
        screen.type(b"echo $((6 * 7)) fingers\n")
        screen.read("42 fingers")
        screen.resize(100, 30)
        screen.type(b"fg\n")
        shows(screen, (100, 30), "pilot")
        screen.type(b"q")
        screen.until(lambda: screen.raw.endswith(b"shell> "), "the shell did not come back")
        assert_left_clean(screen)
        screen.type(b"exit $?\n")
        assert screen.read_to_end() == 0


# --- what is sent while little happens -----------------------------------------------------------------------------

LITTLE = 400
"""Octets: the three lines of the log in sight, and no more."""


def test_a_line_that_is_written_costs_its_own_rows_and_nothing_else_is_sent(tmp_path: Path, log: Path) -> None:
    with opened(tmp_path) as screen:
        before = len(screen.raw)
        with log.open("a") as stream:
            stream.write("a line that has just been written\n")
        wanted = picture((80, 24), log=(*LINES, "a line that has just been written"))
        screen.until(lambda: screen.rows == wanted, "the new line is not there")
        assert len(screen.raw) - before < LITTLE
