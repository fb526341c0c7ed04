"""What people say of flags: which can be marked, which mark stands, and what the marks make of a detector."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.cli import run as command_line
from engine.errors import ConfigurationError, NotFoundError, RefusedError
from engine.files import RunFiles
from engine.marks import MarksReader, OtherDetectorError, read_marks
from engine.qc.detectors import Record
from engine.qc.verdicts import DetectorEvidence
from engine.records import numbered_records
from engine.report.samples import Wanted, samples_text
from engine.service import Service
from engine.supervise.attempts import archive
from tests.report.places import add_run, records, write_campaign, write_ruler


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pilot of 120 in which `length-v1` flags the records 0 to 19."""
    write_campaign(tmp_path)
    add_run(tmp_path, "pilot", records(120, long=20, runaway=1))
    return tmp_path


@pytest.fixture
def files(root: Path) -> RunFiles:
    return Service(root).workspace.existing_run("c/pilot")


def mark(root: Path, *indexes: int, right: bool = True) -> str:
    return Service(root, author="ann@host").mark("c/pilot", "runaway", dict.fromkeys(indexes, right))


def runaway(root: Path) -> DetectorEvidence:
    return next(one for one in Service(root).look_at_run("c/pilot").gate.detectors if one.kind == "runaway")


def shown(root: Path, wanted: Wanted) -> list[int]:
    return [sample.index for sample in Service(root).samples("c/pilot", wanted, 100).found]


def test_marks_say_how_far_a_detector_can_be_trusted(root: Path) -> None:
    assert mark(root, *range(7)) == "length-v1: 7 of 7 marked flags are right, precision 100 % (59–100 %)"
    said = mark(root, 7, 8, 9, right=False)
    assert said == "length-v1: 7 of 10 marked flags are right, precision 70 % (35–93 %)"
    found = runaway(root)
    assert (found.marked_true, found.marked_false, found.flagged) == (7, 3, 20)
    assert (found.lower, found.upper) == pytest.approx((0.3475, 0.9333), abs=1e-4)
    told = Service(root).look_at_run("c/pilot").gate.to_json()["detectors"][0]
    assert told["marks"]["precision"] == 0.7


def test_what_is_recorded(root: Path, files: RunFiles) -> None:
    mark(root, 3, right=False)
    (path,) = files.marks.iterdir()
    told = json.loads(path.read_text())
    assert told.pop("time").endswith("Z")
    assert told == {
        "v": 1,
        "author": "ann@host",
        "index": 3,
        "kind": "runaway",
        "detector": "length-v1",
        "right": False,
    }


def test_of_several_marks_on_a_record_the_newest_stands(root: Path) -> None:
    mark(root, 3)
    assert mark(root, 3, right=False).startswith("length-v1: 0 of 1 ")
    assert mark(root, 3).startswith("length-v1: 1 of 1 ")


def test_only_what_is_flagged_can_be_marked_and_all_of_it_or_nothing(root: Path, files: RunFiles) -> None:
    with pytest.raises(ConfigurationError, match="record 20 of c/pilot is not flagged runaway by length-v1") as refused:
        mark(root, 3, 20)
    assert (refused.value.remedy or "").startswith("it flags 0, 1, 2, 3")
    assert not files.marks.exists()
    with pytest.raises(ConfigurationError, match="no detector for 'runaways'"):
        Service(root).mark("c/pilot", "runaways", {3: True})
    with pytest.raises(ConfigurationError) as refused:
        Service(root).mark("c/pilot", "delimiter", {3: True})
    assert refused.value.remedy == "it flags no record of this run"
    with pytest.raises(NotFoundError):
        Service(root).mark("c/none", "runaway", {3: True})


def test_a_mark_that_corrects_another_stands_although_the_clock_is_behind(root: Path, files: RunFiles) -> None:
    mark(root, 3, 4)
    for path in list(files.marks.iterdir()):
        path.rename(files.marks / f"{'9' * 20}-{path.name[21:]}")
    assert mark(root, 3, right=False).startswith("length-v1: 1 of 2 ")
    assert read_marks(files).right == {("length-v1", 3): False, ("length-v1", 4): True}
    assert mark(root, 3).startswith("length-v1: 2 of 2 ")


