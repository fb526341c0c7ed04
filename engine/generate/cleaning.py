"""Cuts a raw completion down to the response: what a base model wrote before it went on with something else."""

from __future__ import annotations

import re

from engine.qc.markers import NEW_PROMPT

_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")


def clean(raw: str, delimiter: str) -> str:
    """The response in `raw`, stripped.

    What precedes `delimiter` is kept, up to a line that opens a new prompt. Without a delimiter the text ends at the
    first blank line or at such a line.
    """
    closed, found, _ = raw.partition(delimiter)
    text = "\n" + closed.strip()
    cuts = [match.start() for match in (NEW_PROMPT.search(text), None if found else _BLANK_LINE.search(text)) if match]
    return text[: min(cuts, default=len(text))].strip()
