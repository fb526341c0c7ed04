"""Device time from heartbeats, against a direct count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.budget.ledger import DeviceInterval, Meter, intervals, union_hours
from engine.journal.events import Heartbeat


def beat(
    monotonic: float, devices: tuple[str, ...] = ("gpu0",), *, attempt: int = 1, boot: str = "b", time: str = ""
) -> Heartbeat:
    more = {"time": time} if time else {}
    return Heartbeat(attempt=attempt, boot_id=boot, monotonic=monotonic, devices=list(devices), **more)


def meter(*beats: Heartbeat) -> Meter:
    result = Meter()
    for each in beats:
        result.add(each)
    return result


def test_a_device_is_held_from_the_first_heartbeat_to_the_last() -> None:
    found = meter(beat(100), beat(105), beat(3700))
    assert found.intervals == (DeviceInterval("b", "gpu0", 100, 3700),)
    assert found.device_hours == pytest.approx(1.0)
    assert found.active_s == 3600
    assert found.devices == (("b", "gpu0"),)


def test_a_long_gap_within_an_attempt_counts() -> None:
    """The keeper was paused, or died and was replaced: its generator held the device all the while."""
    assert meter(beat(0), beat(5), beat(7205)).device_hours == pytest.approx(7205 / 3600)


def test_the_time_between_attempts_is_free() -> None:
    found = meter(beat(0), beat(60), beat(5000, attempt=2), beat(5040, attempt=2))
    assert [interval.seconds for interval in found.intervals] == [60, 40]
    assert found.active_s == 100


def test_a_reboot_starts_another_stretch() -> None:
    found = meter(beat(9000), beat(9060), beat(10, boot="after"), beat(40, boot="after"))
    assert found.active_s == 90
    assert [interval.boot_id for interval in found.intervals] == ["b", "after"]


def test_a_wall_clock_that_jumps_changes_nothing() -> None:
    jumping = [beat(0, time="2025-10-07T18:00:00Z"), beat(60, time="2031-01-01T00:00:00Z"), beat(90, time="1970-01-01")]
    assert meter(*jumping).device_hours == meter(beat(0), beat(60), beat(90)).device_hours


def test_a_heartbeat_that_goes_back_is_passed_over() -> None:
    assert meter(beat(0), beat(60), beat(30), beat(90)).active_s == 90


def test_devices_may_come_and_go_within_an_attempt() -> None:
    found = meter(beat(0, ("a",)), beat(10, ("a", "b")), beat(30, ("b",)), beat(40, ()), beat(100, ()))
    assert set(found.intervals) == {DeviceInterval("b", "a", 0, 30), DeviceInterval("b", "b", 10, 40)}
    assert found.active_s == 100
    assert found.devices == ()


def test_two_devices_cost_twice_and_take_no_longer() -> None:
    found = meter(beat(0, ("a", "b")), beat(3600, ("a", "b")))
    assert found.device_hours == pytest.approx(2.0)
    assert found.active_s == 3600


def test_a_shared_device_counts_once_for_the_campaign_and_whole_for_each_run() -> None:
    first, second = meter(beat(0), beat(3600)), meter(beat(1800), beat(5400))
    assert first.device_hours == second.device_hours == pytest.approx(1.0)
    assert union_hours([first, second]) == pytest.approx(1.5)


def test_the_same_name_in_another_boot_is_another_device() -> None:
    first, second = meter(beat(0), beat(3600)), meter(beat(0, boot="other"), beat(3600, boot="other"))
    assert union_hours([first, second]) == pytest.approx(2.0)


def test_no_heartbeat_costs_nothing() -> None:
    assert (Meter().device_hours, Meter().active_s, Meter().intervals, Meter().devices) == (0, 0, (), ())


spans = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 60), st.sampled_from(["a", "b"]), st.integers(1, 8)), max_size=6
)


@given(spans)
def test_the_union_is_a_count_of_held_seconds(runs: list[tuple[int, int, str, int]]) -> None:
    meters = []
    held = set()
    for start, length, device, step in runs:
        moments = [*range(start, start + length, step), start + length]
        meters.append(meter(*(beat(moment, (device,)) for moment in moments)))
        held |= {(device, second) for second in range(start, start + length)}
    assert union_hours(meters) * 3600 == pytest.approx(len(held))
    assert union_hours(meters) <= sum(each.device_hours for each in meters) + 1e-9


beats = st.lists(
    st.tuples(st.floats(0, 1000), st.integers(1, 3), st.sets(st.sampled_from(["a", "b", "c"]))), max_size=30
)


@given(beats)
def test_what_has_been_spent_never_shrinks(samples: list[tuple[float, int, set[str]]]) -> None:
    found, spent, active = Meter(), 0.0, 0.0
    for monotonic, attempt, devices in sorted(samples, key=lambda sample: sample[1]):
        found.add(beat(monotonic, tuple(devices), attempt=attempt))
        assert found.device_hours >= spent - 1e-12
        assert found.active_s >= active
        spent, active = found.device_hours, found.active_s


@given(beats)
def test_reading_on_gives_what_reading_at_once_gives(samples: list[tuple[float, int, set[str]]]) -> None:
    journal = [beat(monotonic, tuple(devices), attempt=attempt) for monotonic, attempt, devices in samples]
    found = Meter()
    for number, each in enumerate(journal, start=1):
        found.add(each)
        assert found.intervals == intervals(journal[:number])
