"""Is a text stuck in a repetition? Version `ngram-v1`: the share of its word 4-grams that stood in it before.

Pure functions on text. Words are parted by blanks and compared without case; a script without blanks has no words
here, and is never called repetitive.
"""

from __future__ import annotations

import re
from itertools import pairwise

from engine.qc.markers import NEW_PROMPT

N = 4
MOST_REPEATED = 0.2
TAIL = 50
"""Words at the end that are looked at by themselves, in a text of more."""

_WORD = re.compile(r"\S+")


def is_repetitive(text: str) -> bool:
    """Whether more than a fifth of the 4-grams of `text`, or of its last 50 words, are repeats.

    The measure is seq-rep-4 of Welleck et al. 2020 ("Neural Text Generation with Unlikelihood Training", ICLR): one
    minus the share of distinct 4-grams, 0.006 in text that people wrote and 0.44 in what GPT-2 writes greedily. Its
    threshold is of the kind of Gopher's filters for repeated n-grams (Rae et al. 2021, table A1: 0.10 to 0.20, by n).
    The end is looked at by itself because a model that is stuck stays so (Holtzman et al. 2020): the loop reaches the
    end, and in a long text it would drown in what stands before it.
    """
    words = text.lower().split()
    return _repetitive(words) or (len(words) > TAIL and _repetitive(words[-TAIL:]))


def _repetitive(words: list[str]) -> bool:
    """A repeated 4-gram holds repeated words and bigrams: too few of those, which is cheaper to see, settle it."""
    n = len(words)
    allowed = MOST_REPEATED * (n - N + 1)
    if allowed <= 0 or n - len(set(words)) <= allowed:
        return False
    if n - 1 - len(set(pairwise(words))) <= allowed:
        return False
    distinct = len(set(zip(words, words[1:], words[2:], words[3:], strict=False)))
    return n - N + 1 - distinct > allowed


def first_repeat(text: str) -> tuple[int, int] | None:
    """First and last-plus-one character of the first stretch of `text` that repeats what stood before it, in the part
    of it that is repetitive; None where none is."""
    found = list(_WORD.finditer(text))
    words = [match.group().lower() for match in found]
    start = 0
    if not _repetitive(words):
        start = len(words) - TAIL
        if start <= 0 or not _repetitive(words[start:]):
            return None
    seen: set[tuple[str, ...]] = set()
    first = last = None
    for position in range(start, len(words) - N + 1):
        gram = tuple(words[position : position + N])
        if gram in seen:
            first = position if first is None else first
            last = position + N
        elif first is not None:
            break
        seen.add(gram)
    return None if first is None or last is None else (found[first].start(), found[last - 1].end())


def before_a_new_prompt(text: str) -> str:
    """`text` up to the line that opens a new prompt: frames of prompts repeat, and are a runaway's business."""
    match = NEW_PROMPT.search(text) if "\n" in text else None
    return text if match is None else text[: match.start()]
