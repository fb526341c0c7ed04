"""Which instructions of a run repeat an earlier one: the exact rule of `engine.qc.duplicates`, and near repeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from engine.qc.duplicates import SeenInstructions, near_form

NEAR = (9, 10)
"""Least Jaccard similarity of two word sets that makes them the same item: a fraction, so that no rounding decides."""

Signature = tuple[tuple[str, ...], tuple[str, ...]]


class InstructionIndex:
    """Instructions met so far, in item order. Near repeats are found without comparing with each of them.

    Two instructions are near duplicates when their word sets (articles and courtesies left out, order ignored) have a
    Jaccard similarity of at least `NEAR`; never when their numbers or names differ, in value or in order, since those
    decide what is asked. Candidates for the comparison come from prefix filtering: of two sets that similar,
    the first |A| − ⌈NEAR·|A|⌉ + 1 words in any fixed order overlap (Chaudhuri et al., "A primitive operator for
    similarity joins in data cleaning", ICDE 2006).
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._seen = SeenInstructions()
        self._sets: list[frozenset[str]] = []
        self._postings: defaultdict[tuple[Signature, str], list[int]] = defaultdict(list)
        for text in known:
            self.add(text)

    def add(self, text: str) -> Literal["duplicate", "near_duplicate"] | None:
        """What `text` repeats, and remember it; None when it is new."""
        words = near_form(text).split()
        signature = _signature(text, words)
        found = self._seen.add(text)
        if found is not None:
            return found
        members = frozenset(words)
        prefix = _prefix(members)
        repeats = self._has_similar(signature, members, prefix)
        number = len(self._sets)
        self._sets.append(members)
        for word in prefix:
            self._postings[signature, word].append(number)
        return "near_duplicate" if repeats else None

    def _has_similar(self, signature: Signature, members: frozenset[str], prefix: list[str]) -> bool:
        near, parts = NEAR
        candidates = {number for word in prefix for number in self._postings.get((signature, word), ())}
        for number in candidates:
            other = self._sets[number]
            shared = len(members & other)
            if shared * parts >= near * (len(members) + len(other) - shared):
                return True
        return False


def _prefix(members: frozenset[str]) -> list[str]:
    """The words under which a set is filed: its longest, which are its rarest as a rule."""
    ordered = sorted(members, key=lambda word: (-len(word), word))
    near, parts = NEAR
    return ordered[: len(ordered) - -(-near * len(ordered) // parts) + 1]


def _signature(text: str, words: list[str]) -> Signature:
    """Numbers and operators in order, and names (capitals inside the text) in order."""
    numbers = tuple(word for word in words if not any(character.isalpha() for character in word))
    names = tuple(
        word.strip(".,;:!?\"'()").casefold() for word in text.split()[1:] if word.lstrip("\"'(")[:1].isupper()
    )
    return numbers, names
