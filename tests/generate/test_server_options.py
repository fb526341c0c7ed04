"""What a campaign may say about its server, and what it is told when it says something else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError
from engine.generate.backends.server.options import (
    attached_options,
    parse_options,
    server_options,
    tokenizer_folder,
)
from engine.generate.models.architectures import check_engine_options
from engine.generate.models.folder import POCKET_FOLDER
from engine.generate.models.repetition import parse_repetition

URL = {"url": "http://127.0.0.1:8000"}


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("https://models.example/vllm/v1/", "https://models.example/vllm"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
    ],
)
def test_an_address_may_end_in_v1_or_not(url: str, root: str) -> None:
    assert parse_options({"url": url}).url == root
    assert parse_options({"url": url}).address == root


def test_defaults() -> None:
    options = server_options(ModelConfig(backend="server", options={"socket": "/run/engine.sock"}))
    assert options.address == "unix:/run/engine.sock"
    assert (options.timeout_s, options.retry_for_s, options.concurrency) == (600, 300, 512)


@pytest.mark.parametrize(
    ("options", "where", "message"),
    [
        ({}, "model.options.url", "exactly one of url and socket"),
        ({**URL, "socket": "/x"}, "model.options.url", "exactly one of url and socket"),
        ({"url": "127.0.0.1:8000"}, "model.options.url", "is no address"),
        ({"url": "ftp://host"}, "model.options.url", "is no address"),
        ({"url": "http://"}, "model.options.url", "is no address"),
        ({"url": "http://host:99999"}, "model.options.url", "is no address"),
        ({"url": "http://ho st"}, "model.options.url", "is no address"),
        ({"url": "http://host\x1b[2J"}, "model.options.url", "is no address"),
        ({"url": "http://host/v1?key=1"}, "model.options.url", "something after the path"),
        ({"url": "http://host/#a"}, "model.options.url", "something after the path"),
        ({"url": 5}, "model.options.url", "should be a valid string"),
        ({"socket": "/" + "x" * 120}, "model.options.socket", "longer than the 107 bytes"),
        ({**URL, "api_key_env": "sk-proj-123"}, "model.options.api_key_env", "should match pattern"),
        ({**URL, "timeout_s": 0}, "model.options.timeout_s", "greater than 0"),
        ({**URL, "timeout_s": True}, "model.options.timeout_s", "should be a number"),
        ({**URL, "concurrency": 0}, "model.options.concurrency", "greater than or equal to 1"),
        ({**URL, "max_model_len": "many"}, "model.options.max_model_len", "valid integer"),
        ({**URL, "threads": 2}, "model.options.threads", "is not an option of the backend server"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_key(options: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_options(options)
    assert caught.value.where == where
    assert message in caught.value.what
    assert caught.value.remedy
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("detection", "key", "message"),
    [
        ({"max_pattern_size": 3, "min_count": 1}, "", "min_count must be 2 or more"),
        (
            {"max_pattern_size": 3, "min_pattern_size": 4, "min_count": 2},
            "",
            "min_pattern_size is over max_pattern_size",
        ),
        ({"max_pattern_size": 3, "min_count": 2, "most": 5}, ".most", "known are max_pattern_size"),
    ],
)
def test_a_loop_detector_is_checked_here(detection: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_options({**URL, "repetition_detection": detection})
    assert caught.value.where == f"model.options.repetition_detection{key}"
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "detection"),
    [
        (None, None),
        ({}, None),
        ({"max_pattern_size": 0}, None),
        ({"max_pattern_size": 0, "min_count": 1}, None),
        (
            {"max_pattern_size": 20, "min_pattern_size": 0, "min_count": 4},
            {"max_pattern_size": 20, "min_pattern_size": 1, "min_count": 4},
        ),
        (
            {"max_pattern_size": 20, "min_count": 4},
            {"max_pattern_size": 20, "min_pattern_size": 1, "min_count": 4},
        ),
    ],
)
def test_a_loop_detector_means_the_same_at_the_launch_and_on_every_way_to_vllm(
    asked: dict[str, int] | None, detection: dict[str, int] | None
) -> None:
    model = ModelConfig(backend="vllm", options={"repetition_detection": asked, "max_num_seqs": None})
    record: Any = SimpleNamespace(socket="/run/engine.sock", model="pocket")
    check_engine_options({"repetition_detection": asked})
    assert parse_repetition(asked) == detection, "in process"
    attached = attached_options(model, record, retry_for_s=15.0)
    assert (attached.repetition_detection, attached.concurrency) == (detection, 1280)
    assert parse_options({**URL, "repetition_detection": asked}).repetition_detection == detection


@pytest.mark.parametrize("url", ["http://me:hunter2@host", "https://hunter2@host/v1", "http://me:hunter2@host:bad"])
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_options({"url": url})
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)


def test_a_key_that_was_written_instead_of_its_variable_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_options({**URL, "api_key_env": "sk-proj-hunter2"})
    assert "hunter2" not in str(caught.value)


# --- tokenizer ---------------------------------------------------------------------------------------------------


def folder_of(path: str, **options: Any) -> Any:
    model = ModelConfig(backend="server", path=path, options={**URL, **options})
    return tokenizer_folder(model, server_options(model))


def test_the_tokenizer_is_the_models_own_unless_another_is_named(tmp_path: Path) -> None:
    pocket = POCKET_FOLDER / "hf"
    found = folder_of("pocket")
    assert (found.name, found.tokenizer, found.weights, found.context) == ("pocket", pocket, pocket, 1024)
    assert folder_of(str(pocket)).tokenizer == pocket
    named = folder_of("Qwen/Qwen2.5-32B", tokenizer=str(pocket / "tokenizer.json"))
    assert (named.name, named.tokenizer, named.weights) == ("Qwen/Qwen2.5-32B", pocket / "tokenizer.json", pocket)
    assert folder_of("Qwen/Qwen2.5-32B", tokenizer="pocket", max_model_len=77).context == 77
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert folder_of("x", tokenizer=str(tmp_path)).chat_template


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("Qwen/Qwen2.5-32B", {}, "is no local folder, and the tokenizer is needed here"),
        ("pocket", {"tokenizer": "/no/such/folder"}, "there is no such file or folder"),
    ],
)
def test_a_tokenizer_that_is_not_here_is_asked_for(path: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        folder_of(path, **options)
    assert "model.options.tokenizer" in (caught.value.remedy or "")


# --- a kept engine -----------------------------------------------------------------------------------------------


def test_a_kept_engine_is_reached_by_its_socket_under_its_name() -> None:
    detection = {"max_pattern_size": 20, "min_pattern_size": 1, "min_count": 4}
    model = ModelConfig(
        backend="vllm",
        path="Qwen/Qwen2.5-7B",
        options={"max_num_seqs": 256, "dtype": "bfloat16", "max_model_len": 4096, "repetition_detection": detection},
    )
    record: Any = SimpleNamespace(socket="/run/engine.sock", model="Qwen/Qwen2.5-7B")
    options = attached_options(model, record, retry_for_s=15.0)
    assert (options.socket, options.model, options.url) == ("/run/engine.sock", "Qwen/Qwen2.5-7B", None)
    assert (options.concurrency, options.retry_for_s) == (320, 15.0)
    assert options.repetition_detection == detection
    assert attached_options(ModelConfig(backend="vllm"), record, retry_for_s=15.0).concurrency == 1280


# --- imports -----------------------------------------------------------------------------------------------------


def test_reading_options_loads_no_http_client() -> None:
    code = "import engine.generate.backends, engine.generate.backends.server.options as o\n"
    code += "o.parse_options({'url': 'http://x'})\nimport sys\nprint({'aiohttp', 'asyncio'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "set()"
