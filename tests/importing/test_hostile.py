"""Whatever lies in a folder: an import either makes a run that can be looked at, or says why not and takes no name."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import importing
from engine.errors import ConfigurationError, PilothouseError, RefusedError
from engine.files import Workspace
from tests.importing.places import ROOT, clean_rows, look, make_folder, make_workspace, take_in

DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
HUGE = b'{"a":' + b"9" * 400 + b',"response":"x","response_tokens":' + b"9" * 400 + b"}"
ODD = {
    "deep": DEEP,
    "torn deep": b'{"a":' + b"[" * 100_000,
    "huge": HUGE,
    "unreadably huge": b'{"a":' + b"9" * 5000 + b"}",
    "nan": b'{"response":"x","response_tokens":NaN,"generated_tokens":Infinity,"pair_critic":{"margin":1e999}}',
    "surrogate": b'{"response":"\\ud800"}',
    "no utf-8": b'{"response":"\xff\xfe"}',
    "marked": b"\xef\xbb\xbf" + b'{"response":"x"}',
    "list": b"[1]",
    "empty": b"",
    "types": b'{"response":["x"],"outcome":["a"],"index":{},"kept":"yes","finish_reason":[],"provenance":[]}',
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "work")


def assert_name_is_free(workspace: Workspace, tmp_path: Path) -> None:
    assert list(workspace.runs_of("stage1")) == []
    assert take_in(workspace, make_folder(tmp_path / "clean", rows=clean_rows(4))) == "stage1/pilot"
    assert look(workspace).counts.kept == 4


def assert_taken_in_or_refused(workspace: Workspace, source: Path, tmp_path: Path) -> None:
    try:
        take_in(workspace, source)
    except PilothouseError as error:
        str(error).encode()
        assert_name_is_free(workspace, tmp_path)
    else:
        json.dumps(look(workspace).to_json(), allow_nan=False).encode()


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("last", [b"", b"\n", b"\n" + clean_rows(1)], ids=["torn", "last", "middle"])
def test_no_row_breaks_an_import(workspace: Workspace, tmp_path: Path, name: str, last: bytes) -> None:
    source = make_folder(tmp_path / "in", rows=clean_rows(2) + ODD[name] + last)
    assert_taken_in_or_refused(workspace, source, tmp_path)


@pytest.mark.parametrize("name", ["deep", "unreadably huge", "surrogate", "no utf-8", "list"])
def test_a_row_that_replay_could_not_read_is_named_and_never_dropped(
    workspace: Workspace, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigurationError, match="not a JSON object") as caught:
        take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(2) + ODD[name] + b"\n" + clean_rows(1)))
    assert (caught.value.where or "").endswith("pilot_data.jsonl:3")


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("place", ["qc_summary.json", "session_manifest.json"])
def test_no_summary_or_manifest_breaks_an_import(workspace: Workspace, tmp_path: Path, name: str, place: str) -> None:
    source = make_folder(tmp_path / "in", rows=clean_rows(2))
    (source / place).write_bytes(ODD[name])
    assert_taken_in_or_refused(workspace, source, tmp_path)


def test_lone_surrogates_in_a_summary_stay_there_byte_for_byte(workspace: Workspace, tmp_path: Path) -> None:
    raw = b'{"counts": {"pairs_kept": 2}, "notes": ["\\ud800"], "parameters": {"response": {"stop": ["\\udfff"]}}}'
    take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(2), raw=raw))
    assert workspace.run_files("stage1", "pilot").qc_summary.read_bytes() == raw
    assert look(workspace).metrics["examples"] == 2


def test_a_folder_whose_name_is_no_text_is_taken_in(workspace: Workspace, tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/pilot\xff"))
    take_in(workspace, make_folder(source, rows=clean_rows(2)))
    assert "pilot\\xff" in look(workspace).reason


def test_what_is_wrong_in_a_folder_whose_name_is_no_text_can_be_printed(workspace: Workspace, tmp_path: Path) -> None:
    source = make_folder(Path(os.fsdecode(os.fsencode(tmp_path) + b"/pilot\xff")), rows=b"[]\n")
    command = [sys.executable, "-m", "engine", "import", str(source), "--campaign", "stage1", "--run", "pilot"]
    done = subprocess.run(
        command,
        cwd=workspace.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"pilot_data.jsonl:1" in done.stderr


def test_a_file_that_may_not_be_read_is_said(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_folder(tmp_path / "in", rows=clean_rows(2))

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(ConfigurationError, match="Permission denied") as caught:
            take_in(workspace, source)
    assert "pilot_data.jsonl" in (caught.value.where or "")
    with pytest.raises(ConfigurationError, match="File name too long"):
        take_in(workspace, tmp_path / ("x" * 300))
    assert_name_is_free(workspace, tmp_path)


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("at", [1, 3])
def test_a_failure_while_writing_takes_everything_back(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, at: int
) -> None:
    source = make_folder(tmp_path / "in", rows=clean_rows(2), summary={"counts": {"pairs_kept": 2}})
    synced, real = [], os.fsync

    def fail(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == at + 2:  # the spec and its folder come first
            raise fault
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(importing.os, "fsync", fail)
        with pytest.raises((RefusedError, KeyboardInterrupt, MemoryError)):
            take_in(workspace, source)
    assert list(workspace.run_files("stage1", "pilot").folder.iterdir()) == []
    assert_name_is_free(workspace, tmp_path)


def test_no_run_is_taken_in_under_an_engines_name(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is what a kept engine is called"):
        importing.import_folder(workspace, make_folder(tmp_path / "made"), "stage1", "engine-5", author="ann")


def test_what_lies_in_the_runs_folder_is_never_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    files = workspace.run_files("stage1", "pilot")
    files.folder.mkdir(parents=True)
    files.pilot_data.write_text("somebody's work\n")
    with pytest.raises(RefusedError, match="another file") as caught:
        take_in(workspace, make_folder(tmp_path / "in", rows=clean_rows(2)))
    assert "pilot_data.jsonl" in (caught.value.where or "")
    assert [path.name for path in files.folder.iterdir()] == ["pilot_data.jsonl"]
    assert files.pilot_data.read_text() == "somebody's work\n"


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**399)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
FIGURE = JSON | st.integers(0, 300) | st.floats(0, 1)
SUMMARIES = st.fixed_dictionaries(
    {},
    optional={
        "counts": JSON
        | st.dictionaries(
            st.sampled_from(
                ["pairs_generated", "pairs_kept", "runaway", "instructions_generated", "instructions_kept"]
            ),
            FIGURE,
        ),
        "rates": JSON
        | st.dictionaries(st.sampled_from(["runaway_rate", "token_limit_rate", "delimiter_leakage_count"]), FIGURE),
        "acceptance": JSON | st.dictionaries(st.sampled_from(["pair_yield", "instructions_good"]), FIGURE),
        "token_stats": JSON | st.fixed_dictionaries({"median": FIGURE}),
        "gate": JSON
        | st.fixed_dictionaries(
            {
                "checks": st.lists(
                    JSON
                    | st.fixed_dictionaries(
                        {
                            "metric": st.sampled_from(["runaway_rate", "median_tokens"]) | JSON,
                            "op": st.just("<"),
                            "limit": st.sampled_from([0.05, 40]) | JSON,
                            "n": FIGURE,
                            "failures": FIGURE,
                        }
                    )
                )
            }
        ),
        "parameters": JSON,
        "sampling": JSON,
        "seed": JSON,
    },
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(summary=SUMMARIES, manifest=SUMMARIES | JSON)
def test_a_check_is_decided_only_on_a_figure_that_is_known(
    tmp_path_factory: pytest.TempPathFactory, summary: dict[str, Any], manifest: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    workspace = make_workspace(folder / "work")
    source = make_folder(folder / "in", rows=clean_rows(150), summary=summary, manifest=manifest)
    with suppress(ConfigurationError):
        take_in(workspace, source)
        run = look(workspace)
        for check in run.gate.checks:
            assert check.value == run.metrics[check.metric]
            assert check.value is not None or check.verdict == "undecided"
        json.dumps(run.to_json(), allow_nan=False)
        return
    assert not isinstance(manifest, dict)
