"""A campaign's own detectors: what they may answer, and that nothing they do reaches beyond one record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.errors import ConfigurationError
from engine.qc.custom import check_custom, detectors_of, load_custom
from engine.qc.detectors import flags_of
from engine.qc.gate import judge
from engine.qc.tally import RunTally

DELIMITER = "###END###"
CODE = """
import sys

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no words")

class Outcome(BaseException):
    pass

class Speechless(BaseException):
    def __str__(self):
        raise GeneratorExit

def is_refusal(record):
    return record["response"].startswith("I cannot") if "response" in record else None

def where(record):
    at = record["response"].find("cannot")
    return [("response", at, at + 6)] if at >= 0 else []

def divides(record):
    return 1 / record["index"] > 2

def leaves(record):
    sys.exit("I leave")

def outcome(record):
    raise Outcome("\\x1b[31mfailed\\x1b[0m")

def speechless(record):
    raise Speechless

def interrupts(record):
    raise KeyboardInterrupt

def odd(record):
    raise Odd

def escapes(record):
    raise ValueError("\\x1b]0;owned\\x07red\\nrose " + "x" * 5000)

def changes(record):
    record["pair_critic"]["good"] = True
    return False

def removes(record):
    del record["response"]
    return False

def numbers(record):
    return 1

def fails_on_long(record):
    if len(record["response"]) > 20:
        raise ValueError("too long for me")
    return record["response"].startswith("I cannot")

def beyond(record):
    return [("response", 0, 10_000)]

def no_spans(record):
    return ["response"]

def sees_flags(record):
    return "flags" in record

def dumps(record):
    import json
    return isinstance(record, dict) and bool(json.dumps(record))

class Checks:
    @staticmethod
    def short(record):
        return len(record["response"]) < 5

