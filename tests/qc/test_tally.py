"""Metrics and counts of a run against a recount, in any order of completion."""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.campaign.grading import GateConfig, QcConfig
from engine.qc.metrics import METRICS, grade
from engine.qc.tally import RunTally, Sizes

DELIMITER = "###END###"


def tally(records: list[dict[str, Any]], **options: Any) -> RunTally:
    result = RunTally(QcConfig(), options.pop("gate", GateConfig()), DELIMITER, **options)
    for record in records:
        result.add(record)
    return result


def verdict(good: bool, margin: float = 2.0) -> dict[str, Any]:
    return {"good": good, "confident": margin >= 1.0, "label": "A" if good else "B", "margin": margin}


def item(index: int, rng: random.Random) -> dict[str, Any]:
    """One record of any kind, as the generator writes them."""
    base: dict[str, Any] = {"v": 1, "index": index, "kept": False, "instruction": f"do {index}"}
    kind = rng.choice(["kept"] * 6 + ["duplicate", "malformed", "instruction_rejected", "instruction_unsure"])
    if kind in ("duplicate", "malformed"):
        return base | {"outcome": kind}
    if kind.startswith("instruction"):
        return base | {"outcome": kind, "instruction_critic": verdict(kind == "instruction_unsure", 0.5)}
    raw = rng.choice(["yes", "yes\nInstruction: no", "yes ###END### no", "n" * 600])
    end = rng.choice(["stop", "length"])
    outcome = rng.choice(["kept", "kept", "pair_rejected", "pair_unsure", "truncated", "failed"])
    base |= {"outcome": outcome, "instruction_critic": verdict(True), "raw_response": raw, "finish_reason": end}
    base |= {"response": rng.choice(["yes", "yes ###END###"]), "generated_tokens": rng.randrange(1, 80)}
    base |= {"response_tokens": rng.randrange(1, 60), "kept": outcome == "kept"}
    if outcome != "failed":
        base["pair_critic"] = verdict(outcome != "pair_rejected", 0.2 if outcome == "pair_unsure" else 3.0)
    return base


def share(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), n=st.integers(0, 60))
def test_metrics_agree_with_a_recount(seed: int, n: int) -> None:
    rng = random.Random(seed)
    records = [item(index, rng) for index in range(n)]
    rng.shuffle(records)
    result = tally(records)
    generated = [r for r in records if "raw_response" in r and r["outcome"] != "failed"]
    kept = [r for r in records if r["kept"]]
    answers = [r["raw_response"].split(DELIMITER)[0] for r in generated]
    candidates = [r["instruction_critic"] for r in records if "instruction_critic" in r]
    pairs = [r["pair_critic"] for r in records if "pair_critic" in r]
    assert result.metrics() == {
        "examples": len(kept),
        "runaway_rate": share(["\nInstruction:" in a or len(a) > 500 for a in answers]),
        "token_limit_rate": share([r["finish_reason"] == "length" for r in generated]),
        "delimiter_leakage": sum(r["response"].count(DELIMITER) for r in kept) if kept else None,
        "median_tokens": statistics.median(r["response_tokens"] for r in kept) if kept else None,
        "instruction_acceptance": share([c["good"] for c in candidates]),
        "pair_acceptance": share([c["good"] for c in pairs]),
        "instruction_yield": share([c["good"] and c["confident"] for c in candidates]),
        "pair_yield": share([c["good"] and c["confident"] for c in pairs]),
        "duplicate_rate": share([r["outcome"] == "duplicate" for r in records]),
    }
    counts = result.counts()
    assert counts["records"] == counts["parsed"] == n
    assert counts["kept"] == len(kept)
    assert counts["generated"] == len(generated)
    assert counts["candidates"] == len(candidates)
    assert counts["instructions_good"] == sum(c["good"] for c in candidates)
    assert counts["pairs_kept"] == sum(c["good"] and c["confident"] for c in pairs)
    assert counts["dropped"] == sum(r["outcome"] in ("duplicate", "malformed") for r in records)
    assert counts["failed"] == sum(r["outcome"] == "failed" for r in records)
    assert counts["tokens"] == sum(r.get("generated_tokens", 0) for r in records)
    assert counts["hit_token_limit"] == sum(r["finish_reason"] == "length" for r in generated)
    assert result.judged_items == n
    assert result.waiting_items == 0


