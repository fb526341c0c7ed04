"""Models of Hugging Face: found, and checked before anything is loaded, whatever stands in their files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError
from engine.generate.models.architectures import (
    check_architecture,
    check_engine_options,
    default_gpu_memory_utilization,
)
from engine.generate.models.fit import check_fit
from engine.generate.models.folder import POCKET_FOLDER, ModelFolder
from engine.generate.models.hub import hub_name
from engine.generate.models.hugging_face import check_labels, find_model
from engine.generate.models.memory import GIB, WORKING_BYTES, check_memory, estimate
from engine.generate.models.reading import read_object
from engine.generate.models.weights import tensor_bytes, weight_bytes
from tests.generate.fake_hub import weights_file

REPOSITORY = Path(__file__).resolve().parents[2]
POCKET = POCKET_FOLDER / "hf"
INDEX = "model.safetensors.index.json"
PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def found(path: Path | str, cache: Path | None = None, **options: Any) -> ModelFolder | None:
    return find_model(ModelConfig(path=str(path), backend="vllm", options=options), cache)


def refused(path: Path | str, cache: Path | None = None, **options: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        found(path, cache, **options)
    error = caught.value
    assert error.where, "it says where"
    assert error.remedy, "and what to do"
    assert str(error).replace("\n", "").isprintable(), "nothing reaches a terminal but text"
    return error


def small_files(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((POCKET / name).read_bytes())
    return folder


def whole(folder: Path) -> Path:
    (small_files(folder) / "model.safetensors").write_bytes(weights_file(1000))
    return folder


def in_parts(folder: Path) -> Path:
    for name in PARTS:
        (small_files(folder) / name).write_bytes(weights_file(500))
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": PARTS[0], "b": PARTS[1]}}))
    return folder


def set_config(folder: Path, **changes: Any) -> Path:
    config = read_object(folder / "config.json") | changes
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# --- found -------------------------------------------------------------------------------------------------------


def test_the_pocket_model_and_a_copy_of_it_are_found(tmp_path: Path) -> None:
    pocket = found("pocket")
    assert pocket == ModelFolder("pocket", POCKET, POCKET, context=1024, chat_template=False)
    assert found(POCKET_FOLDER) == ModelFolder(str(POCKET_FOLDER), POCKET, POCKET, 1024, chat_template=False)
    copy = whole(tmp_path)
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    assert found(copy) == ModelFolder(str(copy), copy, copy, context=1024, chat_template=True)


def test_nothing_heavy_is_imported_for_a_folder() -> None:
    script = (
        "import sys; from engine.campaign.models import ModelConfig;"
        "from engine.generate.models.hugging_face import find_model;"
        "assert find_model(ModelConfig(path='pocket', backend='vllm'), None);"
        "print([name for name in ('huggingface_hub', 'transformers', 'vllm', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_weights_in_parts_are_found_with_and_without_an_index(tmp_path: Path) -> None:
    folder = in_parts(tmp_path)
    (folder / "consolidated.safetensors").write_bytes(b"the same weights again")
    assert found(folder) is not None
    assert weight_bytes(folder, {}) == 2 * len(weights_file(500))
    (folder / INDEX).unlink()
    assert found(folder) is not None


def test_pytorch_weights_do_unless_safetensors_are_asked_for(tmp_path: Path) -> None:
    (small_files(tmp_path) / "pytorch_model.bin").write_bytes(b"weights")
    assert found(tmp_path) is not None
    assert weight_bytes(tmp_path, {}) == 7
    assert "load_format asks for safetensors" in refused(tmp_path, load_format="safetensors").what


def test_dummy_weights_need_no_files(tmp_path: Path) -> None:
    small_files(tmp_path)
    assert "weights are missing" in refused(tmp_path).what
    assert found(tmp_path, load_format="dummy") is not None
    assert weight_bytes(tmp_path, {"load_format": "dummy"}) is None


@pytest.mark.parametrize(
    ("changes", "options", "context"),
    [
        ({}, {}, 1024),
        ({}, {"max_model_len": 512}, 512),
        ({"max_position_embeddings": None, "text_config": {"max_position_embeddings": 99}}, {}, 99),
        ({"max_position_embeddings": -5}, {}, None),
        ({"max_position_embeddings": True}, {}, None),
        ({"max_position_embeddings": 10**30}, {}, None),
        ({"max_position_embeddings": "many", "text_config": [1]}, {}, None),
    ],
)
def test_the_context_is_the_options_or_the_models(
    tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], context: int | None
) -> None:
    model = found(set_config(whole(tmp_path), **changes), **options)
    assert model is not None
    assert model.context == context


# --- not there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("./no/such/folder", "no such folder"),
        ("/no/such/folder", "no such folder"),
        ("gpt2", "no such folder"),
        ("~nobody-of-that-name/model", "cannot be looked at"),
        ("a/b/c", "no such folder"),
        ("owner/name@../../../etc", "no such folder"),
        ("owner/..", "no such folder"),
        ("owner/\x1b]0;title\x07name", "no such folder"),
        (__file__, "a file stands"),
    ],
)
def test_paths_that_are_no_model_say_so(tmp_path: Path, path: str, message: str) -> None:
    assert message in refused(path, tmp_path).what


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "config.json is missing"),
        ("tokenizer.json", "tokenizer is missing"),
        (PARTS[0], f"1 of 2 files of weights are missing, the first is {PARTS[0]}"),
    ],
)
@pytest.mark.parametrize("index", [True, False])
def test_what_a_folder_lacks_is_named(tmp_path: Path, name: str, message: str, index: bool) -> None:
    folder = in_parts(tmp_path)
    if not index:
        (folder / INDEX).unlink()
    (folder / name).unlink()
    error = refused(folder)
    assert message in error.what
    assert error.where == str(folder)


@pytest.mark.parametrize(
    ("files", "message", "remedy"),
    [
        ({}, "folder is empty", "copy or download"),
        ({"model.bin": b"x", "config.json": b"{}"}, "converted for CTranslate2", "set model.backend to ctranslate2"),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}, "an adapter", "merge it"),
        ({"config.json": b"{}", "consolidated.safetensors": b"x"}, "only Mistral's own", "wanted: model.safetensors"),
        ({"config.json": b"{}", "model.Q4.gguf": b"x"}, "only GGUF", "wanted: model.safetensors"),
        ({"config.json": b"{}", "model.pth": b"x"}, "only PyTorch checkpoints", "wanted: model.safetensors"),
    ],
)
def test_folders_of_another_kind_are_told_apart(
    tmp_path: Path, files: dict[str, bytes], message: str, remedy: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    error = refused(tmp_path)
    assert message in error.what
    assert remedy in (error.remedy or "")


# --- files that anybody may have written -------------------------------------------------------------------------


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (weights_file(1000)[:-1], "was not copied whole: it has"),
        (weights_file(1000)[:20], "was not copied whole: it ends within its header"),
        (weights_file(1000)[:3], "was not copied whole"),
        (weights_file(1000) + b"more", "its header tells of"),
        (b"", "is empty"),
        (bytes(1000), "no safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "no safetensors file"),
        ((2).to_bytes(8, "little") + b"[]", "no safetensors file"),
        ((9).to_bytes(8, "little") + b'{"w": {}}', "no safetensors file"),
        ((41).to_bytes(8, "little") + b'{"w": {"data_offsets": [0, "1"], "x": 1}}', "no safetensors file"),
        ((30).to_bytes(8, "little") + b'{"w": {"data_offsets": [9,1]}}', "no safetensors file"),
        ((100_000).to_bytes(8, "little") + b"[" * 100_000, "no safetensors file"),
    ],
    ids=range(12),
)
def test_weights_that_cannot_be_whole_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (whole(tmp_path) / "model.safetensors").write_bytes(content)
    error = refused(tmp_path)
    assert message in error.what
    assert error.where == str(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "../model.safetensors", "sub/a.safetensors", "config.json", 7, None, [1]],
)
def test_an_index_leads_nowhere_else(tmp_path: Path, name: object) -> None:
    folder = in_parts(tmp_path / "model")
    (tmp_path / "model.safetensors").write_bytes(weights_file(5))
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": PARTS[0], "b": name}}))
    assert "no file of weights in this folder" in refused(folder).what


@pytest.mark.parametrize("text", ["{}", "[]", '{"weight_map": {}}', '{"weight_map": [1]}', "nonsense", ""])
def test_an_index_without_a_map_is_refused(tmp_path: Path, text: str) -> None:
    (in_parts(tmp_path) / INDEX).write_text(text)
    assert INDEX in refused(tmp_path).what


def test_names_with_escape_sequences_are_shown_without_them(tmp_path: Path) -> None:
    folder = in_parts(tmp_path / "\x1b[2Jmodel")
    evil = "\x1b]0;title\x07\u202ereversed.safetensors"
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": evil}}))
    assert "the first is reversed.safetensors" in refused(folder).what
    (folder / evil).write_bytes(b"no weights")
    assert "reversed.safetensors is no safetensors file" in refused(folder).what
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": f"../{evil}"}}))
    refused(folder)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read: Expecting value"),
        (b"not json", "cannot be read"),
        (b"[1, 2]", "holds no JSON object"),
        (b'"text"', "holds no JSON object"),
        (b"\xff\xfe{}", "cannot be read"),
        (nested(200_000), "nested too deeply"),
        (b'{"max_position_embeddings": ' + b"9" * 5000 + b"}", "cannot be read"),
        (b"\x1b]0;x\x07", "cannot be read"),
    ],
    ids=["empty", "text", "list", "string", "utf-16", "deep", "digits", "escape"],
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", INDEX])
def test_files_that_are_no_json_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (in_parts(tmp_path) / name).write_bytes(content)
    error = refused(tmp_path)
    assert message in error.what
    assert error.where == str(tmp_path / name)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", INDEX, PARTS[0]])
def test_a_pipe_or_a_folder_in_place_of_a_file_does_not_hang(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    folder = in_parts(tmp_path)
    (folder / name).unlink()
    make(folder / name)
    assert "not a regular file" in refused(folder).what


def test_a_file_of_any_length_is_not_read_into_memory(tmp_path: Path) -> None:
    with (whole(tmp_path) / "config.json").open("r+b") as stream:
        stream.truncate(1 << 33)
    assert "larger than" in refused(tmp_path).what


# --- in the hub's cache ------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef" * 2 + "01234567"


def in_cache(cache: Path, reference: str = "main") -> Path:
    """A snapshot as the hub's library leaves it: links into blobs."""
    home = cache / "models--acme--pocket"
    snapshot = home / "snapshots" / COMMIT
    for folder in (snapshot, home / "blobs", (home / "refs" / reference).parent):
        folder.mkdir(parents=True, exist_ok=True)
    for number, source in enumerate(sorted(in_parts(cache / "source").iterdir())):
        source.rename(home / "blobs" / f"{number:040x}")
        (snapshot / source.name).symlink_to(f"../../blobs/{number:040x}")
    (home / "refs" / reference).write_text(COMMIT)
    return snapshot


