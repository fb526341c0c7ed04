"""A place in a log: what is in sight is always a stretch of the lines that are shown, whatever was done before."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.logs.sparse import append
from tui.logfile import LogFile, LogLine
from tui.logs import scan as scanning
from tui.logs import window as windows
from tui.logs.query import EVERYTHING, Expression, Matcher, Query
from tui.logs.reading import Reading
from tui.logs.scan import scan

HEIGHT = 4
ONLY_A = Query(expressions=(Expression("a"),))


class Scanner:
    """Stands in for the process that looks for lines: answers when it is told to, a step at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._request: tuple[Query, dict[str, Any]] | None = None

    def ask(self, stream: str, query: Query, **request: Any) -> bool:
        assert stream == "fill"
        self._request = (query, request)
        return True

    def stop(self, stream: str) -> None:
        self._request = None

    def answer(self, reading: Reading) -> None:
        """All that is asked, and asked for because of it."""
        while (request := self._request) is not None:
            self._request = None
            query, asked = request
            reached = asked["begin"]
            steps = scan(self._path, Matcher(query), reached, asked["until"], back=asked["back"], most=asked["most"])
            for step in steps:
                reached = step.reached
                reading.answered({"found": step.found, "reached": reached, "share": 0.5})
            reading.answered({"found": (), "reached": reached, "done": True})


def rows_of(line: LogLine) -> int:
    """As if a window were three characters wide."""
    return max(1, -(-len(line.text) // 3))


WORDS = st.sampled_from(["a", "b", "abba", "bb", "abcdefg", ""])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(-9, 9)),
        st.tuples(st.just("append"), st.lists(WORDS, min_size=1, max_size=6)),
        st.tuples(st.sampled_from(["tear", "start", "follow", "pause", "filter", "all", "cut"]), st.none()),
        st.tuples(st.just("show"), st.integers(0, 60)),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(WORDS, max_size=30), STEPS)
def test_what_is_in_sight_is_a_stretch_of_what_is_shown(
    tmp_path: Path, lines: list[str], steps: list[tuple[str, Any]]
) -> None:
    path = tmp_path / "run.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    scanner = Scanner(path)
    reading = Reading(LogFile(path), scanner, rows_of)  # type: ignore[arg-type]
    reading.height = HEIGHT
    with mock.patch.object(scanning, "BLOCK", 16), mock.patch.object(windows, "KEPT", 8):
        reading.look()
        for name, given_value in [("begin", None), *steps]:
            do(reading, path, name, given_value)
            reading.look()
            scanner.answer(reading)
            check(reading, path)


def do(reading: Reading, path: Path, name: str, value: Any) -> None:
    match name:
        case "move":
            reading.move(value)
        case "append":
            append(path, "".join(f"{line}\n" for line in value).encode())
        case "tear":
            append(path, b"ab")
        case "cut":
            os.truncate(path, path.stat().st_size // 2)
        case "start":
            reading.show(reading.start)
        case "show":
            starts = [line.start for line in LogFile(path).following(0, 100)]
            reading.show(starts[value % len(starts)] if starts else 0, below=2)
        case "follow":
            reading.follow()
        case "pause":
            reading.pause()
        case "filter":
            reading.set_filter(ONLY_A)
        case "all":
            reading.set_filter(EVERYTHING)


def check(reading: Reading, path: Path) -> None:
    """The rows are as many as there can be, one below the other; following shows the last ones."""
    shown = [line for line in LogFile(path).following(0, 1000) if not reading.filter or re.search("a", line.text)]
    every = [(line, part) for line in shown for part in range(rows_of(line))]
    rows = reading.rows()
    assert len(rows) == min(HEIGHT, len(every))
    if rows:
        place = every.index(rows[0])
        assert rows == every[place : place + HEIGHT]
    if reading.following:
        assert rows == every[-HEIGHT:]


def test_moving_by_rows_goes_through_every_row_and_back(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("".join(f"{'x' * (number % 9)}{number}\n" for number in range(50)))
    reading = Reading(LogFile(path), Scanner(path), rows_of)  # type: ignore[arg-type]
    reading.height = HEIGHT
    reading.look()
    reading.show(0)
    every = [(line, part) for line in LogFile(path).following(0, 100) for part in range(rows_of(line))]
    for place in range(len(every) - HEIGHT + 1):
        assert reading.rows() == every[place : place + HEIGHT]
        reading.move(1)
    assert reading.following
    for place in range(len(every) - HEIGHT - 1, -1, -1):
        reading.move(-1)
        assert reading.rows() == every[place : place + HEIGHT]
