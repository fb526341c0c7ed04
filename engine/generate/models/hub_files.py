"""Which files of a repository on the hub vLLM needs, and which it does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError
from engine.generate.models.hugging_face import TOKENIZERS
from engine.generate.models.weights import NUMBERED, SAFETENSORS_INDEX, STANDARD_FORMATS
from engine.logs.sanitise import sanitise


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository: its size in bytes and its name in the cache's `blobs/`, where the hub tells."""

    name: str
    size: int | None
    blob: str | None


_PLAIN_NAME = re.compile(r"[\w+@-][\w.+@ -]*", re.ASCII)
_SMALL = (".json", ".txt", ".model", ".jinja", ".tiktoken")
_NOT_NEEDED = re.compile(r"(?i)(license|licence|notice|readme|use_policy|trainer_state|results)\b.*|.*\.index\.json")


def wanted_files(files: Iterable[HubFile], options: Mapping[str, Any]) -> tuple[list[HubFile], list[HubFile]]:
    """What vLLM needs of a repository: the small files (configuration, tokenizer), and the weights.

    Only files at its top: below lie the same weights in other forms (`original/`, `onnx/`). Of the weights safetensors,
    else PyTorch's; none for `load_format: dummy`. Raises `ConfigurationError` where something is not among them.
    """
    top = {file.name: file for file in files if _PLAIN_NAME.fullmatch(file.name)}
    if "config.json" not in top:
        what = "holds an adapter (LoRA), not a whole model" if "adapter_config.json" in top else "has no config.json"
        raise _not_this(what, "take a whole model in the form of Hugging Face's Transformers")
    if not any(name in TOKENIZERS or name.endswith(".tiktoken") for name in top):
        raise _not_this(
            "has no tokenizer", "download it, put its tokenizer.json beside, and set model.path to the folder"
        )
    suffixes = (*_SMALL, ".py") if options.get("trust_remote_code") is True else _SMALL
    small = [name for name in top if name.endswith(suffixes) and not _NOT_NEEDED.fullmatch(name)]
    chosen = options.get("load_format", "auto")
    if chosen == "dummy":
        return [top[name] for name in sorted(small)], []
    if chosen not in STANDARD_FORMATS:
        raise ConfigurationError(
            f"it is not known which files load_format: {sanitise(str(chosen), 60)} needs",
            where="model.options.load_format",
            remedy="download the model with `hf download OWNER/NAME --local-dir FOLDER` and set model.path to FOLDER",
        )
    weights = _safetensors(top)
    if not weights and chosen in ("auto", "hf"):
        weights = [name for name in top if name.startswith("pytorch_model") and name.endswith(".bin")]
        small += [name for name in top if weights and name == "pytorch_model.bin.index.json"]
    elif SAFETENSORS_INDEX in top:
        small.append(SAFETENSORS_INDEX)
    if not weights:
        others = sorted({Path(name).suffix for name in top if name.endswith((".gguf", ".pt", ".pth", ".h5", ".bin"))})
        what = "holds no weights that vLLM loads" + (f", only {', '.join(others)}" if others else "")
        raise _not_this(what, "take a model that is published as safetensors")
    return [top[name] for name in sorted(small)], [top[name] for name in sorted(weights)]


def _not_this(what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"the repository {what}", where="model.path", remedy=remedy)


def _safetensors(names: Iterable[str]) -> list[str]:
    """Of a model that is there whole and in numbered parts take the parts if they have an index, else the whole one."""
    found = [
        name for name in names if name.endswith(".safetensors") and not name.startswith(("consolidated", "adapter_"))
    ]
    single = "model.safetensors"
    if single in found and SAFETENSORS_INDEX in set(names) and any(map(NUMBERED.fullmatch, found)):
        return [name for name in found if name != single]
    return [single] if single in found else found