def test_a_whole_snapshot_is_found_by_branch_tag_and_commit(tmp_path: Path) -> None:
    snapshot = in_cache(tmp_path, "refs/pr/1")
    for revision in ("refs/pr/1", COMMIT):
        model = found(f"acme/pocket@{revision}", tmp_path)
        assert model is not None
        assert (model.name, model.weights) == (f"acme/pocket@{revision}", snapshot)
    for path in ("acme/pocket", "acme/pocket@v2", f"acme/pocket@{'f' * 40}", "acme/other"):
        assert found(path, tmp_path) is None, path


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", *PARTS, INDEX])
def test_a_snapshot_that_lacks_a_file_must_be_downloaded(tmp_path: Path, name: str) -> None:
    snapshot = in_cache(tmp_path)
    assert found("acme/pocket", tmp_path) is not None
    if name == INDEX:
        (snapshot / PARTS[0]).unlink()  # without the index the numbers tell
    (snapshot / name).unlink()
    assert found("acme/pocket", tmp_path) is None


def test_a_snapshot_with_a_download_under_way_or_a_link_to_nothing_must_be_downloaded(tmp_path: Path) -> None:
    snapshot = in_cache(tmp_path)
    unfinished = tmp_path / "models--acme--pocket" / "blobs" / f"{'1' * 64}.incomplete"
    unfinished.write_bytes(b"half")
    assert found("acme/pocket", tmp_path) is None
    unfinished.unlink()
    (snapshot / PARTS[1]).resolve().unlink()
    assert found("acme/pocket", tmp_path) is None


