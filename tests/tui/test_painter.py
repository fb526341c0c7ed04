"""What the painter writes makes a terminal show what Textual's own frames make it show, in fewer octets."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, InlineUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tui.terminal.looks import Look, turn
from tui.terminal.painter import Painter, UnpaintableError

WIDTH, HEIGHT = 24, 5
CONSOLE = Console(color_system="truecolor", force_terminal=True, width=WIDTH, height=HEIGHT)
CORNER = (0, 0)

Seen = list[list[tuple[object, ...]]]


def emulator() -> tuple[pyte.Screen, pyte.Stream]:
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    stream.feed("\x1b[?7l")  # as Textual sets it: no wrapping
    return screen, stream


def seen(screen: pyte.Screen) -> Seen:
    """What a person sees in every cell: of a blank one, no ink."""
    rows = []
    for y in range(screen.lines):
        row = []
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            look = (cell.bg, cell.reverse, cell.underscore, cell.strikethrough)
            if cell.data == " " and not (cell.reverse or cell.underscore or cell.strikethrough):
                row.append((" ", *look))
            else:
                row.append((cell.data, *look, cell.fg, cell.bold, cell.italics))
        rows.append(row)
    return rows


STYLES = st.builds(
    Style,
    color=st.sampled_from([None, "red", "#e0def4", "#31748f"]),
    bgcolor=st.sampled_from([None, "#191724", "#26233a"]),
    bold=st.sampled_from([None, True, False]),
    italic=st.sampled_from([None, True]),
    underline=st.sampled_from([None, True]),
    reverse=st.sampled_from([None, True]),
    strike=st.sampled_from([None, True]),
)
NARROW = st.one_of(
    st.sampled_from(["a", "kept 100", "─────", "✓", "…", " ", "     ", " " * 12, "▲ 4.2 %", "é"]),
    st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=6),
)
WORDS = st.one_of(NARROW, st.sampled_from(["中文", "한", "a中", "\U0001f680 up", "e\u0301t"]))


def screens(words: st.SearchStrategy[str]) -> st.SearchStrategy[list[Strip]]:
    """Rows of segments in any style, filled up with a ground."""
    strips = st.lists(st.tuples(words, STYLES), max_size=6).map(
        lambda parts: Strip([Segment(*part) for part in parts]).adjust_cell_length(WIDTH, Style(bgcolor="#191724"))
    )
    return st.lists(strips, min_size=HEIGHT, max_size=HEIGHT)


def whole(strips: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[strip] for strip in strips], Region(0, 0, WIDTH, HEIGHT))


def part(strips: list[Strip], spans: list[tuple[int, int, int]]) -> ChopsUpdate:
    """Some spans of a screen whose rows are chopped in the middle."""
    middle = WIDTH // 2
    chops = [dict(zip((0, middle), strip.divide([middle, WIDTH]), strict=True)) for strip in strips]
    return ChopsUpdate(chops, spans, [[middle, WIDTH]] * HEIGHT)


@given(st.lists(screens(WORDS), min_size=1, max_size=4), st.booleans())
def test_a_terminal_shows_the_same_as_after_a_full_repaint(frames: list[list[Strip]], erases: bool) -> None:
    """Whatever the frames before were: text, colours and attributes of every cell."""
    painter = Painter(ColorSystem.TRUECOLOR, erases=erases)
    ours, stream = emulator()
    for strips in frames:
        painter.take(whole(strips), WIDTH, HEIGHT)
        stream.feed(painter.paint(CORNER))
        reference, plainly = emulator()
        plainly.feed(whole(strips).render_segments(CONSOLE).replace("\n", "\r\n"))
        assert seen(ours) == seen(reference)
        assert (ours.cursor.x, ours.cursor.y) == CORNER


SPAN = st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 2), st.integers(1, WIDTH))
SPANS = st.lists(SPAN, max_size=6).map(
    lambda found: sorted((y, left, max(left + 1, right)) for y, left, right in found)
)


@given(screens(NARROW), st.lists(st.tuples(screens(NARROW), SPANS), min_size=1, max_size=4))
def test_partial_updates_leave_what_textuals_own_would(
    first: list[Strip], later: list[tuple[list[Strip], list[tuple[int, int, int]]]]
) -> None:
    painter = Painter(ColorSystem.TRUECOLOR)
    painter.take(whole(first), WIDTH, HEIGHT)
    ours, stream = emulator()
    stream.feed(painter.paint(CORNER))
    reference, plainly = emulator()
    plainly.feed(whole(first).render_segments(CONSOLE).replace("\n", "\r\n"))
    for strips, spans in later:
        if spans:
            update = part(strips, spans)
            painter.take(update, WIDTH, HEIGHT)
            plainly.feed(update.render_segments(CONSOLE).replace("\n", "\r\n"))
        stream.feed(painter.paint(CORNER))
        assert seen(ours) == seen(reference)


def rows(*texts: str, style: Style | None = None) -> list[Strip]:
    """Rows of one style, filled up with spaces on a ground; the others are blank."""
    ground = Style(bgcolor="#191724")
    strips = [Strip([Segment(text, style or ground)]).adjust_cell_length(WIDTH, ground) for text in texts]
    return strips + [Strip([]).adjust_cell_length(WIDTH, ground)] * (HEIGHT - len(texts))


def painted(*frames: list[Strip]) -> list[str]:
    """What is written for each frame after the other."""
    painter = Painter(ColorSystem.TRUECOLOR)
    written = []
    for strips in frames:
        painter.take(whole(strips), WIDTH, HEIGHT)
        written.append(painter.paint(CORNER))
    return written


def test_nothing_is_written_for_a_frame_that_stands_there() -> None:
    assert painted(rows("kept 61"), rows("kept 61"))[1] == ""


def test_a_figure_that_ticks_costs_its_digits_and_not_its_row() -> None:
    """Its pen, two moves, one digit."""
    assert painted(rows("running 12:41", "kept"), rows("running 12:42", "kept"))[1] == (
        "\x1b[12C\x1b[48;2;25;23;36m2\x1b[m\r"
    )


def test_ink_that_does_not_show_on_a_space_is_not_set_for_it() -> None:
    strong = Style(color="#e0def4", bgcolor="#191724", bold=True)
    apart = [Segment(word, strong) for word in ("kept", "of")]
    row = Strip([apart[0], Segment(" ", Style(bgcolor="#191724")), apart[1]])
    (written,) = painted([row.adjust_cell_length(WIDTH, Style(bgcolor="#191724")), *rows()[1:]])
    assert "kept of" in written


def test_a_picture_is_written_with_its_whole_row_and_a_move_after_it() -> None:
    """Terminals do not agree on its width: both its cells are blank before, and what follows is placed anew."""
    _, written = painted(rows("a \U0001f680 up"), rows("a \U0001f680 on"))
    assert written.startswith("\x1b[48;2;25;23;36ma   \x1b[1;3H\U0001f680\x1b[1;5H on")


def test_what_was_forgotten_is_painted_whole() -> None:
    painter = Painter(ColorSystem.TRUECOLOR)
    painter.take(whole(rows("kept")), WIDTH, HEIGHT)
    first = painter.paint(CORNER)
    painter.forget()
    painter.take(whole(rows("kept")), WIDTH, HEIGHT)
    assert painter.paint(CORNER) == first


@pytest.mark.parametrize(
    "update",
    [
        InlineUpdate(rows("kept")),
        whole(rows("\x1b[2J")),
        whole(rows("\x9b2J")),
        LayoutUpdate([[Strip([Segment("x")])]], Region(0, HEIGHT, 1, 1)),
    ],
    ids=["inline", "escape", "C1", "off the screen"],
)
def test_what_is_not_as_expected_is_refused(update: CompositorUpdate) -> None:
    with pytest.raises(UnpaintableError):
        Painter(ColorSystem.TRUECOLOR).take(update, WIDTH, HEIGHT)


def test_a_pen_says_only_what_differs_or_begins_anew_where_that_is_shorter() -> None:
    text = Look(ink="38;2;1;2;3", ground="48;2;4;5;6")
    strong = Look(ink="38;2;1;2;3", ground="48;2;4;5;6", on=frozenset({"1"}))
    faint = Look(ink="38;2;1;2;3", ground="48;2;4;5;6", on=frozenset({"2"}))
    assert turn(text, strong) == "\x1b[1m"
    assert turn(strong, text) == "\x1b[22m"
    assert turn(strong, faint) == "\x1b[22;2m"
    assert turn(strong, Look()) == "\x1b[m"
    assert turn(text, Look(ink="31")) == "\x1b[;31m"
    assert turn(text, text) == ""
