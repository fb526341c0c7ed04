"""Tokens per second of the pipeline against a bare `LLM.generate` of the same requests, on one engine."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.watching import GpuWatch, resident_mib
from benchmarks.gpu.workload import Asked, Course, run_pipeline, stage1_prompts
from engine.campaign.models import EngineConfig, ModelConfig
from engine.files import RunFiles
from engine.generate.attaching import AttachedEngine
from engine.generate.backends import check_model, open_backend
from engine.generate.backends.base import label_tokens
from engine.generate.backends.vllm import VllmBackend
from engine.journal.engine_record import EngineRecord

Report = Callable[[dict[str, Any]], None]


class LendableBackend(VllmBackend):
    """The backend whose engine can be used bare, while its own thread stands aside."""

    def __init__(self, *arguments: Any) -> None:
        self._wanted, self._aside, self._back = threading.Event(), threading.Event(), threading.Event()
        super().__init__(*arguments)

    def _take(self) -> None:
        super()._take()
        if self._wanted.is_set() and not self._engine.has_unfinished_requests():
            self._aside.set()
            self._back.wait()

    @contextlib.contextmanager
    def lent(self) -> Iterator[Any]:
        """vLLM's `LLM`, for the caller alone, and without statistics as `LLM` is unless one asks for them."""
        self._back.clear()
        self._wanted.set()
        self._aside.wait()
        engine = self._engine
        manager, engine.logger_manager = engine.logger_manager, None
        engine.log_stats = engine.output_processor.log_stats = False
        try:
            yield self._llm
        finally:
            engine.logger_manager = manager
            engine.log_stats = engine.output_processor.log_stats = True
            self._wanted.clear()
            self._aside.clear()
            self._back.set()


def model_of(path: str, options: dict[str, Any]) -> ModelConfig:
    """A model folder of random weights, or `pocket`."""
    dummy = {} if path == "pocket" else {"load_format": "dummy"}
    return ModelConfig(path=path, backend="vllm", options={**dummy, "max_model_len": 1024, **options})


def in_process(
    path: str, sizes: Sequence[int], bare_sizes: Sequence[int], options: dict[str, Any], out: Report
) -> None:
    """For each of `sizes` examples the pipeline on an engine of this process; for `bare_sizes` its requests bare."""
    model, kept = model_of(path, options), EngineConfig()
    folder = check_model(model, kept)
    assert folder is not None
    began = time.perf_counter()
    backend = LendableBackend(model, folder, kept)
    opened = time.perf_counter() - began
    prompts = stage1_prompts()
    realistic = path != "pocket"
    run_pipeline(backend, prompts, 20, realistic=realistic, seed=1)  # kernels are compiled at their first use
    for number, examples in enumerate(sizes):
        with backend.lent() as llm:
            llm.reset_prefix_cache()
        with GpuWatch() as gpu:
            course = run_pipeline(backend, prompts, examples, realistic=realistic, seed=100 + number)
        row = _row("in process", path, course) | gpu.figures() | {"rss_mib": resident_mib(), "open_s": round(opened, 1)}
        if examples in bare_sizes:
            # Between two courses of the pipeline: whatever comes later finds everything warmer.
            row |= _bare(backend, course.used)
            again = run_pipeline(backend, prompts, examples, realistic=realistic, seed=200 + number)
            row |= {"tokens_per_s_again": round(again.tokens / again.seconds, 1)}
            row["ratio"] = round(max(row["tokens_per_s"], row["tokens_per_s_again"]) / row["bare_tokens_per_s"], 3)
        out(row)
    backend.close()


def through_server(path: str, socket: Path, sizes: Sequence[int], options: dict[str, Any], out: Report) -> None:
    """The pipeline against an engine that listens on `socket`."""
    model, kept = model_of(path, options), EngineConfig()
    folder = check_model(model, kept)
    assert folder is not None
    backend = open_backend(
        model,
        folder,
        kept,
        AttachedEngine(RunFiles(socket.parent), EngineRecord(state="ready", socket=str(socket), model=path)),
    )
    prompts = stage1_prompts()
    realistic = path != "pocket"
    run_pipeline(backend, prompts, 20, realistic=realistic, seed=1)
    for number, examples in enumerate(sizes):
        with GpuWatch() as gpu:
            course = run_pipeline(backend, prompts, examples, realistic=realistic, seed=300 + number)
        out(_row("server", path, course) | gpu.figures() | {"rss_mib": resident_mib()})
    backend.close()


def _row(way: str, path: str, course: Course) -> dict[str, Any]:
    return {
        "part": "throughput",
        "way": way,
        "model": os.path.basename(path.rstrip("/")),  # noqa: PTH119 - `pocket` is no path
        "examples": course.examples,
        "candidates": course.candidates,
        "seconds": round(course.seconds, 2),
        "tokens": course.tokens,
        "tokens_per_s": round(course.tokens / course.seconds, 1),
        "examples_per_s": round(course.examples / course.seconds, 2),
        "requests": course.requests,
        "requests_used": len(course.used),
    }


def _bare(backend: LendableBackend, used: Sequence[Asked]) -> dict[str, Any]:
    """All of `used` at once through `LLM.generate`, as one would who has them all: nothing depends on anything."""
    import vllm

    labels: dict[tuple[str, ...], list[int]] = {}
    prompts, parameters = [], []
    for one in used:
        prompts.append({"prompt_token_ids": backend.token_ids(one.prompt, special=False)})
        wanted = one.parameters
        if wanted is None:
            ids = labels.setdefault(one.labels, list(label_tokens(backend, one.labels).values()))
            scoring = vllm.SamplingParams(temperature=0.0, max_tokens=1, logprob_token_ids=ids, detokenize=False)
            parameters.append(scoring)
        else:
            parameters.append(
                vllm.SamplingParams(
                    temperature=wanted.temperature,
                    top_p=wanted.top_p,
                    repetition_penalty=wanted.repetition_penalty,
                    max_tokens=wanted.max_tokens,
                    seed=wanted.seed,
                    stop=list(wanted.stop) or None,
                )
            )
    with backend.lent() as llm, GpuWatch() as gpu:
        llm.reset_prefix_cache()
        began = time.perf_counter()
        made = llm.generate(prompts, parameters, use_tqdm=False)
        seconds = time.perf_counter() - began
    tokens = sum(len(output.outputs[0].token_ids) for output in made)
    return {"bare_tokens_per_s": round(tokens / seconds, 1), "bare_gpu_idle": gpu.figures()["gpu_idle"]}
