"""Takes a continued list apart into atomic instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

LineVerdict = Literal["candidate", "malformed", "meta"]

SHORTEST_CHARACTERS = 5
LONGEST_CHARACTERS = 400
LONGEST_WORDS = 70

_NUMBER = re.compile(r"\s*(?:\*\*)?(\d{1,5})[.)](?:\*\*)?(?!\d)\s*(.*)")
_WRAPPED = re.compile(r"""(\*\*|["'“”`])(.+)(\*\*|["'“”`])""")
_LABEL = re.compile(
    r"(?:instructions?|responses?|labels?|questions?|answers?|examples?|tasks?|inputs?|outputs?|user|assistant|human|q|a)"
    r"\s*\d*\s*:",
    re.IGNORECASE,
)
_ABOUT_THE_LIST = re.compile(
    r"\b(?:continue|extend|complete|finish) (?:this|the) list\b(?!\s*:)"
    r"|\b(?:this|the) list (?:of instructions|of tasks|above|below|continues|ends|is (?:complete|over|finished))\b"
    r"|\bend of (?:the |this )?list\b"
    r"|\b(?:the )?(?:instructions|tasks) (?:above|below)\b"
    r"|\b(?:these|previous|above) (?:instructions|tasks)\b"
    r"|\b(?:more|other|further|additional) instructions\b"
    r"|^here (?:are|is) (?:some |more |a |the |another )*(?:list|instructions|examples|tasks)\b"
    r"|^(?:etc|and so on)\b"
    r"|###",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """One numbered line: `raw` as it was generated (without its number), `text` what it says."""

    raw: str
    text: str
    verdict: LineVerdict


def parse_list(raw: str, *, finished: bool) -> list[ParsedLine]:
    """The numbered lines of a continued list, in order.

    `raw` begins right after the number of its first line. Lines without a number are prose between items and are
    left out. With `finished` false (the list ended by its token limit) a last line without its line break is only
    part of an item, and is none.
    """
    lines = raw.split("\n")
    if not finished:
        lines.pop()
    texts = lines[:1]
    for line in lines[1:]:
        match = _NUMBER.fullmatch(line)
        if match:
            texts.append(match.group(2))
    return [parse_line(text) for text in texts]


def parse_line(raw: str) -> ParsedLine:
    text = tidy(raw)
    return ParsedLine(raw=raw, text=text, verdict=_judge(text))


def tidy(raw: str) -> str:
    """One instruction without outer spaces, bold marks or quotes around all of it; runs of spaces become one."""
    text = " ".join(raw.split())
    match = _WRAPPED.fullmatch(text)
    if match and match.group(1) not in match.group(2) and match.group(3) not in match.group(2):
        text = match.group(2).strip()
    return text


def _judge(text: str) -> LineVerdict:
    if _LABEL.match(text) or _ABOUT_THE_LIST.search(text):
        return "meta"
    words = text.split()
    too_short = len(text) < SHORTEST_CHARACTERS or (len(words) < 2 and text.isascii())
    too_long = len(text) > LONGEST_CHARACTERS or len(words) > LONGEST_WORDS
    if too_short or too_long or not any(character.isalpha() for character in text) or "�" in text:
        return "malformed"
    return "candidate"
