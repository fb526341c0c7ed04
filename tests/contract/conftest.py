"""Backends on the pocket model, real ones. Which are tried is said by `PILOTHOUSE_CONTRACT`: `ctranslate2` (unless it
says otherwise), `vllm` in process and `server` (`vllm serve` on a Unix socket), on whatever device vLLM finds."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.models import EngineConfig, ModelConfig
from engine.files import RunFiles
from engine.generate.attaching import AttachedEngine
from engine.generate.backends import check_model, open_backend
from engine.generate.backends.base import Backend
from engine.generate.backends.vllm_settings import environment, serve_command
from engine.journal.engine_record import EngineRecord, write_engine
from engine.supervise.engines.local_http import get
from tests.waiting import wait_until

BACKENDS = os.environ.get("PILOTHOUSE_CONTRACT", "ctranslate2").split(",")
START_S = 300.0
CONTEXT = 512
VLLM_OPTIONS: Mapping[str, Any] = {
    "max_model_len": CONTEXT,
    "max_num_seqs": 64,
    "gpu_memory_utilization": 0.2,
    "enforce_eager": True,
    "repetition_detection": {"max_pattern_size": 12, "min_pattern_size": 1, "min_count": 8},
}


@dataclass(frozen=True)
class Subject:
    """A backend under test: `softmax(prompt)` is what another implementation computes of the same weights, natural log
    probabilities of the next token over the whole vocabulary; `tolerance` is how far the two may be apart in nats."""

    name: str
    backend: Backend
    softmax: Callable[[str], Sequence[float]]
    tolerance: float
    kill: Callable[[], None] | None = None


def model_of(name: str) -> ModelConfig:
    if name == "ctranslate2":
        return ModelConfig(options={"threads": 4, "max_model_len": CONTEXT})
    return ModelConfig(backend="vllm", options=dict(VLLM_OPTIONS))


@pytest.fixture(scope="module", params=BACKENDS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Each backend that is asked for, opened once."""
    name = request.param
    model, kept = model_of(name), EngineConfig()
    folder = check_model(model, kept)
    assert folder is not None
    if name == "ctranslate2":
        backend = open_backend(model, folder, kept)
        yield Subject(name, backend, _softmax_by_ctranslate2(folder.weights, folder.tokenizer), 2e-3)
        backend.close()
        return
    softmax = _softmax_by_transformers(folder.weights)
    if name == "vllm":
        backend = open_backend(model, folder, kept)
        yield Subject(name, backend, softmax, 0.2, _kill_core)
        backend.close()
        return
    place = tmp_path_factory.mktemp("server")
    socket = Path("/tmp") / f"pilothouse-contract-{os.getpid()}.sock"
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(
            serve_command(model, folder, socket),
            stdout=log,
            stderr=log,
            env=environment(kept, os.environ),
            start_new_session=True,
        )
    try:

        def answers() -> bool:
            assert server.poll() is None, (place / "log").read_text(errors="replace")[-3000:]
            found = get(str(socket), "/health", timeout_s=5.0)
            return found is not None and found[0] == 200

        wait_until(answers, START_S, "an answer of vllm serve")
        files = RunFiles(place)
        record = EngineRecord(state="ready", socket=str(socket), model=model.path)
        write_engine(files, record)
        backend = open_backend(model, folder, kept, AttachedEngine(files, record))
        yield Subject(name, backend, softmax, 0.2, server.kill)
        backend.close()
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        subprocess.run(["pkill", "-KILL", "-s", str(server.pid)], check=False)


def _kill_core() -> None:
    [core] = [child for child in multiprocessing.active_children() if "Engine" in child.name]
    core.kill()


def _softmax_by_ctranslate2(weights: Path, tokenizer: Path) -> Callable[[str], Sequence[float]]:
    import ctranslate2
    import numpy as np
    import tokenizers

    reference = ctranslate2.Generator(str(weights))
    words = tokenizers.Tokenizer.from_file(str(tokenizer))

    def softmax(prompt: str) -> Sequence[float]:
        ids = words.encode(prompt, add_special_tokens=False).ids
        logits = np.asarray(reference.forward_batch([ids]), dtype=np.float64)[0, -1]
        shifted = logits - logits.max()
        return list(shifted - np.log(np.exp(shifted).sum()))

    return softmax


def _softmax_by_transformers(weights: Path) -> Callable[[str], Sequence[float]]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    reference = AutoModelForCausalLM.from_pretrained(str(weights), dtype=torch.float32).eval()
    words = AutoTokenizer.from_pretrained(str(weights))

    def softmax(prompt: str) -> Sequence[float]:
        ids = words(prompt, add_special_tokens=False, return_tensors="pt").input_ids
        with torch.no_grad():
            logits = reference(ids).logits[0, -1].double()
        return list(torch.log_softmax(logits, dim=-1).tolist())

    return softmax
