"""What each detector flags, and what it must leave alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign.grading import QcConfig
from engine.errors import ConfigurationError
from engine.qc.detectors import Detector, flags_of, resolve_detectors
from engine.qc.duplicates import SeenInstructions, normalise

DELIMITER = "###END###"


def detector(kind: str, **qc: str) -> Detector:
    return resolve_detectors(QcConfig(**qc), DELIMITER)[kind]


MARKERS = detector("runaway")
LENGTH = detector("runaway", runaway="length-v1")


@pytest.mark.parametrize(
    "raw",
    [
        " 42\nInstruction: Name a colour.",
        " 42\n\nInstruction: Name a colour.",
        "\nInstruction: the answer was empty",
        " 42\r\nUser: hi",
        " 42\n  Response: 43",
        " 42\nQ: next",
        " 42\nA: next",
        " 42\nQuestion 2: next",
        " 42\nHuman: next",
        " 42\nASSISTANT: next",
        " 42\nInput: 3\nOutput: 4",
        " 42\n### Instruction\nGo on",
        " 42\n###",
        " 42\n###ENDING###\nand on",
        "word " * 101,
    ],
)
def test_going_on_into_a_new_prompt_is_a_runaway(raw: str) -> None:
    # `\n###` alone is only the delimiter's beginning; everything else opens a prompt or is too long
    assert MARKERS.flag({"raw_response": raw}) is (raw != " 42\n###")


@pytest.mark.parametrize(
    "raw",
    [
        " 42",
        "",
        " 42\n###END###\nInstruction: after the delimiter nothing counts",
        " Paris.###END###" + " x" * 400,
        " The User: field is mandatory, and so is Q: in mid-line.",
        "Instruction: at the very beginning",
        " as YAML:\ninput: 3\nuser: anna",
        " 42\n###EN",
        " One. Two. Three. Four. Five, and this explains it all well enough for a reader." * 3,
        " first\n\nsecond paragraph",
    ],
)
def test_an_answer_that_closes_is_no_runaway(raw: str) -> None:
    assert MARKERS.flag({"raw_response": raw}) is False


def test_the_raw_completion_counts_and_not_the_cleaned_one() -> None:
    assert MARKERS.flag({"raw_response": "4\nQ: 5", "response": "4"}) is True
    assert MARKERS.flag({"raw_response": "4", "response": "4\nQ: 5"}) is False
    assert MARKERS.flag({"response": "4\nQ: 5"}) is True
    assert MARKERS.flag({"raw_response": None, "response": "4\nQ: 5"}) is True


def test_a_stop_string_that_fired_is_no_runaway() -> None:
    assert MARKERS.flag({"raw_response": "4", "finish_reason": "stop", "stop_reason": "\nInstruction"}) is False


def test_being_stuck_in_a_repetition_is_a_runaway() -> None:
    assert MARKERS.flag({"raw_response": "ha", "finish_reason": "repetition"}) is True


def test_length_v1_flags_what_markers_v2_rightly_lets_pass() -> None:
    explanation = {"raw_response": "Water boils. Steam rises. It cools. Rain falls."}
    assert LENGTH.flag(explanation) is True
    assert MARKERS.flag(explanation) is False
    assert LENGTH.flag({"raw_response": "x" * 200}) is False
    assert LENGTH.flag({"raw_response": "x" * 201}) is True
    assert LENGTH.flag({"raw_response": "One. Two. Three, 3.5 of them."}) is False
    assert LENGTH.flag({"raw_response": "One.###END###" + "x" * 300}) is False


@pytest.mark.parametrize(
    ("record", "flag"),
    [
        ({"finish_reason": "length"}, True),
        ({"finish_reason": "stop"}, False),
        ({"hit_token_limit": True}, True),
        ({"hit_token_limit": False}, False),
        ({}, None),
        ({"finish_reason": None}, None),
    ],
)
def test_token_limit(record: dict[str, Any], flag: bool | None) -> None:
    assert detector("token_limit").flag(record) is flag


def test_every_occurrence_of_the_delimiter_counts() -> None:
    leaking = {"response": "a ###END### b ###END###"}
    assert detector("delimiter").count(leaking) == 2
    assert detector("delimiter").spans(leaking) == [("response", 2, 11), ("response", 14, 23)]
    assert detector("delimiter").flag({"response": "a", "raw_response": "a ###END###"}) is False
    assert detector("delimiter").flag({}) is None


@pytest.mark.parametrize(
    ("record", "flag"),
    [
        ({"response": "Paris", "finish_reason": "stop"}, False),
        ({"response": "It is red.", "raw_response": " It is red.", "finish_reason": "length"}, False),
        ({"response": 'He said "no."', "finish_reason": "length"}, False),
        ({"response": "It is", "raw_response": " It is", "finish_reason": "length"}, True),
        ({"response": "It is red", "raw_response": " It is red\nInstruction: go", "finish_reason": "length"}, False),
        ({"response": "Take salt,", "finish_reason": "stop"}, True),
        ({"response": "The sky is blue and", "finish_reason": "stop"}, True),
        ({"response": "Vitamin A", "finish_reason": "stop"}, False),
        ({"response": "", "finish_reason": "stop"}, False),
        ({}, None),
    ],
)
def test_truncation(record: dict[str, Any], flag: bool | None) -> None:
    assert detector("truncation").flag(record) is flag


def test_spans_point_at_what_was_flagged() -> None:
    record = {"raw_response": " 42\nInstruction: go on###END###x"}
    ((field, start, end),) = MARKERS.spans(record)
    assert record[field][start:end] == "\nInstruction: go on"
    assert MARKERS.spans({"raw_response": " 42"}) == []
    ((_, start, end),) = MARKERS.spans({"raw_response": "x" * 620})
    assert (start, end) == (500, 620)
    cut = {"response": "It is", "finish_reason": "length"}
    ((field, start, end),) = detector("truncation").spans(cut)
    assert cut[field][start:end] == "is"


REPETITION = detector("repetition")


@pytest.mark.parametrize(
    "raw",
    [
        " The cat sat on the mat. The cat sat on the mat.",
        " no no no no no no no no",
        " Yes. Yes. Yes. Yes. Yes.",
        " Red is a colour\nred is a colour\nred is a colour",
        " One\n\nSo the answer is 4.\n\nSo the answer is 4.\n\nSo the answer is 4.",
        " ".join(f"w{n}" for n in range(300)) + " and so it goes on" * 8,
    ],
)
def test_a_text_that_repeats_itself_is_a_repetition(raw: str) -> None:
    assert REPETITION.flag({"raw_response": raw}) is True
    ((_, start, end),) = REPETITION.spans({"raw_response": raw})
    repeated, before = raw[start:end].lower().split(), " ".join(raw[:start].lower().split())
    assert len(repeated) >= 4
    first = " ".join(raw.lower().split()).find(" ".join(repeated[:4]))
    assert first < len(before), "its first four words stood there before"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " 42",
        " To be or not to be, that is the question.",
        " Paris is the capital of France, Rome is the capital of Italy, and Madrid is the capital of Spain.",
        " Add one to two. Add two to three. Then add three to four, and say what you get.",
        " ".join(f"w{n}" for n in range(300)),
        " ".join(f"w{n}" for n in range(100)) + " the end of it" * 4 + " ".join(f" x{n}" for n in range(100)),
        " 4###END### 4 4 4 4 4 4 4 4",
        " 4\nInstruction: Add 1 and 1.\nResponse: 2\nInstruction: Add 1 and 1.\nResponse: 2",
        "水を飲む。水を飲む。水を飲む。水を飲む。",
    ],
)
def test_a_text_that_goes_on_is_no_repetition(raw: str) -> None:
    assert REPETITION.flag({"raw_response": raw}) is False
    assert REPETITION.spans({"raw_response": raw}) == []


def test_what_a_server_cut_for_its_repetition_is_one() -> None:
    assert REPETITION.flag({"raw_response": "ha", "finish_reason": "repetition"}) is True
    assert REPETITION.flag({"instruction": "a"}) is None


@given(st.lists(st.sampled_from("abcd"), max_size=70))
def test_a_repetition_is_over_a_fifth_of_the_fourgrams_or_of_those_of_the_end(letters: list[str]) -> None:
    def repeated(words: list[str]) -> bool:
        grams = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
        return len(grams) - len({*grams}) > 0.2 * len(grams)

    expected = repeated(letters) or repeated(letters[-50:])
    record = {"raw_response": " ".join(letters)}
    assert REPETITION.flag(record) is expected
    assert bool(REPETITION.spans(record)) is expected


def test_an_unknown_detector_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match="markers-v9") as error:
        resolve_detectors(QcConfig(runaway="markers-v9"), DELIMITER)
    assert "length-v1, markers-v2" in str(error.value)


def test_detectors_are_known_by_name_and_version() -> None:
    assert {
        kind: found.id for kind, found in resolve_detectors(QcConfig(), DELIMITER).items()
    } == QcConfig().model_dump(exclude={"custom"})


anything = st.none() | st.booleans() | st.integers() | st.text(max_size=40) | st.lists(st.integers(), max_size=2)
fields = ["raw_response", "response", "finish_reason", "outcome", "hit_token_limit"]


@given(st.dictionaries(st.sampled_from(fields), anything))
def test_no_record_breaks_a_detector(record: dict[str, Any]) -> None:
    for runaway in ("length-v1", "markers-v2"):
        detectors = resolve_detectors(QcConfig(runaway=runaway), DELIMITER)
        flags = flags_of(record, detectors)
        assert all(isinstance(flag, bool) for flag in flags.values())
        for kind, found in detectors.items():
            for field, start, end in found.spans(record):
                assert flags[kind]
                assert 0 <= start <= end <= len(record[field])


def test_duplicates_are_told_from_different_tasks() -> None:
    seen = SeenInstructions()
    assert seen.add("Name the capital of France.") is None
    assert seen.add("  name the capital of france ") == "duplicate"
    assert seen.add("Please name a capital of France!") == "near_duplicate"
    assert seen.add("Name the capital of Spain.") is None
    assert seen.add("Subtract 3 from 4.") is None
    assert seen.add("Subtract 4 from 3.") is None
    assert seen.add("What is 3.5 + 1?") is None
    assert seen.add("What is 35 + 1?") is None
    assert seen.add("What is 35 - 1?") is None


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
