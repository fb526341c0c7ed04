"""Lines that fit are found in both directions, block by block, whatever stands in the log."""

from __future__ import annotations

import re
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.logs.sparse import HUGE, huge
from tui.logfile import LogFile
from tui.logs import scan as scanning
from tui.logs.query import Expression, Level, Matcher, Query
from tui.logs.scan import scan

LINES = st.lists(
    st.one_of(
        st.text("abAB1 ", max_size=12), st.text("abé\x1b[1m\t\r", max_size=12), st.just("ERROR a"), st.just("WARN b")
    ),
    max_size=30,
)
EXPRESSIONS = st.sampled_from(
    [
        "a",
        "B",
        "ab",
        "a+b",
        "^a",
        "b$",
        "[ab]1",
        "é",
        "a|b",
        "",
        r"\S\s",
        "a b",
        "ab*",
        "ba?b+1",
        "[^a]b",
        "a{2}b",
        "ab{0}1",
        r"\w1 ",
        "b.a ",
        "[]a]b+?b",
        "a{,1}1$",
    ]
)
LEVELS = st.sampled_from(["all", "warnings", "errors"])


def found(path: Path, query: Query, begin: int, until: int, *, back: bool = False, most: int = 1 << 30) -> list[str]:
    steps = scan(path, Matcher(query), begin, until, back=back, most=most)
    return [line.text for line in LogFile(path).lines_at([place for step in steps for place in step.found])]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(LINES, st.booleans(), st.tuples(EXPRESSIONS, LEVELS), st.tuples(st.integers(1, 40), st.integers(1, 5)))
def test_a_scan_finds_what_looking_at_every_line_would(
    tmp_path: Path, lines: list[str], torn: bool, asked: tuple[str, Level], sizes: tuple[int, int]
) -> None:
    (expression, level), (block, most) = asked, sizes
    path = tmp_path / "run.log"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode() + (b"torn ab" if torn else b""))
    size = path.stat().st_size
    case = 0 if "B" in expression else re.IGNORECASE
    words = {"all": "", "warnings": "ERROR|WARN", "errors": "ERROR"}[level]
    shown = [line.text for line in LogFile(path).following(0, 100)]
    expected = [text for text in shown if re.search(expression, text, case) and re.search(words, text)]
    query = Query(level, (Expression(expression),))
    with mock.patch.object(scanning, "BLOCK", block):
        assert found(path, query, 0, size) == expected
        assert found(path, query, size, 0, back=True) == expected[::-1]
        assert found(path, query, 0, size, most=most) == expected[:most]
        assert found(path, query, size, 0, back=True, most=most) == expected[::-1][:most]


def test_a_scan_goes_on_where_it_stopped_and_ends_where_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("".join(f"line {number}\n" for number in range(10)))
    four = path.read_bytes().index(b"line 4")
    assert found(path, Query(), four, four + 7)[0] == "line 4"
    assert found(path, Query(), four, 1000)[0] == "line 4"
    assert found(path, Query(), four, 0, back=True)[0] == "line 3"
    assert found(path, Query(), four, four - 7, back=True) == ["line 3"]


def test_capitals_count_only_where_one_is_asked_for() -> None:
    assert Matcher(Query(expressions=(Expression("cuda"),))).fitting(["CUDA", "Cuda", "x"]) == [0, 1]
    assert Matcher(Query(expressions=(Expression("Cuda"),))).fitting(["CUDA", "Cuda"]) == [1]
    assert Matcher(Query(expressions=(Expression(r"\Suda"),))).fitting(["CUDA"]) == [0]
    assert Matcher(Query(expressions=(Expression("[Error]", verbatim=True),))).fitting(["r", "[Error]"]) == [1]


@pytest.mark.parametrize(
    ("expression", "literal"),
    [("CUDA out of mem.*", "CUDA out of mem"), ("^ab+cdef?$", "cde"), (r"x\.py", "py"), ("[ab]+", ""), ("aaa|b", "")],
)
def test_what_every_match_holds_spares_looking_at_single_lines(expression: str, literal: str) -> None:
    matcher = Matcher(Query(expressions=(Expression(expression),)))
    assert Expression(expression).literal == literal
    assert matcher.may_fit(b"nothing of it\n") == (not literal)
    assert matcher.may_fit(f"before {literal} behind\n".encode())


@pytest.mark.parametrize("text", ["(", "[a", "*", "a{2,1}", "(?P<x", "a" * 10 + "{99999999999}"])
def test_what_is_no_expression_is_told_why(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Expression(text).pattern()
    assert Expression(text, verbatim=True).pattern().search(text)


def test_matches_that_overlap_are_lifted_out_as_one() -> None:
    both = Query(expressions=(Expression("abc"), Expression("cd")))
    assert Matcher(both).spans("abcd abc") == [(0, 4), (5, 8)]


def test_a_log_whose_beginning_was_given_back_is_scanned_from_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    huge(path, b"st of an ERROR\nfirst ERROR\nsecond\n")
    size = HUGE + 34
    assert found(path, Query("errors"), 0, size) == ["first ERROR"]
    assert found(path, Query("errors"), size, 0, back=True) == ["first ERROR"]
    assert found(path, Query("errors"), HUGE // 2, size, most=1) == ["first ERROR"]


def test_a_file_cut_short_under_a_scan_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("line\n" * 100)
    assert found(path, Query(), 400, 10_000) == ["line"] * 20
    assert found(path, Query(), 5_000, 0, back=True) == []
    path.unlink()
    assert found(path, Query(), 0, 500) == []
