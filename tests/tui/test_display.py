"""An application that paints only what differs, on a real terminal: one that is resized, left and taken up again, that
stands still, and one on which Textual's own way has to do."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.terminal import Terminal, terminal
from tests.waiting import wait_until
from tui.terminal.display import fills_when_erasing

PROGRAM = """
import sys
from pathlib import Path

from textual.widgets import Input, Static

import tui.terminal.display
from tui.terminal.painter import Painter, UnpaintableError

FOLDER = Path(sys.argv[1])


class Program(tui.terminal.display.ThriftyApp[None]):
    CSS = "Static { background: #203040; } #top { text-style: bold; }"
    AUTO_FOCUS = None
    beats = 0

    def compose(self):
        yield Static("the top", id="top")
        yield Static("", id="figures", markup=False)
        yield Input(select_on_focus=False)

    def on_mount(self):
        if "keys" not in sys.argv:
            self.query_one(Input).focus()
        if "flood" in sys.argv:
            self.set_interval(0.002, self.beat)

    def beat(self):
        self.beats += 1
        self.query_one("#figures", Static).update("\\n".join(f"{self.beats:06} {n} " * 6 for n in range(18)))
        if not self.beats % 100:
            with (FOLDER / "beats").open("a") as stream:
                stream.write(f"{self.beats}\\n")

    def line_pace(self, *, busy):
        if busy:
            (FOLDER / "busy").touch()

    def on_key(self, event):
        with (FOLDER / "keys").open("a") as stream:
            stream.write(event.key + "\\n")


def refuse(*arguments):
    raise UnpaintableError


if "unpaintable" in sys.argv:
    Painter.take = refuse
Program().run()
"""


@contextmanager
def program(folder: Path, *options: str) -> Iterator[Terminal]:
    path = folder / "program.py"
    path.write_text(PROGRAM)
    with terminal([sys.executable, str(path), str(folder), *options], folder) as screen:
        screen.read("the top")
        yield screen


def beats(folder: Path) -> int:
    path = folder / "beats"
    return int(path.read_text().rsplit("\n", 2)[-2]) if path.exists() else 0


def keys(folder: Path) -> list[str]:
    path = folder / "keys"
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize("options", [(), ("unpaintable",)], ids=["thrifty", "as Textual does"])
def test_what_is_typed_stands_on_the_screen_after_every_turn(tmp_path: Path, options: tuple[str, ...]) -> None:
    """With an update that the painter does not know, too."""
    with program(tmp_path, *options) as screen:
        screen.type(b"abc")
        screen.read("abc")
        screen.type(b"\x7f\x7f")
        screen.until(lambda: "abc" not in screen.text, "nothing was taken back")
        screen.type(b" d \xc3\xa9\xe4\xb8\xad")
        screen.read("a d é中")
        screen.resize(60, 20)
        screen.until(lambda: screen.rows[0] == "the top" and len(screen.rows) == 20, "not painted at its new size")
        screen.read("a d é中")


def test_only_what_changed_is_sent(tmp_path: Path) -> None:
    with program(tmp_path) as screen:
        screen.type(b"a")
        screen.read("a ")
        before = len(screen.raw)
        screen.type(b"bcd")
        screen.read("abcd")
        assert b"the top" not in screen.raw[before:]


def test_a_terminal_that_was_taken_over_again_is_painted_whole(tmp_path: Path) -> None:
    """As after ctrl+z and fg: what stood there is gone."""
    with program(tmp_path) as screen:
        screen.type(b"typed")
        screen.read("typed")
        screen.process.send_signal(signal.SIGTSTP)
        screen.until(lambda: b"\x1b[?1049l" in screen.raw, "the terminal was not given back")
        wait_until(lambda: _is_stopped(screen.process.pid), 10, "the stop")
        before = len(screen.raw)
        screen.process.send_signal(signal.SIGCONT)
        screen.until(lambda: b"the top" in screen.raw[before:] and b"typed" in screen.raw[before:], "not painted whole")


def _is_stopped(pid: int) -> bool:
    return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_a_line_that_takes_nothing_does_not_hold_up_the_application(tmp_path: Path) -> None:
    """Nobody reads the terminal: frames wait, the event loop does not, and what comes at last is the newest frame."""
    with program(tmp_path, "flood") as screen:
        wait_until((tmp_path / "busy").exists, 60, "a line that is busy")
        reached = beats(tmp_path)
        wait_until(lambda: beats(tmp_path) >= reached + 1000, 60, "a thousand beats more")
        late = beats(tmp_path)

        def shown() -> int:
            figures = [row.split()[0] for row in screen.rows[1:19] if row]
            return int(figures[0]) if len(figures) == 18 and len(set(figures)) == 1 else 0

        screen.until(lambda: shown() >= late, "the newest frame did not come")


def test_keys_arrive_whole_whatever_pieces_they_come_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCDELAY", "2000")  # ms that the rest of a key may take, here on a busy machine
    with program(tmp_path, "keys") as screen:
        screen.type(b"\x1b[")
        screen.type(b"C\xc3")
        wait_until(lambda: len(keys(tmp_path)) == 1, 20, "the key, and with it half of a character")
        screen.type(b"\xa9")
        wait_until(lambda: len(keys(tmp_path)) == 2, 20, "both keys")
        screen.type(b"\x1b")
        wait_until(lambda: len(keys(tmp_path)) == 3, 20, "esc")
        screen.type(b"x")
        wait_until(lambda: len(keys(tmp_path)) == 4, 20, "the key after esc")
        assert keys(tmp_path) == ["right", "é", "escape", "x"]


@pytest.mark.parametrize(
    ("environment", "fills"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "tmux-256color"}, True),
        ({"TERM": "screen-256color", "TMUX": "/tmp/tmux"}, True),
        ({"TERM": "screen-256color"}, False),
        ({"TERM": "linux"}, False),
        ({}, False),
    ],
)
def test_grounds_are_painted_where_erasing_does_not(environment: dict[str, str], fills: bool) -> None:
    assert fills_when_erasing(environment) is fills
