"""Text that nobody vouches for, all the way: from the files through the screen to the octets that a terminal gets."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.files import RunFiles
from tests.report import places
from tests.terminal import terminal

ARGV = ["env", "PILOTHOUSE_REFRESH=4", sys.executable, "-m", "tui"]

SENT = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]"  # what prints, and reorders or hides nothing
    r"|\r|\n"
    r"|\x1b\[(?:\d+(?:;\d+)?)?H"  # the cursor to a place, beside it; a pen; erasing to the end, or some cells
    r"|\x1b\[\d+[CD]"
    r"|\x1b\[[\d;]*m"
    r"|\x1b\[K|\x1b\[\d+X"
    r"|\x1b\[\?(?:1000|1003|1004|1006|1015|1049|2004|2026|25|7)[hl]"  # modes that are set at the start and at the end
    r"|\x1b\[\?20(?:26|48)\$p|\x1b\[>\d+u|\x1b\[<u"  # what the terminal is asked, and its keyboard's ways
    r"|\x1b\]22;default\x07"  # the pointer's shape
)
"""All that the screen itself sends."""


def foreign(raw: bytes) -> str:
    """What was sent beside that; the last octets may be the beginning of something."""
    return SENT.sub("", re.sub(r"\x1b(?:\[[0-9;?]*)?\Z", "", raw.decode("utf-8", "ignore")))


def obeyed(raw: bytes) -> list[bytes]:
    """Operating system commands: titles, icons, palettes, the clipboard, links; notifications."""
    return [found for found in re.findall(rb"\x1b\][^\x07\x1b]*", raw) if found != b"\x1b]22;default"]


STRINGS = (b"]0;owned", b"]1;owned", b"]2;owned", b"]4;1;rgb:ff/00/00", b"]10;#ff0000", b"]52;c;b3duZWQ=", b"]9;owned")
LONGER = (b"]8;;http://owned", b"]104", b"P1$r0m", b"^owned", b"_Gowned", b"Xowned", b"]777;notify;owned")
SEQUENCES = (b"[31m", b"[2J", b"[3J", b"[H", b"[9;9H", b"[?1049l", b"[?25h", b"[6n", b"[8;50;200t", b"[200~")
EIGHT_BIT = (b"\x9b2J", b"\x9b?1000h", b"\x9d0;owned\x9c", b"\x90q\x9c", b"\x84")
HIDING = ("\u202e", "\u2066", "\u2069", "\u200b", "\u200f", "\ufeff", "\u00ad", "\U000e0041")
REMOVED = (
    *(b"\x1b" + string + end for string in (*STRINGS, *LONGER) for end in (b"\x1b\\", b"\x9c")),
    *(b"\x1b" + string + b"\x07" for string in STRINGS),
    *(b"\x1b" + sequence for sequence in (*SEQUENCES, b"c", b"(0", b"#8", b"=", b"7")),
    *EIGHT_BIT,
    *map(str.encode, ("\x9b31m", "\x9d52;c;b3du\x9c", *HIDING)),
    *(bytes([control]) for control in (0, 1, 5, 7, 8, 11, 12, 14, 15, 26, 28, 127)),
)
"""Of these nothing is to be seen."""
KEPT = (
    *("[/]", "[@click=app.quit]q[/]", "[link=http://x]y", "[bold", "[INFO] ok", "\\[", "$(id)", "{x}", "%s"),
    *("é", "漢字", "한", "─", "…", "100 %", "a b", "word"),
)
PIECES = st.one_of(
    st.sampled_from(REMOVED).map(lambda octets: (octets, "")),
    st.sampled_from(KEPT).map(lambda text: (text.encode(), text)),
    st.sampled_from(((b"\xff", "\ufffd"), (b"\xed\xa0\x80", "\ufffd\ufffd"))),  # of a surrogate the last is a control
    st.text("abc xyz", max_size=6).map(lambda text: (text.encode(), text)),
)


def told(pieces: list[tuple[bytes, str]], overwritten: bytes) -> tuple[bytes, str]:
    """A line, and what is to be seen of it."""
    octets, text = b"".join(octets for octets, _ in pieces), "".join(text for _, text in pieces)
    return overwritten + octets + b".", f" {text}."


TOLD = st.builds(told, st.lists(PIECES, max_size=6), st.sampled_from((b"", b"10 %\r 20 %\r", b"\x1b]0;\r")))
WILD = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(REMOVED).map(lambda octets: octets[:-1] * 40),
    st.sampled_from((b"x" * 5000, b"\x1b[" * 3000, b"\x1b]0;" + b"y" * 3000, "漢".encode() * 400, b"a\r" * 999)),
).map(lambda octets: octets.replace(b"\n", b""))
LINES = st.lists(TOLD | st.tuples(WILD, st.none()), min_size=6, max_size=18)


def workspace(root: Path) -> RunFiles:
    places.write_campaign(root)
    return places.add_run(root, "pilot", places.records(30, runaway=3))


@pytest.mark.slow
def test_whatever_a_log_holds_the_terminal_gets_its_text_and_nothing_else(tmp_path: Path) -> None:
    """Each line in its row, what is removed leaving no trace; no other line is disturbed by one that is not known."""
    log = workspace(tmp_path).log
    log.write_bytes(b"begin\n")
    rounds = 0
    with terminal(ARGV, tmp_path) as screen:
        screen.read("l log")
        screen.type(b"l")
        screen.read("▸1 log◂")

        @settings(max_examples=15, phases=(Phase.explicit, Phase.generate))
        @given(LINES)
        def shown(lines: list[tuple[bytes, str | None]]) -> None:
            nonlocal rounds
            rounds += 1
            mark, begun = f" mark {rounds}", len(screen.raw)
            with log.open("ab") as stream:
                stream.write(b"".join(octets + b"\n" for octets, _ in lines) + f"{mark}\n".encode())

            def stands() -> bool:
                rows = screen.rows[1:-2]
                below = rows.index(f" {mark}") if f" {mark}" in rows else 0
                above = rows[below - len(lines) : below] if below >= len(lines) else []
                return len(above) == len(lines) and all(
                    text is None or text.rstrip() == row for (_, text), row in zip(lines, above, strict=True)
                )

            screen.until(stands, f"{lines} do not stand on the screen as they should")
            assert foreign(screen.raw[begun:]) == ""

        shown()
        assert rounds >= 15
        screen.type(b"q")
        screen.read("q quit")
        screen.type(b"q")
        assert screen.read_to_end() == 0
    assert obeyed(screen.raw) == []
    assert foreign(screen.raw) == ""


# --- everything else that comes from files -----------------------------------------------------------------------

HOSTILE = "".join(octets.decode("utf-8", "surrogateescape") for octets in (*REMOVED, *map(str.encode, KEPT)))
AS_CODE_POINTS = {0xDC80 + low: 0x80 + low for low in range(0x80)}
"""JSON and YAML hold no octets that are not UTF-8; what a terminal obeys is in them as a code point."""


def hostile(word: str) -> str:
    """`word`, by which one finds it on the screen, with everything hostile behind it; as JSON has it in a string."""
    return json.dumps(f"{word} {HOSTILE}".translate(AS_CODE_POINTS))[1:-1]


def spoil(path: Path, **words: str) -> None:
    """Replace words in a file of JSON by themselves and what is hostile."""
    text = path.read_text()
    for old, new in words.items():
        assert old in text, old
        text = text.replace(old, hostile(new))
    path.write_text(text)


def spoilt_workspace(root: Path) -> None:
    """All that people and programs may have written into it, and names of files that nobody can have meant."""
    files = workspace(root)
    files.log.write_bytes(b"log " + HOSTILE.encode("utf-8", "surrogateescape") + b"\n")
    spec = json.loads(files.spec.read_text())
    spec["parameters"]["response"]["stop"] = ["STOP"]
    spec |= {"author": "AUTHOR", "model": {**spec["model"], "path": "MODEL"}}
    files.spec.write_text(json.dumps(spec))
    spoil(files.spec, AUTHOR="author", MODEL="model", STOP="stop")
    spoil(files.keeper_journal, completed="reason")
    rows = files.records.read_text().splitlines()
    spoilt = rows[0].replace("Do 0.", hostile("asked")).replace("Blue.", hostile("answered"))
    files.records.write_text("\n".join([spoilt.replace("Oak", hostile("flagged")), *rows[1:]]) + "\n")
    key = hostile("misspelt").replace(r"\u0000", "").replace(r"\udb40\udc41", "")  # of which YAML knows neither
    (root / "configs" / "broken.yaml").write_text(f'name: broken\n? "{key}"\n: 1\n')
    for name in (b"\x1b]0;owned\x07.yaml", b"\x9b2J\xff.yaml", "\u202e[@click=app.quit].yaml".encode()):
        (root / "configs" / name.decode("utf-8", "surrogateescape")).write_text("name: c\n")
        folder = files.folder.parent / name.decode("utf-8", "surrogateescape")
        folder.mkdir()
        (folder / "spec.json").write_bytes(files.spec.read_bytes())


MARKUP = "[/]"
"""The first of what is hostile and yet seen."""


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_whatever_the_other_files_hold_is_text_on_every_page(tmp_path: Path, size: tuple[int, int]) -> None:
    spoilt_workspace(tmp_path)
    with terminal(ARGV, tmp_path, size) as screen:

        def seen(keys: bytes, *words: str) -> None:
            screen.type(keys)
            for word in words:
                screen.read(word)
            assert foreign(screen.raw) == ""

        seen(b"", "Choose a campaign", "broken", "@click=app.quit", "\ufffd")
        seen(b"\r", "pilot ◐ undecided", "author", "log", MARKUP)
        seen(b"f", "asked", "answered", "flagged", MARKUP)
        seen(b"\x1b", "pilot ◐ undecided")
        seen(b"l", "▸1 log◂", "log", MARKUP)
        seen(b"2", "runaway")
        seen(b"3", "▸3 parameters◂", "response.stop", "'stop")
        seen(b"G", "model.path", MARKUP)
        seen(b"4", "▸4 events◂", "reason", MARKUP)
        seen(b"5", "▸5 processes◂", "nothing of pilot lives")
        seen(b"\x1b", "pilot ◐ undecided")
        seen(b"a\x1b[A\r", "misspelt", MARKUP)
        seen(b"q")
        assert screen.read_to_end() == 0
    assert obeyed(screen.raw) == []
