"""What the dashboard sends over a line and takes of the CPU: `python -m benchmarks.terminal [PART …]`.

A real run under its real keeper logs at a set pace; the dashboard runs on a pseudo-terminal whose every octet is
counted. Beside it the same log in a plain RichLog application and, where its command is given, in toolong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.terminal_keys import ROUNDS, SLOW, centile, key_times
from benchmarks.terminal_line import Line, line
from benchmarks.terminal_workspace import HOME, Live, dashboard, ended, live

WARM_UP_S = 3.0
FIRST_FRAMES, RUNS = 7, 200
AIMS = {0: "≤ 0.3 kB/s, ≤ 1 %", 10: "≤ 4 kB/s", 10_000: "≤ 10 kB/s, ≤ 10 %"}
PLAIN = Path(__file__).with_name("terminal_plain.py")

Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """`tree` is the checkout that is measured, `toolong` the command of that program, None to leave it out."""

    size: tuple[int, int] = (80, 24)
    seconds: float = 8.0
    minutes: float = 0.5
    rounds: int = ROUNDS
    tree: Path = HOME
    toolong: str | None = None

    @property
    def where(self) -> str:
        return f"{self.size[0]}×{self.size[1]}"


def over_ssh() -> list[Row]:
    """All parts at 80×24; toolong by the variable TOOLONG, which names its command."""
    setting = Setting(toolong=os.environ.get("TOOLONG"))
    return [row for part in PARTS.values() for row in part(setting)]


# --- parts -----------------------------------------------------------------------------------------------------------


def paces(setting: Setting) -> list[Row]:
    """Octets and CPU of the dashboard and of its log screen while the run logs more and more."""
    rows = []
    with live(setting.tree) as workspace, _opened(workspace, setting) as screen:
        for pace, aim in AIMS.items():
            what = (
                f"{setting.where}, {pace:,} log lines/s" if pace else f"{setting.where}, a live run that says nothing"
            )
            rows.append((what, _load(screen, workspace, pace, setting.seconds), aim))
        screen.type(b"l")
        rows.append(("the same, its log screen", _load(screen, workspace, 10_000, setting.seconds), AIMS[10_000]))
    return rows


def others(setting: Setting) -> list[Row]:
    """The same log in a plain RichLog, and in toolong."""
    rows = []
    with live(setting.tree) as workspace:
        programs = {"plain RichLog": [sys.executable, str(PLAIN), str(workspace.log)]}
        if setting.toolong is not None:
            programs["toolong"] = [setting.toolong, str(workspace.log)]
        for name, argv in programs.items():
            for pace in AIMS:
                workspace.pace(0)
                with line(argv, workspace.folder, setting.size) as screen:
                    screen.take(WARM_UP_S)
                    text = f"{name}, {pace:,} log lines/s"
                    rows.append((text, _load(screen, workspace, pace, setting.seconds), ""))
    if setting.toolong is None:
        rows.append(("toolong", "not measured: no command given", ""))
    return rows


def keys(setting: Setting) -> list[Row]:
    """How long a key takes behind a line of 20 kB/s."""
    with live(setting.tree) as workspace, _opened(workspace, setting) as screen:
        found = key_times(screen, setting.rounds)
    rows = [
        (f"{name}, {SLOW // 1000} kB/s", f"{_times(took)}, {max(n for _, n in took) / 1000:.1f} kB", "")
        for name, took in found.items()
    ]
    together = [one for took in found.values() for one in took]
    return [*rows, (f"key to repaint, all {len(together)}", _times(together), "95th centile ≤ 100 ms")]


def first_frame(setting: Setting) -> list[Row]:
    """From exec to the frame that shows the runs, and to the first one that shows anything."""
    argv, variables = dashboard(setting.tree)
    anything, runs = [], []
    with ended(RUNS, setting.tree) as folder:
        for _ in range(FIRST_FRAMES):
            with line(argv, folder, setting.size, **variables) as screen:
                anything.append(screen.until(str.strip))
                runs.append(screen.until(lambda text: "pilot" in text))
    return [
        ("first frame", f"{centile(anything, 50):.2f} s", ""),
        (f"the frame that shows {RUNS} runs on disk", f"{centile(runs, 50):.2f} s", "0.8 s"),
    ]


def memory(setting: Setting) -> list[Row]:
    """How resident memory grows on the log screen, by the least squares line through its second half."""
    with live(setting.tree) as workspace, _opened(workspace, setting) as screen:
        workspace.pace(1_000)
        screen.type(b"l")
        samples = []
        for second in range(max(4, int(setting.minutes * 60))):
            screen.take(1.0)
            samples.append((float(second), float(screen.memory())))
    half = samples[len(samples) // 2 :]
    text = f"memory after {setting.minutes:g} min of 1,000 lines/s"
    growth = f"{samples[-1][1] / 2**20:.0f} MiB, growing by {_slope(half) * 3600 / 2**20:+.1f} MiB/h"
    return [(text, growth, "flat")]


PARTS: dict[str, Callable[[Setting], list[Row]]] = {
    "paces": paces,
    "others": others,
    "keys": keys,
    "first-frame": first_frame,
    "memory": memory,
}


# --- measuring -------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(workspace: Live, setting: Setting) -> Iterator[Line]:
    """The dashboard, warm, with the live run on it."""
    argv, variables = dashboard(setting.tree)
    with line(argv, workspace.folder, setting.size, **variables) as screen:
        screen.until(lambda text: "● running" in text)
        screen.take(WARM_UP_S)
        yield screen


def _load(screen: Line, workspace: Live, pace: float, seconds: float) -> str:
    workspace.pace(pace)
    screen.take(1.0)
    used = screen.cpu_s()
    octets = screen.count(seconds)
    return f"{octets / seconds / 1000:.2f} kB/s, {(screen.cpu_s() - used) / seconds:.1%} CPU"


def _times(took: list[tuple[float, int]]) -> str:
    seconds = [one for one, _ in took]
    return f"{centile(seconds, 50) * 1000:.0f} ms, 95th {centile(seconds, 95) * 1000:.0f} ms"


def _slope(points: list[tuple[float, float]]) -> float:
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def main() -> int:
    """Measure with other settings than the table's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.terminal", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--size", type=_size, default=(80, 24), metavar="80x24")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each pace is measured")
    parser.add_argument("--minutes", type=float, default=0.5, help="how long memory is watched")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each key is pressed")
    parser.add_argument("--tree", type=Path, default=HOME, help="another checkout to measure")
    parser.add_argument("--toolong", default=os.environ.get("TOOLONG"), help="the command of toolong")
    given = vars(parser.parse_args())
    parts = given.pop("parts") or list(PARTS)
    if unknown := sorted({*parts} - {*PARTS}):
        parser.error(f"unknown: {', '.join(unknown)}")
    setting = Setting(**given)
    for part in parts:
        for row in PARTS[part](setting):
            sys.stdout.write("  ".join(filter(None, row)) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