def test_a_damaged_file_in_the_cache_is_named_with_what_it_links_to(tmp_path: Path) -> None:
    link = in_cache(tmp_path) / PARTS[0]
    link.write_bytes(cut(weights_file(500)))
    error = refused("acme/pocket", tmp_path)
    assert "was not copied whole" in error.what
    assert error.where == str(link)
    assert str(link.resolve()) in (error.remedy or "")


@pytest.mark.parametrize("content", ["../../elsewhere", "", "\0" * 40, COMMIT.upper(), COMMIT + "0"])
def test_a_reference_names_a_commit_or_nothing(tmp_path: Path, content: str) -> None:
    in_cache(tmp_path)
    whole(tmp_path / "elsewhere")
    (tmp_path / "models--acme--pocket" / "refs" / "main").write_text(content)
    assert found("acme/pocket", tmp_path) is None


def test_a_folder_of_that_name_comes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cache(tmp_path)
    monkeypatch.chdir(tmp_path)
    here = whole(Path("acme/pocket"))
    model = found("acme/pocket", tmp_path)
    assert model is not None
    assert model.weights == here


def test_the_cache_is_where_the_hubs_library_keeps_it(tmp_path: Path) -> None:
    snapshot = in_cache(tmp_path / "hub")
    script = (
        "from engine.campaign.models import ModelConfig; from engine.generate.models.hugging_face import find_model;"
        "print(find_model(ModelConfig(path='acme/pocket', backend='vllm'), None).weights)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    # a setting that the library no longer knows, and warns of
    environment |= {"HF_HOME": str(tmp_path), "HF_HUB_ENABLE_HF_TRANSFER": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment
    )
    assert (done.stdout, done.stderr) == (f"{snapshot}\n", "")


@pytest.mark.parametrize("path", ["acme/pocket", "acme/pocket@main", "Qwen/Qwen2.5-32B@refs/pr/3"])
def test_names_of_the_hub(path: str) -> None:
    name = hub_name(path)
    assert name is not None
    assert path in (name.repository, f"{name.repository}@{name.revision}")


# --- labels ------------------------------------------------------------------------------------------------------


def test_labels_are_checked_with_the_models_own_tokenizer(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    model = found(folder)
    assert model is not None
    assert check_labels(model) == ()
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    chatty = found(folder)
    assert chatty is not None
    assert "may be no base model" in check_labels(chatty)[0]
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in tokenizer["model"]["merges"]]
    tokenizer["model"]["merges"] = [merge for merge in merges if "ĠA" not in (*merge, "".join(merge))]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ConfigurationError, match="label ' A' is 2 tokens"):
        check_labels(model)


