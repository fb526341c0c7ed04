"""The files of weights in a model's folder: which ones vLLM reads, and whether they were copied whole."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.generate.models.reading import DamagedFileError, MissingFileError, open_regular, read_object, shown

SAFETENSORS_INDEX = "model.safetensors.index.json"
TORCH_INDEX = "pytorch_model.bin.index.json"
STANDARD_FORMATS = ("auto", "hf", "safetensors", "fastsafetensors", "instanttensor", "runai_streamer")
"""Values of `load_format` whose weights are those of a Hugging Face folder; what others read is theirs to check."""

NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>\d{5,6})-of-(?P<count>\d{5,6})(?P<suffix>\.safetensors|\.bin)")
LARGEST_HEADER = 100_000_000
MOST_SHARDS = 10_000
"""Bytes of a safetensors header (the format's own limit), and files of one model."""


def weight_files(folder: Path, options: Mapping[str, Any]) -> list[Path]:
    """The files that vLLM reads the weights in `folder` from, each there and whole as far as its header says.

    Empty where `load_format` needs none (dummy) or reads something of its own. Raises `MissingFileError` or
    `DamagedFileError`.
    """
    chosen = options.get("load_format", "auto")
    if chosen not in STANDARD_FORMATS:
        return []
    safetensors = _shards(folder, folder / SAFETENSORS_INDEX, "*.safetensors")
    for path in safetensors:
        _tensors(path)
    if safetensors:
        return safetensors
    torch = _shards(folder, folder / TORCH_INDEX, "pytorch_model*.bin")
    for path in torch:
        size_of(path)
    if torch and chosen in ("auto", "hf"):
        return torch
    raise _no_weights(folder)


def weight_bytes(folder: Path, options: Mapping[str, Any]) -> int | None:
    """Bytes of the weights in `folder`; None where they are not in the files of a Hugging Face folder."""
    return sum(path.stat().st_size for path in weight_files(folder, options)) or None


def tensor_bytes(folder: Path, options: Mapping[str, Any]) -> dict[str, int]:
    """Of the weights in `folder`, the bytes of all tensors of each type (`BF16`), as the headers of safetensors say.

    Empty where the weights are in files of other kinds.
    """
    found: dict[str, int] = {}
    for path in weight_files(folder, options):
        if path.suffix == ".safetensors":
            for tensor in _tensors(path):
                first, last = tensor["data_offsets"]
                kind = str(tensor.get("dtype"))[:20]
                found[kind] = found.get(kind, 0) + last - first
    return found


def size_of(path: Path) -> int:
    """Bytes of a file of weights, which must be a regular one and hold something."""
    try:
        status = path.stat()
    except OSError as error:
        raise MissingFileError(
            f"the weights {shown(path.name)} are missing", where=shown(path.parent), remedy="copy the whole model again"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise DamagedFileError(path, f"{path.name} is not a regular file")
    if status.st_size == 0:
        raise DamagedFileError(path, f"{path.name} is empty")
    return status.st_size


def _shards(folder: Path, index: Path, pattern: str) -> list[Path]:
    """The files of weights: those that `index` names, else all that match `pattern`, with no numbered one missing.

    The files that Mistral publishes beside (`consolidated`) hold the same weights under other names.
    """
    found = {path.name for path in folder.glob(pattern) if not path.name.startswith("consolidated")}
    if index.exists():
        wanted = _named_in(index, pattern.rpartition("*")[2])
    else:
        sets = {(m["stem"], len(m["number"]), m["count"], m["suffix"]) for m in map(NUMBERED.fullmatch, found) if m}
        wanted = found | {
            f"{stem}-{number:0{width}d}-of-{count}{suffix}"
            for stem, width, count, suffix in sets
            for number in range(1, min(int(count), MOST_SHARDS) + 1)
        }
    missing = sorted(wanted - found)
    if missing:
        raise MissingFileError(
            f"{len(missing)} of {len(wanted)} files of weights are missing, the first is {shown(missing[0])}",
            where=shown(folder),
            remedy="copy or download the whole model again",
        )
    return [folder / name for name in sorted(wanted)]


def _named_in(index: Path, suffix: str) -> set[str]:
    """Names of the files that the `index` of sharded weights names; each must be one of the folder itself."""
    placed = read_object(index).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise DamagedFileError(index, f"{index.name} has no weight_map that says which file holds what")
    names = set()
    for name in placed.values():
        if not isinstance(name, str) or not name.endswith(suffix) or "/" in name or "\0" in name:
            raise DamagedFileError(
                index, f"{index.name} names {str(name)[:200]!r}, which is no file of weights in this folder"
            )
        names.add(name)
    return names


def _tensors(path: Path) -> list[dict[str, Any]]:
    """The tensors that the file's header tells of; the file must be as long as it promises.

    A safetensors file is the header's length (8 bytes, little endian), the header (JSON: of each tensor the offsets of
    its first and last byte in what follows), and the tensors.
    """
    size = size_of(path)
    try:
        with os.fdopen(open_regular(path), "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = stream.read(length) if length <= LARGEST_HEADER else b""
        if len(header) < length <= LARGEST_HEADER:
            raise DamagedFileError(path, f"{path.name} was not copied whole: it ends within its header")
        tensors = json.loads(header)
        tensors.pop("__metadata__", None)
        found = list(tensors.values())
        expected = 8 + length + max(map(_end, found), default=0)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise DamagedFileError(path, f"{path.name} is no safetensors file: its header cannot be understood") from error
    if size < expected:
        raise DamagedFileError(path, f"{path.name} was not copied whole: it has {size:,} of {expected:,} bytes")
    if size > expected:
        raise DamagedFileError(path, f"{path.name} is {size:,} bytes long, and its header tells of {expected:,}")
    return found


def _end(tensor: Any) -> int:
    first, last = tensor["data_offsets"]
    if type(first) is not int or type(last) is not int or not 0 <= first <= last:
        raise ValueError("offsets that are none")
    return last


def _no_weights(folder: Path) -> MissingFileError:
    """What stands in the place of weights that vLLM loads, and what to do about it."""
    wanted = f"model.safetensors, or the files that {SAFETENSORS_INDEX} names"
    others = {
        "consolidated*": "only Mistral's own consolidated weights are here",
        "*.gguf": "only GGUF weights are here",
        "*.pt*": "only PyTorch checkpoints are here",
        "pytorch_model*.bin": "only pytorch_model.bin is here, and load_format asks for safetensors",
        "*.h5": "only TensorFlow weights are here",
        "*.msgpack": "only Flax weights are here",
    }
    what = next((text for pattern, text in others.items() if any(folder.glob(pattern))), "the weights are missing")
    return MissingFileError(what, where=shown(folder), remedy=f"wanted: {wanted}; take the model in that form")
