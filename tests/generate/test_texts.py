"""Text in, text out: parsing, cleaning, duplicates, prompts, seeds, critics, filters."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign.grading import QcConfig
from engine.campaign.loading import Prompts
from engine.errors import ConfigurationError
from engine.generate.cleaning import clean
from engine.generate.critics import judge
from engine.generate.duplicates import InstructionIndex
from engine.generate.filters import filtered, is_bare_boolean
from engine.generate.parsing import parse_line, parse_list
from engine.generate.prompts import PromptBuilder, fill
from engine.generate.seeds import derive
from engine.qc.detectors import resolve_detectors
from engine.qc.duplicates import near_form
from tests.generate.conftest import PROMPTS, prompt_text

DELIMITER = "###END###"
VOCABULARY = (
    "name",
    "list",
    "river",
    "cake",
    "bread",
    "moon",
    "tree",
    "lamp",
    "sing",
    "walk",
    "cold",
    "the",
    "a",
    "of",
)
WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=14)


# --- parsing -----------------------------------------------------------------------------------------------------


def test_a_list_is_taken_apart_line_by_line() -> None:
    raw = " Name a river.\n8. Define   the word cake.\n\n9) **Add 3 and 4.**\nsome prose\n10. Unfinished li"
    assert [line.text for line in parse_list(raw, finished=False)] == [
        "Name a river.",
        "Define the word cake.",
        "Add 3 and 4.",
    ]
    assert parse_list(raw, finished=True)[-1].text == "Unfinished li"


def test_a_list_cut_inside_its_first_line_holds_nothing() -> None:
    assert parse_list(" Name a ri", finished=False) == []
    assert parse_list("", finished=False) == []


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Name a river.", "candidate"),
        ("Translate the word bread into French.", "candidate"),
        ("Continue the sequence: 4, 7, 10.", "candidate"),
        ("Complete the list: red, green, …", "candidate"),
        ("写一首关于春天的短诗", "candidate"),
        ("", "malformed"),
        ("12 + 7 = 19", "malformed"),
        ("Hm.", "malformed"),
        ("Nothing", "malformed"),
        ("word " * 80, "malformed"),
        ("Instruction: name a river.", "meta"),
        ("Label: A", "meta"),
        ("Q: who?", "meta"),
        ("Continue the list with more tasks.", "meta"),
        ("Here are some more instructions", "meta"),
        ("This list of instructions is complete.", "meta"),
        ("###END### and more", "meta"),
    ],
)
def test_lines_that_are_no_instruction_are_told_apart(text: str, verdict: str) -> None:
    assert parse_line(text).verdict == verdict


@given(st.text(max_size=300), st.booleans())
def test_parsing_never_fails_and_texts_are_single_tidy_lines(raw: str, finished: bool) -> None:
    for line in parse_list(raw, finished=finished):
        assert line.text == " ".join(line.text.split())


@given(st.lists(st.from_regex(r"[A-Z][a-z]{2,9}( [a-z]{2,9}){1,6}\.", fullmatch=True), min_size=1, max_size=8))
def test_what_is_written_as_a_list_comes_back(lines: list[str]) -> None:
    raw = " " + "\n".join(line if number == 0 else f"{number + 7}. {line}" for number, line in enumerate(lines))
    assert [line.text for line in parse_list(raw, finished=True)] == lines


# --- duplicates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("Name a river.", "name  a RIVER", "duplicate"),
        ("Name a river.", "Please name the river!", "near_duplicate"),
        ("Describe in one sentence a cat.", "In one sentence describe a cat.", "near_duplicate"),
        ("Add 47 and 12.", "Add 47 and 13.", None),
        ("Subtract 3 from 5.", "Subtract 5 from 3.", None),
        ("What is 12 + 7?", "What is 12 - 7?", None),
        ("Name the capital of Norway.", "Name the capital of Sweden.", None),
        ("Did Anna see Peter?", "Did Peter see Anna?", None),
        ("What is the plural of leaf?", "What is the plural of loaf?", None),
        (
            "Write one two three four five six seven eight nine ten short clear words.",
            "Write one two three four five six seven eight nine ten short words.",
            "near_duplicate",
        ),
    ],
)
def test_repeats_are_found_and_other_numbers_or_names_are_no_repeat(first: str, second: str, found: str | None) -> None:
    index = InstructionIndex()
    assert index.add(first) is None
    assert index.add(second) == found


@given(st.lists(WORDS, max_size=25))
def test_prefix_filtering_finds_exactly_what_comparing_with_all_finds(texts: list[list[str]]) -> None:
    index = InstructionIndex()
    earlier: list[set[str]] = []
    for words in texts:
        members = set(near_form(" ".join(words)).split())
        similar = any(10 * len(members & other) >= 9 * len(members | other) for other in earlier)
        assert (index.add(" ".join(words)) is not None) == similar
        earlier.append(members)


# --- cleaning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "response"),
    [
        (" Oslo.\n###END###\nInstruction: more", "Oslo."),
        (" Two parts.\n\nBoth stay. ###END### rest", "Two parts.\n\nBoth stay."),
        (" Oslo.\n\nInstruction: more\nResponse: no", "Oslo."),
        (" Oslo.\nInstruction: more", "Oslo."),
        (" Oslo.\nQ: more", "Oslo."),
        (" Oslo.\n### Next", "Oslo."),
        (" Oslo.\nUser: hello\n###END###", "Oslo."),
        ("\n\n Oslo.", "Oslo."),
        (" a\n b", "a\n b"),
        ("Use the form\nkey: value", "Use the form\nkey: value"),
        ("", ""),
    ],
)
def test_cleaning_keeps_the_answer_and_nothing_after_it(raw: str, response: str) -> None:
    assert clean(raw, DELIMITER) == response


@given(st.text(alphabet="aB. \n:#ENDQ", max_size=80))
def test_cleaned_text_is_stable_stripped_and_free_of_the_delimiter(raw: str) -> None:
    once = clean(raw, DELIMITER)
    assert once == once.strip()
    assert DELIMITER not in once
    assert once in raw
    assert "\nQ:" not in once


# --- prompts -----------------------------------------------------------------------------------------------------


def test_what_is_put_into_a_template_is_never_replaced_again() -> None:
    text = fill("{instruction}|{response}|{other}", {"instruction": "say {response}", "response": "{instruction}"})
    assert text == "say {response}|{instruction}|{other}"
    assert fill("{response}", {"instruction": "x"}) == "{response}"


def test_list_prompts_are_seeded_samples_that_end_in_the_next_number() -> None:
    builder = PromptBuilder.of(PROMPTS, 2)
    prompts = [builder.list_prompt(seed) for seed in range(30)]
    assert prompts == [builder.list_prompt(seed) for seed in range(30)]
    assert len({prompt.text for prompt in prompts}) == 6, "all ordered pairs of three examples occur"
    for prompt in prompts:
        lines = prompt.text.split("\n")
        assert lines[0] == "Tasks:"
        assert [line[:3] for line in lines[1:]] == ["1. ", "2. ", "3."]
        assert {line[3:] for line in lines[1:3]} < set(builder.examples)


@pytest.mark.parametrize("text", ["Tasks:\n1. Only one line.", "Tasks:\n1. A line.\nno number\n2. B line."])
def test_an_instructions_file_that_is_no_list_is_refused(text: str) -> None:
    prompts = Prompts(
        **{**{kind: getattr(PROMPTS, kind) for kind in Prompts.model_fields}, "instructions": prompt_text(text)}
    )
    with pytest.raises(ConfigurationError, match=r"prompts\.instructions"):
        PromptBuilder.of(prompts, 2)


# --- seeds, critics, filters -------------------------------------------------------------------------------------


@given(st.integers(0, 2**63 - 1), st.sampled_from(["list", "response"]), st.integers(0, 10**6))
def test_seeds_are_repeatable_and_fit_31_bits(seed: int, stage: str, number: int) -> None:
    assert 0 <= derive(seed, stage, number) < 2**31
    assert derive(seed, stage, number) == derive(seed, stage, number)


def test_seeds_differ_between_runs_stages_and_numbers() -> None:
    seeds = {
        derive(seed, stage, number) for seed in range(42, 46) for stage in ("list", "response") for number in range(500)
    }
    assert len(seeds) == 4000
    assert derive(42, "list", 0) == 451026494, "another derivation would break runs that are under way"


@given(st.lists(st.floats(-30, 0), min_size=4, max_size=4), st.floats(0, 5))
def test_a_verdict_is_the_difference_of_the_summed_probabilities(values: list[float], threshold: float) -> None:
    logprobs = dict(zip((" A", "A", " B", "B"), values, strict=True))
    verdict = judge(logprobs, threshold)
    a = math.exp(logprobs[" A"]) + math.exp(logprobs["A"])
    b = math.exp(logprobs[" B"]) + math.exp(logprobs["B"])
    assert verdict.margin == pytest.approx(abs(math.log(a) - math.log(b)), abs=1e-9)
    assert verdict.confident == (verdict.margin >= threshold)
    if abs(a - b) > 1e-9:
        assert verdict.good == (a > b)
        assert verdict.label == ("A" if a > b else "B")


def test_labels_without_any_probability_are_no_good_verdict() -> None:
    verdict = judge(dict.fromkeys((" A", "A", " B", "B"), -math.inf), 1.0)
    assert (verdict.good, verdict.confident, verdict.margin) == (False, False, 0.0)
    json.dumps(verdict.to_json(), allow_nan=False)


def test_what_cannot_come_has_a_number_for_a_file() -> None:
    verdict = judge({" A": -0.1, "A": -3.0, " B": -math.inf, "B": -math.inf}, 1.0)
    assert verdict.accepted
    json.dumps(verdict.to_json(), allow_nan=False)


@pytest.mark.parametrize("text", ["True", "false.", "It is true.", '"True"', "The statement is false!"])
def test_bare_truth_values_are_filtered(text: str) -> None:
    assert is_bare_boolean(text)


@pytest.mark.parametrize("text", ["It is true that a swan is a bird.", "True love is rare.", "Yes.", ""])
def test_other_answers_are_no_bare_truth_values(text: str) -> None:
    assert not is_bare_boolean(text)


@pytest.mark.parametrize(
    ("raw", "response", "finish", "outcome"),
    [
        (" It rains because the", "It rains because the", "length", "truncated"),
        (" It rains.", "It rains.", "length", None),
        (" Oslo\n\nInstruction: a", "Oslo", "length", None),
        (" Oslo", "Oslo", "eos", None),
        (" \n\n", "", "eos", "truncated"),
        (" False.", "False.", "eos", "bare_boolean"),
    ],
)
def test_what_the_critics_miss(raw: str, response: str, finish: str, outcome: str | None) -> None:
    record = {"raw_response": raw, "response": response, "finish_reason": finish}
    assert filtered(record, resolve_detectors(QcConfig(), DELIMITER)) == outcome
