"""The gate's evidence and the next action through the real command line: an early end, an edited proposal."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Desk, ended

pytestmark = pytest.mark.slow


def test_a_run_beyond_hope_ends_early_and_the_next_action_says_why_and_what_it_would_take(desk: Desk) -> None:
    desk.edit_campaign(
        ("examples: 12, max_candidates: 60", "examples: 100, max_candidates: 400"),
        ("early_end: {unreachable: false}", "early_end: {after: 20}"),
    )
    launched = desk.run("launch", "demo", "--wait", "--yes")
    assert launched.returncode == 0, launched.stderr
    pilot = desk.run_status("pilot")
    assert pilot["state"] == "succeeded"
    assert pilot["reason"].startswith("its gate ended it early: fail: ")
    assert pilot["counts"]["kept"] < pilot["counts"]["target"] == 100
    assert pilot["saved_usd"] > 0
    records = desk.records("pilot")
    assert sorted(record["index"] for record in records) == list(range(len(records)))
    assert f"saved about ${pilot['saved_usd']:.3f}" in desk.run("status", "demo").stdout

    action = json.loads(desk.run("next", "demo", "--json").stdout)
    assert (action["kind"], action["run"], action["rule"]) == ("iterate", "iteration-1", "gate-fails")
    assert action["numbers"]["tries"] == 1
    assert action["unless"]
    told = desk.run("next", "demo").stdout
    assert "rule     gate-fails" in told
    assert action["command"] in told

    refused = desk.run("next", "demo", "--do", "--yes", "--set", "response.warmth=1")
    assert refused.returncode == 2
    assert "'response.warmth' is not a parameter" in refused.stderr
    assert desk.run("next", "demo", "--set", "seed=1").returncode == 2, "nothing would be done with it"
    done = desk.run("next", "demo", "--do", "--yes", "--set", "response.max_tokens=90")
    assert done.returncode == 0, done.stderr
    iteration = ended(desk, "iteration-1")
    assert iteration["parameters"]["response"]["max_tokens"] == 90
    assert iteration["parameters"]["response"]["stop"] == action["parameters"]["response"]["stop"]