constant = 3
"""


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("own_checks", None)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "own_checks.py").write_text(CODE)
    return str(tmp_path)


def qc(function: str = "is_refusal", name: str = "own", over: str = "generated") -> QcConfig:
    return QcConfig.model_validate({"custom": {name: {"call": f"own_checks:{function}", "over": over}}})


def record(index: int = 0, response: str = "I cannot do that.", **more: Any) -> dict[str, Any]:
    made = {"index": index, "outcome": "kept", "kept": True, "response": response, "raw_response": response}
    return made | {"instruction": "Do it.", "pair_critic": {"good": False, "confident": True}} | more


def tally(config: QcConfig, folder: str, records: list[dict[str, Any]], **checks: str) -> RunTally:
    gate = GateConfig.model_validate({"checks": checks or {"own_rate": "< 5%"}})
    result = RunTally(config, gate, DELIMITER, import_from=(folder,))
    for one in records:
        result.add(one)
    return result


def test_it_flags_and_makes_a_metric_of_its_name(folder: str) -> None:
    records = [record(0), record(1, "Done."), record(2, "Fine."), record(3, "I cannot."), {"index": 4}]
    result = tally(qc(), folder, records)
    assert result.metrics()["own_rate"] == 0.5
    assert result.check_counts("own_rate") == (4, 2)
    assert flags_of(records[0], result.detectors)["own"] is True
    assert flags_of(records[1], result.detectors)["own"] is False
    assert "own" not in flags_of(records[4], result.detectors)
    assert result.detectors["own"].id == "own_checks:is_refusal"


def test_the_critic_is_heard_about_it_too(folder: str) -> None:
    rows = [record(0), record(1, "Done."), record(2, pair_critic={"good": True, "confident": True})]
    found = tally(qc(), folder, rows).detector_counts()[-1]
    assert (found.kind, found.detector, found.metrics) == ("own", "own_checks:is_refusal", ("own_rate",))
    assert (found.flagged, found.judged, found.good, found.rest_judged) == (2, 2, 1, 1)


def test_its_metric_is_gated_as_any_other(folder: str) -> None:
    clean = [record(index, "Done.") for index in range(120)]
    passed = tally(qc(), folder, clean)
    verdict = judge(passed.gate, PolicyConfig(), passed, ended=True, target=100)
    assert verdict.verdict == "pass"
    assert verdict.sentence == "pass: its check is proven at 95%"
    failed = tally(qc(), folder, [record(index) for index in range(120)])
    verdict = judge(failed.gate, PolicyConfig(), failed, ended=True, target=100)
    assert verdict.sentence == "fail: own 120 of 120, limit < 5%"


LONG = "I cannot do that, for I was told not to."


def test_what_its_detector_fails_on_is_not_proven_clean(folder: str) -> None:
    """It may fail on just those that it would flag."""
    rows = [record(index, LONG if index % 4 == 0 else "Done.") for index in range(160)]
    result = tally(qc("fails_on_long"), folder, rows)
    verdict = judge(result.gate, PolicyConfig(), result, ended=True, target=100)
    assert (verdict.verdict, verdict.forecast) == ("undecided", None)
    assert verdict.sentence == "undecided: own 0 of 120: its detector failed on 40 records"
    (check,) = verdict.checks
    assert (check.errors, check.n, check.sentence) == (40, 120, "0 of 120: its detector failed on 40 records")
    assert judge(result.gate, PolicyConfig(), result, ended=True, target=100, bounds=False).verdict == "undecided"
    plain = result.gate.model_copy(update={"confidence": None})
    verdict = judge(plain, PolicyConfig(), result, ended=True, target=100)
    assert "0.0% against < 5% (plain comparison, no proof); its detector failed on 40 records" in verdict.sentence


def test_a_check_that_fails_on_what_its_detector_did_judge_still_fails(folder: str) -> None:
    result = tally(qc("fails_on_long"), folder, [record(0, LONG), *(record(index) for index in range(1, 120))])
    verdict = judge(result.gate, PolicyConfig(), result, ended=True, target=100)
    assert verdict.sentence == "fail: own 119 of 119, limit < 5%"


def test_a_detector_that_fails_behind_the_first_hole_changes_no_verdict_yet(folder: str) -> None:
    result = tally(qc("fails_on_long"), folder, [*(record(index, "Done.") for index in range(120)), record(121, LONG)])
    assert judge(result.gate, PolicyConfig(), result, ended=True, target=100).verdict == "pass"
    assert result.warnings() == ["custom detector own failed on 1 record: ValueError: too long for me"]
    result.add(record(120, "Done."))
    verdict = judge(result.gate, PolicyConfig(), result, ended=True, target=100)
    assert verdict.checks[0].sentence == "0 of 121: its detector failed on 1 record"


def test_spans_are_flags_where_there_are_any(folder: str) -> None:
    found = detectors_of(qc("where"), DELIMITER, (folder,))["own"]
    assert found.flag(record()) is True
    assert found.spans(record()) == [("response", 2, 8)]
    assert found.flag(record(response="Done.")) is False
    assert found.spans(record(response="Done.")) == []


@pytest.mark.parametrize(
    ("over", "asked"),
    [("parsed", [0, 1, 2, 3]), ("candidates", [1, 2, 3]), ("generated", [2, 3]), ("kept", [3])],
)
def test_it_is_asked_about_what_it_is_over(folder: str, over: str, asked: list[int]) -> None:
    critic = {"good": True, "confident": True}
    records = [
        {"index": 0, "outcome": "malformed", "kept": False, "response": None},
        {"index": 1, "outcome": "instruction_rejected", "kept": False, "instruction_critic": critic},
        record(2, outcome="pair_rejected", kept=False, instruction_critic=critic),
        record(3, instruction_critic=critic),
    ]
    result = tally(qc("sees_flags", over=over), folder, records)
    flags = [flags_of(one, result.detectors).get("own") for one in records]
    assert [index for index, flag in enumerate(flags) if flag is not None] == asked
    assert result.check_counts("own_rate") == (len(asked), 0)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("divides", "ZeroDivisionError: division by zero"),
        ("leaves", "SystemExit: I leave"),
        ("odd", "Odd"),
        ("outcome", "Outcome: failed"),
        ("speechless", "Speechless"),
        ("escapes", "ValueError: red rose xxx"),
        ("changes", "it changed the record"),
        ("removes", "it changed the record"),
        ("numbers", "it returned int, not True, False, None or a list of spans"),
        ("beyond", "a span it returned is not (field, start, end) within a text of the record"),
        ("no_spans", "a span it returned is not"),
    ],
)
def test_what_goes_wrong_stays_with_its_record(folder: str, function: str, words: str) -> None:
    first, second = record(0), record(5)
    before = json.dumps([first, second])
    result = tally(qc(function), folder, [first, second])
    failed, text = result.detector_errors()["own"]
    assert failed == (1 if function == "divides" else 2)
    assert text.startswith(words)
    assert len(text) <= 200
    assert "\x1b" not in text
    assert "\n" not in text
    assert result.metrics()["own_rate"] == (0 if function == "divides" else None)
    assert result.metrics()["examples"] == 2
    assert "own" not in flags_of(first, result.detectors)
    assert json.dumps([first, second]) == before
    plural = "1 record" if failed == 1 else "2 records"
    assert result.warnings() == [f"custom detector own failed on {plural}: {text}"]


def test_an_interrupt_is_nobodys_fault(folder: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        tally(qc("interrupts"), folder, [record()])


def test_it_gets_a_plain_record_without_flags(folder: str) -> None:
    flagged = record(flags={"runaway": True})
    assert tally(qc("dumps"), folder, [flagged]).metrics()["own_rate"] == 1
    assert tally(qc("sees_flags"), folder, [flagged]).metrics()["own_rate"] == 0


def test_a_record_nested_beyond_reach_is_confined(folder: str) -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    result = tally(qc(), folder, [record(extra=deep)])
    assert result.detector_errors()["own"][1].startswith("RecursionError")


def test_what_cannot_be_imported_any_more_judges_nothing_and_says_so(tmp_path: Path) -> None:
    gone = QcConfig.model_validate({"custom": {"own": {"call": "gone_checks:is_refusal"}}})
    result = tally(gone, str(tmp_path), [record(0), record(1)])
    verdict = judge(result.gate, PolicyConfig(), result, ended=True, target=100)
    assert verdict.sentence == "undecided: own: its detector failed on 2 records"
    assert verdict.checks[0].value is None
    assert result.metrics()["own_rate"] is None
    (warning,) = result.warnings()
    assert warning.startswith("custom detector own failed on 2 records: gone_checks:is_refusal cannot be imported: Mod")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("gone_checks:f", "cannot be imported: ModuleNotFoundError: No module named 'gone_checks'"),
        ("own_checks:is_refusl", "there is no is_refusl in "),
        ("own_checks:constant", "own_checks:constant is int, not a function"),
        ("leaving_checks:f", "cannot be imported: SystemExit: bye"),
        ("broken_checks:f", "cannot be imported: SyntaxError"),
        ("closing_checks:f", "cannot be imported: GeneratorExit: closed"),
    ],
)
def test_what_cannot_be_called_is_refused(folder: str, call: str, words: str) -> None:
    (Path(folder) / "leaving_checks.py").write_text("import sys\nsys.exit('bye')\n")
    (Path(folder) / "broken_checks.py").write_text("def f(:\n")
    (Path(folder) / "closing_checks.py").write_text("raise GeneratorExit('closed')\n")
    config = QcConfig.model_validate({"custom": {"own": {"call": call}}})
    with pytest.raises(ConfigurationError) as caught:
        check_custom(config, (folder,))
    assert caught.value.what.startswith("qc.custom.own: ")
    assert words in caught.value.what
    assert caught.value.where == "qc.custom.own"
    assert folder in str(caught.value.remedy)


def test_a_function_may_stand_in_a_class(folder: str) -> None:
    check_custom(qc("Checks.short"), (folder,))
    assert tally(qc("Checks.short"), folder, [record(response="No.")]).metrics()["own_rate"] == 1


def test_a_name_that_would_take_a_built_in_metric_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="there is a built-in metric response_repetition_rate"):
        check_custom(qc(name="response_repetition"), (folder,))


def _offer(folder: str) -> None:
    package = Path(folder) / "offering-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[pilothouse.detectors]\nrefusals = own_checks:is_refusal\n")


def test_an_installed_package_offers_one_by_entry_point(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(folder)
    monkeypatch.syspath_prepend(folder)
    config = QcConfig.model_validate({"custom": {"own": {"entry_point": "refusals"}}})
    check_custom(config)
    assert load_custom(config)[0].ask(record()).count == 1
    absent = QcConfig.model_validate({"custom": {"own": {"entry_point": "refusal"}}})
    with pytest.raises(ConfigurationError, match="there is no entry point 'refusal'") as caught:
        check_custom(absent)
    assert "refusals" in caught.value.what
