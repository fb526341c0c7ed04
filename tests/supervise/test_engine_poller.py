"""An engine is asked over its socket: one that answers, is silent, slow, gone, or says what makes no sense."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.figures import EngineFigures
from engine.supervise.engines import local_http, poller
from engine.supervise.engines.local_http import get
from engine.supervise.engines.poller import Answer, EnginePoller
from tests.supervise.fake_engine import FakeEngine, answer, fake_engine, page
from tests.waiting import wait_until


@pytest.fixture
def served(tmp_path: Path) -> Iterator[FakeEngine]:
    with fake_engine(tmp_path) as engine:
        yield engine


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], EnginePoller]]:
    """Makes pollers that ask every 10 ms and wait for no answer longer than 50."""
    monkeypatch.setattr(poller, "STARTING_S", 0.01)
    monkeypatch.setattr(poller, "ANSWERING_S", 0.01)
    monkeypatch.setattr(poller, "TIMEOUT_S", 0.05)
    made: list[EnginePoller] = []

    def make(path: Path) -> EnginePoller:
        made.append(EnginePoller(str(path)))
        return made[-1]

    yield make
    for one in made:
        one.close()


# --- one question ----------------------------------------------------------------------------------------------------


def test_an_answer_is_its_status_and_its_body(served: FakeEngine) -> None:
    served.says["/health"] = answer("well", 503)
    assert get(str(served.path), "/health", timeout_s=5) == (503, b"well")
    assert get(str(served.path), "/other", timeout_s=5) == (404, b"no such page")
    assert served.asked == ["/health", "/other"]


def test_a_body_in_chunks_or_without_a_length_is_read(served: FakeEngine) -> None:
    served.says["/health"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert get(str(served.path), "/health", timeout_s=5) == (200, b"abcde")
    served.says["/health"] = b"HTTP/1.0 200 OK\r\n\r\nuntil the end"
    assert get(str(served.path), "/health", timeout_s=5) == (200, b"until the end")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\xff\xfe garbage\r\n",
        b"HTTP/1.1 2oo OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ntorn",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000,
    ],
)
def test_what_is_no_answer_is_none(served: FakeEngine, said: bytes) -> None:
    served.says["/health"] = said
    assert get(str(served.path), "/health", timeout_s=5) is None


def test_a_huge_answer_is_read_up_to_a_bound(served: FakeEngine) -> None:
    served.says["/metrics"] = answer(b"x" * (local_http.LARGEST_ANSWER + 100_000))
    found = get(str(served.path), "/metrics", timeout_s=5)
    assert found is not None
    assert len(found[1]) == local_http.LARGEST_ANSWER


def test_nobody_waits_longer_than_asked_for_a_silent_server(served: FakeEngine) -> None:
    served.says["/health"] = None
    began = time.monotonic()
    assert get(str(served.path), "/health", timeout_s=0.05) is None
    assert time.monotonic() - began < 2.0


def test_no_socket_a_dead_one_and_one_with_too_long_a_path_do_not_answer(served: FakeEngine, tmp_path: Path) -> None:
    served.close()
    assert served.path.exists()
    for path in (served.path, tmp_path / "none.sock", tmp_path / ("x" * 200)):
        assert get(str(path), "/health", timeout_s=5) is None


# --- again and again -------------------------------------------------------------------------------------------------

Polled = Callable[[Path], EnginePoller]


def counters_of(asking: EnginePoller, **wanted: float) -> Answer:
    """The answer whose counters are those."""

    def holds() -> Answer | None:
        found = asking.latest
        counters = found.counters
        right = counters is not None and all(getattr(counters, name) == value for name, value in wanted.items())
        return found if right else None

    return wait_until(holds, what=f"counters {wanted}")


def heard_again(asking: EnginePoller, *, times: int = 2) -> Answer:
    """The answer after so many more."""
    for _ in range(times):
        before = asking.latest
        wait_until(lambda before=before: asking.latest is not before, what="another answer")  # type: ignore[misc]
    return asking.latest


def test_an_engine_that_comes_up_is_heard_and_its_counters_are_followed(polled: Polled, tmp_path: Path) -> None:
    asking = polled(tmp_path / "engine.sock")
    assert asking.latest == Answer()
    before = time.monotonic()
    with fake_engine(tmp_path) as served:
        served.metrics(generated=100, running=3, waiting=1)
        first = counters_of(asking, generation_tokens=100, running=3, waiting=1)
        assert first.answered_at is not None
        assert before < first.answered_at <= time.monotonic()
        counted = itertools.count(1000, 1000)

        def busy() -> EngineFigures | None:
            served.metrics(generated=next(counted), running=4)
            figures = asking.latest.figures
            return figures if figures is not None and figures.generation_tokens_per_s else None

        second = wait_until(busy, what="tokens per second")
        assert (second.running, second.waiting) == (4, 0)


def test_an_engine_that_says_it_is_not_well_has_not_answered(polled: Polled, served: FakeEngine) -> None:
    served.says["/health"] = answer("loading", 503)
    asking = polled(served.path)
    wait_until(lambda: served.asked.count("/health") > 2, what="questions")
    assert asking.latest == Answer()
    assert "/metrics" not in served.asked
    served.says["/health"] = answer()
    heard_again(asking, times=1)


def test_an_engine_that_falls_silent_is_known_by_its_last_answer(polled: Polled, served: FakeEngine) -> None:
    asking = polled(served.path)
    heard_again(asking)
    served.says["/health"] = None
    wait_until(lambda: served.asked[-2:] == ["/health", "/health"], what="questions in vain")
    last = asking.latest
    asked = len(served.asked)
    wait_until(lambda: len(served.asked) > asked, what="another question")
    assert asking.latest is last, "reading it neither waits nor renews it"
    served.says["/health"] = answer()
    again = heard_again(asking, times=1)
    assert (again.answered_at or 0) > (last.answered_at or 0)


@pytest.mark.parametrize(
    "said",
    [
        None,
        answer("<html>no such page</html>", 404),
        answer(b"\xff\x00\xfe" * 1000),
        b"garbage",
        answer("vllm:num_requests_running NaN\n"),
        answer("vllm:num_requests_running 1e308\n" * 4),
        answer(b'vllm:num_requests_running{a="' * 5_000),
    ],
    ids=["silent", "missing", "binary", "garbage", "no number", "too large", "huge"],
)
def test_metrics_without_sense_leave_an_engine_that_answers_without_figures(
    polled: Polled, served: FakeEngine, said: bytes | None
) -> None:
    served.says["/metrics"] = said
    asking = polled(served.path)
    found = heard_again(asking)
    assert found.answered_at is not None
    assert (found.figures, found.counters) == (None, None)
    served.metrics(generated=7)
    counters_of(asking, generation_tokens=7)


def test_figures_beyond_all_measure_end_no_poller(polled: Polled, served: FakeEngine) -> None:
    asking = polled(served.path)
    for number in ("9" * 18, "0", "1e17"):
        served.says["/metrics"] = answer(page().replace(" 0\n", f" {number}\n"))
        counters_of(asking, generation_tokens=float(number))
        heard_again(asking)


def test_a_closed_poller_asks_no_more(polled: Polled, served: FakeEngine) -> None:
    asking = polled(served.path)
    heard_again(asking)
    asking.close()
    wait_until(lambda: _is_left_alone(served), what="the end of the questions")


def _is_left_alone(served: FakeEngine) -> bool:
    """Whether nothing was asked for as long as five questions take."""
    before = len(served.asked)
    until = time.monotonic() + 0.05
    wait_until(lambda: time.monotonic() > until)
    return len(served.asked) == before
