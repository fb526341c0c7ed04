"""A run graded again: what is told of it, what saving that does everywhere, and what it costs in tries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from engine.campaign.spec import ForeignFigures, read_spec
from engine.cli import run as command_line
from engine.errors import ConfigurationError, RefusedError
from engine.gradings import graded_spec, next_number, read_gradings, save_grading
from engine.policy.history import tries_spent
from engine.replay.run import RunReplay
from engine.report.regrade import regrade_text
from engine.report.samples import Wanted
from engine.report.tables import cells_of
from engine.service import Service
from engine.snapshot import RunSnapshot
from engine.supervise.identity import own_identity
from engine.supervise.liveness import KeeperRecord, write_keeper
from tests.report.places import LONG, add_run, record, records, write_campaign, write_ruler

MARKERS = "qc: {runaway: markers-v2}\n"
LOOSER = 'gate: {checks: {runaway_rate: "< 60%", pair_acceptance: ">= 50%"}}\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pilot of 120 that `length-v1` fails for 20 long answers, and an iteration that nothing flags."""
    write_campaign(tmp_path)
    add_run(tmp_path, "pilot", records(120, long=20, runaway=1))
    add_run(tmp_path, "iteration-1", records(120))
    return tmp_path


def service(root: Path) -> Service:
    return Service(root, author="ann@host")


def look(root: Path, run_id: str = "c/pilot") -> RunSnapshot:
    return service(root).look_at_run(run_id)


