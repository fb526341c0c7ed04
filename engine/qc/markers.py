"""Lines that open a new prompt: what cleaning cuts at and what the runaway detector looks for, in one place."""

from __future__ import annotations

import re

# Labels as prompts write them, with a capital or in capitals: `input: 3` in an answer about YAML opens no prompt.
# A number may follow (`Question 2:`). Only at the start of a line: in mid-sentence "User:" is prose.
_LABELS = ("Instruction", "Response", "Question", "Answer", "User", "Assistant", "Human", "Input", "Output")
_WRITTEN = (*_LABELS, "Instructions", *(label.upper() for label in _LABELS), "INSTRUCTIONS", "Q", "A")

NEW_PROMPT = re.compile(rf"\n[ \t]*(?:###|(?:{'|'.join(_WRITTEN)})(?: ?\d{{1,3}})?:)")
"""A line break, then `###` or a label of a prompt that opens the line."""
