"""The main job end to end: a failing pilot, a passing iteration, a finished scale run, all really generated."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.grading import QcConfig
from engine.qc.detectors import resolve_detectors
from tests.e2e.conftest import Desk


def recount(records: list[dict[str, Any]]) -> dict[str, float | None]:
    """The metrics of domain terms, counted once more and by hand."""
    generated = [record for record in records if record.get("raw_response") is not None]
    candidates = [record["instruction_critic"] for record in records if record.get("instruction_critic")]
    pairs = [record["pair_critic"] for record in records if record.get("pair_critic")]
    kept = [record for record in records if record["kept"]]
    runaway = resolve_detectors(QcConfig(), "###END###")["runaway"]

    def share(bad: int, of: int) -> float | None:
        return bad / of if of else None

    return {
        "examples": len(kept),
        "runaway_rate": share(sum(bool(runaway.flag(record)) for record in generated), len(generated)),
        "token_limit_rate": share(sum(record["finish_reason"] == "length" for record in generated), len(generated)),
        "delimiter_leakage": sum(record["response"].count("###END###") for record in kept) if kept else None,
        "median_tokens": statistics.median(record["response_tokens"] for record in kept) if kept else None,
        "instruction_acceptance": share(sum(critic["good"] for critic in candidates), len(candidates)),
        "pair_acceptance": share(sum(critic["good"] for critic in pairs), len(pairs)),
    }


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_goes_from_a_failing_pilot_to_a_finished_scale_run(tmp_path: Path) -> None:
    """`pilothouse demo --headless`: exit 0, comparison at the end, and a status that a recount agrees with."""
    desk = Desk(tmp_path)
    result = desk.run("demo", "--headless", "--dir", str(tmp_path), timeout=380)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "demo/pilot: gate FAIL" in result.stdout
    last_table = result.stdout[result.stdout.rindex("metric ") :]
    assert "token limit" in last_table

    campaign = desk.status()
    assert campaign["state"] == "done"
    assert campaign["next"]["kind"] == "done"
    runs = {run["name"]: run for run in campaign["runs"]}
    assert next(iter(runs)) == "pilot"
    assert list(runs)[-1] == "scale"
    assert runs["pilot"]["gate"]["verdict"] == "fail"
    iterations = [run for run in runs.values() if run["kind"] == "iteration"]
    assert iterations[-1]["gate"]["verdict"] == "pass"
    assert runs["scale"]["counts"]["kept"] == runs["scale"]["counts"]["target"]
    assert runs["scale"]["parameters"]["response"] == iterations[-1]["parameters"]["response"]
    assert campaign["budget"]["spent_usd"] > 0
    for name, run in runs.items():
        records = desk.records(name)
        assert run["state"] == "succeeded"
        assert run["exit_code"] == 0
        assert sorted(record["index"] for record in records) == list(range(len(records)))
        for metric, value in recount(records).items():
            assert run["metrics"][metric] == pytest.approx(value), (name, metric)
        folder = tmp_path / "artifacts" / "demo" / name
        rows = (folder / "pilot_data.jsonl").read_text().splitlines()
        assert len(rows) == run["counts"]["kept"]
        summary = json.loads((folder / "qc_summary.json").read_text())
        assert summary["rates"]["token_limit_rate"] == pytest.approx(run["metrics"]["token_limit_rate"])
        assert summary["thresholds_passed"] is (run["gate"]["verdict"] == "pass")

    again = desk.run("demo", "--headless", "--dir", str(tmp_path))
    assert again.returncode == 0
    assert [run["attempt"] for run in desk.status()["runs"]] == [run["attempt"] for run in runs.values()]
