"""How many requests a server gets at a time, and when it is asked again: pure, driven by made-up clocks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generate.backends.server.limit import HOLD_ROUNDS, AdaptiveLimit
from engine.generate.backends.server.pacing import LONGEST_RETRY_AFTER_S, Backoff, Pacing

LATENCY_S = 2.0


def saturating(at: int) -> Callable[[int], float]:
    """Requests a second of a server that is fully busy with `at` at a time."""
    return lambda limit: min(limit, at) / LATENCY_S


def run(limit: AdaptiveLimit, rate: Callable[[int], float], rounds: int, now_s: float = 0.0) -> tuple[list[int], float]:
    """The limits after each of so many rounds in which the queue never runs dry."""
    seen = []
    for _ in range(rounds):
        for _ in range(limit.limit + 1):
            now_s += 1.0 / rate(limit.limit)
            limit.finished(1.0, now_s, full=True)
        seen.append(limit.limit)
    return seen, now_s


def test_it_doubles_while_that_is_faster_and_stays_where_it_is_not() -> None:
    limit = AdaptiveLimit(4096)
    seen, _ = run(limit, saturating(300), 60)
    assert seen[:5] == sorted(seen[:5])
    settled = seen[20:]
    assert set(settled) <= {256, 512, 1024}, settled
    assert settled.count(512) > len(settled) / 2, "512 is the first that keeps the server busy"


def test_it_never_leaves_its_bounds() -> None:
    assert AdaptiveLimit(8).limit == 8
    limit = AdaptiveLimit(100)
    seen, _ = run(limit, saturating(10_000), 40)
    assert max(seen) == seen[-1] == 100
    for _ in range(20):
        limit.too_busy(limit.epoch)
    assert limit.limit == 1


def test_a_server_that_is_no_faster_with_more_is_left_at_the_start() -> None:
    limit = AdaptiveLimit(512)
    seen, _ = run(limit, saturating(20), 40)
    assert set(seen) == {32, 64}
    assert seen.count(32) > seen.count(64), "it is tried again now and then"


def test_it_is_held_for_some_rounds_before_growth_is_tried_again() -> None:
    limit = AdaptiveLimit(512)
    seen, _ = run(limit, saturating(20), 60)
    tries = [number for number in range(1, len(seen)) if (seen[number - 1], seen[number]) == (32, 64)]
    assert len(tries) >= 2
    assert min(later - earlier for earlier, later in itertools.pairwise(tries)) > HOLD_ROUNDS


def test_many_that_are_turned_away_at_once_halve_it_once() -> None:
    limit = AdaptiveLimit(512, 256)
    begun = limit.epoch
    for _ in range(200):
        limit.too_busy(begun)
    assert limit.limit == 128
    limit.too_busy(limit.epoch)
    assert limit.limit == 64


def test_after_a_halving_it_grows_carefully() -> None:
    limit = AdaptiveLimit(4096, 256)
    _, now = run(limit, saturating(10_000), 1)
    limit.too_busy(limit.epoch)
    halved = limit.limit
    seen, _ = run(limit, saturating(10_000), 40, now)
    grown = [later / earlier for earlier, later in zip([halved, *seen], seen, strict=False) if later > earlier]
    assert grown
    assert max(grown) < 1.2


def test_after_an_outage_it_is_soon_back_to_where_it_was() -> None:
    """A server that turns everything away for a while says nothing about how much it can take."""
    limit = AdaptiveLimit(512, 512)
    _, now = run(limit, saturating(10_000), 2)
    for _ in range(9):
        limit.too_busy(limit.epoch)
    assert limit.limit == 1
    seen, _ = run(limit, saturating(10_000), 40, now)
    assert max(seen) >= 256
    assert seen.index(next(value for value in seen if value >= 256)) < 25


def test_rounds_in_which_the_queue_ran_dry_prove_nothing() -> None:
    limit, seen = AdaptiveLimit(512), set()
    for number in range(1000):
        limit.finished(1.0, float(number), full=number % 3 != 0)
        seen.add(limit.limit)
    assert seen == {32}


def test_a_queue_that_runs_dry_for_a_moment_now_and_then_does_not_hinder_growth() -> None:
    """Answers come in bursts."""
    limit, seen = AdaptiveLimit(512), set()
    for number in range(1000):
        limit.finished(1.0, float(number), full=number % 8 != 0)
        seen.add(limit.limit)
    assert max(seen) > 32


def test_answers_in_no_time_are_no_round() -> None:
    limit = AdaptiveLimit(512)
    for _ in range(10_000):
        limit.finished(1.0, 5.0, full=True)
    assert limit.limit == 32


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.lists(st.tuples(st.sampled_from("fdb"), st.floats(0, 5), st.floats(0, 1000)), max_size=300),
)
def test_whatever_happens_it_stays_between_one_and_the_most(
    most: int, start: int, events: list[tuple[str, float, float]]
) -> None:
    limit, now = AdaptiveLimit(most, start), 0.0
    for kind, seconds, work in events:
        now += seconds
        if kind == "b":
            limit.too_busy(limit.epoch)
        else:
            limit.finished(work, now, full=kind == "f")
        assert 1 <= limit.limit <= most


# --- pacing ------------------------------------------------------------------------------------------------------


def pacing(retry_for_s: float = 100.0, jitter: float = 1.0) -> Pacing:
    return Pacing(retry_for_s, Backoff(first_s=1.0, longest_s=8.0, jitter=lambda: jitter))


def pauses(paced: Pacing, times: int, **trouble: float) -> list[float]:
    """How long each of so many tries in a row that fail makes one wait."""
    now, found = 0.0, []
    for _ in range(times):
        paced.trouble(now, down=True, retry_after_s=trouble.get("retry_after_s"))
        found.append(paced.paused_until_s - now)
        now = paced.paused_until_s
    return found


def test_delays_double_up_to_the_longest() -> None:
    assert pauses(pacing(), 6) == [1, 2, 4, 8, 8, 8]
    assert pauses(pacing(jitter=0.0), 3) == [0.5, 1, 2], "jitter takes off half at most"


def test_the_servers_own_wish_is_respected_within_bounds() -> None:
    assert pauses(pacing(), 2, retry_after_s=5.0) == [5, 5]
    assert pauses(pacing(1000), 1, retry_after_s=1e9) == [LONGEST_RETRY_AFTER_S]
    assert pauses(pacing(7.0), 2, retry_after_s=20.0) == [7, 20], "one try is made when patience ends"


def test_many_failures_at_one_moment_are_one() -> None:
    paced = pacing()
    for _ in range(500):
        paced.trouble(10.0, down=True)
    assert paced.paused_until_s == 11.0
    assert paced.down


def test_what_was_served_ends_the_trouble() -> None:
    paced = pacing(5.0)
    paced.trouble(0.0, down=True)
    assert not paced.lost(4.9)
    paced.served()
    assert not paced.down
    paced.trouble(100.0, down=False)
    assert not paced.lost(104.9)
    assert not paced.down, "it only turns requests away"
    assert paced.lost(105.0)


def test_old_trouble_is_no_reason_to_give_up_at_once() -> None:
    paced = pacing(5.0)
    paced.trouble(0.0, down=True)
    paced.forget()
    assert paced.paused_until_s == 0
    paced.trouble(100.0, down=True)
    assert not paced.lost(100.0)


@pytest.mark.parametrize("failures", [1, 10, 10_000])
def test_delays_are_finite(failures: int) -> None:
    assert 0 < Backoff().delay(failures) <= Backoff().longest_s
    assert math.isfinite(Backoff().delay(failures))
