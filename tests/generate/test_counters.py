"""Pages of metrics become counters, and counters become figures of the time between two looks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.figures import EngineFigures
from engine.generate.backends.counters import EngineCounters, FigureMeter, counters_of, parse_metrics

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="/models/7B"} 12.0
vllm:num_requests_waiting{engine="0",model_name="/models/7B"} 3.0
vllm:kv_cache_usage_perc{engine="0",model_name="/models/7B"} 0.25
vllm:prompt_tokens_total{engine="0",model_name="/models/7B"} 5000.0
vllm:prompt_tokens_created{engine="0",model_name="/models/7B"} 1.7e+09
vllm:generation_tokens_total{engine="0",model_name="/models/7B"} 2000.0 1700000000000
vllm:prefix_cache_queries_total{engine="0",model_name="/models/7B"} 5000.0
vllm:prefix_cache_hits_total{engine="0",model_name="/models/7B"} 4000.0
process_open_fds 31.0
"""


def test_vllms_page_holds_all_counters() -> None:
    assert parse_metrics(VLLM) == EngineCounters(
        prompt_tokens=5000.0,
        generation_tokens=2000.0,
        prefix_queries=5000.0,
        prefix_hits=4000.0,
        running=12.0,
        waiting=3.0,
        kv_cache_usage=0.25,
    )


@pytest.mark.parametrize(
    ("page", "counters"),
    [
        ("sglang:num_running_reqs 2\nsglang:token_usage 0.5\n", EngineCounters(running=2.0, kv_cache_usage=0.5)),
        (
            "llamacpp:requests_deferred 4\nllamacpp:tokens_predicted_total 9\n",
            EngineCounters(waiting=4.0, generation_tokens=9.0),
        ),
        ("tgi_queue_size 1\ntgi_batch_current_size 8\n", EngineCounters(running=8.0, waiting=1.0)),
    ],
)
def test_other_servers_counters_are_known_by_their_names(page: str, counters: EngineCounters) -> None:
    assert parse_metrics(page) == counters


def test_several_engines_are_summed_and_of_their_caches_the_fullest_counts() -> None:
    page = "".join(
        f'vllm:num_requests_running{{engine="{number}"}} {number + 1}\n'
        f'vllm:kv_cache_usage_perc{{engine="{number}"}} {number / 10}\n'
        for number in range(3)
    )
    assert parse_metrics(page) == EngineCounters(running=6.0, kv_cache_usage=0.2)


@pytest.mark.parametrize("name", ["/models/{7B}", 'a \\"b\\" } c', "a,b=c # d", "x\\\\"])
def test_a_models_name_may_hold_anything(name: str) -> None:
    assert parse_metrics(f'vllm:num_requests_running{{engine="0",model_name="{name}"}} 4.0\n') == EngineCounters(
        running=4.0
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "<html><body>not found</body></html>",
        "vllm:num_requests_running",
        "vllm:num_requests_running{",
        'vllm:num_requests_running{engine="0} 4',
        "vllm:num_requests_running four",
        "vllm:num_requests_running NaN",
        "vllm:num_requests_running +Inf",
        "vllm:num_requests_running -1",
        "vllm:num_requests_running 1e300",
        "vllm:num_requests_running 4 5 6",
        "# vllm:num_requests_running 4",
        "other:num_requests_running 4",
    ],
)
def test_what_is_no_counter_is_passed_over(line: str) -> None:
    assert parse_metrics(line) is None
    assert parse_metrics(f"{line}\nvllm:num_requests_waiting 2\n{line}") == EngineCounters(waiting=2.0)


def test_a_share_beyond_one_is_one() -> None:
    assert counters_of([("vllm:kv_cache_usage_perc", 7.0)]) == EngineCounters(kv_cache_usage=1.0)


# --- figures -------------------------------------------------------------------------------------------------------


def test_rates_are_of_the_time_between_two_looks() -> None:
    meter = FigureMeter()
    first = EngineCounters(
        prompt_tokens=1000, generation_tokens=100, prefix_queries=1000, prefix_hits=0, running=3.0, kv_cache_usage=0.5
    )
    assert meter.figures(first, 10.0) == EngineFigures(running=3, kv_cache_usage=0.5)
    second = EngineCounters(prompt_tokens=1500, generation_tokens=300, prefix_queries=1500, prefix_hits=400, running=4)
    assert meter.figures(second, 12.0) == EngineFigures(
        prompt_tokens_per_s=250.0, generation_tokens_per_s=100.0, running=4, prefix_cache_hit_rate=0.8
    )
    assert meter.figures(second, 14.0) == EngineFigures(prompt_tokens_per_s=0, generation_tokens_per_s=0, running=4)


def test_an_engine_that_began_anew_has_no_rates_at_first() -> None:
    meter = FigureMeter()
    meter.figures(EngineCounters(prompt_tokens=1000, generation_tokens=900), 10.0)
    assert meter.figures(EngineCounters(prompt_tokens=10, generation_tokens=5), 12.0) == EngineFigures()
    later = meter.figures(EngineCounters(prompt_tokens=30, generation_tokens=5), 14.0)
    assert (later.prompt_tokens_per_s, later.generation_tokens_per_s) == (10.0, 0.0)


def test_two_looks_at_once_have_no_rate() -> None:
    meter = FigureMeter()
    meter.figures(EngineCounters(generation_tokens=1), 10.0)
    assert meter.figures(EngineCounters(generation_tokens=2), 10.0).generation_tokens_per_s is None


NAMES = st.sampled_from(["vllm:num_requests_running", "vllm:prompt_tokens_total", "vllm:kv_cache_usage_perc", "x"])


@given(st.lists(st.lists(st.tuples(NAMES, st.floats()), max_size=4), max_size=4))
def test_whatever_numbers_come_the_figures_can_be_written_down(looks: list[list[tuple[str, float]]]) -> None:
    meter = FigureMeter()
    for number, samples in enumerate(looks):
        counters = counters_of(samples)
        if counters is not None:
            figures = meter.figures(counters, 1.0 + number / 1000)
            assert EngineFigures.model_validate_json(json.dumps(figures.model_dump(mode="json"))) == figures


@given(st.text() | st.text(alphabet='vllm:_{}"\\ 019.e\n#'))
def test_no_text_raises(text: str) -> None:
    parse_metrics(text)


def test_a_huge_page_without_sense_is_read_through() -> None:
    for page in (
        'a{"' * 200_000,
        "a " * 400_000,
        "a" * 800_000,
        'a{b="' + "\\" * 800_000,
        "vllm:num_requests_running {" * 9,
    ):
        assert parse_metrics(page) is None