# --- what vLLM supports ------------------------------------------------------------------------------------------

REGISTRY = """
import torch
_TEXT_GENERATION_MODELS = {
    # [Decoder-only]
    "LlamaForCausalLM": ("llama", "LlamaForCausalLM"),
    "Qwen2ForCausalLM": ("qwen2", "Qwen2ForCausalLM"),
}
_EMBEDDING_MODELS = {"BertModel": ("bert", "BertEmbeddingModel"), **{k: v for k, v in _TEXT_GENERATION_MODELS.items()}}
_MULTIMODAL_MODELS: dict = {"Gemma3ForConditionalGeneration": ("gemma3_mm", "Gemma3ForConditionalGeneration")}
_VLLM_MODELS = {**_TEXT_GENERATION_MODELS, **_EMBEDDING_MODELS}
_PREVIOUSLY_SUPPORTED_MODELS = {"XverseForCausalLM": "0.23.0"}
"""
ARGUMENTS = '''
@dataclass
class EngineArgs:
    """Arguments for vLLM engine."""

    model: str = ModelConfig.model
    max_model_len: int = ModelConfig.max_model_len
    tensor_parallel_size: int = ParallelConfig.tensor_parallel_size
    gpu_memory_utilization: float = CacheConfig.gpu_memory_utilization
    load_format: str | LoadFormats = LoadConfig.load_format
    download_dir: str | None = LoadConfig.download_dir
    enable_prefix_caching: bool | None = None
    _api_process_count: int = 1

    def __post_init__(self):
        raise SystemExit
'''
CACHE = '''
@config
class CacheConfig:
    DEFAULT_BLOCK_SIZE: ClassVar[int] = 16
    gpu_memory_utilization: float = Field(default=0.87, gt=0, le=1)
    """The fraction of GPU memory"""
'''
TRANSFORMERS = 'MODEL_FOR_CAUSAL_LM_MAPPING_NAMES = OrderedDict([("helium", "HeliumForCausalLM")])'


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages vllm and transformers that must not be imported, with sources of vLLM's form."""
    site = tmp_path / "site"
    for path, text in {
        "vllm/__init__.py": "raise SystemExit('vllm was imported')",
        "vllm/model_executor/models/registry.py": REGISTRY,
        "vllm/engine/arg_utils.py": ARGUMENTS,
        "vllm/config/cache.py": CACHE,
        "transformers/__init__.py": "raise SystemExit('transformers was imported')",
        "transformers/models/auto/modeling_auto.py": TRANSFORMERS,
    }.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    monkeypatch.syspath_prepend(str(site))
    for name in ("vllm", "transformers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return site


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    model = found(whole(tmp_path / "model"))
    assert model is not None
    return model


def architecture(folder: ModelFolder, *names: Any, **options: Any) -> tuple[str, ...]:
    set_config(folder.weights, architectures=list(names))
    return check_architecture(folder, options)


def test_architectures_that_vllm_has_are_taken(packages: Path, folder: ModelFolder) -> None:
    assert check_architecture(folder) == ()
    assert architecture(folder, "Gemma3ForConditionalGeneration") == ()
    assert architecture(folder, "OfMyOwn", "LlamaForCausalLM") == ()
    assert architecture(folder, "OfMyOwn", hf_overrides={"architectures": ["LlamaForCausalLM"]}) == ()
    assert "falls back on that of Transformers" in architecture(folder, "HeliumForCausalLM")[0]
    set_config(folder.weights, auto_map={"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"})
    assert "shows when it loads" in architecture(folder, "OwnForCausalLM", trust_remote_code=True)[0]


@pytest.mark.parametrize(
    ("name", "options", "message", "remedy"),
    [
        ("Qwen3ForCausalLM", {}, "has no model Qwen3ForCausalLM", "it has Qwen2ForCausalLM"),
        ("HeliumForCausalLM", {"model_impl": "vllm"}, "has no model", "another version of vLLM"),
        ("XverseForCausalLM", {}, "has not supported XverseForCausalLM since version 0.23.0", "another version"),
        ("BertModel", {}, "does not generate text", "take a model that it supports"),
        ("LlamaForSequenceClassification", {}, "has no model", "it has nothing like it"),
        ("\x1b]0;x\x07Evil", {}, "has no model Evil", "take a model"),
        ("x" * 100_000, {}, "has no model", "take a model"),
    ],
    ids=range(7),
)
@pytest.mark.usefixtures("packages")
def test_architectures_that_vllm_lacks_are_refused_with_those_like_them(
    folder: ModelFolder, name: str, options: dict[str, Any], message: str, remedy: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        architecture(folder, name, **options)
    assert message in caught.value.what
    assert remedy in (caught.value.remedy or "")
    assert len(str(caught.value)) < 2000
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("value", [None, [], "Qwen2ForCausalLM", [7], {"a": 1}, [""]])
def test_a_configuration_without_an_architecture_is_refused(packages: Path, folder: ModelFolder, value: object) -> None:
    set_config(folder.weights, architectures=value)
    with pytest.raises(ConfigurationError, match="does not say which architecture"):
        check_architecture(folder)


def test_options_are_those_of_the_installed_engine(packages: Path) -> None:
    detection = {"max_pattern_size": 20, "min_pattern_size": 2, "min_count": 4}
    options = {"max_model_len": 4096, "enable_prefix_caching": False, "repetition_detection": detection}
    assert check_engine_options(options) == ()
    assert check_engine_options({"repetition_detection": None}) == ()
    assert check_engine_options({"repetition_detection": {}}) == ()
    assert default_gpu_memory_utilization() == 0.87


@pytest.mark.parametrize(
    ("options", "where", "remedy"),
    [
        ({"max_model_length": 1}, "max_model_length", "did you mean max_model_len"),
        ({"tensor-parallel-size": 2}, "tensor-parallel-size", "did you mean tensor_parallel_size"),
        ({"_api_process_count": 2}, "_api_process_count", "leave it out"),
        ({"model": "x"}, "model", "set model.path"),
        ({"download_dir": "x"}, "download_dir", "set engine.models_dir"),
        ({"hf_token": "hf_secret"}, "hf_token", "set HF_TOKEN in the environment"),
        ({"revision": "v2"}, "revision", "OWNER/NAME@REVISION"),
        ({"\x1b[2J": 1}, "", "leave it out"),
        ({"repetition_detection": 4}, "repetition_detection", "write {max_pattern_size"),
        ({"repetition_detection": {"max_size": 4}}, "repetition_detection.max_size", "known are max_pattern_size"),
        ({"repetition_detection": {"min_count": True}}, "repetition_detection.min_count", "a number of tokens"),
        ({"repetition_detection": {"max_pattern_size": -1}}, "repetition_detection.max_pattern_size", "a number"),
        ({"repetition_detection": {"min_pattern_size": 3, "max_pattern_size": 2}}, "repetition_detection", "raise max"),
        ({"repetition_detection": {"max_pattern_size": 2, "min_count": 1}}, "repetition_detection", "min_count: 4"),
    ],
)
def test_options_that_are_none_are_refused(packages: Path, options: dict[str, Any], where: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_engine_options(options)
    assert caught.value.where == f"model.options.{where}"
    assert remedy in (caught.value.remedy or "")
    assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [None, "x = = 1", "_TEXT_GENERATION_MODELS = load()\nclass EngineArgs(Base): pass", "\0"]
)
def test_sources_that_are_not_understood_are_no_reason_to_refuse(
    packages: Path, folder: ModelFolder, text: str | None
) -> None:
    for path in ("model_executor/models/registry.py", "engine/arg_utils.py", "config/cache.py"):
        (packages / "vllm" / path).unlink()
        if text is not None:
            (packages / "vllm" / path).write_text(text)
    assert "not understood" in architecture(folder, "Anything")[0]
    assert "not understood" in check_engine_options({"anything": 1})[0]
    assert default_gpu_memory_utilization() == 0.9
    with pytest.raises(ConfigurationError):
        check_engine_options({"model": "still not the campaign's to set"})


def test_without_vllm_nothing_is_refused_for_it(folder: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "vLLM is not installed" in architecture(folder, "Anything")[0]
    assert "vLLM is not installed" in check_engine_options({"anything": 1})[0]


# --- memory ------------------------------------------------------------------------------------------------------

QWEN_32B: dict[str, Any] = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 5120,
    "num_hidden_layers": 64,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "intermediate_size": 27648,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "max_position_embeddings": 131072,
    "sliding_window": 131072,
    "use_sliding_window": False,
}
QWEN_7B = QWEN_32B | {
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
}
LLAMA_8B = QWEN_32B | {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}


@pytest.mark.parametrize(
    ("config", "parameters", "kv_bytes"),
    [
        (QWEN_32B, 32_763_876_352, 256 * 1024),
        (QWEN_7B, 7_615_616_512, 56 * 1024),
        (LLAMA_8B, 8_030_261_248, 128 * 1024),
    ],
)
def test_published_models_are_worked_out_to_the_parameter(
    config: dict[str, Any], parameters: int, kv_bytes: int
) -> None:
    """The figures are those of the models' cards, and of the safetensors that are published."""
    model = estimate(config, weight_bytes=None, options={})
    assert model.parameters == parameters
    assert model.weight_bytes == 2 * parameters
    assert model.kv_bytes_per_token == kv_bytes
    assert model.context == config["max_position_embeddings"]


def test_the_pocket_models_files_are_what_its_configuration_says() -> None:
    """Beside two bytes a parameter, the file holds its header."""
    content = (POCKET / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    worked_out = estimate(read_object(POCKET / "config.json"), weight_bytes=None, options={})
    assert worked_out.weight_bytes == len(content) - header
    real = estimate(
        read_object(POCKET / "config.json"),
        weight_bytes=weight_bytes(POCKET, {}),
        tensor_bytes=tensor_bytes(POCKET, {}),
        options={},
    )
    assert real.weight_bytes == len(content) - header
    assert real.kv_bytes_per_token == 2 * 6 * 2 * 64 * 2


@pytest.mark.parametrize(
    ("changes", "file_bytes", "options", "weights"),
    [
        ({"torch_dtype": "float32"}, 4000, {}, 2000),
        ({}, 2000, {"dtype": "float32"}, 4000),
        ({}, 2000, {"dtype": "half"}, 2000),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, 500, {}, 500),
        ({"model_type": "mixtral", "num_local_experts": 8}, 2000, {}, 2000),
        ({"model_type": "mixtral", "num_local_experts": 8}, None, {}, None),
        ({"hidden_size": "wide"}, None, {}, None),
        ({"num_hidden_layers": -1}, None, {}, None),
        ({"num_hidden_layers": 10**40}, None, {}, None),
        ({"vocab_size": True}, None, {}, None),
        ({"text_config": QWEN_7B}, None, {}, None),
        ({}, None, {"quantization": "invented"}, None),
    ],
)
def test_weights_are_the_files_own_in_the_type_that_is_loaded(
    changes: dict[str, Any], file_bytes: int | None, options: dict[str, Any], weights: int | None
) -> None:
    assert estimate(QWEN_32B | changes, weight_bytes=file_bytes, options=options).weight_bytes == weights


def tensors_file(**tensors: tuple[str, int]) -> bytes:
    """A safetensors file of tensors of a type, and so many bytes each."""
    told, end = {}, 0
    for name, (kind, size) in tensors.items():
        told[name] = {"dtype": kind, "shape": [size], "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(told).encode()
    return len(header).to_bytes(8, "little") + header + bytes(end)


@pytest.mark.parametrize(
    ("told", "quantised", "options", "weights"),
    [
        (None, False, {}, 3000),
        ("bfloat16", False, {}, 3000),
        ("float32", False, {}, 3000),
        (None, False, {"dtype": "float32"}, 5000),
        (None, True, {}, 3000),
        (None, True, {"dtype": "float32"}, 4000),
    ],
)
def test_weights_are_counted_as_they_lie_in_the_files_whatever_the_configuration_says(
    tmp_path: Path, told: str | None, quantised: bool, options: dict[str, Any], weights: int
) -> None:
    """2000 bytes in 32 bits, 1000 in 16 and 1000 of packed integers: vLLM loads both of the former with 16 bits."""
    folder = set_config(small_files(tmp_path), torch_dtype=told, dtype=None)
    if quantised:
        set_config(folder, quantization_config={"quant_method": "awq", "bits": 4})
    content = tensors_file(a=("F32", 2000), b=("BF16", 1000), c=("I32", 1000))
    (folder / "model.safetensors").write_bytes(content)
    model = ModelConfig(path=str(folder), backend="vllm", options=options)
    place = found(folder)
    assert place is not None
    found_out = estimate(
        read_object(folder / "config.json"),
        weight_bytes=weight_bytes(folder, {}),
        tensor_bytes=tensor_bytes(folder, {}),
        options=options,
    )
    assert found_out.weight_bytes == weights
    check_fit(model, place, [8 * GIB])


@pytest.mark.parametrize(("told", "weights"), [(None, 1000), ("float32", 1000), ("float16", 2000)])
def test_pytorch_weights_of_no_known_type_are_taken_for_32_bits(told: str | None, weights: int) -> None:
    assert estimate(QWEN_32B | {"torch_dtype": told}, weight_bytes=2000, options={}).weight_bytes == weights


@pytest.mark.parametrize(
    ("changes", "options", "least", "most"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, {}, 18.0, 19.5),
        ({"quantization_config": {"quant_method": "fp8"}}, {}, 33.5, 35.0),
        ({}, {"quantization": "fp8"}, 33.5, 35.0),
        ({}, {"quantization": "bitsandbytes"}, 18.0, 19.5),
        ({"tie_word_embeddings": True}, {}, 63.9, 64.0),
    ],
)
def test_quantised_and_tied_weights_of_a_32b_in_gigabytes(
    changes: dict[str, Any], options: dict[str, Any], least: float, most: float
) -> None:
    """AWQ and GPTQ of Qwen2.5-32B are published with 19.3 GB, scales and zeros included; ours is never more."""
    weights = estimate(QWEN_32B | changes, weight_bytes=None, options=options).weight_bytes
    assert weights is not None
    assert least < weights / 1e9 < most


@pytest.mark.parametrize(
    ("changes", "options", "tokens", "kib"),
    [
        ({}, {}, 1000, 256_000),
        ({}, {"kv_cache_dtype": "fp8"}, 1000, 128_000),
        ({}, {"kv_cache_dtype": "invented"}, 1000, 0),
        ({"use_sliding_window": True, "sliding_window": 100}, {}, 1000, 25_600),
        ({"layer_types": ["full_attention", "linear_attention"] * 32}, {}, 1000, 128_000),
        ({"layer_types": ["full_attention", "sliding_attention"] * 32, "sliding_window": 100}, {}, 1000, 140_800),
        ({"kv_lora_rank": 512, "qk_rope_head_dim": 64}, {}, 1000, 72_000),
        ({"head_dim": 64}, {}, 1000, 128_000),
        ({"num_key_value_heads": None}, {}, 1000, 1_280_000),
        ({"num_key_value_heads": None, "multi_query": True}, {}, 1000, 0),
        ({"mamba_d_state": 16}, {}, 1000, 0),
        ({"num_key_value_heads": [8] * 64}, {}, 1000, 0),
        ({"layer_types": "all", "head_dim": {}}, {}, 1000, 256_000),
    ],
)
def test_the_cache_of_a_sequence_in_kibibytes(
    changes: dict[str, Any], options: dict[str, Any], tokens: int, kib: int
) -> None:
    """Where a model keeps its cache in a way that is not known here, nothing is said to be needed."""
    assert estimate(QWEN_32B | changes, weight_bytes=None, options=options).kv_bytes(tokens) == kib * 1024


def fits(config: dict[str, Any], gpus: list[float], **options: Any) -> ConfigurationError | None:
    """What is said of `config` on GPUs of so many GiB."""
    sizes = [int(size * GIB) for size in gpus]
    try:
        model = estimate(config, weight_bytes=None, options=options)
        check_memory(model, gpu_total_bytes=sizes, options=options, default_utilization=0.9)
    except ConfigurationError as error:
        return error
    return None


def test_what_fits_is_let_through() -> None:
    assert fits(QWEN_32B, [139], max_model_len=32768) is None
    assert fits(QWEN_32B, [79], max_model_len=32768) is None
    assert fits(QWEN_32B, [40, 40], max_model_len=8192, tensor_parallel_size=2) is None
    assert fits(QWEN_32B, [40, 40], max_model_len=8192, pipeline_parallel_size=2) is None
    assert fits(QWEN_32B, [24], max_model_len=4096, quantization="bitsandbytes") is None
    assert fits(QWEN_32B, [40], max_model_len=4096, cpu_offload_gb=30) is None
    assert fits(QWEN_32B, []) is None, "no GPU is known: vLLM will say"
    assert fits(LLAMA_8B, [24]) is None
    assert fits({}, [0.5]) is not None, "even nothing needs room to work in"


def test_what_does_not_fit_is_refused_with_the_figures_and_what_would() -> None:
    """61.0 GiB of weights + 0.5 GiB + 32.0 GiB for 131,072 tokens = 93.5 GiB; 0.9 × 79 GiB = 71.1 GiB."""
    error = fits(QWEN_32B, [79])
    assert error is not None
    for figure in (
        "61.0 GiB for weights",
        "32.0 GiB for the cache",
        "131,072 tokens",
        "93.5 GiB in all",
        "71.1 GiB",
        "0.9 ",
    ):
        assert figure in error.what
    remedy = error.remedy or ""
    assert "{max_model_len: 39168} or less" in remedy
    assert "2 such GPUs with model.options: {tensor_parallel_size: 2}" in remedy
    assert "quantised" in remedy
    assert fits(QWEN_32B, [79], max_model_len=39168) is None
    assert fits(QWEN_32B, [79], max_model_len=39168 + 512) is not None
    assert fits(QWEN_32B, [79, 79], tensor_parallel_size=2) is None


def test_remedies_are_only_those_that_would_do() -> None:
    large = fits(QWEN_32B, [24], max_model_len=8192)
    assert large is not None
    assert "max_model_len" not in (large.remedy or "")
    assert "4 such GPUs" in (large.remedy or "")
    hopeless = fits(QWEN_32B | {"num_attention_heads": 41, "head_dim": 128}, [8], max_model_len=8192)
    assert hopeless is not None
    assert hopeless.remedy == "take a smaller model, or larger GPUs"


def test_fewer_key_value_heads_than_gpus_are_kept_by_each() -> None:
    """Four heads on eight GPUs: each keeps one, a quarter of the cache, not an eighth."""
    model = estimate(QWEN_7B, weight_bytes=None, options={})
    needed = (model.weight_bytes or 0) // 8 + WORKING_BYTES + model.kv_bytes(131072) // 4
    options = {"tensor_parallel_size": 8, "gpu_memory_utilization": 1.0}
    check_memory(model, gpu_total_bytes=[needed + 1] * 8, options=options)
    with pytest.raises(ConfigurationError, match="does not fit"):
        check_memory(model, gpu_total_bytes=[needed - 1] * 8, options=options)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"tensor_parallel_size": 0}, "tensor_parallel_size"),
        ({"tensor_parallel_size": "two"}, "tensor_parallel_size"),
        ({"tensor_parallel_size": 2}, "tensor_parallel_size"),
        ({"pipeline_parallel_size": True}, "pipeline_parallel_size"),
        ({"gpu_memory_utilization": 92}, "gpu_memory_utilization"),
        ({"gpu_memory_utilization": "\x1b[2J"}, "gpu_memory_utilization"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, Any], where: str) -> None:
    error = fits(LLAMA_8B, [80], **options)
    assert error is not None
    assert error.where == f"model.options.{where}"
    assert str(error).replace("\n", "").isprintable()


def test_the_share_of_a_gpu_is_the_installed_vllms(packages: Path) -> None:
    """The fixture's vLLM takes 0.87: of 20 GiB that is 17.4 GiB, and the model needs 16.46 GiB."""
    model = estimate(LLAMA_8B, weight_bytes=None, options={})
    check_memory(model, gpu_total_bytes=[20 * GIB], options={})
    with pytest.raises(ConfigurationError, match=r"0\.87 of the GPU"):
        check_memory(model, gpu_total_bytes=[18 * GIB], options={})


@pytest.mark.parametrize("junk", [{}, {"num_hidden_layers": 1e308}, {"hidden_size": [[]], "quantization_config": 7}])
def test_junk_is_not_known_rather_than_an_error(junk: dict[str, Any]) -> None:
    model = estimate(junk, weight_bytes=None, options={"dtype": [], "kv_cache_dtype": {}, "max_model_len": "x"})
    assert (model.weight_bytes, model.kv_bytes_per_token, model.context) == (None, None, None)
