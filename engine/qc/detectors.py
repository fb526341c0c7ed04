"""Detectors: named, versioned rules that flag records. An older version stays, so that a run can be graded again.

A record is a plain dict, one line of `records.jsonl`; a foreign one may lack anything. Detectors never raise on a
record: what they need and do not find makes them answer None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.campaign.grading import QcConfig
from engine.errors import ConfigurationError
from engine.qc.markers import NEW_PROMPT
from engine.qc.repetition import before_a_new_prompt, first_repeat, is_repetitive

Record = Mapping[str, Any]
Span = tuple[str, int, int]
"""Field of the record, first character, character after the last."""

Count = Callable[[Record], int | None]
Spans = Callable[[Record], list[Span]]

DETECTOR_KINDS = ("runaway", "token_limit", "delimiter", "truncation", "duplicate", "repetition")
DROPPED_DUPLICATES = frozenset({"duplicate", "near_duplicate"})


def _no_spans(_: Record) -> list[Span]:
    return []


@dataclass(frozen=True, slots=True)
class Detector:
    """One rule. `count` says how often it strikes (0: not at all; None: the record lacks what it needs).

    `fact`: it reads what is so (a finish reason, a string), and is no rule of thumb. `reads_raw`: it looks at the raw
    completion, of which cleaning leaves less. A custom one has no version.
    """

    kind: str
    name: str
    version: int | None
    count: Count
    spans: Spans = _no_spans
    fact: bool = False
    reads_raw: bool = False

    @property
    def id(self) -> str:
        """`markers-v2`; of a custom one what it is called by, `my_checks:is_refusal`."""
        return self.name if self.version is None else f"{self.name}-v{self.version}"

    def flag(self, record: Record) -> bool | None:
        count = self.count(record)
        return None if count is None else count > 0


def completion_field(record: Record) -> str | None:
    """The field a runaway is looked for in: the raw completion, else the response; None without either."""
    if isinstance(record.get("raw_response"), str):
        return "raw_response"
    return "response" if isinstance(record.get("response"), str) else None


def _answer(record: Record, delimiter: str) -> str | None:
    """The completion up to its delimiter, whole when it has none; None without a text."""
    text = record.get("raw_response")
    if not isinstance(text, str):
        text = record.get("response")
        if not isinstance(text, str):
            return None
    end = text.find(delimiter)
    return text if end < 0 else text[:end]


def _answer_span(record: Record, delimiter: str, start: int) -> list[Span]:
    """From `start` to the end of the answer, as the one span flagged."""
    field, answer = completion_field(record), _answer(record, delimiter)
    return [(field, start, len(answer))] if field is not None and answer is not None else []


# --- runaway ---------------------------------------------------------------------------------------------------

LENGTH_V1_CHARACTERS = 200
LENGTH_V1_SENTENCES = 3
MARKERS_V2_CHARACTERS = 500

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def _length_v1(delimiter: str) -> Detector:
    """Over 200 characters or over 3 sentences. Known to flag good explanations; kept to compare against."""

    def count(record: Record) -> int | None:
        answer = _answer(record, delimiter)
        if answer is None:
            return None
        text = answer.strip()
        return int(len(text) > LENGTH_V1_CHARACTERS or len(_SENTENCE_END.split(text)) > LENGTH_V1_SENTENCES)

    def spans(record: Record) -> list[Span]:
        return _answer_span(record, delimiter, 0) if count(record) else []

    return Detector("runaway", "length", 1, count, spans, reads_raw=True)


def _markers_v2(delimiter: str) -> Detector:
    """A line that opens a new prompt, after the first line, or over 500 characters, or stuck in a repetition.

    A `###` at the very end that is only the delimiter's beginning (cut by the token limit) opens no prompt.
    """
    search = NEW_PROMPT.search

    def first_marker(answer: str) -> int | None:
        match = search(answer)
        while match is not None:
            line = answer[match.start() :].lstrip("\n \t")
            if not (line.startswith("###") and delimiter.startswith(line.rstrip())):
                return match.start()
            match = search(answer, match.end())
        return None

    def count(record: Record) -> int | None:
        if record.get("finish_reason") == "repetition":
            return 1
        answer = _answer(record, delimiter)
        if answer is None:
            return None
        if len(answer) > MARKERS_V2_CHARACTERS and len(answer.strip()) > MARKERS_V2_CHARACTERS:
            return 1
        return int("\n" in answer and first_marker(answer) is not None)

    def spans(record: Record) -> list[Span]:
        answer = _answer(record, delimiter)
        if answer is None or not count(record):
            return []
        start = first_marker(answer)
        if start is None:
            start = MARKERS_V2_CHARACTERS if len(answer) > MARKERS_V2_CHARACTERS else 0
        return _answer_span(record, delimiter, start)

    return Detector("runaway", "markers", 2, count, spans, reads_raw=True)


# --- repetition ------------------------------------------------------------------------------------------------


def _ngram_v1(delimiter: str) -> Detector:
    """The completion repeats itself (`engine.qc.repetition` says when), or its server cut it short for that.

    It looks at the raw completion, up to its delimiter and to the first new prompt. Cleaning cuts at a blank line, and
    with it the loop whose turns are paragraphs; the tokens are spent all the same, and the penalty that would mend it
    acts on what is generated. What stands after a new prompt is left to the runaway detector.
    """

    def count(record: Record) -> int | None:
        if record.get("finish_reason") == "repetition":
            return 1
        answer = _answer(record, delimiter)
        return None if answer is None else int(is_repetitive(before_a_new_prompt(answer)))

    def spans(record: Record) -> list[Span]:
        field, answer = completion_field(record), _answer(record, delimiter)
        found = first_repeat(before_a_new_prompt(answer)) if answer is not None else None
        return [(field, *found)] if field is not None and found is not None else []

    return Detector("repetition", "ngram", 1, count, spans, reads_raw=True)


# --- token limit, delimiter ------------------------------------------------------------------------------------


def _finish_v1(_: str) -> Detector:
    """Finish reason `length`; a foreign row may say `hit_token_limit` instead."""

    def count(record: Record) -> int | None:
        reason = record.get("finish_reason")
        if isinstance(reason, str):
            return int(reason == "length")
        hit = record.get("hit_token_limit")
        return int(hit) if isinstance(hit, bool) else None

    return Detector("token_limit", "finish", 1, count, fact=True)


def _exact_v1(delimiter: str) -> Detector:
    """Occurrences of the delimiter in the final response."""

    def count(record: Record) -> int | None:
        response = record.get("response")
        return response.count(delimiter) if isinstance(response, str) else None

    def spans(record: Record) -> list[Span]:
        if not count(record):
            return []
        return [
            ("response", match.start(), match.end()) for match in re.finditer(re.escape(delimiter), record["response"])
        ]

    return Detector("delimiter", "exact", 1, count, spans, fact=True)


# --- truncation ------------------------------------------------------------------------------------------------

_CLOSED = re.compile(r"[.!?…][\"'”’)\]}`*]*$")
_DANGLING = re.compile(r"(?:[,;:(\[{/&–—]|(?:\S+\s+){3,}(?:an?|the|and|or|of|with|because|than))$")


def _sentence_v1(_: str) -> Detector:
    """The response breaks off: it ends in the middle of a sentence by its own words, or the token limit cut it there.

    An answer that hit the limit only after it was complete (cleaning cut the rest away) is not truncated, and an
    answer without a full stop is not either ("Paris", "42").
    """

    def count(record: Record) -> int | None:
        response = record.get("response")
        if not isinstance(response, str):
            return None
        text = response.rstrip()
        if not text or _CLOSED.search(text[-12:]):
            return 0
        if _DANGLING.search(text[-80:]):
            return 1
        if record.get("finish_reason") != "length":
            return 0
        raw = record.get("raw_response")
        return int(not isinstance(raw, str) or raw.rstrip().endswith(text))

    def spans(record: Record) -> list[Span]:
        if not count(record):
            return []
        text = record["response"].rstrip()
        return [("response", max(text.rfind(" ") + 1, 0), len(text))]

    return Detector("truncation", "sentence", 1, count, spans)


# --- duplicates ------------------------------------------------------------------------------------------------


def _normalised_v1(_: str) -> Detector:
    """Dropped at parsing because the same instruction stood before (`engine.qc.duplicates` decides that)."""

    def count(record: Record) -> int | None:
        outcome = record.get("outcome")
        return int(outcome in DROPPED_DUPLICATES) if isinstance(outcome, str) else None

    return Detector("duplicate", "normalised", 1, count, fact=True)


# --- registry --------------------------------------------------------------------------------------------------

_FACTORIES: dict[str, dict[str, Callable[[str], Detector]]] = {
    "runaway": {"length-v1": _length_v1, "markers-v2": _markers_v2},
    "token_limit": {"finish-v1": _finish_v1},
    "delimiter": {"exact-v1": _exact_v1},
    "truncation": {"sentence-v1": _sentence_v1},
    "duplicate": {"normalised-v1": _normalised_v1},
    "repetition": {"ngram-v1": _ngram_v1},
}


def known_detectors(kind: str) -> list[str]:
    """Ids that may stand under `qc.<kind>`."""
    return sorted(_FACTORIES[kind])


def resolve_detectors(qc: QcConfig, delimiter: str) -> dict[str, Detector]:
    """One built-in detector per kind, as `qc` names them; `ConfigurationError` for an id that does not exist.

    `engine.qc.custom.detectors_of` gives these and the campaign's own.
    """
    detectors: dict[str, Detector] = {}
    for kind in DETECTOR_KINDS:
        name = getattr(qc, kind)
        factory = _FACTORIES[kind].get(name)
        if factory is None:
            raise ConfigurationError(
                f"qc.{kind}: there is no detector {name!r}",
                where=f"qc.{kind}",
                remedy=f"use one of: {', '.join(known_detectors(kind))}",
            )
        detectors[kind] = factory(delimiter)
    return detectors


def flags_of(record: Record, detectors: Mapping[str, Detector]) -> dict[str, bool]:
    """What a record's `flags` holds: true or false per detector that could judge it, the others left out."""
    flags = {kind: detector.flag(record) for kind, detector in detectors.items()}
    return {kind: flag for kind, flag in flags.items() if flag is not None}
