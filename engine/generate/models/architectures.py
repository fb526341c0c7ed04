"""What the installed vLLM supports, read from its sources: model architectures, and the options of its engine.

Importing vLLM takes ten seconds and more, and wakes the GPU; its sources are parsed in a tenth of a second, once per
process. What they do not tell in the form that is known here (vLLM 0.25 to 0.32) is accepted, and the answer says so:
vLLM itself has the last word.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError
from engine.generate.models.folder import ModelFolder
from engine.generate.models.reading import read_object, shown
from engine.generate.models.repetition import parse_repetition
from engine.logs.sanitise import sanitise

LARGEST_SOURCE = 8 << 20
OLD_GPU_MEMORY_UTILIZATION = 0.9
"""vLLM's default before 0.25, and the one that is assumed where its sources do not tell."""

_GENERATING = (
    "_TEXT_GENERATION_MODELS",
    "_MULTIMODAL_MODELS",  # they generate from text alone, too: some base models exist in that form only
    "_TRANSFORMERS_SUPPORTED_MODELS",
    "_TRANSFORMERS_BACKEND_MODELS",
)
_NO_LONGER = "_PREVIOUSLY_SUPPORTED_MODELS"
_CAUSAL = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")

OURS: Mapping[str, str] = {
    "model": "set model.path",
    "model_weights": "set model.path",
    "tokenizer": "it is read from the model's folder; set model.path",
    "revision": "name it in model.path: OWNER/NAME@REVISION",
    "tokenizer_revision": "name it in model.path: OWNER/NAME@REVISION",
    "download_dir": "set engine.models_dir",
    "hf_token": "a secret does not belong into a campaign; set HF_TOKEN in the environment",
    "served_model_name": "the engine is known by model.path",
    "disable_log_stats": "the figures on the screen are these statistics",
    "skip_tokenizer_init": "stop strings need the tokenizer",
    "tokens_only": "responses are text",
    "logprobs_mode": "critics are judged by the raw log probabilities",
    "runner": "the engine generates text",
    "convert": "the engine generates text",
}
"""Options of vLLM's engine that are not the campaign's to set, with the reason or what to set instead."""


def check_architecture(folder: ModelFolder, options: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Check that the installed vLLM generates with the architecture that `config.json` names.

    `options` are `model.options`. Returns what a person should know besides: that nothing could be checked, or that
    vLLM falls back on another implementation. Raises `ConfigurationError` when vLLM has none.
    """
    options = options or {}
    path = folder.weights / "config.json"
    config = read_object(path)
    names = _architectures(config, options, path)
    registry = _registry()
    if registry is None:
        return (f"whether vLLM supports {_listed(names)} is not known: {_why_unknown()}",)
    if registry.generating.intersection(names):
        return ()
    fallback = _fallback(names, config, options)
    if fallback is not None:
        return (fallback,)
    near = _near(names, registry.generating)
    until = next((registry.dropped[name] for name in names if name in registry.dropped), None)
    if until is not None:
        what = f"vLLM has not supported {_listed(names)} since version {until}"
    elif registry.others.intersection(names):
        what = f"{_listed(names)} embeds or classifies, and does not generate text"
    else:
        what = f"the installed vLLM has no model {_listed(names)}"
    remedy = f"it has {_listed(near)}; take a model that it supports, or another version of vLLM"
    if "auto_map" in config and options.get("trust_remote_code") is not True:
        remedy += "; the model brings code of its own, which vLLM runs with model.options: {trust_remote_code: true}"
    raise ConfigurationError(what, where=f"{shown(path)}, architectures", remedy=remedy)


def check_engine_options(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Check that each key of `model.options` is one of vLLM's engine, and the campaign's to set.

    Returns what a person should know: that nothing could be checked. Raises `ConfigurationError` for the first that is
    wrong.
    """
    known = engine_options()
    for key, value in options.items():
        where = f"model.options.{sanitise(str(key), 100)}"
        if key == "repetition_detection":
            parse_repetition(value)
        elif key in OURS:
            raise ConfigurationError("this option is not the campaign's to set", where=where, remedy=OURS[key])
        elif known is not None and key not in known:
            near = _near([str(key)], known - OURS.keys())
            raise ConfigurationError(
                "the installed vLLM has no such option",
                where=where,
                remedy=f"did you mean {' or '.join(near)}?"
                if near
                else "leave it out, or look it up in vLLM's engine arguments",
            )
    return () if known is not None or not options else (f"model.options are not checked: {_why_unknown()}",)


def engine_options() -> frozenset[str] | None:
    """Names of the options of vLLM's engine; None where vLLM is not installed or its sources do not tell."""
    found = _class(_tree("engine/arg_utils.py"), "EngineArgs")
    names = frozenset(name for name in _fields(found) if not name.startswith("_"))
    return names | {"repetition_detection"} if {"model", "max_model_len"} <= names else None


def default_gpu_memory_utilization() -> float:
    """The share of each GPU's memory that vLLM takes unless it is told otherwise."""
    value = _fields(_class(_tree("engine/arg_utils.py"), "EngineArgs")).get("gpu_memory_utilization")
    if isinstance(value, ast.Attribute):  # = CacheConfig.gpu_memory_utilization
        value = _fields(_class(_tree("config/cache.py"), "CacheConfig")).get(value.attr)
    if isinstance(value, ast.Call):  # = Field(default=0.92, …)
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    share = value.value if isinstance(value, ast.Constant) else None
    return float(share) if isinstance(share, int | float) and 0 < share <= 1 else OLD_GPU_MEMORY_UTILIZATION


# --- architectures -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Registry:
    """Architectures that vLLM generates text with, those of other use, and those that it had up to a version."""

    generating: frozenset[str]
    others: frozenset[str]
    dropped: Mapping[str, str]


def _registry() -> _Registry | None:
    tables = _tables(_tree("model_executor/models/registry.py"))
    if not tables.get(_GENERATING[0]):
        return None
    generating = frozenset(name for table in _GENERATING for name in tables.get(table, {}))
    others = frozenset(name for table in tables.values() for name in table) - generating
    return _Registry(generating, others, {name: str(version) for name, version in tables.get(_NO_LONGER, {}).items()})


def _tables(tree: ast.Module | None) -> dict[str, dict[str, Any]]:
    """The dictionaries at the top of a module whose names end in `_MODELS`: their plain keys, with plain values."""
    tables: dict[str, dict[str, Any]] = {}
    for statement in tree.body if tree is not None else ():
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as found)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict() as found)
            ) if name.endswith("_MODELS"):
                tables[name] = {
                    key.value: value.value if isinstance(value, ast.Constant) else None
                    for key, value in zip(found.keys, found.values, strict=True)
                    if isinstance(key, ast.Constant) and isinstance(key.value, str)
                }
    return tables


def _architectures(config: Mapping[str, Any], options: Mapping[str, Any], path: Path) -> list[str]:
    overrides = options.get("hf_overrides")
    chosen = overrides.get("architectures") if isinstance(overrides, dict) else None
    names = chosen if chosen is not None else config.get("architectures")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigurationError(
            "config.json does not say which architecture the model has",
            where=f"{shown(path)}, architectures",
            remedy="name it: model.options: {hf_overrides: {architectures: [Qwen2ForCausalLM]}}",
        )
    return names


def _fallback(names: list[str], config: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    """What vLLM uses instead of a model of its own; None where it has nothing else."""
    if options.get("model_impl", "auto") not in ("auto", "transformers"):
        return None
    if _in_transformers().intersection(names):
        return f"vLLM has no {_listed(names)} of its own and falls back on that of Transformers, which may be slower"
    auto_map = config.get("auto_map")
    brings_code = isinstance(auto_map, dict) and any(str(key).startswith("AutoModel") for key in auto_map)
    if brings_code and options.get("trust_remote_code") is True:
        return f"{_listed(names)} is code that the model brings along: whether vLLM can use it shows when it loads"
    return None


def _in_transformers() -> frozenset[str]:
    """Architectures of language models that the installed Transformers has."""
    tree = _tree("models/auto/modeling_auto.py", "transformers")
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)) if tree is not None else ()
    return frozenset(text for text in texts if isinstance(text, str) and text.endswith(_CAUSAL))


# --- reading vLLM's sources --------------------------------------------------------------------------------------


def _package(name: str) -> Path | None:
    """The folder of an installed package. Looking for it runs nothing of it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # of a half-imported or half-removed package
        return None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def _tree(file: str, package: str = "vllm") -> ast.Module | None:
    """The parsed module `file` of `package`; None where there is none that can be parsed."""
    folder = _package(package)
    return _parsed(folder / file) if folder is not None else None


@functools.cache
def _parsed(path: Path) -> ast.Module | None:
    try:
        with path.open("rb") as stream:
            source = stream.read(LARGEST_SOURCE)
        return ast.parse(source)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _class(tree: ast.Module | None, name: str) -> ast.ClassDef | None:
    statements = tree.body if tree is not None else ()
    return next((node for node in statements if isinstance(node, ast.ClassDef) and node.name == name), None)


def _fields(found: ast.ClassDef | None) -> dict[str, ast.expr | None]:
    """The annotated names in a class's body, with what they are set to."""
    return {
        node.target.id: node.value
        for node in (found.body if found is not None else ())
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _why_unknown() -> str:
    return "vLLM is not installed here" if _package("vllm") is None else "the sources of this vLLM are not understood"


def _near(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names that are known and look like one of `names`, the nearest first."""
    pool = sorted(known)
    found = [near for name in names for near in difflib.get_close_matches(name[:100], pool, n=3, cutoff=0.6)]
    return list(dict.fromkeys(found))[:3]


def _listed(names: Iterable[str]) -> str:
    return sanitise(", ".join(names), 200) or "nothing like it"
