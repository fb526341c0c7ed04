"""Duplicates among kept pairs, and how many leading verbs their instructions have. Remembered as hashes, never as text.

What repeats an earlier pair depends on which one is the earlier: whoever adds does so in item order.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from engine.qc.detectors import Record

LEAST_WORDS = 5
"""A response of fewer may rightly answer many questions ("Paris."): it is compared together with its instruction."""
LEAST_SHARED, LEAST_LETTERS = 5, 4
"""Words that a third of a pair's longer words must have to count; letters of those."""

_MARKS = ".,;:!?\"'()[]{}`*_#“”‘’«»…"
_PARTED = str.maketrans(dict.fromkeys(_MARKS, " "))
_PARTED_ASCII = bytes(
    ord(" " if chr(code) in _MARKS else chr(code).lower()) if code < 128 else code for code in range(256)
)
"""The same for ASCII, with its capitals: five times as fast."""
_LEFT_OUT = frozenset({"a", "an", "the", "please", "kindly"})
_COURTESIES = frozenset({"please", "kindly", "just", "now", "can", "could", "would", "will", "you"})
_BITS = (1 << 64) - 1
_LETTERS = re.compile(r"[^\W\d_]+")


def words_of(text: str) -> list[str]:
    """The words of `text`, with case, spacing and sentence marks put aside; operators and digits stay."""
    if text.isascii():
        return text.encode().translate(_PARTED_ASCII).decode().split()
    return unicodedata.normalize("NFKC", text).casefold().translate(_PARTED).split()


class Prints(NamedTuple):
    """64-bit fingerprints of a kept pair: of its normalised text, of its near forms, of its instruction's verb."""

    exact: int | None
    near: tuple[int, ...]
    verb: int | None


def prints_of(record: Record) -> Prints:
    """The fingerprints of a kept pair; None or empty for what it lacks.

    `exact` is of the normalised response, of instruction and response where that has under five words.

    `near` is cheap and knows no false alarms by chance: it is equality of word sets. The words of four letters or more
    are split in three by their length; each third that has five words or more is a near form, so that two long texts
    are near duplicates when one such third agrees (changing one word touches at most two). Texts too short for that
    agree when all their words do, in any order, but for articles and courtesies. MinHash (Broder 1997; Lee et al. 2022,
    "Deduplicating Training Data Makes Language Models Better") finds more, and would have to keep a sketch per pair.
    """
    instruction, response = record.get("instruction"), record.get("response")
    asked = instruction if isinstance(instruction, str) else ""
    verb = leading_verb(asked)
    verb_print = None if verb is None else _print(verb)
    if not isinstance(response, str):
        return Prints(None, (), verb_print)
    words = words_of(response)
    if len(words) < LEAST_WORDS:
        words = [*words_of(asked), "\n", *words]
    return Prints(_print(" ".join(words)), _near(words), verb_print)


def _near(words: list[str]) -> tuple[int, ...]:
    long = {word for word in words if len(word) >= LEAST_LETTERS}
    if len(long) >= LEAST_SHARED:
        parts: tuple[list[str], ...] = ([], [], [])
        for word in long:
            parts[len(word) % len(parts)].append(word)
        prints = tuple([_print((n, frozenset(part))) for n, part in enumerate(parts) if len(part) >= LEAST_SHARED])
        if prints:
            return prints
    return (_print(frozenset(words) - _LEFT_OUT),)


def leading_verb(instruction: str) -> str | None:
    """The first word of an instruction after courtesies, which for an imperative is its verb; None without one.

    Self-Instruct (Wang et al. 2023, ACL) takes the verb nearest to the root of a parse. Without a parser a question
    counts by its first word.
    """
    for match in _LETTERS.finditer(instruction):
        word = match.group().casefold()
        if word not in _COURTESIES:
            return word
    return None


def _print(value: Hashable) -> int:
    """A hash of 64 bits that is not 0; another one in another process, so that nobody can make texts collide."""
    return hash(value) & _BITS or 1


class PrintSet:
    """64-bit fingerprints, not 0, in a table of 8 octets a slot: 12 to 24 octets for each. Two of a million different
    texts are taken for one with a chance of 3·10⁻⁸."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 64))
        self._n = 0

    def add(self, number: int) -> bool:
        """Remember `number`; whether it had been there."""
        slots = self._slots
        mask = len(slots) - 1
        place = number & mask
        while slots[place]:
            if slots[place] == number:
                return True
            place = (place + 1) & mask
        slots[place] = number
        self._n += 1
        if 3 * self._n > 2 * len(slots):
            self._grow()
        return False

    def __len__(self) -> int:
        return self._n

    def _grow(self) -> None:
        old = self._slots
        slots = array("Q", bytes(16 * len(old)))
        mask = len(slots) - 1
        for number in filter(None, old):
            place = number & mask
            while slots[place]:
                place = (place + 1) & mask
            slots[place] = number
        self._slots = slots


class Diversity:
    """What kept pairs repeat, pair by pair in item order. It grows by at most 96 octets a kept pair (four fingerprints
    of 12 to 24), and by as much for a verb that is new."""

    def __init__(self) -> None:
        self._exact, self._near, self._verbs = PrintSet(), PrintSet(), PrintSet()

    def add(self, prints: Prints) -> tuple[int | None, int | None, int | None]:
        """Samples of `exact_duplicate_rate`, `near_duplicate_rate` and `verb_diversity`: 1 for a pair that stood
        before, for one that nearly or wholly did, and for a verb that is new; None for what the pair lacks."""
        new = None if prints.verb is None else int(not self._verbs.add(prints.verb))
        if prints.exact is None:
            return None, None, new
        exact = self._exact.add(prints.exact)
        return int(exact), int(_any_added(self._near, prints.near) or exact), new


def _any_added(known: PrintSet, numbers: Iterable[int]) -> bool:
    """Remember all of `numbers`; whether any had been there."""
    return True in [known.add(number) for number in numbers]
