"""What an inference engine counts, in process or at its metrics endpoint, and the figures that follow from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from engine.figures import EngineFigures

_SAMPLE = re.compile(r"""([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s+(\S+)(?:\s+-?\d+)?""")

LARGEST = 1e18
"""No engine counts so far; sums and rates of what is beyond it are no numbers any more."""


@dataclass(frozen=True, slots=True)
class EngineCounters:
    """Totals since the start of the engine (all in tokens), and what it holds now; None for what it does not tell."""

    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    prefix_queries: float | None = None
    prefix_hits: float | None = None
    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None


NAMES: Mapping[str, str] = {
    "vllm:prompt_tokens": "prompt_tokens",
    "vllm:generation_tokens": "generation_tokens",
    "vllm:prefix_cache_queries": "prefix_queries",
    "vllm:prefix_cache_hits": "prefix_hits",
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "kv_cache_usage",
    "sglang:prompt_tokens": "prompt_tokens",
    "sglang:generation_tokens": "generation_tokens",
    "sglang:num_running_reqs": "running",
    "sglang:num_queue_reqs": "waiting",
    "sglang:token_usage": "kv_cache_usage",
    "llamacpp:prompt_tokens": "prompt_tokens",
    "llamacpp:tokens_predicted": "generation_tokens",
    "llamacpp:requests_processing": "running",
    "llamacpp:requests_deferred": "waiting",
    "llamacpp:kv_cache_usage_ratio": "kv_cache_usage",
    "tgi_batch_current_size": "running",
    "tgi_queue_size": "waiting",
}
"""Metric, without the `_total` that counters end in → the field it is of."""


def counters_of(samples: Iterable[tuple[str, float]]) -> EngineCounters | None:
    """The counters among (metric, value) pairs, summed over engines (shares: the largest); None when there are none."""
    found: dict[str, float] = {}
    for name, value in samples:
        field = NAMES.get(name.removesuffix("_total"))
        if field is None or not 0 <= value <= LARGEST:
            continue
        if field == "kv_cache_usage":
            found[field] = max(found.get(field, 0.0), min(value, 1.0))
        else:
            found[field] = found.get(field, 0.0) + value
    return EngineCounters(**found) if found else None


def parse_metrics(text: str) -> EngineCounters | None:
    """The counters in a page of Prometheus' text format; None when it holds none that are known."""

    def samples() -> Iterable[tuple[str, float]]:
        for line in text.splitlines():
            match = None if line.startswith("#") else _SAMPLE.fullmatch(line.strip())
            if match is None:
                continue
            try:
                yield match[1], float(match[2])
            except ValueError:
                continue

    return counters_of(samples())


class FigureMeter:
    """Turns totals, looked at from time to time, into figures of the time between."""

    def __init__(self) -> None:
        self._before: tuple[float, EngineCounters] | None = None

    def figures(self, counters: EngineCounters, now_s: float) -> EngineFigures:
        """Figures at `now_s` (monotonic). Rates are None at the first look and after the engine began anew."""
        before, self._before = self._before, (now_s, counters)
        prompt = generation = hit_rate = None
        if before is not None and now_s > before[0]:
            seconds = now_s - before[0]
            grown = {field.name: _growth(before[1], counters, field.name) for field in fields(EngineCounters)}
            prompt = _over(grown["prompt_tokens"], seconds)
            generation = _over(grown["generation_tokens"], seconds)
            queries, hits = grown["prefix_queries"], grown["prefix_hits"]
            if queries and hits is not None:
                hit_rate = min(1.0, hits / queries)
        return EngineFigures(
            prompt_tokens_per_s=prompt,
            generation_tokens_per_s=generation,
            running=_whole(counters.running),
            waiting=_whole(counters.waiting),
            kv_cache_usage=counters.kv_cache_usage,
            prefix_cache_hit_rate=hit_rate,
        )


def _growth(before: EngineCounters, now: EngineCounters, name: str) -> float | None:
    old, new = getattr(before, name), getattr(now, name)
    return new - old if old is not None and new is not None and new >= old else None


def _over(amount: float | None, seconds: float) -> float | None:
    return None if amount is None else round(amount / seconds, 1)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
