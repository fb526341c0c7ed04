"""Text to token ids, with the tokenizer that belongs to a model on disk."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from engine.errors import ConfigurationError
from engine.logs.sanitise import sanitise


class _Encoder(Protocol):
    def ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]: ...


class TextTokenizer:
    """The tokenizer of a model. Encoding lets other threads run meanwhile, and takes many texts on all cores."""

    def __init__(self, place: Path) -> None:
        """`place` is a `tokenizer.json` or the folder that holds it, or a folder that only transformers can read.

        Raises `ConfigurationError` when there is no tokenizer, or it cannot be read.
        """
        file = place / "tokenizer.json" if place.is_dir() else place
        self._encoder: _Encoder = _Fast(file) if file.is_file() else _Slow(place)

    def token_ids(self, text: str, *, special: bool) -> list[int]:
        """Token ids of `text`, with or without the special tokens that the tokenizer would add."""
        [ids] = self._encoder.ids([text], special=special)
        return ids

    def token_ids_of(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """`token_ids` of each of `texts`."""
        return self._encoder.ids(texts, special=special)

    def count(self, text: str) -> int:
        """Tokens of `text` alone, without special tokens."""
        return len(self.token_ids(text, special=False))


class _Fast:
    def __init__(self, file: Path) -> None:
        import tokenizers

        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises bare Exception
            raise _unreadable(file, error) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        whole = [text.encode("utf-8", "replace").decode() for text in texts]  # half a surrogate pair is no text
        encodings = self._tokenizer.encode_batch_fast(whole, add_special_tokens=special)
        return [encoding.ids for encoding in encodings]


class _Slow:
    """A tokenizer without tokenizer.json (sentencepiece models of old), read by transformers, which vLLM brings."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir() or importlib.util.find_spec("transformers") is None:
            raise ConfigurationError(
                "the model's tokenizer.json is missing",
                where=str(folder),
                remedy="copy tokenizer.json from where the model came from into that folder",
            )
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # whatever a broken folder makes it raise
            raise _unreadable(folder, error) from error

    def ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        return [list(self._tokenizer.encode(text, add_special_tokens=special)) for text in texts]


def _unreadable(place: Path, error: Exception) -> ConfigurationError:
    lines = str(error).splitlines() or [type(error).__name__]
    return ConfigurationError(
        f"the model's tokenizer cannot be read: {sanitise(lines[0], 300)}",
        where=sanitise(str(place), 300),
        remedy="copy the model again",
    )
