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

    assert desk.run("restart", "demo/pilot", "--yes").returncode == 4, "it has finished"
    more = desk.run("extend", "demo/pilot", "--examples", "100")
    assert more.returncode == 0, more.stderr
    pilot = ended(desk)
    assert (pilot["attempt"], pilot["counts"]["kept"], pilot["saved_usd"]) == (2, 100, None), "a person's word stands"

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


BROKEN_RULER = """
def wordy(record):
    return len(record["response"]) > 4
"""


def test_a_broken_ruler_is_suspected_marked_replaced_and_never_tuned_against(desk: Desk) -> None:
    """The field's own story: a detector that flags good answers, told by ten samples instead of by whole iterations."""
    (desk.folder / "rulers.py").write_text(BROKEN_RULER)
    sound = (desk.folder / "configs" / "demo.yaml").read_text()
    desk.edit_campaign(
        ("examples: 12, max_candidates: 60", "examples: 110, max_candidates: 400"),
        ("stop: []", 'stop: ["\\nInstruction", "\\nQ:", "\\n###", "\\nUser:", "\\nResponse:"]'),
        ("qc: {runaway: markers-v2}", 'qc: {custom: {wordy: {call: "rulers:wordy"}}}'),
        ('    runaway_rate: "< 5%"', '    wordy_rate: "< 5%"\n    runaway_rate: "< 5%"'),
    )
    assert desk.run("launch", "demo", "--wait", "--yes").returncode == 0

    gate = desk.run("gate", "demo/pilot")
    assert gate.returncode == 10
    assert "detector suspect: " in gate.stdout
    assert gate.stdout.count("\n  #") == 10, "ten flagged samples are shown"
    review = json.loads(desk.run("next", "demo", "--json").stdout)
    assert (review["kind"], review["rule"]) == ("review", "detector-suspect")
    assert "pilothouse samples demo/pilot --flag wordy -n 10" in review["reason"]

    found = json.loads(desk.run("samples", "demo/pilot", "--flag", "wordy", "-n", "10", "--json").stdout)
    marks = [argument for sample in found["samples"] for argument in ("--mark", f"{sample['index']}=false")]
    marked = desk.run("samples", "demo/pilot", "--flag", "wordy", *marks)
    assert marked.returncode == 0, marked.stderr
    assert "0 of 10" in marked.stdout
    (wordy,) = (
        one
        for one in json.loads(desk.run("gate", "demo/pilot", "--json").stdout)["detectors"]
        if one["kind"] == "wordy"
    )
    assert wordy["marks"]["precision"] == 0.0
    assert wordy["marks"]["upper"] == pytest.approx(0.3085, abs=1e-4)
    assert wordy["suspect"] == "10 of 10 marked flags were false alarms"

    ruler = desk.folder / "other.yaml"
    gate_section = sound[sound.index("gate:") : sound.index("policy:")]
    ruler.write_text("qc: {runaway: markers-v2}\n" + gate_section)
    before = desk.status()
    looked = desk.run("regrade", "demo/pilot", "--qc", str(ruler))
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "not saved" in looked.stdout
    assert desk.status() == before, "a look changes nothing"
    saved = desk.run("regrade", "demo/pilot", "--qc", str(ruler), "--save", "--reason", "it flags good answers")
    assert saved.returncode == 0, saved.stderr
    pilot = desk.run_status("pilot")
    assert pilot["gate"]["verdict"] == "pass"
    assert pilot["gradings"][0]["reason"] == "it flags good answers"
    assert "it flags good answers" in desk.run("compare", "demo").stdout

    blocked = desk.status()["next"]
    assert (blocked["kind"], blocked["rule"]) == ("blocked", "other-ruler")
    (desk.folder / "configs" / "demo.yaml").write_text(
        sound.replace("examples: 12, max_candidates: 60", "examples: 110, max_candidates: 400")
    )
    assert desk.status()["next"]["kind"] == "scale"