def response(index: int | None, raw: str = "x", **more: Any) -> dict[str, Any]:
    where = {} if index is None else {"index": index}
    return where | {"outcome": "kept", "kept": True, "raw_response": raw, "response": "x"} | more


def test_only_what_stands_before_the_first_hole_is_judged() -> None:
    runaway = "x\nQ: y"
    result = tally([response(0), response(2, runaway), response(3)])
    assert result.check_counts("runaway_rate") == (1, 0)
    assert (result.judged_items, result.waiting_items) == (1, 2)
    assert result.metrics()["runaway_rate"] == pytest.approx(1 / 3)
    result.add(response(1, runaway))
    assert result.check_counts("runaway_rate") == (4, 2)
    assert (result.judged_items, result.judged_kept, result.waiting_items) == (4, 4, 0)


def test_a_record_seen_twice_counts_once() -> None:
    result = tally([response(0), response(0, "x\nQ: y"), response(5)])
    assert not result.add(response(5))
    assert result.repeated == 2
    assert result.counts()["records"] == 2
    assert result.metrics()["runaway_rate"] == 0


def test_rows_without_an_index_count_in_line_order() -> None:
    result = tally([response(None), response(None, "x\nQ: y"), response(None)])
    assert result.check_counts("runaway_rate") == (3, 1)


def test_a_foreign_files_own_numbering_can_be_ignored() -> None:
    rows = [response(7), response(7), response(1)]
    assert tally(rows, in_line_order=True).check_counts("runaway_rate") == (3, 0)


def test_a_bare_foreign_row_is_a_kept_pair_of_which_little_is_known() -> None:
    result = tally([{"instruction": "a", "response": "b"}, {"instruction": "c", "response": "d\nUser: e"}])
    known = {name: value for name, value in result.metrics().items() if value is not None}
    assert known == {"examples": 2, "runaway_rate": 0.5, "delimiter_leakage": 0}
    assert result.counts()["candidates"] == 0


def test_before_any_record_nothing_is_known() -> None:
    assert tally([]).metrics() == dict.fromkeys(METRICS) | {"examples": 0}


def test_what_fails_a_check_follows_its_limit() -> None:
    gate = GateConfig.model_validate(
        {"checks": {"median_tokens": "< 40", "pair_acceptance": ">= 50%", "delimiter_leakage": "= 0"}}
    )
    rows = [
        response(0, response_tokens=39, pair_critic=verdict(True)),
        response(1, response_tokens=40, pair_critic=verdict(False)),
        response(2, response_tokens=41) | {"response": "a###END###b###END###"},
    ]
    result = tally(rows, gate=gate)
    assert result.check_counts("median_tokens") == (3, 2)
    assert result.check_counts("pair_acceptance") == (2, 1)
    assert result.check_counts("delimiter_leakage") == (3, 2)
    assert result.check_counts("runaway_rate") == (0, 0)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=80))
def test_quantiles_are_numpys(values: list[int]) -> None:
    sizes = Sizes()
    for value in values:
        sizes.add(value)
    summary = sizes.summary()
    assert summary["median"] == pytest.approx(statistics.median(values))
    assert summary["p95"] == pytest.approx(float(np.quantile(values, 0.95)))
    assert summary["mean"] == pytest.approx(statistics.fmean(values))
    assert (summary["min"], summary["max"]) == (min(values), max(values))


def test_margins_are_summarised_per_critic() -> None:
    rows = [response(0, pair_critic=verdict(True, 1.5)), response(1, pair_critic=verdict(False, 0.5))]
    margins = tally(rows).margins()
    assert margins["pair_critic"] == {"n": 2, "mean": 1.0, "median": 1.0, "min": 0.5, "max": 1.5}
    assert margins["instruction_critic"]["median"] is None


def test_a_metric_can_be_asked_about_one_record() -> None:
    result = tally([])
    record = response(0, "x\nQ: y")
    assert METRICS["runaway_rate"].sample(record, grade(record, result.detectors)) == 1


def test_a_hundred_thousand_records_are_graded_within_seconds() -> None:
    rng = random.Random(5)
    records = [item(index, rng) | {"raw_instruction": "w " * 300} for index in range(100_000)]
    start = time.process_time()
    assert tally(records).counts()["records"] == 100_000
    assert time.process_time() - start < 4, "about 0.5 s on an idle core"
