"""What a log line must have to be found or shown."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tui.logs.lines import ERROR_WORDS, WARNING_WORDS, severity_of

Level = Literal["all", "warnings", "errors"]
LEVELS: tuple[Level, ...] = ("all", "warnings", "errors")
_BRANCHES = re.compile(r"[|(]|\\[0-9xuUN]")
"""What may stand for one text or another, or for one that is written otherwise."""
_NOT_LITERAL = re.compile(
    r"(?:\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[.^$])(?:[*+?]|\{[^}]*\})*"  # a class, an escape, an anchor, however often
    r"|.(?:[*?]|\{[^}]*\})[*+?]*"  # a character that may be left out, or repeated
    r"|\+[+?]?"
)
_PRINTABLE = bytes(range(32, 127)) + b"\n"
MOST_SPANS = 200


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression, or text that is meant letter by letter. Capitals count only where it holds one."""

    text: str
    verbatim: bool = False

    def __str__(self) -> str:
        return f"“{self.text}”" if self.verbatim else f"/{self.text}/"

    @property
    def ignores_case(self) -> bool:
        letters = self.text if self.verbatim else re.sub(r"\\.", "", self.text)
        return letters == letters.lower()

    @property
    def literal(self) -> str:
        """A text that every match has in it; empty where none is known."""
        if self.verbatim:
            return self.text
        return "" if _BRANCHES.search(self.text) else max(_NOT_LITERAL.split(self.text), key=len)

    def pattern(self) -> re.Pattern[str]:
        """The expression to match with; raises `ValueError` that says what is wrong with it."""
        source = re.escape(self.text) if self.verbatim else self.text
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return re.compile(source, re.IGNORECASE if self.ignores_case else 0)
        except re.error as error:
            place = f" (at {error.pos + 1})" if error.pos is not None else ""
            raise ValueError(f"{error.msg}{place}") from None
        except (OverflowError, RecursionError):
            raise ValueError("it is too large") from None


@dataclass(frozen=True, slots=True)
class Query:
    """A line fits that has all `expressions` in it and is as bad as `level`, or worse."""

    level: Level = "all"
    expressions: tuple[Expression, ...] = ()

    def __and__(self, other: Query) -> Query:
        return Query(max(self.level, other.level, key=LEVELS.index), (*self.expressions, *other.expressions))

    def __bool__(self) -> bool:
        """Whether anything is asked of a line."""
        return self.level != "all" or bool(self.expressions)


EVERYTHING = Query()


class Words:
    """Some words of which a line that fits must hold one, to pass over whole blocks of others quickly."""

    def __init__(self, words: Iterable[str], *, ignore_case: bool = False) -> None:
        self._ignore_case = ignore_case
        self._words = [(word.lower() if ignore_case else word).encode() for word in words]

    def occur(self, octets: bytes) -> bool:
        octets = octets.lower() if self._ignore_case else octets
        return any(word in octets for word in self._words)


@dataclass(slots=True)
class Matcher:
    """Says whether a line fits; raises `ValueError` for an expression that is none."""

    query: Query
    _patterns: list[re.Pattern[str]] = field(init=False)
    _needed: list[Words] = field(init=False)

    def __post_init__(self) -> None:
        expressions = self.query.expressions
        self._patterns = [expression.pattern() for expression in expressions]
        self._needed = [
            Words([expression.literal], ignore_case=expression.ignores_case)
            for expression in expressions
            if expression.literal and expression.literal.isascii()
        ]
        if self.query.level != "all":
            self._needed.append(Words(ERROR_WORDS if self.query.level == "errors" else ERROR_WORDS + WARNING_WORDS))

    def fitting(self, texts: Sequence[str]) -> list[int]:
        """Numbers of the lines that fit."""
        numbers = list(range(len(texts)))
        for pattern in self._patterns:
            numbers = [number for number in numbers if pattern.search(texts[number])]
        if self.query.level == "all":
            return numbers
        bad = ("error",) if self.query.level == "errors" else ("error", "warning")
        return [number for number in numbers if severity_of(texts[number]) in bad]

    def may_fit(self, octets: bytes) -> bool:
        """Whether a line of these, all of them printable ASCII, can fit; False is certain."""
        return all(words.occur(octets) for words in self._needed)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the expressions are in a line, in order and apart."""
        found: list[tuple[int, int]] = []
        for pattern in self._patterns:
            for match in pattern.finditer(text):
                if match.end() > match.start():
                    found.append(match.span())
                if len(found) >= MOST_SPANS:
                    break
        return _apart(sorted(found))


def is_printable(octets: bytes) -> bool:
    """Whether these are lines of printable ASCII alone, which are shown as they are."""
    return not octets.translate(None, _PRINTABLE)


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans, those that overlap as one."""
    apart: list[tuple[int, int]] = []
    for start, end in spans:
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart
