"""Whatever a log line holds, a terminal that gets it prints text and does nothing else."""

from __future__ import annotations

import json
import time
import unicodedata
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.logs.sanitise import LINE_LIMIT, safe_json, sanitise, sanitise_block, sanitise_bytes

ESC = "\x1b"


class Witness:
    """Stands where a terminal's screen would, and writes down everything it is told to do."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.text = ""

    def draw(self, data: str) -> None:
        self.text += data

    def __getattr__(self, name: str) -> object:
        def told(*arguments: object, **options: object) -> None:
            self.calls.append(name)

        return told


def terminal(text: str) -> Witness:
    witness = Witness()
    pyte.Stream(witness).feed(text)  # type: ignore[arg-type]
    return witness


SEQUENCES = [
    *("[31m", "[2J", "[3J", "c", "]0;title\x07", "]52;c;aGk=\x07", "]8;;http://x\x1b\\", "P1$r\x1b\\", "_app\x1b\\"),
    *("^pm\x1b\\", "Xsos\x1b\\", "(0", "#8", "", "[", "]", "P", "\x1b[[31m"),
]
EIGHT_BIT = ["\x9b31m", "\x9d0;t\x9c", "\x90q\x9c", "\x98", "\x9e", "\x9f", "\x84", "\udc9b31m", "\ud800"]
CONTROLS = ["\r", "\n", "\x08", "\x07", "\x0e", "\x7f", "\x00", "\t"]
HIDING = ["\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\u2028", "\U000e0041"]
HARMLESS = ["text", "é", "表", "🚀", "[red]", "[/]"]
FRAGMENTS = st.sampled_from([*(ESC + rest for rest in SEQUENCES), *EIGHT_BIT, *CONTROLS, *HIDING, *HARMLESS])
HOSTILE = st.lists(FRAGMENTS | st.text(max_size=8) | st.text(alphabet=[chr(n) for n in range(0xA0)])).map("".join)


@given(HOSTILE)
def test_nothing_but_text_reaches_the_terminal(text: str) -> None:
    clean = sanitise(text)
    witness = terminal(clean)
    assert set(witness.calls) <= {"tab"}
    assert witness.text == clean.replace("\t", "")
    for character in clean:
        assert character == "\t" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
    clean.encode("utf-8")


@given(HOSTILE)
def test_what_was_made_safe_stays_as_it_is(text: str) -> None:
    assert sanitise(sanitise(text)) == sanitise(text)


@given(st.binary(max_size=200))
def test_any_bytes_become_text_that_a_terminal_only_prints(data: bytes) -> None:
    clean = sanitise_bytes(data)
    assert set(terminal(clean).calls) <= {"tab"}
    assert not any("\x80" <= character <= "\x9f" for character in clean)


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp", "Mn", "Lo"))))
def test_plain_text_is_left_alone(text: str) -> None:
    assert sanitise(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("INFO [/usr/bin] [red]x[/red]", "INFO [/usr/bin] [red]x[/red]"),
        (f"{ESC}[1;31mred{ESC}[0m text", "red text"),
        (f"a{ESC}]0;title\x07b", "ab"),
        (f"a{ESC}]52;c;aGVsbG8={ESC}\\b", "ab"),
        (f"a{ESC}Pdevice{ESC}\\b{ESC}_app{ESC}\\c{ESC}^pm{ESC}\\d{ESC}Xsos{ESC}\\e", "abcde"),
        (f"a{ESC}]0;never ends", "a"),
        (f"a{ESC}[12;3", "a"),
        (f"a{ESC}", "a"),
        (f"a{ESC}cb", "ab"),
        (f"a{ESC}(0b", "ab"),
        ("a\x9b31mb\x9d0;t\x9cc", "abc"),
        ("10%\r 50%\r100%", "100%"),
        ("10%\r 50%\r100%\r\n", "100%"),
        ("dos line\r\n", "dos line"),
        ("two\nlines", "two lines"),
        ("tab\tstays\x08\x07\x00", "tab\tstays"),
        ("user\u202etxt.exe", "usertxt.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 one", "lone \ufffd one"),
        ("⚠️  QC ✅ 表", "⚠️  QC ✅ 表"),
    ],
)
def test_cases(text: str, clean: str) -> None:
    assert sanitise(text) == clean


@pytest.mark.parametrize(
    ("data", "clean"),
    [
        (b"plain\n", "plain"),
        (b"\x9b31mred", "red"),
        (b"a\x9d0;title\x07b", "ab"),
        (b"caf\xc3\xa9 \xff\xfe", "café \ufffd\ufffd"),
        (b" 10%\r 20%\r\n", " 20%"),
    ],
)
def test_cases_in_bytes(data: bytes, clean: str) -> None:
    assert sanitise_bytes(data) == clean


def test_long_text_is_cut_and_says_so() -> None:
    assert sanitise("x" * 90_000) == "x" * (LINE_LIMIT - 1) + "…"
    assert sanitise("x" * 10, limit=10) == "x" * 10
    assert sanitise("x" * 11, limit=10) == "x" * 9 + "…"
    assert len(sanitise_bytes("é".encode() * 90_000)) == LINE_LIMIT


def test_a_block_keeps_its_lines() -> None:
    assert sanitise_block(f"{ESC}[31mone\r\ntwo\n10%\r20%") == "one\ntwo\n20%"


@pytest.mark.parametrize(
    "unit", ["x", ESC, f"{ESC}[", f"{ESC}]", f"{ESC}[1;", "\x9b", "\r", f"{ESC}P", "\u202e", "[0;", "a\r", "\udc9b"]
)
def test_ten_megabytes_of_garbage_take_no_time(unit: str) -> None:
    text = unit * (10_000_000 // len(unit))
    began = time.perf_counter()
    clean = sanitise(text)
    assert time.perf_counter() - began < 0.5
    assert len(clean) <= LINE_LIMIT


ANY_CHARACTER = st.characters() | st.sampled_from("\x1b\x7f\x9b\u2028\u202e\ufeff\ud83d\ude00\U000e0041漢")
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(ANY_CHARACTER),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(ANY_CHARACTER), inner, max_size=4),
)


@given(ANY_JSON)
def test_safe_json_is_the_same_json_and_nothing_of_it_is_to_be_dropped(value: Any) -> None:
    text = safe_json(value)
    assert json.loads(text) == json.loads(json.dumps(value))
    assert sanitise(text, len(text) + 1) == text


def test_safe_json_leaves_what_can_be_read_as_it_is() -> None:
    assert safe_json({"a": "漢é“–", "b": "\x9b\u202e\x7f"}) == '{"a": "漢é“–", "b": "\\u009b\\u202e\\u007f"}'
