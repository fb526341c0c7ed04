# ruff: noqa: T201 - a command line prints
"""Measure the converted pocket model on held-out draws of the grammar: the tables of `docs/pocket-model.md`."""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from . import forms
from .grammar import (
    Verdict,
    good_instruction,
    judge_instruction,
    judge_pair,
    mixed_instruction,
    right_pair,
    wrong_pair,
)
from .sampler import Completion, Labels, PocketModel, Sampling

STOP = ("\nInstruction", "\nQ:", "\n###", "\nUser:", "\nResponse:")

#: The seed's parameters of the pilot.
PILOT_LIST = Sampling(0.7, 0.9, 1.1, 160)
PILOT_RESPONSE = Sampling(0.4, 0.9, 1.1, 80)
#: The parameters of the demo's first iteration.
ITERATION_LIST = Sampling(0.6, 0.85, 1.1, 160)
ITERATION_RESPONSE = Sampling(0.3, 0.85, 1.1, 80, STOP)

CONFIDENCE = 1.0

_LINE = re.compile(r"^\s*\d+\.\s+(\S.*)$")
_MARKER = re.compile(r"\n\s*(?:###\s*)?(?:Instruction|Response|Question|Answer|User|Assistant|Human|Q|A)\s*:")
_START, _END = "<!-- measured: start -->", "<!-- measured: end -->"


@dataclass(frozen=True)
class ListDraw:
    """The lines of some list completions: all that parse, and the completions' number and tokens."""

    lines: list[str]
    broken: int
    limited: int
    completions: int
    tokens: int

    @property
    def distinct(self) -> list[str]:
        """The parsed lines without repetitions, in order."""
        return list(dict.fromkeys(self.lines))


