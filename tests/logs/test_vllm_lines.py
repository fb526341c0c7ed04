"""vLLM's log lines: the steps of a start, figures, the cause of an end; whatever else is written tells nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.figures import EngineFigures
from engine.logs.vllm_lines import figures_of, loading_of, root_cause

PERIODIC = (
    "(APIServer pid=71) INFO 11-25 18:17:12 [loggers.py:257] Engine 000: Avg prompt throughput: 912.4 tokens/s, "
    "Avg generation throughput: 3401.0 tokens/s, Running: 96 reqs, Waiting: 4 reqs, GPU KV cache usage: 31.5%, "
    "Prefix cache hit rate: 88.2%"
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("INFO 11-25 18:17:02 [gpu_model_runner.py:5210] Starting to load model /models/7B...", "weights 0%"),
        ("Loading safetensors checkpoint shards:  43% Completed | 3/7 [00:02<00:03,  1.2it/s]", "weights 43%"),
        ("Loading pt checkpoint shard: 7% Completed | 1/14", "weights 7%"),
        ("[default_loader.py:291] Loading weights took 3.41 seconds", "weights 100%"),
        ("Model loading took 14.2 GiB memory and 4.1 seconds", "weights 100%"),
        ("Using cache directory: /c/torch_compile_cache/ab for vLLM's torch.compile", "compiling"),
        ("Dynamo bytecode transform time: 5.31 s", "compiling"),
        ("Directly load the compiled graph(s) for dynamic shape from the cache", "compiled before"),
        ("torch.compile takes 20.1 s in total; torch.compile took 20.12 s in total", "warming up"),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  64%|██████▍   | 43/67", "CUDA graphs 64%"),
        ("Graph capturing finished in 5 secs, took 0.61 GiB", "warm"),
        ("init engine (profile, create kv cache, warmup model) took 31.2 seconds", "warm"),
        ("INFO:     Application startup complete.", "answering"),
    ],
)
def test_each_step_of_a_start_is_known_by_its_line(line: str, told: str) -> None:
    assert str(loading_of(line)) == told


def test_more_than_all_is_all() -> None:
    assert str(loading_of("Loading safetensors checkpoint shards: 999% Completed")) == "weights 100%"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "an answer about loading weights",
        "Loading safetensors checkpoint shards:",
        "Loading safetensors checkpoint shards:  43",
        "Loading safetensors checkpoint shards: -3% Completed",
        "Capturing CUDA graphs",
    ],
)
def test_torn_and_other_lines_are_no_step(line: str) -> None:
    assert loading_of(line) is None


def test_a_periodic_line_holds_the_figures() -> None:
    assert figures_of(PERIODIC) == EngineFigures(
        prompt_tokens_per_s=912.4,
        generation_tokens_per_s=3401.0,
        running=96,
        waiting=4,
        kv_cache_usage=0.315,
        prefix_cache_hit_rate=0.882,
    )


def test_what_a_line_leaves_out_is_not_known() -> None:
    bare = figures_of(PERIODIC.partition(", GPU KV")[0] + ", KV offload: off")
    assert bare is not None
    assert (bare.running, bare.waiting) == (96, 4)
    assert (bare.kv_cache_usage, bare.prefix_cache_hit_rate) == (None, None)


def test_another_cache_is_not_taken_for_the_prefix_cache() -> None:
    line = PERIODIC.replace("Prefix cache hit", "External prefix cache hit")
    figures = figures_of(line)
    assert figures is not None
    assert figures.prefix_cache_hit_rate is None
    assert figures_of(f"{line}, Prefix cache hit rate: 5.0%") == figures.model_copy(
        update={"prefix_cache_hit_rate": 0.05}
    )


@pytest.mark.parametrize("number", ["1.2.3", ".", "9" * 400, "9" * 5000, "nan", "-1.0", ""])
def test_a_throughput_that_is_no_figure_is_no_figures(number: str) -> None:
    assert figures_of(PERIODIC.replace("912.4", number)) is None


def test_a_share_beyond_one_is_one() -> None:
    figures = figures_of(PERIODIC.replace("31.5", "250.0"))
    assert figures is not None
    assert figures.kv_cache_usage == 1.0


def test_a_line_torn_anywhere_tells_nothing_or_less_of_the_same() -> None:
    whole = figures_of(PERIODIC)
    assert whole is not None
    for end in range(len(PERIODIC)):
        torn = figures_of(PERIODIC[:end])
        if torn is not None:
            known = torn.model_dump(exclude_none=True)
            assert known == {key: getattr(whole, key) for key in known}


@given(st.text(max_size=500) | st.text(alphabet="Loading checkpoint shards:Engine%0123.tokens/s, \t", max_size=500))
def test_no_text_raises(text: str) -> None:
    loading_of(text)
    figures_of(text)
    root_cause([text])


def test_the_cause_is_the_last_error_that_the_core_reported() -> None:
    lines = [
        "ERROR [core.py:1231] Traceback (most recent call last):",
        'ERROR [core.py:1231]   File "/v/gpu_worker.py", line 240, in init_device',
        "ERROR [core.py:1231] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        "(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed: {}",
        "nanobind: leaked 2 instances!",
    ]
    assert root_cause(lines) == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"


@pytest.mark.parametrize("line", ["INFO all is well", "ValueError", "ValueError: ", "an error: no", "Errors: 3"])
def test_a_line_without_an_error_names_no_cause(line: str) -> None:
    assert root_cause([line]) is None
