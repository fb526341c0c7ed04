"""Duplicate instructions, version `normalised-v1`: remembered by normalised text, in constant time per line."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

_NOT_WORD = re.compile(r"[^\w%+\-*/=<>.,]+|[.,](?!\d)", re.UNICODE)
_FILLERS = frozenset({"a", "an", "the", "please", "kindly", "just", "me", "us", "can", "could", "you"})


def normalise(text: str) -> str:
    """Case, spacing, quotes and sentence marks removed; digits and operators kept, since they change the task."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_NOT_WORD.sub(" ", folded).split())


def near_form(text: str) -> str:
    """`normalise` without articles and courtesies. Order and every other word count: 4 − 3 is not 3 − 4."""
    words = normalise(text).split()
    return " ".join(word for word in words if word not in _FILLERS) or " ".join(words)


class SeenInstructions:
    """Instructions met so far in a run, in item order."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._near: set[str] = set()

    def add(self, text: str) -> Literal["duplicate", "near_duplicate"] | None:
        """What `text` repeats, and remember it; None when it is new."""
        exact, near = normalise(text), near_form(text)
        if exact in self._exact:
            return "duplicate"
        repeats = near in self._near
        self._exact.add(exact)
        self._near.add(near)
        return "near_duplicate" if repeats else None