def files_in(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def save(root: Path, ruler: str = MARKERS, run_id: str = "c/pilot", reason: str = "it flags good answers") -> None:
    assert service(root).regrade(run_id, write_ruler(root, ruler), reason=reason).saved is not None


def test_the_tries_that_are_left_and_the_workspaces_rulers_are_told_beforehand(root: Path) -> None:
    tries = service(root).tries("c/pilot")
    assert (tries.spent, tries.allowed, tries.left, tries.lost) == (2, 3, 1, 0)
    save(root)
    assert service(root).tries("c/pilot").left == 0
    assert service(root).rulers() == []
    rulers = root / "configs" / "rulers"
    rulers.mkdir()
    for name in ("b.yaml", "a.yaml", "notes.txt"):
        (rulers / name).write_text(MARKERS)
    assert [path.name for path in service(root).rulers()] == ["a.yaml", "b.yaml"]


# --- looking -----------------------------------------------------------------------------------------------------


def test_old_and_new_verdict_stand_side_by_side_with_what_changed_sides(root: Path) -> None:
    ruler = write_ruler(root, MARKERS)
    before = files_in(root)
    graded = service(root).regrade("c/pilot", ruler)
    assert (graded.old.verdict, graded.new.verdict) == ("fail", "undecided")
    assert graded.old == look(root).gate
    told = graded.to_json()
    assert set(told) == {"run", "ruler", "old", "new", "changed", "earlier", "warnings", "saved"}
    assert (told["run"], told["saved"]) == ("c/pilot", None)
    assert told["ruler"]["qc"]["runaway"] == "markers-v2"
    assert told["ruler"]["gate"]["checks"]["runaway_rate"] == "< 5%"
    assert told["changed"]["runaway"] == {"flagged": [20], "cleared": list(range(20))}
    assert told["changed"]["token_limit"] == {"flagged": [], "cleared": []}
    assert told["earlier"] == [{"run": "c/iteration-1", "old": "pass", "new": "pass"}]
    text = regrade_text(graded)
    assert "c/pilot graded again: qc.runaway length-v1 → markers-v2" in text
    assert "runaway       < 5 %  ✗ fail 16.7 %   ◐ undecided 0.8 %" in text
    assert "20 of 120: proven too high (limit < 5%)\n    → 1 of 120: " in text
    assert "runaway, length-v1 → markers-v2: 1 newly flagged, 20 no longer flagged" in text
    assert "  + #20 · kept · Do 20. → Blue. ⏎ ⟦ ⏎ Instruction: Name a tree. ⏎ Response: Oak.⟧" in text
    assert "  − #0 · kept · Do 0. → ⟦ It is made of water" in text
    assert "  − #9 " in text
    assert "  − #10 " not in text
    assert "  − and 10 more" in text
    assert "c/iteration-1  ✓ pass  ✓ pass" in text
    assert files_in(root) == before, "looking writes nothing"


def test_other_runs_are_judged_by_the_new_limits_too(root: Path) -> None:
    add_run(root, "iteration-2", records(100, long=30))
    add_run(root, "scale", records(100, long=30))
    graded = service(root).regrade("c/pilot", write_ruler(root, LOOSER))
    assert [(one.run, one.old, one.new) for one in graded.earlier] == [
        ("c/iteration-1", "pass", "pass"),
        ("c/iteration-2", "fail", "pass"),
    ], "trials alone: nothing is built on a scale run"


@pytest.mark.parametrize("ruler", ["qc: {runaway: length-v1}\n", "qc: {}\n", "gate: {confidence: 0.95}\n"])
def test_the_same_rules_change_nothing(root: Path, ruler: str) -> None:
    """What a ruler leaves out of a block has its default, so each of these is checked against the run's own."""
    if ruler != "qc: {runaway: length-v1}\n":
        (root / "configs" / "c.yaml").write_text(
            "name: c\nmodel: {path: m, backend: vllm}\ngenerator: {kind: command, argv: [x]}\n"
        )
        add_run(root, "own", records(90, runaway=4))
    run_id = "c/pilot" if "length" in ruler else "c/own"
    graded = service(root).regrade(run_id, write_ruler(root, ruler))
    assert graded.new == graded.old == look(root, run_id).gate
    assert not any(side.flagged or side.cleared for side in graded.sides.values())
    assert "no sample changed sides" in regrade_text(graded)


def test_a_run_that_is_going_is_graded_again_and_that_is_saved(tmp_path: Path) -> None:
    write_campaign(tmp_path)
    files = add_run(tmp_path, "pilot", records(40, long=20), ended=False)
    me = own_identity()
    write_keeper(files, KeeperRecord(run="c/pilot", run_id="x", attempt=1, keeper=me, generator=me))
    frozen = files.spec.read_bytes()
    assert look(tmp_path).live
    save(tmp_path)
    run = look(tmp_path)
    assert (run.live, run.gate.verdict, run.metrics["runaway_rate"]) == (True, "undecided", 0.0)
    assert files.spec.read_bytes() == frozen, "the generator goes on by what it began with"


def test_a_run_is_graded_again_although_its_campaigns_file_is_broken(root: Path) -> None:
    (root / "configs" / "c.yaml").write_text("name: [\n")
    assert service(root).regrade("c/pilot", write_ruler(root, MARKERS)).new.verdict == "undecided"
    with pytest.raises(ConfigurationError):
        save(root)


# --- saving ------------------------------------------------------------------------------------------------------


def test_a_saved_grading_holds_from_then_on_everywhere(root: Path) -> None:
    watching = Service(root)
    assert watching.poll().campaigns[0].runs[0].gate.verdict == "fail"
    save(root)
    run = watching.poll().campaigns[0].runs[0]
    assert run == look(root), "who watched sees what a newcomer sees"
    assert run.gate.verdict == "undecided"
    assert run.metrics["runaway_rate"] == pytest.approx(1 / 120)
    assert dict(run.rules)["qc.runaway"] == "markers-v2"
    (note,) = run.gradings
    assert (note.number, note.author, note.reason) == (1, "ann@host", "it flags good answers")
    assert note.changed == "qc.runaway length-v1 → markers-v2"
    assert (note.verdict_before, note.verdict) == ("fail", "undecided")
    assert note.sentence_before.startswith("fail: runaway 20 of 120")
    assert run.to_json()["gradings"] == [note.to_json()]
    found = service(root).samples("c/pilot", Wanted(flag="runaway"), 5)
    assert ([sample.index for sample in found.found], found.detectors["runaway"]) == ([20], "markers-v2")
    again = service(root).regrade("c/pilot", write_ruler(root, "qc: {runaway: length-v1}\n"))
    assert (again.old.verdict, again.new.verdict) == ("undecided", "fail")


def test_what_is_recorded(root: Path) -> None:
    save(root)
    path = root / "artifacts" / "c" / "pilot" / "gradings" / "1.json"
    told = json.loads(path.read_text())
    assert (told["v"], told["number"], told["author"], told["reason"]) == (1, 1, "ann@host", "it flags good answers")
    assert told["time"].endswith("Z")
    assert told["qc"]["runaway"] == "markers-v2"
    assert told["gate"]["checks"]["runaway_rate"]["value"] == 0.05, "what the ruler left out is recorded, too"
    assert told["before"]["verdict"] == "fail"
    assert told["after"]["verdict"] == "undecided"
    assert path.stat().st_mode & 0o077 == 0


def test_the_newest_grading_counts_and_a_ruler_builds_on_it(root: Path) -> None:
    write_campaign(root, retries=9)
    save(root)
    save(root, LOOSER, reason="the limit was too strict")
    run = look(root)
    assert [note.changed for note in run.gradings] == [
        "qc.runaway length-v1 → markers-v2",
        "gate.runaway_rate < 5% → < 60%",
    ]
    assert run.gate.verdict == "pass"
    assert run.gradings[1].verdict_before == "undecided"


def test_a_pass_by_another_ruler_than_the_campaigns_does_not_scale_until_that_is_the_campaigns(root: Path) -> None:
    save(root, MARKERS + LOOSER, "c/iteration-1")
    action = service(root).look("c").next
    assert action is not None
    assert action.kind == "blocked"
    write_campaign(root, runaway="markers-v2")
    config = root / "configs" / "c.yaml"
    config.write_text(config.read_text().replace('"< 5%"', '"< 60%"'))
    action = service(root).look("c").next
    assert action is not None
    assert action.kind == "scale"


def test_a_grading_that_is_taken_away_no_longer_counts(root: Path) -> None:
    watching = Service(root)
    save(root)
    assert watching.poll().campaigns[0].runs[0].gate.verdict == "undecided"
    (root / "artifacts" / "c" / "pilot" / "gradings" / "1.json").unlink()
    run = watching.poll().campaigns[0].runs[0]
    assert (run.gate.verdict, run.gradings) == ("fail", ())
    assert run == look(root)


def test_records_that_come_after_a_grading_are_judged_by_it(root: Path) -> None:
    files = service(root).workspace.existing_run("c/pilot")
    watching = RunReplay(files, read_spec(files))
    watching.refresh()
    save(root)
    with files.records.open("a") as stream:
        stream.write(json.dumps(record(120, LONG)) + "\n")
    watching.refresh()
    late = RunReplay(files, read_spec(files))
    late.refresh()
    assert watching.snapshot() == late.snapshot()
    assert watching.snapshot().metrics["runaway_rate"] == pytest.approx(1 / 121)


def test_of_several_savers_each_gets_a_number_of_its_own(root: Path) -> None:
    write_campaign(root, retries=20)
    ruler, together = write_ruler(root, MARKERS), Barrier(4)

    def one(_: int) -> Path | None:
        person = service(root)
        together.wait()
        return person.regrade("c/pilot", ruler, reason="at once").saved

    with ThreadPoolExecutor(4) as pool:
        saved = list(pool.map(one, range(4)))
    assert sorted(path.name for path in saved if path) == ["1.json", "2.json", "3.json", "4.json"]
    before = [note.verdict_before for note in look(root).gradings]
    assert before == ["fail", "undecided", "undecided", "undecided"], "each has seen the last one's"


# --- what cannot be read -----------------------------------------------------------------------------------------

DAMAGE: dict[str, Any] = {
    "half": '{"v": 1, "numb',
    "another version": {"v": 2},
    "another number": {"number": 7},
    "an unknown detector": {"qc": {"runaway": "markers-v9"}},
    "an impossible limit": {"gate": {"checks": {"runaway_rate": "< 900%"}}},
    "nothing": {},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_grading_is_passed_over_with_a_warning(root: Path, damage: str) -> None:
    save(root)
    folder = root / "artifacts" / "c" / "pilot" / "gradings"
    good, wrong = json.loads((folder / "1.json").read_text()), DAMAGE[damage]
    changed = wrong if isinstance(wrong, str) else json.dumps({**good, "number": 2, **wrong} if wrong else {})
    (folder / "2.json").write_text(changed)
    run = look(root)
    assert [note.number for note in run.gradings] == [1]
    assert run.gate.verdict == "undecided"
    assert [warning for warning in run.warnings if "gradings/2.json cannot be used" in warning]


def test_what_is_no_file_never_holds_up_a_look(root: Path) -> None:
    folder = root / "artifacts" / "c" / "pilot" / "gradings"
    folder.mkdir()
    os.mkfifo(folder / "1.json")
    (folder / "2.json").mkdir()
    with (folder / "3.json").open("wb") as stream:
        stream.truncate(10**10)
    (folder / ".4.json").write_text("half")
    run = look(root)
    assert (run.gate.verdict, len(run.warnings)) == ("fail", 3)
    write_campaign(root, retries=9)
    save(root)
    assert [note.number for note in look(root).gradings] == [4], "a number is given away once"


def test_a_saved_text_cannot_be_more_than_text(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b]0;mine\x07 why\x1b[2J\r\nfake line \u202e"
    save(root, reason=hostile)
    monkeypatch.chdir(root)
    for arguments in (["gate", "c/pilot"], ["status"], ["regrade", "c/pilot", "--qc", "ruler.yaml"]):
        command_line(arguments)
    printed = capsys.readouterr().out
    assert "graded again by ann@host" in printed
    assert not {character for character in printed if not character.isprintable()} - {"\n"}
    assert not any(line.startswith("fake line") for line in printed.splitlines())


@pytest.mark.parametrize("name", ["999999999.json", "10001.json"])
def test_a_number_that_no_grading_can_have_is_passed_over_with_a_warning(root: Path, name: str) -> None:
    folder = root / "artifacts" / "c" / "pilot" / "gradings"
    folder.mkdir()
    (folder / name).write_text("{}")
    assert service(root).regrade("c/pilot", write_ruler(root, MARKERS), reason="why").saved == folder / "1.json"
    run = look(root)
    assert ([note.number for note in run.gradings], run.gate.verdict) == ([1], "undecided")
    assert [warning for warning in run.warnings if f"gradings/{name} cannot be used" in warning]


@pytest.mark.parametrize("place", ["pilot/gradings/10000.json", ".gradings/10000.json"])
def test_where_no_number_is_left_saving_is_refused_and_names_the_file(root: Path, place: str) -> None:
    write_campaign(root, retries=9)
    path = root / "artifacts" / "c" / place
    path.parent.mkdir()
    path.write_text("{}")
    with pytest.raises(RefusedError, match="no grading can be saved after the 10,000th") as refused:
        save(root)
    assert refused.value.where == str(path)


def test_a_grading_that_cannot_be_read_again_is_not_said_to_be_saved(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.folder.LARGEST_BYTES", 10)
    with pytest.raises(RefusedError, match="cannot be read again") as refused:
        save(root)
    assert (refused.value.where or "").endswith("gradings/1.json")


# --- tries -------------------------------------------------------------------------------------------------------


def spent(root: Path) -> int:
    return tries_spent(service(root).view("c").past)


def test_looking_is_free_and_each_saved_grading_is_a_try_until_none_is_left(root: Path) -> None:
    assert spent(root) == 2
    service(root).regrade("c/pilot", write_ruler(root, LOOSER))
    assert spent(root) == 2
    save(root)
    assert spent(root) == 3
    before = files_in(root)
    with pytest.raises(RefusedError, match="3 of 3 tries are spent") as refused:
        save(root, LOOSER)
    assert "policy.max_retries" in (refused.value.remedy or "")
    assert files_in(root).keys() == before.keys(), "nothing is left of what was refused"
    assert service(root).regrade("c/pilot", write_ruler(root, LOOSER)).new.verdict == "pass", "looking goes on"


def test_a_grading_that_was_damaged_since_was_a_try_all_the_same(root: Path) -> None:
    save(root)
    path = root / "artifacts" / "c" / "pilot" / "gradings" / "1.json"
    path.write_text('{"v":1')
    assert look(root).gate.verdict == "fail"
    for run_id in ("c/pilot", "c/iteration-1"):
        with pytest.raises(RefusedError, match=r"3 of 3 tries are spent \(1 of them gradings that cannot be read\)"):
            save(root, LOOSER, run_id)
    assert not (path.parent / "2.json").exists()


SAVER = """
import sys
from pathlib import Path
from engine.errors import RefusedError
from engine.service import Service
person = Service(Path(sys.argv[1]), author="ann@host")
print("ready", flush=True)
sys.stdin.readline()
try:
    person.regrade(sys.argv[2], Path(sys.argv[1]) / "ruler.yaml", reason="at once")
except RefusedError as error:
    print(error.what)
else:
    print("saved")
"""


def test_who_save_for_several_runs_at_once_spend_no_more_tries_than_there_are(root: Path) -> None:
    add_run(root, "scale", records(100))
    write_ruler(root, MARKERS)
    people = [
        subprocess.Popen(
            [sys.executable, "-c", SAVER, str(root), f"c/{name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("pilot", "iteration-1", "scale")
    ]
    for person in people:
        assert person.stdout is not None
        assert person.stdout.readline() == "ready\n"
    for person in people:
        assert person.stdin is not None
        person.stdin.write("\n")
        person.stdin.flush()
    said = sorted(person.communicate(timeout=60)[0] for person in people)
    assert said[0] == "saved\n"
    assert all("3 of 3 tries are spent" in text for text in said[1:])
    assert len(list(root.glob("artifacts/c/*/gradings/*.json"))) == 1


def test_who_counted_the_tries_before_another_saved_has_to_count_again(root: Path) -> None:
    """Two on different runs who have both seen that one try is left."""
    held = [service(root).workspace.existing_run(f"c/{name}") for name in ("pilot", "iteration-1")]
    numbers = [next_number(files) for files in held]
    saved = []
    for files, number in zip(held, numbers, strict=True):
        verdict = look(root, f"c/{files.folder.name}").gate
        saved.append(
            save_grading(files, read_spec(files), before=verdict, after=verdict, reason="r", author="a", number=number)
        )
    assert saved == [held[0].gradings / "1.json", None]
    assert not held[1].gradings.exists()


def test_what_a_crash_left_half_saved_is_brought_to_its_run_by_whoever_saves_next(root: Path) -> None:
    write_campaign(root, retries=3)
    save(root)
    campaign = root / "artifacts" / "c"
    (campaign / "pilot" / "gradings" / "1.json").unlink()
    (campaign / ".gradings" / "1.done").unlink()  # as if it had died in between
    assert look(root).gate.verdict == "fail"
    save(root, run_id="c/iteration-1")
    assert (look(root).gate.verdict, spent(root)) == ("undecided", 4)
    with pytest.raises(RefusedError, match="4 of 4 tries are spent"):
        save(root)


@pytest.mark.parametrize("left", ["half", '{"run": "..", "grading": {}}', '{"run": "none"}'])
def test_a_row_that_is_damaged_holds_nobody_up(root: Path, left: str) -> None:
    row = root / "artifacts" / "c" / ".gradings"
    row.mkdir()
    (row / "1.json").write_text(left)
    save(root)
    assert [note.number for note in look(root).gradings] == [1]
    assert sorted(path.name for path in row.iterdir()) == ["1.done", "1.json", "2.done", "2.json"]


def test_who_raises_the_number_of_tries_makes_each_prove_more(root: Path) -> None:
    """T tries share α = 5 %: E must reach T/α, so that all of them together pass a bad generator in 5 % at most."""
    graded = service(root).regrade("c/iteration-1", write_ruler(root, MARKERS))
    assert [check.threshold for check in graded.new.checks] == pytest.approx([60, 60])
    assert graded.new.verdict == "pass"
    write_campaign(root, retries=9)
    graded = service(root).regrade("c/iteration-1", write_ruler(root, MARKERS))
    assert [check.threshold for check in graded.new.checks] == pytest.approx([200, 200])
    assert graded.old == look(root, "c/iteration-1").gate, "what stands is held to it as well"
    assert (graded.old.verdict, graded.new.verdict) == ("undecided", "undecided")
    write_campaign(root, retries=0)
    assert look(root, "c/iteration-1").gate.checks[0].threshold == pytest.approx(60), "fewer afterwards prove nothing"


def test_an_imported_run_is_graded_by_its_rows_and_only_a_saved_grading_of_it_is_a_try(tmp_path: Path) -> None:
    write_campaign(tmp_path)
    summary = ForeignFigures(
        source="x",
        metrics={"runaway_rate": 0.5, "examples": 120.0},
        counts={"kept": 120, "generated": 120, "runaway": 60},
    )
    add_run(tmp_path, "pilot", records(120, long=20), imported=summary)
    run = look(tmp_path)
    assert (run.gate.verdict, run.metrics["runaway_rate"], spent(tmp_path)) == ("fail", 0.5, 0)
    save(tmp_path)
    run = look(tmp_path)
    by_rows = next(check for check in run.gate.checks if check.metric == "runaway_rate")
    assert (by_rows.verdict, by_rows.n, run.metrics["runaway_rate"], spent(tmp_path)) == ("pass", 120, 0.0, 1)
    assert run.gradings[0].sentence_before.startswith("fail: runaway 60 of 120")
    action = service(tmp_path).look("c").next
    assert action is not None
    assert action.kind != "scale", "rows that another program kept and cleaned prove nothing about what it generates"


def test_what_an_imported_runs_detectors_still_measure_stays_as_its_summary_says(tmp_path: Path) -> None:
    """The rows are only what was kept: counted there, nothing was ever rejected and nothing ever ran on."""
    write_campaign(tmp_path, runaway="markers-v2")
    summary = ForeignFigures(
        source="x",
        metrics={"runaway_rate": 0.5, "pair_acceptance": 0.3, "examples": 120.0},
        counts={"kept": 120, "generated": 400, "runaway": 200},
    )
    add_run(tmp_path, "pilot", records(120, long=0), imported=summary)
    graded = service(tmp_path).regrade("c/pilot", write_ruler(tmp_path, MARKERS))
    assert graded.new == graded.old
    assert graded.new.verdict == "fail"


# --- on the command line -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--qc", "ruler.yaml"], 11, "not saved"),
        (["--qc", "ruler.yaml", "--save"], 2, "add --reason TEXT"),
        (["--qc", "ruler.yaml", "--save", "--reason", " "], 2, "add --reason TEXT"),
        (["--qc", "ruler.yaml", "--reason", "why"], 2, "add --save"),
        (["--qc", "ruler.yaml", "--save", "--reason", "why"], 11, "is judged by this from now on"),
        (["--qc", "none.yaml"], 3, "none.yaml"),
        ([], 2, "--qc"),
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
    write_ruler(root, MARKERS)
    monkeypatch.chdir(root)
    assert command_line(["regrade", "c/pilot", *arguments]) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err


def test_words_that_are_not_utf_8_are_saved_as_what_can_be_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ruler(root, MARKERS)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PILOTHOUSE_AUTHOR", "\udcff@host")
    assert command_line(["regrade", "c/pilot", "--qc", "ruler.yaml", "--save", "--reason", "caf\udce9"]) == 11
    assert command_line(["samples", "c/pilot", "--flag", "runaway", "--mark", "20=true"]) == 0
    (note,) = look(root).gradings
    assert (note.reason, note.author) == ("caf\ufffd", "\ufffd@host")
    (mark,) = (root / "artifacts" / "c" / "pilot" / "marks").iterdir()
    assert json.loads(mark.read_text())["author"] == "\ufffd@host"
    capsys.readouterr()


def test_in_a_copied_workspace_a_rulers_own_detectors_are_found_there(tmp_path: Path) -> None:
    made, copied = tmp_path / "made", tmp_path / "copied"
    made.mkdir()
    write_campaign(made)
    add_run(made, "pilot", records(40))
    shutil.move(made, copied)
    (copied / "moved_checks.py").write_text("def is_blue(record):\n    return 'Blue' in record['response']\n")
    ruler = write_ruler(copied, 'qc: {runaway: length-v1, custom: {blue: {call: "moved_checks:is_blue"}}}\n')
    graded = service(copied).regrade("c/pilot", ruler)
    assert len(graded.sides["blue"].flagged) == 40
    assert graded.rulers == "qc.custom.blue.call – → moved_checks:is_blue, qc.custom.blue.over – → generated"
    found = service(copied).samples("c/pilot", Wanted(flag="blue"), 5, ruler)
    assert found.matching == 40


def test_on_a_terminal_no_sentence_and_no_sample_is_wider_than_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_run(root, "iteration-2", [record(index, LONG, instruction="漢" * 60) for index in range(40)])
    write_ruler(root, MARKERS)
    monkeypatch.chdir(root)
    monkeypatch.setattr("engine.cli.grading.paper_width", lambda: 80)
    for name in ("pilot", "iteration-2"):
        assert command_line(["regrade", f"c/{name}", "--qc", "ruler.yaml"]) == 11
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "⟦" in line and line.endswith("…⟧")]) == 21
    assert [line for line in lines if cells_of(line) > 80] == []
    write_campaign(root, retries=9)
    save(root, MARKERS + "gate: {confidence: 0.9}\n", reason="a reason that goes on " * 8)
    assert command_line(["gate", "c/pilot"]) == 11
    assert command_line(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "graded again by" in line]) == 2
    assert [line for line in lines if "a reason that" in line and cells_of(line) > 80] == []


def test_gate_and_regrade_agree_and_print_json(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ruler(root, MARKERS)
    monkeypatch.chdir(root)
    assert command_line(["gate", "c/pilot", "--qc", "ruler.yaml", "--json"]) == 11
    by_gate = json.loads(capsys.readouterr().out)
    assert by_gate.pop("warnings") == []
    assert command_line(["regrade", "c/pilot", "--qc", "ruler.yaml", "--json"]) == 11
    assert json.loads(capsys.readouterr().out)["new"] == by_gate
    assert command_line(["regrade", "c/none", "--qc", "ruler.yaml"]) == 3


def test_the_effective_spec_is_the_frozen_one_with_the_newest_ruler(root: Path) -> None:
    files = service(root).workspace.existing_run("c/pilot")
    frozen = read_spec(files)
    assert graded_spec(files, frozen) == frozen
    save(root)
    assert graded_spec(files, frozen).qc.runaway == "markers-v2"
    assert len(read_gradings(files).saved) == 1
