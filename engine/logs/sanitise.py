"""Makes untrusted text safe for a terminal: after this it can print, and do nothing else.

A log line may hold escape sequences that retitle the window, write the clipboard, move the cursor or reset the
terminal, 8-bit forms of the same, carriage returns, and characters that reorder or hide what stands beside them.
Everything here takes time linear in what is kept, however long the input is.
"""

from __future__ import annotations

import json
import re
from typing import Any

LINE_LIMIT = 4096
ELLIPSIS = "…"
_LOOKAHEAD = 16  # input characters looked at for each one shown: sequences that are removed take room, too

# A byte that is not UTF-8 arrives as a lone surrogate (surrogateescape): 0x9b as \udc9b.
_STRINGS = "\x90\x98\x9d\x9e\x9f\udc90\udc98\udc9d\udc9e\udc9f"  # DCS SOS OSC PM APC
_CSI = "\x9b\udc9b"
_ST = "\x9c\udc9c"

_SEQUENCE = re.compile(
    # OSC, DCS, SOS, PM, APC with all they hold, up to their end, the line's, or the next sequence
    rf"(?:\x1b[\]PX^_]|[{_STRINGS}])[^\x07\x1b\n{_ST}]*(?:\x07|\x1b\\|[{_ST}])?"
    rf"|(?:\x1b\[|[{_CSI}])[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f"  # controls; tab and line break are dealt with by the caller
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, bidirectional overrides and isolates
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # fillers, annotations, tags
    "]"
)
_BREAKS = re.compile("[\n\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_UNSAFE = re.compile("|".join(pattern.pattern for pattern in (_HIDDEN, _BREAKS, _SURROGATES)))


def sanitise(text: str, limit: int = LINE_LIMIT) -> str:
    """`text` as one line of plain text, at most `limit` characters, `…` where it was cut.

    Of text that a carriage return overwrites, the last stays (progress bars). Escape sequences go with what they
    hold, unterminated ones up to the line's end. Line breaks become blanks, lone surrogates U+FFFD.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    text = _last_written(text)
    allowed = limit * _LOOKAHEAD
    cut = len(text) > allowed
    text = _HIDDEN.sub("", _SEQUENCE.sub("", text[:allowed]))
    text = _SURROGATES.sub("\ufffd", _BREAKS.sub(" ", text))
    if cut or len(text) > limit:
        return text[: max(limit - 1, 0)] + ELLIPSIS
    return text


def sanitise_block(text: str, limit: int = LINE_LIMIT) -> str:
    """Each line of `text` sanitised, its line breaks kept; `limit` is per line."""
    return "\n".join(sanitise(line, limit) for line in text.split("\n"))


def sanitise_bytes(data: bytes, limit: int = LINE_LIMIT) -> str:
    """`sanitise` of bytes that should be UTF-8 and may be anything; other bytes show as U+FFFD."""
    data = data.rstrip(b"\r\n")
    data = data[data.rfind(b"\r") + 1 :]
    return sanitise(data[: limit * _LOOKAHEAD * 4 + 4].decode("utf-8", "surrogateescape"), limit)


def safe_json(value: Any) -> str:
    """`value` as JSON on one line, in which `\\u…` stands for each character that `sanitise` would drop or replace."""
    return _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], json.dumps(value, ensure_ascii=False))


def _last_written(text: str) -> str:
    """What stands after the last carriage return that something follows."""
    text = text.rstrip("\r\n")
    return text[text.rfind("\r") + 1 :]
