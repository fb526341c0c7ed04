"""Duplicates among kept pairs, and leading verbs, against plain definitions; and the table that remembers them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.qc.diversity import Diversity, PrintSet, leading_verb, prints_of, words_of

LONG = (
    "Photosynthesis converts sunlight water and carbon dioxide into glucose while plants release oxygen through their "
    "leaves which later supports animals insects people and almost every other living creature around"
)


def samples(*pairs: tuple[str, str]) -> list[tuple[int | None, int | None, int | None]]:
    """Of each pair: exact duplicate, near duplicate, new verb."""
    diversity = Diversity()
    return [diversity.add(prints_of({"instruction": asked, "response": said})) for asked, said in pairs]


def test_a_response_that_stood_before_is_a_duplicate_whatever_was_asked() -> None:
    found = samples(("Say it.", LONG), ("Tell me why.", f"  {LONG.upper()}. "))
    assert [one[:2] for one in found] == [(0, 0), (1, 1)]


def test_a_short_answer_may_answer_many_questions() -> None:
    found = samples(
        ("Name the capital of France.", "Paris."),
        ("Where is the Louvre?", "Paris."),
        ("name the capital of France", "paris"),
        ("Please name the capital of France!", "Paris"),
    )
    assert [one[:2] for one in found] == [(0, 0), (0, 0), (1, 1), (0, 1)]


@pytest.mark.parametrize("position", range(len(LONG.split())))
def test_a_long_text_with_one_word_changed_added_or_left_out_is_a_near_duplicate(position: int) -> None:
    words = LONG.split()
    for other in (["moreover"], [], ["moreover", words[position]]):
        changed = " ".join([*words[:position], *other, *words[position + 1 :]])
        assert samples(("Say it.", LONG), ("Say it.", changed))[1][1] == 1, changed


def test_texts_about_the_same_thing_are_no_duplicates() -> None:
    found = samples(
        ("a", "The heart pumps blood through arteries and veins, carrying oxygen to every organ of the body."),
        ("b", "Blood carries oxygen; arteries take it from the heart and veins bring it back from the organs."),
        ("c", "Describe what a cat does all day long."),
        ("d", "Describe what a dog does all day long."),
    )
    assert [one[:2] for one in found] == [(0, 0)] * 4


def test_the_order_of_words_does_not_make_another_short_text() -> None:
    assert samples(("a", "red green blue pink grey"), ("b", "grey, pink, blue, green, red"))[1][:2] == (0, 1)


def test_numbers_and_operators_make_another_text() -> None:
    found = samples(("Add 3 + 4", "7"), ("Add 3 - 4", "-1"), ("Add 3 + 5", "8"))
    assert [one[:2] for one in found] == [(0, 0)] * 3


@pytest.mark.parametrize("other", ["say: it's (one) THING", "say it s one thing", "  Say it's «one» thing…"])
def test_case_spacing_and_marks_make_no_difference(other: str) -> None:
    assert words_of(other) == words_of("Say it's one thing.") == ["say", "it", "s", "one", "thing"]


@pytest.mark.parametrize(
    ("instruction", "verb"),
    [
        ("Write a poem.", "write"),
        ("  please WRITE one", "write"),
        ("Could you explain this?", "explain"),
        ('"Sort" these', "sort"),
        ("What is it?", "what"),
        ("3 + 4 = ?", None),
        ("", None),
        ("Écris un poème", "écris"),
    ],
)
def test_the_leading_verb_comes_after_courtesies(instruction: str, verb: str | None) -> None:
    assert leading_verb(instruction) == verb


def test_a_verb_counts_as_new_once() -> None:
    found = samples(("Write a.", "x"), ("Please write b.", "y"), ("Sort c.", "z"), ("", "w"))
    assert [one[2] for one in found] == [1, 0, 1, None]


def test_a_pair_without_texts_is_not_measured() -> None:
    assert Diversity().add(prints_of({"response": None, "instruction": 3})) == (None, None, None)


@given(st.lists(st.integers(1, 2**64 - 1) | st.integers(1, 40), max_size=300))
def test_the_table_is_a_set(numbers: list[int]) -> None:
    table, plain = PrintSet(), set[int]()
    for number in numbers:
        assert table.add(number) is (number in plain)
        plain.add(number)
        assert len(table) == len(plain)


def test_the_table_stays_a_set_as_it_grows() -> None:
    draw = random.Random(3)
    numbers = [draw.getrandbits(64) or 1 for _ in range(5_000)]
    table = PrintSet()
    assert [table.add(number) for number in numbers] == [False] * len(numbers)
    assert [table.add(number) for number in numbers] == [True] * len(numbers)
