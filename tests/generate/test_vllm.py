"""vLLM in process, its engine scripted: nobody waits for a result that will not come."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engine.campaign.models import EngineConfig, ModelConfig
from engine.generate.backends import vllm as backends_vllm
from engine.generate.backends.base import BackendLostError
from engine.generate.backends.vllm import VllmBackend
from engine.generate.critics import LABELS
from engine.generate.models.folder import POCKET_FOLDER, ModelFolder
from tests.generate.fake_server import SAMPLING

POCKET = POCKET_FOLDER / "hf"
FOLDER = ModelFolder("pocket", POCKET, POCKET, context=1024, chat_template=False)


class Engine:
    """Finishes one request at a step, without the log probabilities that it was asked for. Its core is a process, and
    a step waits for one that is dead for good, as vLLM's does."""

    def __init__(self, **_: Any) -> None:
        self.core = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(100,), daemon=True)
        self.core.start()
        self.llm_engine = self
        self.model_config = SimpleNamespace(max_model_len=1024)
        self.vllm_config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=4))
        self.engine_core = SimpleNamespace(shutdown=self.core.kill)
        self.waiting: list[str] = []

    def add_request(self, name: str, *_: object) -> None:
        self.waiting.append(name)

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def step(self) -> list[Any]:
        if not self.core.is_alive():
            threading.Event().wait()
        made = SimpleNamespace(finish_reason="length", stop_reason=None, text=" x", token_ids=[1], logprobs=[{}])
        name = self.waiting.pop(0)
        return [SimpleNamespace(request_id=name, finished=True, outputs=[made], prompt_token_ids=[1])]

    def get_metrics(self) -> list[Any]:
        return []

    def abort_request(self, names: list[str]) -> None:
        self.waiting = [name for name in self.waiting if name not in names]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmBackend]:
    fake, parameters = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    values: Mapping[str, Any] = {"LLM": Engine, "SamplingParams": SimpleNamespace, "__version__": "0"}
    vars(fake).update(values)
    vars(parameters).update(RepetitionDetectionParams=dict, RequestOutputKind=SimpleNamespace(FINAL_ONLY=1))
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", parameters)
    monkeypatch.setattr(backends_vllm, "prepare_environment", lambda engine: None)
    opened = VllmBackend(ModelConfig(backend="vllm"), FOLDER, EngineConfig())
    yield opened
    opened.close()
    opened._engine.core.kill()


def test_an_answer_of_no_known_kind_loses_the_engine_and_its_own_request_is_told(backend: VllmBackend) -> None:
    assert backend.generate("x", SAMPLING).result(20).text == " x"
    for future in (backend.score("x", LABELS), backend.generate("x", SAMPLING)):
        lost = future.exception(20)
        assert isinstance(lost, BackendLostError)
        assert "vLLM's engine ended: KeyError" in str(lost)


def test_what_is_on_its_way_into_the_engine_when_its_core_dies_is_told(
    backend: VllmBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(dict[str, Any]):
        def update(self, *requests: Any) -> None:  # type: ignore[override]
            backend._engine.core.kill()
            lost.wait(20)
            super().update(*requests)

    lost, lose = threading.Event(), backend._lose
    monkeypatch.setattr(backend, "_lose", lambda why: (lose(why), lost.set()))
    backend._flying = Slow()
    failed = backend.generate("x", SAMPLING).exception(20)
    assert isinstance(failed, BackendLostError)
    assert "core died" in str(failed)