def percent(part: float, whole: float) -> str:
    """A share in per cent with one decimal; a dash when there is nothing to share."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def clean(raw: str) -> str:
    """The response inside a raw completion: up to the delimiter, a blank line or a new prompt."""
    text = raw.partition(forms.DELIMITER)[0]
    marker = _MARKER.search(text)
    if marker:
        text = text[: marker.start()]
    return text.strip().partition("\n\n")[0].strip()


def is_runaway(raw: str) -> bool:
    """Whether a completion went on into a new prompt before its delimiter, or is over 500 characters long."""
    text = raw.partition(forms.DELIMITER)[0]
    return bool(_MARKER.search(text)) or len(text) > 500


def draw_lists(model: PocketModel, prompt_file: Path, sampling: Sampling, count: int, seed: int) -> ListDraw:
    """List completions as the generator asks for them: six examples at a time, renumbered."""
    header, *rows = prompt_file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    examples = [match[1] for match in map(_LINE.match, rows) if match]
    rng = Random(seed)
    prompts = []
    for _ in range(count):
        shown = rng.sample(examples, 6)
        prompts.append("\n".join([header, *(forms.list_line(n, t) for n, t in enumerate(shown, 1)), "7."]))
    lines: list[str] = []
    broken = limited = tokens = 0
    for completion in model.complete(prompts, sampling):
        found = f"7.{completion.text}".split("\n")
        if completion.limited:
            found.pop()
        tokens += completion.tokens
        limited += completion.limited
        for row in found:
            match = _LINE.match(row)
            if match:
                lines.append(match[1].strip())
            elif row.strip():
                broken += 1
    return ListDraw(lines, broken, limited, count, tokens)


def respond(model: PocketModel, prompt_file: Path, instructions: Sequence[str], sampling: Sampling) -> list[Completion]:
    """One response per instruction."""
    template = prompt_file.read_text(encoding="utf-8").rstrip("\n")
    return model.complete([template.replace("{instruction}", text) for text in instructions], sampling)


def _margins(labels: Sequence[Labels]) -> str:
    cuts = statistics.quantiles([label.margin for label in labels], n=10)
    return f"{cuts[0]:.2f} / {statistics.median(label.margin for label in labels):.2f} / {cuts[8]:.2f}"


def _critic_row(name: str, truths: Sequence[bool], labels: Sequence[Labels]) -> str:
    right = sum(truth == label.is_good for truth, label in zip(truths, labels, strict=True))
    good = [label.is_good for truth, label in zip(truths, labels, strict=True) if truth]
    bad = [not label.is_good for truth, label in zip(truths, labels, strict=True) if not truth]
    sure = sum(label.margin >= CONFIDENCE for label in labels)
    return (
        f"| {name} | {len(labels)} | {percent(right, len(labels))} | {percent(sum(good), len(good))} "
        f"| {percent(sum(bad), len(bad))} | {_margins(labels)} | {percent(sure, len(labels))} |"
    )


def critic_table(model: PocketModel, prompts: Path, count: int, seed: int) -> list[str]:
    """Accuracy and margins of both critics on held-out draws."""
    instruction_prompt = (prompts / "instruction_critic.txt").read_text(encoding="utf-8").rstrip("\n")
    pair_prompt = (prompts / "pair_critic.txt").read_text(encoding="utf-8").rstrip("\n")
    rng = Random(f"held out:{seed}")
    drawn = [mixed_instruction(rng, 0.4, 0.0) for _ in range(count)]
    texts = [instruction_prompt.replace("{instruction}", item.text) for item in drawn]
    pairs = [right_pair(rng, 0.0) if rng.random() < 0.5 else wrong_pair(rng) for _ in range(count)]
    pair_texts = [
        pair_prompt.replace("{instruction}", pair.instruction).replace("{response}", pair.response) for pair in pairs
    ]
    labels, pair_labels = model.labels(texts), model.labels(pair_texts)
    return [
        "| critic | draws | right | good called good | bad called bad | margin 10 % / median / 90 % | margin ≥ 1.0 |",
        "|---|---|---|---|---|---|---|",
        _critic_row("instruction", [item.verdict is Verdict.GOOD for item in drawn], labels),
        _critic_row("pair", [pair.right for pair in pairs], pair_labels),
    ]


def family_table(model: PocketModel, prompts: Path, temperatures: Sequence[float], count: int, seed: int) -> list[str]:
    """Exactness of responses per family at each temperature."""
    rng = Random(f"families:{seed}")
    asked = [good_instruction(rng) for _ in range(count)]
    columns: list[dict[str, list[bool]]] = []
    for temperature in temperatures:
        found: dict[str, list[bool]] = {}
        completions = respond(
            model, prompts / "response.txt", [i.text for i in asked], ITERATION_RESPONSE.at(temperature)
        )
        for item, completion in zip(asked, completions, strict=True):
            found.setdefault(item.kind, []).append(judge_pair(item.text, clean(completion.text)))
        columns.append(found)
    names = sorted(columns[0])
    rows = [
        f"| family | draws | {' | '.join(f'temperature {t}' for t in temperatures)} |",
        f"|---|---|{'---|' * len(temperatures)}",
    ]
    for name in names:
        shares = " | ".join(percent(sum(found[name]), len(found[name])) for found in columns)
        rows.append(f"| {name} | {len(columns[0][name])} | {shares} |")
    shares = " | ".join(percent(sum(map(sum, found.values())), count) for found in columns)
    rows.append(f"| all | {count} | {shares} |")
    return rows


_RUN_HEADER = [
    "| setting | lines parsed | lines good (judge) | lines open | duplicates | instruction acceptance "
    "| instruction yield | exact | runaway | token limit | median tokens | pair acceptance | pair yield |",
    f"|{'---|' * 13}",
]


def run_row(
    model: PocketModel, prompts: Path, name: str, *, lists: Sampling, responses: Sampling, count: int, seed: int
) -> str:
    """One whole run as the demo makes it: lists, critic, responses to what is kept, critic."""
    drawn = draw_lists(model, prompts / "instructions.txt", lists, count, seed)
    candidates = drawn.distinct
    verdicts = Counter(judge_instruction(line) for line in drawn.lines)
    prompt = (prompts / "instruction_critic.txt").read_text(encoding="utf-8").rstrip("\n")
    labels = model.labels([prompt.replace("{instruction}", text) for text in candidates])
    kept = [
        text for text, label in zip(candidates, labels, strict=True) if label.is_good and label.margin >= CONFIDENCE
    ]
    completions = respond(model, prompts / "response.txt", kept, responses)
    cleaned = [clean(completion.text) for completion in completions]
    pair_prompt = (prompts / "pair_critic.txt").read_text(encoding="utf-8").rstrip("\n")
    pair_labels = model.labels(
        [
            pair_prompt.replace("{instruction}", text).replace("{response}", response)
            for text, response in zip(kept, cleaned, strict=True)
        ]
    )
    exact = sum(judge_pair(text, response) for text, response in zip(kept, cleaned, strict=True))
    tokens = [len(encoding.ids) for encoding in model.tokenizer.encode_batch(cleaned)]
    sure = sum(label.is_good and label.margin >= CONFIDENCE for label in pair_labels)
    lines, asked = len(drawn.lines), len(kept)
    return (
        f"| {name} | {percent(lines, lines + drawn.broken)} | {percent(verdicts[Verdict.GOOD], lines)} "
        f"| {percent(verdicts[Verdict.OPEN], lines)} | {percent(lines - len(candidates), lines)} ({lines}) "
        f"| {percent(sum(label.is_good for label in labels), len(candidates))} | {percent(asked, len(candidates))} "
        f"| {percent(exact, asked)} ({asked}) | {percent(sum(is_runaway(c.text) for c in completions), asked)} "
        f"| {percent(sum(c.limited for c in completions), asked)} | {statistics.median(tokens):.0f} "
        f"| {percent(sum(label.is_good for label in pair_labels), asked)} | {percent(sure, asked)} |"
    )


def speed_lines(model: PocketModel, prompts: Path) -> list[str]:
    """Tokens per second on this CPU: generated in batches, and read by the critics."""
    started = time.perf_counter()
    drawn = draw_lists(model, prompts / "instructions.txt", PILOT_LIST, 64, 5)
    generated = drawn.tokens / (time.perf_counter() - started)
    rng = Random("speed")
    prompt = (prompts / "instruction_critic.txt").read_text(encoding="utf-8").rstrip("\n")
    texts = [prompt.replace("{instruction}", good_instruction(rng).text) for _ in range(512)]
    read = sum(len(encoding.ids) for encoding in model.tokenizer.encode_batch(texts))
    started = time.perf_counter()
    model.labels(texts)
    return [
        f"Two CPU threads, blocks of 32: {generated:.0f} generated tokens/s in lists, "
        f"{read / (time.perf_counter() - started):.0f} prompt tokens/s in the critics "
        f"({read / len(texts):.0f} tokens per instruction critic prompt)."
    ]


def report(model: PocketModel, prompts: Path, lists: int, draws: int, seed: int) -> list[str]:
    """All tables in Markdown."""
    rows = ["### Critics on held-out draws", "", *critic_table(model, prompts, draws, seed), "", "### Whole runs", ""]
    rows += _RUN_HEADER
    runs: list[tuple[str, Sampling, Sampling, int]] = []
    for temperature in (0.3, 0.7, 1.0):
        at, answering = PILOT_LIST.at(temperature), PILOT_RESPONSE.at(temperature)
        runs.append((f"temperature {temperature}, no stop strings", at, answering, seed))
        runs.append((f"temperature {temperature}, stop strings", at, replace(answering, stop=STOP), seed))
    runs.append(("pilot", PILOT_LIST, PILOT_RESPONSE, seed + 1))
    runs.append(("iteration 1", ITERATION_LIST, ITERATION_RESPONSE, seed + 2))
    for penalty in (1.0, 1.3, 1.6):
        punished = [replace(sampling, repetition_penalty=penalty) for sampling in (PILOT_LIST, PILOT_RESPONSE)]
        runs.append((f"pilot, repetition penalty {penalty}", punished[0], punished[1], seed + 3))
    for limit in (20, 40):
        shortened = replace(ITERATION_RESPONSE, max_tokens=limit)
        runs.append((f"iteration 1, {limit} tokens", ITERATION_LIST, shortened, seed + 4))
    rows += [
        run_row(model, prompts, name, lists=at, responses=answering, count=lists, seed=run_seed)
        for name, at, answering, run_seed in runs
    ]
    rows += ["", "### Exact responses per family", "", *family_table(model, prompts, (0.3, 0.7, 1.0), draws, seed)]
    return [*rows, "", "### Speed", "", *speed_lines(model, prompts)]


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("engine/models/pocket"))
    parser.add_argument("--prompts", type=Path, default=Path("configs/prompts/demo"))
    parser.add_argument("--write", type=Path, help="replace the measured part of this page instead of printing it")
    parser.add_argument("--lists", type=int, default=60, help="list completions per run")
    parser.add_argument("--draws", type=int, default=2000, help="held-out draws per table")
    parser.add_argument("--seed", type=int, default=2024)
    arguments = parser.parse_args()
    model = PocketModel(arguments.model / "ct2", arguments.model / "hf" / "tokenizer.json")
    rows = report(model, arguments.prompts, arguments.lists, arguments.draws, arguments.seed)
    if arguments.write is None:
        print("\n".join(rows))
        return
    page = arguments.write.read_text(encoding="utf-8")
    before, after = page.partition(_START)[0], page.partition(_END)[2]
    arguments.write.write_text(f"{before}{_START}\n{chr(10).join(rows)}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
