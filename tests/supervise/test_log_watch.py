"""What a keeper reads in a growing log: each step of a start once, and figures as long as they are of the present."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.supervise.log_watch import FIGURES_LAST_S, LogWatch

FIGURES = (
    "Engine 000: Avg prompt throughput: 10.0 tokens/s, Avg generation throughput: {rate} tokens/s, "
    "Running: 9 reqs, Waiting: 0 reqs, GPU KV cache usage: 2.0%, Prefix cache hit rate: 50.0%"
)


class Watched:
    """A log, and its watch one second later at every look."""

    def __init__(self, log: Path, now: float) -> None:
        self.log, self.now = log, now
        self.watch = LogWatch(log, now)

    def look(self) -> str | None:
        self.now += 1.0
        told = self.watch.look(self.now)
        return None if told is None else f"{told.stage} {told.share}"

    def after(self, text: str) -> str | None:
        with self.log.open("a") as stream:
            stream.write(text)
        return self.look()

    def rate(self) -> float | None:
        figures = self.watch.figures()
        return None if figures is None else figures.generation_tokens_per_s


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "run.log").write_text("INFO:     Application startup complete.\n" + FIGURES.format(rate="7.0") + "\n")
    return Watched(tmp_path / "run.log", time.monotonic())


def shards(percent: int) -> str:
    return f"Loading safetensors checkpoint shards: {percent:3d}% Completed | x/y\r"


def test_what_stood_in_the_log_before_tells_nothing_of_this_start(watched: Watched) -> None:
    assert watched.look() is None
    assert watched.rate() is None


def test_a_log_that_is_not_there_yet_is_read_once_it_is(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "run.log", 0.0)
    assert watched.look() is None
    assert watched.after("Starting to load model m\n") == "weights 0.0"


def test_a_progress_bar_without_a_line_break_is_followed(watched: Watched) -> None:
    assert watched.after("\r" + shards(10)) == "weights 0.1"
    assert watched.after(shards(50)) == "weights 0.5"
    assert watched.after(shards(100)) == "weights 1.0"


def test_a_step_is_told_once_and_of_a_bar_only_what_is_worth_a_line(watched: Watched) -> None:
    assert watched.after(shards(50)) == "weights 0.5"
    assert watched.after(shards(51)) is None
    assert watched.after(shards(98)) == "weights 0.98"
    assert watched.after(shards(100) + "\n") == "weights 1.0", "that it is done is always told"
    assert watched.after("Loading weights took 3.1 seconds\n") is None
    assert watched.after("Dynamo bytecode transform time: 5 s\nINFO nothing\n") == "compiling None"
    assert watched.after("Compiling a graph for dynamic shape\n") is None


def test_of_several_steps_the_last_is_told(watched: Watched) -> None:
    assert watched.after(f"Starting to load model m\n{shards(40)}\nGraph capturing finished in 1 secs\n") == "warm None"


def test_the_log_is_read_once_a_second(watched: Watched) -> None:
    assert watched.look() is None
    with watched.log.open("a") as stream:
        stream.write("Starting to load model m\n")
    assert watched.watch.look(watched.now + 0.9) is None
    assert watched.look() == "weights 0.0"


def test_the_newest_figures_are_given(watched: Watched) -> None:
    watched.after(FIGURES.format(rate="100.0") + "\n" + FIGURES.format(rate="200.0") + "\nan answer\n")
    assert watched.rate() == 200.0
    watched.after("another answer\n")
    assert watched.rate() == 200.0


def test_half_a_line_of_figures_changes_nothing_until_the_rest_has_come(watched: Watched) -> None:
    watched.after(FIGURES.format(rate="100.0") + "\n")
    head, comma, rest = FIGURES.format(rate="200.0").partition(", GPU KV")
    watched.after(head + comma)
    assert watched.rate() == 100.0
    watched.after(rest + "\n")
    assert watched.rate() == 200.0


def test_old_figures_tell_nothing_of_the_present(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "run.log", time.monotonic() - FIGURES_LAST_S - 60)
    watched.after(FIGURES.format(rate="100.0") + "\n")
    assert watched.rate() is None


def test_a_last_line_that_never_ends_does_not_keep_its_figures_fresh(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "run.log", time.monotonic() - FIGURES_LAST_S - 60)
    watched.after(FIGURES.format(rate="100.0"))
    watched.now = time.monotonic()
    watched.look()
    assert watched.rate() is None


def test_hostile_text_changes_nothing(watched: Watched) -> None:
    watched.after(FIGURES.format(rate="100.0") + "\n" + shards(40) + "\n")
    with watched.log.open("ab") as stream:
        stream.write(b"\xff\xfe\x00\x1b]0;x\x07" + b"\x80" * 300_000 + b"\n")
        stream.write(FIGURES.format(rate="1.2.3").encode() + b"\n")
        stream.write(b"Loading safetensors checkpoint shards: " + b"9" * 5000 + b"% Completed\n")
    assert watched.look() is None
    assert watched.rate() == 100.0
    watched.log.write_text("Starting to load model m\n")
    assert watched.look() == "weights 0.0", "a log that begins anew is read from its beginning"
