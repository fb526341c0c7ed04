"""Lines of cells: exact widths, and no way round the sanitiser."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import cells
from rich.cells import cell_len, set_cell_size

from tui.cells import Cell, chopped, cut, fit, plain, rule, spread, width_of, wrap
from tui.panels.marked_text import LONGEST_PIECE, marked_rows

ANY_TEXT = st.text(max_size=80)


@given(ANY_TEXT)
def test_no_cell_ever_holds_anything_a_terminal_could_obey(text: str) -> None:
    shown = Cell(text).shown
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in shown)
    assert not set(shown) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(ANY_TEXT, st.integers(0, 30), st.sampled_from(["<", ">", "^"]))
def test_a_cell_with_a_width_takes_exactly_that_width(text: str, width: int, align: str) -> None:
    assert cell_len(Cell(text, width=width, align=align).shown) == width  # type: ignore[arg-type]


@given(st.lists(ANY_TEXT, max_size=6), st.integers(0, 60))
def test_cut_never_exceeds_the_width(texts: list[str], width: int) -> None:
    assert width_of(cut([Cell(text) for text in texts], width)) <= width


@given(ANY_TEXT, st.integers(1, 40))
def test_wrapped_rows_fit(text: str, width: int) -> None:
    assert all(cell_len(row) <= width for row in wrap(text, max(width, 2)) if width >= 2)


def test_wrapping_keeps_every_word() -> None:
    text = "token limit cannot pass by 300 (13 of 88)"
    assert " ".join(wrap(text, 12)) == text


def test_text_beyond_the_allowed_rows_ends_in_an_ellipsis() -> None:
    assert wrap("one two three four five", 9, 2) == ["one two", "three fo…"]


def test_what_does_not_fit_is_cut_visibly() -> None:
    assert fit("iteration-1", 6) == "itera…"
    assert fit("漢字漢字", 5) == "漢字…"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_rules_and_spread_lines_fill_the_width(width: int) -> None:
    assert width_of(rule([Cell("Gate")], width)) == width
    assert width_of(rule([Cell("Log")], width, [Cell("l")])) == width
    assert width_of(spread([Cell("a long left side of a line")], [Cell("right")], width)) == width


def test_plain_text_of_lines_has_no_trailing_blanks() -> None:
    assert plain([(Cell("a", width=5), Cell("b", width=3))]) == "a    b"


@given(st.text("ab漢字のé\u0301", min_size=1, max_size=60), st.integers(2, 12))
def test_a_long_word_is_cut_where_its_cells_are_full(word: str, width: int) -> None:
    pieces, rest = [], word
    while cell_len(rest) > width:
        piece = set_cell_size(rest, width).rstrip()
        pieces.append(piece)
        rest = rest[len(piece) :]
    assert chopped(word, width) == [*pieces, rest]


def test_text_without_blanks_is_wrapped_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0
    whole = cells.get_character_cell_size

    def counted(*character: str) -> int:
        nonlocal measured
        measured += 1
        return whole(*character)

    monkeypatch.setattr(cells, "get_character_cell_size", counted)
    text = "日本語の文章" * 650
    assert "".join(wrap(text, 65)) == text
    assert 0 < measured < 4 * len(text)
    measured = 0
    rows = marked_rows(text[:LONGEST_PIECE] * 3, [(LONGEST_PIECE, 2 * LONGEST_PIECE, "runaway")], 65)
    assert len(rows) > 3 * len(text) * 2 // 65
    assert measured < 4 * 3 * LONGEST_PIECE
