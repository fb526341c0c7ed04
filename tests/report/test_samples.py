"""`pilothouse samples`: which records, in which order, what is flagged; and nothing that a text could smuggle."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.spec import ForeignFigures, RunSpec, create_spec
from engine.cli import run as command_line
from engine.errors import ConfigurationError
from engine.files import RunFiles, Workspace
from engine.report.samples import Wanted, find_samples, samples_text

RUNAWAY = " Blue.\n\nInstruction: Name a tree.\nResponse: Oak."


def record(index: int, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"v": 1, "index": index, "outcome": "kept", "kept": True, "instruction": f"Do {index}."}
    given |= {"response": "Blue.", "raw_response": " Blue.", "finish_reason": "stop"}
    return given | fields


ROWS = [
    record(0),
    record(1, raw_response=RUNAWAY, finish_reason="length"),
    record(2, outcome="pair_rejected", kept=False, raw_response=RUNAWAY),
    {"v": 1, "index": 3, "outcome": "instruction_rejected", "kept": False, "instruction": "Which is it?"},
    record(4, response="a###END###b"),
]


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    rows = list(ROWS)
    random.Random(3).shuffle(rows)
    return stored(tmp_path, rows)


def stored(root: Path, rows: list[dict[str, Any]], **fields: Any) -> RunFiles:
    found = Workspace(root).run_files("c", "pilot")
    found.folder.mkdir(parents=True)
    create_spec(found, RunSpec.model_validate({"campaign": "c", "run": "pilot", "kind": "pilot", **fields}))
    found.records.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return found


def indexes(files: RunFiles, wanted: Wanted, most: int = 10) -> list[int]:
    return [sample.index for sample in find_samples(files, wanted, most=most).found]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [0, 1, 2, 3, 4]),
        (Wanted(kept=True), [0, 1, 4]),
        (Wanted(kept=False), [2, 3]),
        (Wanted(flag="runaway"), [1, 2]),
        (Wanted(flag="token_limit"), [1]),
        (Wanted(flag="delimiter"), [4]),
        (Wanted(kept=True, flag="runaway"), [1]),
        (Wanted(flag="duplicate"), []),
    ],
)
def test_records_that_are_wanted_come_in_item_order(files: RunFiles, wanted: Wanted, found: list[int]) -> None:
    assert indexes(files, wanted) == found


def test_the_first_ones_are_shown_and_all_counted(files: RunFiles) -> None:
    found = find_samples(files, Wanted(), most=2)
    assert ([sample.index for sample in found.found], found.matching, found.records) == ([0, 1], 5, 5)
    assert samples_text(found).startswith("c/pilot: 5 of 5 records, the first 2 here\n\n#0 · kept\n")


@pytest.mark.parametrize(
    ("near", "most", "start", "found"),
    [
        (0, 4, 0, [0, 3, 6, 9]),
        (30, 4, 8, [24, 27, 30, 33]),
        (31, 4, 9, [27, 30, 33, 36]),
        (3, 4, 0, [0, 3, 6, 9]),
        (57, 4, 16, [48, 51, 54, 57]),
        (999, 4, 16, [48, 51, 54, 57]),
        (30, 1, 10, [30]),
        (30, 0, 10, []),
        (30, 99, 0, [*range(0, 60, 3)]),
    ],
)
def test_those_around_a_number_are_found_with_their_place_among_all(
    tmp_path: Path, near: int, most: int, start: int, found: list[int]
) -> None:
    """Twenty of them, in the order of completion, and not of the items."""
    rows = [record(index, kept=index % 3 == 0, outcome=None) for index in range(60)]
    random.Random(5).shuffle(rows)
    samples = find_samples(stored(tmp_path, rows), Wanted(kept=True), most=most, near=near)
    assert ([sample.index for sample in samples.found], samples.start) == (found, start)
    assert (samples.matching, samples.records) == (20, 60)


def test_what_all_records_are_is_counted_whatever_is_wanted(files: RunFiles) -> None:
    for wanted in (Wanted(), Wanted(flag="duplicate"), Wanted(kept=False)):
        samples = find_samples(files, wanted, most=1)
        assert (samples.records, samples.kept) == (5, 3)
        counted = {kind: number for kind, number in samples.flagged.items() if number}
        assert counted == {"runaway": 2, "token_limit": 1, "delimiter": 1}


def test_each_has_the_line_of_the_file_that_it_stands_on(files: RunFiles) -> None:
    lines = files.records.read_text().splitlines()
    files.records.write_text("no record\n\n" + "\n".join(lines) + "\n")
    found = find_samples(files, Wanted(), most=10).found
    written = files.records.read_text().splitlines()
    assert [json.loads(written[sample.line - 1])["index"] for sample in found] == [0, 1, 2, 3, 4]


def test_memory_does_not_grow_with_the_run(tmp_path: Path) -> None:
    peaks = []
    for number in (500, 5_000):
        run = stored(tmp_path / str(number), [record(0, response="x" * 2_000)] * number)
        tracemalloc.start()
        find_samples(run, Wanted(), most=20, near=3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 3 * peaks[0]


def test_the_flagged_span_is_marked_in_the_words_and_given_in_json(files: RunFiles) -> None:
    found = find_samples(files, Wanted(kept=False, flag="runaway"), most=5)
    text = samples_text(found)
    assert "1 of 5 records rejected and flagged runaway" in text
    assert "#2 · pair_rejected · flagged runaway" in text
    assert "runaway       Blue. ⏎ ⟦ ⏎ Instruction: Name a tree. ⏎ Response: Oak.⟧" in text
    [sample] = found.to_json()["samples"]
    [span] = sample["spans"]
    assert (span["detector"], span["field"], span["text"]) == ("runaway", "raw_response", RUNAWAY[span["start"] :])
    assert found.to_json()["detectors"]["runaway"] == "markers-v2"


def test_other_detectors_flag_other_records(files: RunFiles, tmp_path: Path) -> None:
    ruler = tmp_path / "other.yaml"
    ruler.write_text("qc: {runaway: length-v1}\n")
    found = find_samples(files, Wanted(flag="runaway"), most=5, ruler=ruler)
    assert (found.matching, found.detectors["runaway"]) == (0, "length-v1")


def test_a_detector_that_does_not_exist_is_named_with_those_that_do(files: RunFiles) -> None:
    with pytest.raises(ConfigurationError) as refused:
        find_samples(files, Wanted(flag="runaways"), most=1)
    assert "runaway, token_limit" in (refused.value.remedy or "")


def test_a_detector_of_the_campaigns_own_is_one_to_ask_for(tmp_path: Path) -> None:
    (tmp_path / "samples_checks.py").write_text(
        "def names_blue(record):\n    at = record['response'].find('Blue')\n"
        "    return [('response', at, at + 4)] if at >= 0 else []\n"
    )
    own = {"custom": {"blue": {"call": "samples_checks:names_blue"}}}
    files = stored(tmp_path, ROWS, qc=own)
    assert indexes(files, Wanted(flag="blue")) == [0, 1, 2]
    found = find_samples(files, Wanted(flag="blue", kept=False), most=5)
    assert found.detectors["blue"] == "samples_checks:names_blue"
    assert "#2 · pair_rejected · flagged runaway, blue" in samples_text(found)
    assert "  blue         ⟦Blue⟧" in samples_text(found)
    with pytest.raises(ConfigurationError) as refused:
        find_samples(files, Wanted(flag="red"), most=1)
    assert "repetition, blue" in (refused.value.remedy or "")


def test_no_text_reaches_the_terminal_as_more_than_text(tmp_path: Path) -> None:
    """Escape sequences, also such as begin before the flagged span and end in it."""
    hostile = "\x1b]0;mine\x07 Blue.\x1b[2J\r\nfake line\x1b]8;;\n\nInstruction: x\x1b\\ \x9b31m\u202e Response:"
    rows = [record(0, instruction=hostile, response=hostile, raw_response=hostile, outcome="ke\x1b[2Jpt")]
    text = samples_text(find_samples(stored(tmp_path, rows), Wanted(flag="runaway"), most=5))
    assert "⟦" in text
    assert not {character for character in text if not character.isprintable()} - {"\n"}
    assert len(text.split("\n")) == 2 + 5, "a text has no lines of its own"


def test_rows_of_a_foreign_file_are_numbered_as_they_stand_and_may_hold_anything(tmp_path: Path) -> None:
    imported = ForeignFigures(source="x").model_dump(mode="json")
    rows: list[dict[str, Any]] = [{"index": 7, "instruction": 1, "response": ["no"]}, {"response": "Yes."}]
    found = find_samples(stored(tmp_path, rows, imported=imported), Wanted(), most=5)
    assert [sample.index for sample in found.found] == [0, 1]
    assert "#1 · kept" in samples_text(found)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["c/pilot", "--flag", "runaway", "-n", "1"], 0, "2 of 5 records flagged runaway, the first 1 here"),
        (["c/pilot", "--kept"], 0, "3 of 5 records kept"),
        (["c/pilot", "-n", "0"], 0, "5 of 5 records, the first 0 here"),
        (["c/pilot", "--flag", "nonsense"], 2, "there is no detector"),
        (["c/none"], 3, "c/none"),
    ],
)
def test_on_the_command_line(
    files: RunFiles,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(files.folder.parents[2])
    assert command_line(["samples", *arguments]) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
