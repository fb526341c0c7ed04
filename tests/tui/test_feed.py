"""How often is polled: as said, less often while the line does not keep up, and never most of the time."""

from __future__ import annotations

import threading
import time

from engine.snapshot import Snapshot
from tests.tui import pictures
from tui.feed import REST, SLOWEST_S, Feed
from tui.view import STALE_AFTER_S


def feed(interval_s: float = 0.5) -> Feed:
    return Feed(pictures.FakeService(pictures.snapshot()), lambda message: None, interval_s=interval_s)


def test_every_picture_that_waits_for_the_line_halves_the_pace_down_to_one_in_four_seconds() -> None:
    """What counts as stale follows, or the screen would call itself stale by waiting."""
    polled = feed()
    ages = []
    for _ in range(5):
        polled.line_pace(busy=True)
        ages.append(polled.late_after_s)
    assert ages == [STALE_AFTER_S, 4.0, 8.0, 8.0, 8.0]


def test_the_pace_recovers_with_the_first_picture_that_goes_out_at_once() -> None:
    polled = feed()
    for _ in range(5):
        polled.line_pace(busy=True)
    polled.line_pace(busy=False)
    assert polled.late_after_s == STALE_AFTER_S


def test_a_pace_that_was_asked_for_is_never_hurried() -> None:
    polled = feed(interval_s=10.0)
    polled.line_pace(busy=True)
    assert polled.late_after_s == 20.0


def test_slow_polls_leave_the_processor_alone_most_of_the_time() -> None:
    """With hundreds of runs a poll takes long; the next one waits for a multiple of that."""
    begun, ended, enough = [], [], threading.Event()

    class Slow(pictures.FakeService):
        def poll(self) -> Snapshot:
            begun.append(time.monotonic())
            until = time.monotonic() + 0.02
            while time.monotonic() < until:
                pass
            ended.append(time.monotonic())
            if len(ended) == 3:
                enough.set()
            return self.snapshot

    polled = Feed(Slow(pictures.snapshot()), lambda message: None, interval_s=0.001)
    polled.start()
    assert enough.wait(20)
    polled.close()
    for before, (after, start) in enumerate(zip(ended, begun[1:], strict=False)):
        assert start - after >= min((REST - 1) * (after - begun[before]), SLOWEST_S)
