"""The pipeline's promises, on a scripted backend: same items whatever happens, and none lost or repeated."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.models import Target
from engine.errors import RunFailedError
from engine.files import RunFiles
from engine.generate.backends.base import Completion, RequestFailedError, SamplingParameters
from engine.generate.history import read_history
from engine.generate.seeds import derive
from engine.generate.stopping import StopRequests
from tests.generate.conftest import contents, make_spec, run_pipeline
from tests.generate.scripted import ScriptedBackend

TARGET = Target(examples=12, max_candidates=200)
Rows = dict[int, dict[str, Any]]


@pytest.mark.parametrize("scramble", range(4))
@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_same_records_whatever_the_concurrency_and_order_of_completion(
    tmp_path: Path, undisturbed: Rows, concurrency: int, scramble: int
) -> None:
    backend = ScriptedBackend(scramble)
    assert run_pipeline(tmp_path, TARGET, backend, spec=make_spec(concurrency)).outcome == "completed"
    assert contents(tmp_path) == undisturbed
    assert concurrency == 1 or backend.most_in_flight > 1


def test_a_finished_run_keeps_exactly_its_target_and_has_no_holes(undisturbed: Rows) -> None:
    kept = [index for index, row in undisturbed.items() if row["kept"]]
    assert len(kept) == 12
    assert max(undisturbed) == max(kept), "nothing was admitted after the last kept pair"
    assert sorted(undisturbed) == list(range(len(undisturbed)))


def test_every_kind_of_item_has_its_own_outcome(undisturbed: Rows) -> None:
    outcomes = {row["outcome"] for row in undisturbed.values()}
    assert outcomes >= {"kept", "malformed", "meta", "duplicate", "instruction_rejected", "instruction_unsure"}
    for row in undisturbed.values():
        dropped = row["outcome"] in ("malformed", "meta", "duplicate", "near_duplicate")
        assert ("instruction_critic" in row) is not dropped
        assert ("response" in row) is ("pair_critic" in row)
        if row["kept"]:
            assert row["instruction_critic"]["good"]
            assert row["instruction_critic"]["confident"]
            assert "Instruction:" in row["raw_response"]
            assert "Instruction:" not in row["response"]


def test_candidates_end_at_the_limit_and_an_extended_run_goes_on_as_one_run_would(tmp_path: Path) -> None:
    assert (
        run_pipeline(tmp_path / "a", Target(examples=12, max_candidates=13), ScriptedBackend()).outcome == "exhausted"
    )
    rows = contents(tmp_path / "a")
    assert sum("instruction_critic" in row for row in rows.values()) == 13
    for examples, scramble in ((12, 1), (20, 2)):
        target = Target(examples=examples, max_candidates=200)
        assert run_pipeline(tmp_path / "a", target, ScriptedBackend(scramble)).outcome == "completed"
    run_pipeline(tmp_path / "b", Target(examples=20, max_candidates=200), ScriptedBackend(3))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


class Killed(Exception):
    pass


@pytest.mark.parametrize("deaths", [1, 2, 5, 9, 17, 30, 41, 60])
def test_a_run_that_dies_again_and_again_ends_with_the_same_records(
    tmp_path: Path, undisturbed: Rows, deaths: int
) -> None:
    def die(count: int) -> None:
        if count > deaths:
            raise Killed

    attempt, completed = 1, False
    while not completed and attempt < 200:
        backend = ScriptedBackend(attempt, before=die if attempt < 6 else lambda count: None)
        try:
            completed = run_pipeline(tmp_path, TARGET, backend, attempt=attempt).outcome == "completed"
        except Killed:
            attempt += 1
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize("part", range(12))
def test_files_cut_anywhere_are_made_whole_again(tmp_path: Path, undisturbed: Rows, part: int) -> None:
    """A crash of the machine may cut either file at any byte, in the middle of a line too."""
    whole = tmp_path / "whole"
    run_pipeline(whole, TARGET, ScriptedBackend(part))
    records, journal = RunFiles(whole).records.read_bytes(), RunFiles(whole).generator_journal.read_bytes()
    cuts = [(len(records) * part // 12 + 37 * part, len(journal)), (len(records), len(journal) * part // 12 + part)]
    cuts.append((len(records) * part // 12, len(journal) * (11 - part) // 12))
    for number, (records_cut, journal_cut) in enumerate(cuts):
        folder = tmp_path / str(number)
        folder.mkdir()
        RunFiles(folder).records.write_bytes(records[:records_cut])
        RunFiles(folder).generator_journal.write_bytes(journal[:journal_cut])
        assert run_pipeline(folder, TARGET, ScriptedBackend(part + 1), attempt=2).outcome == "completed"
        assert contents(folder) == undisturbed


@pytest.mark.parametrize("lists_left", [1, 2, 99])
def test_a_record_lost_from_the_middle_is_made_anew_even_when_the_target_is_met(
    tmp_path: Path, undisturbed: Rows, lists_left: int
) -> None:
    run_pipeline(tmp_path, TARGET, ScriptedBackend())
    files = RunFiles(tmp_path)
    lines = files.records.read_text().splitlines(keepends=True)
    lost = max(index for index, row in undisturbed.items() if not row["kept"])
    files.records.write_text("".join(line for line in lines if json.loads(line)["index"] != lost))
    journal = files.generator_journal.read_text().splitlines(keepends=True)
    files.generator_journal.write_text("".join(journal[:lists_left]))
    assert run_pipeline(tmp_path, TARGET, ScriptedBackend(3), attempt=2).outcome == "completed"
    assert contents(tmp_path) == undisturbed


def test_a_run_that_is_done_generates_nothing_more(tmp_path: Path, undisturbed: Rows) -> None:
    run_pipeline(tmp_path, TARGET, ScriptedBackend())
    again = ScriptedBackend()
    assert run_pipeline(tmp_path, TARGET, again, attempt=2).outcome == "completed"
    assert again.scored == 0
    assert contents(tmp_path) == undisturbed


def test_lists_are_on_disk_before_their_items(tmp_path: Path) -> None:
    run_pipeline(tmp_path, TARGET, ScriptedBackend(5))
    lists = {event.list: event for event in read_history(RunFiles(tmp_path)).lists}
    for row in contents(tmp_path).values():
        event = lists[row["list"]]
        assert row["index"] == event.first_index + row["line"]
        assert row["line"] < event.lines
        assert row["instruction_seed"] == event.seed


def test_a_stop_finishes_what_is_in_flight_and_restart_completes_the_same_run(
    tmp_path: Path, undisturbed: Rows
) -> None:
    stop = StopRequests()
    backend = ScriptedBackend(7, before=lambda count: stop.ask("test") if count == 25 else None)
    assert run_pipeline(tmp_path, TARGET, backend, stop=stop).outcome == "stopped"
    stopped = contents(tmp_path)
    assert len(stopped) < len(undisturbed)
    assert all(undisturbed[index] == row for index, row in stopped.items())
    assert run_pipeline(tmp_path, TARGET, ScriptedBackend(8), attempt=2).outcome == "completed"
    assert contents(tmp_path) == undisturbed


def test_a_second_request_drops_what_is_in_flight(tmp_path: Path, undisturbed: Rows) -> None:
    stop = StopRequests()

    def ask_twice(count: int) -> None:
        if count == 25:
            stop.ask("test")
            stop.ask("test")

    backend = ScriptedBackend(7, before=ask_twice)
    assert run_pipeline(tmp_path, TARGET, backend, stop=stop).outcome == "stopped"
    assert backend.cancelled
    assert run_pipeline(tmp_path, TARGET, ScriptedBackend(8), attempt=2).outcome == "completed"
    assert contents(tmp_path) == undisturbed


def test_one_failed_request_is_one_failed_item(tmp_path: Path) -> None:
    first = []

    def fails(prompt: str) -> bool:
        if prompt.startswith("Good?") and not first:
            first.append(prompt)
        return prompt in first

    assert run_pipeline(tmp_path, TARGET, ScriptedBackend(fails=fails)).outcome == "completed"
    failed = [row for row in contents(tmp_path).values() if row["outcome"] == "failed"]
    assert [row["error"] for row in failed] == ["scripted failure"]


def test_when_all_of_the_first_items_fail_the_run_fails_with_the_cause(tmp_path: Path) -> None:
    backend = ScriptedBackend(fails=lambda prompt: prompt.startswith("Good?"))
    with pytest.raises(RunFailedError, match="first 20 items all failed: scripted failure"):
        run_pipeline(tmp_path, TARGET, backend)
    assert sum(row["outcome"] == "failed" for row in contents(tmp_path).values()) == 20


def test_lists_that_fail_are_tried_again_and_then_fail_the_run(tmp_path: Path) -> None:
    backend = ScriptedBackend(fails=lambda prompt: prompt.startswith("Tasks:"))
    with pytest.raises(RunFailedError, match="could not be generated: scripted failure"):
        run_pipeline(tmp_path, TARGET, backend, spec=make_spec(1))
    assert len(backend.asked) == 3
    assert len(set(backend.asked)) == 1


@pytest.mark.parametrize("concurrency", [1, 64])
def test_a_list_that_nobody_needs_may_fail(tmp_path: Path, undisturbed: Rows, concurrency: int) -> None:
    spec = make_spec(concurrency)
    unneeded = derive(spec.parameters.seed, "list", max(row["list"] for row in undisturbed.values()) + 1)
    asked: list[int] = []

    class Failing(ScriptedBackend):
        def generate(self, prompt: str, parameters: SamplingParameters) -> Future[Completion]:
            if parameters.seed != unneeded:
                return super().generate(prompt, parameters)
            asked.append(parameters.seed)
            failed: Future[Completion] = Future()
            failed.set_exception(RequestFailedError("refused"))
            return failed

    assert run_pipeline(tmp_path, TARGET, Failing(concurrency=concurrency), spec=spec).outcome == "completed"
    assert contents(tmp_path) == undisturbed
    assert bool(asked) == (concurrency > 1), "many at once are asked for more ahead"


def test_a_model_that_has_nothing_new_to_say_ends_the_run(tmp_path: Path) -> None:
    class Parrot(ScriptedBackend):
        def _list(self, parameters: SamplingParameters) -> Completion:
            return Completion(" Name a river.\n4. Name a river.\n", "eos", None, 5, 5)

    assert run_pipeline(tmp_path, TARGET, Parrot()).outcome == "exhausted"
    assert sum(row["outcome"] == "duplicate" for row in contents(tmp_path).values()) >= 99


def test_a_model_that_never_writes_a_list_fails_the_run(tmp_path: Path) -> None:
    class Mute(ScriptedBackend):
        def _list(self, parameters: SamplingParameters) -> Completion:
            return Completion("", "eos", None, 5, 0)

    with pytest.raises(RunFailedError, match="no new instruction"):
        run_pipeline(tmp_path, TARGET, Mute())


def test_a_journal_of_another_parser_is_not_gone_on_with(tmp_path: Path) -> None:
    run_pipeline(tmp_path, TARGET, ScriptedBackend())
    path = RunFiles(tmp_path).generator_journal
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["lines"] += 1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunFailedError, match="taken apart differently"):
        run_pipeline(tmp_path, TARGET, ScriptedBackend(), attempt=2)
