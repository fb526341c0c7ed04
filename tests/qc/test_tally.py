"""Metrics and counts of a run against a recount, in any order of completion."""

from __future__ import annotations

import random
import re
import statistics
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.campaign.grading import GateConfig, QcConfig
from engine.qc.metrics import METRICS
from engine.qc.sizes import Sizes
from engine.qc.tally import RunTally

DELIMITER = "###END###"


def tally(records: list[dict[str, Any]], **options: Any) -> RunTally:
    result = RunTally(QcConfig(), options.pop("gate", GateConfig()), DELIMITER, **options)
    for record in records:
        result.add(record)
    return result


def verdict(good: bool, margin: float = 2.0) -> dict[str, Any]:
    return {"good": good, "confident": margin >= 1.0, "label": "A" if good else "B", "margin": margin}


RESPONSES = [
    "yes",
    "yes ###END###",
    "one two three four five",
    "One, two, three; four five!",
    "five four three two one",
    "six seven eight nine ten",
]


def item(index: int, rng: random.Random) -> dict[str, Any]:
    """One record of any kind, as the generator writes them."""
    asked = f"{rng.choice(['Do', 'Say', 'Please say', 'Add'])} {index}"
    base: dict[str, Any] = {"v": 1, "index": index, "kept": False, "instruction": asked}
    kind = rng.choice(["kept"] * 6 + ["duplicate", "malformed", "instruction_rejected", "instruction_unsure"])
    if kind in ("duplicate", "malformed"):
        return base | {"outcome": kind}
    if kind.startswith("instruction"):
        return base | {"outcome": kind, "instruction_critic": verdict(kind == "instruction_unsure", 0.5)}
    raw = rng.choice(["yes", "yes\nInstruction: no", "yes ###END### no", "n" * 600, "no no " * 6])
    end = rng.choice(["stop", "length"])
    outcome = rng.choice(["kept", "kept", "pair_rejected", "pair_unsure", "truncated", "failed"])
    base |= {"outcome": outcome, "instruction_critic": verdict(True), "raw_response": raw, "finish_reason": end}
    base |= {"response": rng.choice(RESPONSES), "generated_tokens": rng.randrange(1, 80)}
    base |= {"response_tokens": rng.randrange(1, 60), "kept": outcome == "kept"}
    if outcome != "failed":
        base["pair_critic"] = verdict(outcome != "pair_rejected", 0.2 if outcome == "pair_unsure" else 3.0)
    return base


def repeats(kept: list[dict[str, Any]]) -> tuple[list[bool], list[bool], list[bool]]:
    """For each kept pair: whether its text, or the set of its words, stood before, and whether its verb is new."""
    exact, near, verbs = [], [], []
    for position, record in enumerate(kept):
        before = kept[:position]
        exact.append(any(text(record) == text(other) for other in before))
        near.append(any({*text(record)} == {*text(other)} for other in before))
        verbs.append(all(verb(record) != verb(other) for other in before))
    return exact, near, verbs


def text(record: dict[str, Any]) -> list[str]:
    """The words that a pair is compared by: those of a short answer together with its instruction's."""
    asked, said = (re.findall(r"\w+", record[field].lower()) for field in ("instruction", "response"))
    return said if len(said) >= 5 else [word for word in asked + said if word != "please"]


def verb(record: dict[str, Any]) -> str:
    return next(word for word in record["instruction"].lower().split() if word != "please")


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
    exact, near, verbs = repeats(sorted(kept, key=lambda r: r["index"]))
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
        "response_repetition_rate": share(["no no" in a for a in answers]),
        "exact_duplicate_rate": share(exact),
        "near_duplicate_rate": share(near),
        "verb_diversity": share(verbs),
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
    text = {"response_repetition_rate": 0, "exact_duplicate_rate": 0, "near_duplicate_rate": 0, "verb_diversity": 1}
    assert known == {"examples": 2, "runaway_rate": 0.5, "delimiter_leakage": 0} | text
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


def test_fifteen_thousand_records_are_graded_within_a_second() -> None:
    rng = random.Random(5)
    records = [item(index, rng) | {"raw_instruction": "w " * 300} for index in range(15_000)]
    start = time.process_time()
    assert tally(records).counts()["records"] == 15_000
    assert time.process_time() - start < 1, "about 0.2 s on an idle core"


def test_what_is_remembered_does_not_grow_with_the_texts() -> None:
    def grown(n: int, words: int) -> int:
        result = tally([])
        tracemalloc.start()
        for index in range(n):
            said = " ".join(f"{index * 7919 + word:x}" for word in range(words))
            result.add(
                response(index, said, instruction=f"say {index}", pair_critic=verdict(True)) | {"response": said}
            )
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return used

    assert grown(6_000, 60) < grown(6_000, 6) + 40_000, "texts are ten times as long"
    assert grown(12_000, 20) - grown(6_000, 20) < 6_000 * 96 + 40_000, "96 octets a kept pair"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), n=st.integers(0, 50), missing=st.integers(0, 50))
def test_no_figure_depends_on_who_finished_first(seed: int, n: int, missing: int) -> None:
    rng = random.Random(seed)
    records = [item(index, rng) for index in range(n) if index != missing]
    shuffled = rng.sample(records, len(records))
    gate = GateConfig.model_validate({"checks": dict.fromkeys(METRICS, "= 0")})
    one, other = tally(records, gate=gate), tally(shuffled, gate=gate)
    assert one.metrics() == other.metrics()
    assert one.margins() == other.margins()
    assert one.detector_counts() == other.detector_counts()
    for name in METRICS:
        assert one.check_counts(name) == other.check_counts(name)


def test_what_repeats_is_told_of_the_items_before_the_first_hole() -> None:
    same = {"response": "water boils at one hundred degrees", "instruction": "Say how."}
    result = tally([response(0, **same), response(2, **same)])
    assert result.metrics()["exact_duplicate_rate"] == 0
    assert result.metrics()["verb_diversity"] == 1
    result.add(response(1, response="ice melts at zero degrees", instruction="Tell how."))
    assert result.metrics()["exact_duplicate_rate"] == pytest.approx(1 / 3)
    assert result.metrics()["near_duplicate_rate"] == pytest.approx(1 / 3)
    assert result.metrics()["verb_diversity"] == pytest.approx(2 / 3)
