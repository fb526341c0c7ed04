"""What CTranslate2 promises beyond the contract of all backends (`tests/contract`); models that cannot be opened."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.campaign.models import EngineConfig, ModelConfig
from engine.errors import ConfigurationError
from engine.generate.backends import check_model
from engine.generate.backends import open_backend as open_model
from engine.generate.backends.base import Backend, SamplingParameters
from engine.generate.critics import LABELS
from engine.generate.models.converted import resolve_ctranslate2
from engine.generate.models.folder import POCKET_FOLDER

SAMPLING = SamplingParameters(temperature=0.9, top_p=0.95, repetition_penalty=1.1, max_tokens=40, seed=1)
LIST = "Short tasks for a language model:\n1. Name the capital of Norway.\n2. Add 47 and 12.\n3."
CRITIC = "Does the response do the task correctly? A = yes, B = no.\nInstruction: {}\nResponse: {}\nLabel:"


def open_backend(model: ModelConfig) -> Backend:
    folder = check_model(model, EngineConfig())
    assert folder is not None
    return open_model(model, folder, EngineConfig())


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    opened = open_backend(ModelConfig(options={"threads": 8}))
    yield opened
    opened.close()


def test_same_seed_same_text_whatever_else_runs(backend: Backend) -> None:
    """Eight threads sample 64 completions in a crowd of scores; one by one and in reverse each is the same."""
    seeds = range(100, 164)
    crowd = [backend.generate(LIST, replace(SAMPLING, seed=seed)) for seed in seeds]
    scores = [backend.score(CRITIC.format("Add 1 and 2.", number), LABELS) for number in range(64)]
    together = [future.result() for future in crowd]
    alone = [backend.generate(LIST, replace(SAMPLING, seed=seed)).result() for seed in reversed(seeds)][::-1]
    assert together == alone
    assert len({completion.text for completion in together}) > 50, "other seeds give other texts"
    assert [future.result() for future in scores] == [
        backend.score(CRITIC.format("Add 1 and 2.", number), LABELS).result() for number in range(64)
    ]


def test_another_process_life_samples_the_same(backend: Backend) -> None:
    other = open_backend(ModelConfig(options={"threads": 1}))
    try:
        assert other.generate(LIST, SAMPLING).result() == backend.generate(LIST, SAMPLING).result()
    finally:
        other.close()


@pytest.mark.parametrize("penalty", [1.3, 2.0, 10.0])
def test_repetition_penalty_bears_on_the_logits_of_generated_tokens_only(backend: Backend, penalty: float) -> None:
    import ctranslate2

    reference = ctranslate2.Generator(str(resolve_ctranslate2(ModelConfig()).weights))
    prompt, expected = backend.token_ids(LIST, special=False), []
    for _ in range(20):
        logits = np.asarray(reference.forward_batch([prompt + expected]), dtype=np.float64)[0, -1]
        for token in set(expected):
            logits[token] *= penalty if logits[token] < 0 else 1 / penalty
        expected.append(int(logits.argmax()))
    greedy = replace(SAMPLING, temperature=0.0, repetition_penalty=penalty, max_tokens=20)
    assert backend.token_ids(backend.generate(LIST, greedy).result().text, special=False) == expected


def test_a_label_of_several_tokens_is_a_configuration_error(backend: Backend) -> None:
    with pytest.raises(ConfigurationError, match="must be one"):
        backend.score("Label:", ("certainly", "B"))


def test_close_ends_what_runs() -> None:
    backend = open_backend(ModelConfig(options={"threads": 2}))
    futures = [backend.generate(LIST, replace(SAMPLING, seed=seed, max_tokens=300)) for seed in range(20)]
    backend.close()
    assert all(future.done() for future in futures)
    with pytest.raises((CancelledError, RuntimeError)):
        futures[-1].result()


# --- models that cannot be opened --------------------------------------------------------------------------------


def test_a_missing_backend_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="backend ctranslate2 needs the package ctranslate2") as caught:
        open_backend(ModelConfig(backend="ctranslate2", path="pocket"))
    assert caught.value.remedy == "pip install ctranslate2 tokenizers"


def model_copy(folder: Path, *, without: str = "", empty: str = "") -> Path:
    for source in (*(POCKET_FOLDER / "ct2").iterdir(), POCKET_FOLDER / "hf" / "tokenizer.json"):
        if source.name != without:
            (folder / source.name).write_bytes(b"" if source.name == empty else source.read_bytes())
    return folder


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_model_folder_that_lacks_a_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} is missing"):
        open_backend(ModelConfig(path=str(model_copy(tmp_path, without=name))))


def test_empty_and_broken_model_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="folder is empty"):
        open_backend(ModelConfig(path=str(tmp_path)))
    model_copy(tmp_path, empty="model.bin")
    with pytest.raises(ConfigurationError, match=r"model\.bin is empty"):
        open_backend(ModelConfig(path=str(tmp_path)))
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        open_backend(ModelConfig(path=str(tmp_path)))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    path = model_copy(tmp_path) / "vocabulary.json"
    path.write_text(path.read_text().replace('"!"', '"another"'))
    with pytest.raises(ConfigurationError, match="do not belong together"):
        open_backend(ModelConfig(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("path", "message"),
    [("Qwen/Qwen2.5-32B", "downloads nothing"), ("/no/such/folder", "no such folder"), (__file__, "a file stands")],
)
def test_paths_that_are_no_model_folder_say_so(path: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_backend(ModelConfig(path=path))


@pytest.mark.parametrize(
    "options", [{"thread": 2}, {"threads": 0}, {"max_model_len": "many"}, {"compute_type": "int3"}]
)
def test_bad_model_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        open_backend(ModelConfig(options=options))