def test_a_mark_counts_only_on_a_record_that_is_flagged_here(root: Path, files: RunFiles) -> None:
    files.marks.mkdir()
    said = {"v": 1, "time": "x", "author": "a", "kind": "runaway", "detector": "length-v1", "right": False}
    for index in (50, *range(100_000, 100_010)):
        (files.marks / f"{index:020d}-x.json").write_text(json.dumps({**said, "index": index}))
    watching = Service(root)
    assert watching.poll().campaigns[0].runs[0].gate.detectors[0].marked == 0
    assert mark(root, 3).startswith("length-v1: 1 of 1 ")
    run = watching.poll().campaigns[0].runs[0]
    assert (run.gate.detectors[0].marked_true, run.gate.detectors[0].marked_false) == (1, 0)
    assert run == Service(root).look_at_run("c/pilot")


def test_records_are_read_once_more_only_when_marks_came(
    root: Path, files: RunFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = []

    def counted(*arguments: Any) -> Iterator[tuple[int, Record]]:
        readings.append(arguments)
        return numbered_records(*arguments)

    monkeypatch.setattr("engine.replay.grades.numbered_records", counted)
    watching = Service(root)
    for _ in range(3):
        watching.poll()
    assert readings == []
    mark(root, 3)
    for _ in range(3):
        watching.poll()
    assert len(readings) == 1


def test_a_flag_of_another_detector_than_the_one_looked_at_is_not_marked(root: Path, files: RunFiles) -> None:
    service = Service(root)
    service.mark("c/pilot", "runaway", {20 - 1: True}, detector="length-v1")
    service.regrade("c/pilot", write_ruler(root, "qc: {runaway: markers-v2}\n"), reason="look")
    with pytest.raises(
        OtherDetectorError, match="judged by markers-v2 now, and what was looked at are flags of length"
    ):
        service.mark("c/pilot", "runaway", {20: True}, detector="length-v1")
    assert len(list(files.marks.iterdir())) == 1


def test_on_a_full_disk_all_are_marked_or_none_and_the_way_on_is_said(root: Path, files: RunFiles) -> None:
    files.marks.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=12", "x", files.marks], check=False).returncode:
        pytest.skip("mounting needs privileges")
    try:
        with pytest.raises(RefusedError, match="No space left") as refused:
            mark(root, *range(20))
        assert list(files.marks.iterdir()) == []
        assert "then mark again: nothing was marked" in (refused.value.remedy or "")
        assert mark(root, 3).startswith("length-v1: 1 of 1 ")
    finally:
        subprocess.run(["umount", files.marks], check=True)


def test_another_detector_starts_without_marks_and_the_old_one_keeps_its_own(root: Path) -> None:
    write_campaign(root, retries=9)
    mark(root, 0, 1)
    service = Service(root)
    service.regrade("c/pilot", write_ruler(root, "qc: {runaway: markers-v2}\n"), reason="look")
    assert (runaway(root).detector, runaway(root).marked) == ("markers-v2", 0)
    with pytest.raises(ConfigurationError, match="not flagged runaway by markers-v2"):
        mark(root, 0)
    assert mark(root, 20).startswith("markers-v2: 1 of 1 ")
    service.regrade("c/pilot", write_ruler(root, "qc: {runaway: length-v1}\n"), reason="back")
    assert (runaway(root).detector, runaway(root).marked_true) == ("length-v1", 2)


def test_samples_are_told_apart_by_their_marks(root: Path) -> None:
    mark(root, 4)
    mark(root, 2, right=False)
    assert shown(root, Wanted(flag="runaway", marked=True)) == [2, 4]
    assert shown(root, Wanted(marked=True)) == [2, 4]
    assert shown(root, Wanted(flag="runaway", marked=False)) == [0, 1, 3, *range(5, 20)]
    assert shown(root, Wanted(marked=False)) == [0, 1, 3, *range(5, 20)], "what is not flagged cannot be marked"
    assert shown(root, Wanted(flag="delimiter", marked=True)) == []
    found = Service(root).samples("c/pilot", Wanted(flag="runaway"), 5)
    text = samples_text(found)
    assert "#2 · kept · flagged runaway (✗ false alarm)\n" in text
    assert "#3 · kept · flagged runaway\n" in text
    assert "#4 · kept · flagged runaway (✓ right)\n" in text
    assert [sample["mark"] for sample in found.to_json()["samples"]] == [None, None, False, None, True]


def test_a_viewer_sees_marks_as_they_come(root: Path, files: RunFiles) -> None:
    watching, reader = Service(root), MarksReader(files)
    assert watching.poll().campaigns[0].runs[0].gate.detectors[0].marked == 0
    assert not reader.refresh()
    mark(root, 5)
    assert reader.refresh()
    assert not reader.refresh(), "nothing has come since"
    assert reader.marks == read_marks(files)
    run = watching.poll().campaigns[0].runs[0]
    assert run.gate.detectors[0].marked_true == 1
    assert run == Service(root).look_at_run("c/pilot")


def test_what_is_no_mark_is_passed_over_and_counted(root: Path, files: RunFiles) -> None:
    mark(root, 5)
    (good,) = files.marks.iterdir()
    told = json.loads(good.read_text())
    wrong = [{**told, "v": 2}, {**told, "index": True}, {**told, "right": "yes"}, {**told, "index": -1}, {}]
    for number, value in enumerate(wrong):
        (files.marks / f"{number}.json").write_text(json.dumps(value))
    (files.marks / "half.json").write_text('{"v": 1')
    os.mkfifo(files.marks / "pipe.json")
    assert (read_marks(files).right, read_marks(files).damaged) == ({("length-v1", 5): True}, 7)
    warnings = Service(root).look_at_run("c/pilot").warnings
    assert [warning for warning in warnings if "7 unreadable file(s) in marks/" in warning]


def test_a_run_that_begins_anew_has_other_records_and_no_marks(root: Path, files: RunFiles) -> None:
    mark(root, 5)
    archive(files, 1)
    assert read_marks(files).right == {}
    assert len(list((files.archive(1) / "marks").iterdir())) == 1


def test_the_gate_shows_what_marks_say_and_ten_samples_of_a_detector_that_is_suspect(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pair critic calls all of it good, so that the detector is suspect until people have looked."""
    monkeypatch.chdir(root)
    mark(root, 0, 1)
    assert command_line(["gate", "c/pilot"]) == 10
    printed = capsys.readouterr().out
    assert "length-v1: 2 of 2 marked flags are right, precision 100 % (16–100 %)" in printed
    suspicion = "detector suspect: length-v1: the pair critic accepts 20 of 20 flagged, and 100 of 100 others"
    assert suspicion in " ".join(printed.split())
    assert [line.split()[0] for line in printed.splitlines() if line.startswith("  #")] == [
        f"#{index}" for index in range(2, 12)
    ], "ten that nobody has marked yet"
    assert "pilothouse samples c/pilot --flag runaway --mark 2=true --mark 3=false" in printed
    mark(root, *range(2, 8))
    assert command_line(["gate", "c/pilot"]) == 10
    assert "suspect" not in capsys.readouterr().out, "marks have the last word"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--flag", "runaway", "--mark", "1=true", "--mark", "2=false"], 0, "length-v1: 1 of 2 marked flags are right"),
        (["--mark", "1=true"], 2, "name the detector with --flag"),
        (["--flag", "runaway", "--mark", "1=true", "--qc", "ruler.yaml"], 2, "leave --qc out"),
        (["--flag", "runaway", "--mark", "1=maybe"], 2, "write INDEX=true"),
        (["--flag", "runaway", "--mark", "1=true", "--mark", "#1=false"], 2, "record 1 both true and false"),
        (["--flag", "runaway", "--mark", "1=true", "--mark", "1=true"], 0, "1 of 1 marked flags"),
        (["--flag", "runaway", "--mark", "99=true"], 2, "record 99"),
        (["--flag", "runaway", "--unmarked"], 0, "20 of 120 records flagged runaway and not marked"),
        (["--marked"], 0, "0 of 120 records marked"),
    ],
)
def test_on_the_command_line(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(root)
    assert command_line(["samples", "c/pilot", *arguments]) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
