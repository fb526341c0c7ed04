"""The training documents: numbered lists, worked examples and critic labels, drawn from the grammar with a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from . import forms
from .grammar import (
    Verdict,
    bad_list_line,
    believed_response,
    flawed_response,
    mixed_instruction,
    right_pair,
    wrong_pair,
)

#: Document kinds and their shares of the corpus.
KINDS: tuple[str, ...] = ("list", "response", "instruction critic", "pair critic")

#: How a worked example gives way to the next one; the first is the rule.
_JOINTS = ("\n\nInstruction: ", "\nInstruction: ", "\n\nQ: ", "\nUser: ")
_JOINT_SHARES = (88, 6, 3, 3)


@dataclass(frozen=True)
class Mixture:
    """The shares of the corpus that set how the model behaves."""

    kinds: tuple[float, float, float, float] = (0.12, 0.24, 0.24, 0.40)
    #: Bad lines of a list: share at the seventh line, growth per line, limit.
    bad_lines: tuple[float, float, float] = (0.28, 0.01, 0.4)
    open_lines: float = 0.08
    #: Share of lists that lose their numbers after line 13.
    unnumbered: float = 0.35
    #: Scattered flaws of responses, then the shares of strong and weak misconceptions.
    bad_responses: float = 0.07
    beliefs: tuple[float, float] = (0.56, 0.33)
    #: Number of worked examples: weights of 1 to 4; the rest have 9 to 14.
    example_counts: tuple[float, float, float, float] = (0.05, 0.05, 0.3, 0.29)
    #: Documents that close every answer with the delimiter, and documents that close some.
    delimited: tuple[float, float] = (0.3, 0.2)


def list_document(rng: Random, mixture: Mixture) -> str:
    """A numbered list; its lines get worse towards the end, and in half of the lists the first ones are clean."""
    length = rng.randint(9, 22)
    start, growth, limit = mixture.bad_lines
    clean = 6 if rng.random() < 0.6 else 0
    lines: list[str] = []
    while len(lines) < length:
        place = len(lines)
        bad = 0.0 if place < clean else min(limit, start + growth * max(0, place - 6))
        if rng.random() < bad:
            text = bad_list_line(rng)
        else:
            text = mixed_instruction(rng, 0.0, 0.0 if place < clean else mixture.open_lines).text
        if text not in lines:
            lines.append(text)
    last = 13 if rng.random() < mixture.unnumbered else length
    numbered = (forms.list_line(n, text) if n <= last else text for n, text in enumerate(lines, start=1))
    return "\n".join((forms.LIST_HEADER, *numbered))


def _example_count(rng: Random, mixture: Mixture) -> int:
    lot = rng.random()
    for count, share in enumerate(mixture.example_counts, start=1):
        lot -= share
        if lot < 0:
            return count
    return rng.randint(9, 14)


def response_document(rng: Random, mixture: Mixture) -> str:
    """Worked examples one after the other, with or without the delimiter."""
    always, sometimes = mixture.delimited
    lot = rng.random()
    delimited = 1.0 if lot < always else 0.3 if lot < always + sometimes else 0.0
    parts: list[str] = []
    for place in range(_example_count(rng, mixture)):
        early = place < 2
        instruction = mixed_instruction(rng, 0.0 if early else 0.05, 0.0 if early else 0.06)
        flawed = rng.random() < (0.02 if early else mixture.bad_responses)
        if flawed:
            response = flawed_response(rng, instruction)[0]
        else:
            response = believed_response(rng, instruction, *mixture.beliefs)
        joint = rng.choices(_JOINTS, _JOINT_SHARES)[0] if place else "Instruction: "
        answer = "\nA:" if "Q:" in joint else "\nResponse:"
        close = f"\n{forms.DELIMITER}" if rng.random() < delimited else ""
        parts.append(f"{joint}{instruction.text}{answer} {response}{close}")
    return "".join(parts)


def _label(rng: Random, good: bool, doubt: float) -> str:
    return forms.LABELS[0] if good != (rng.random() < doubt) else forms.LABELS[1]


def instruction_critic_document(rng: Random) -> str:
    """A rubric, an instruction and its label; raters contradict the judge as often as the draw's doubt says."""
    instruction = mixed_instruction(rng, 0.45, 0.08)
    label = _label(rng, instruction.verdict is not Verdict.BAD, instruction.doubt)
    return f"{forms.instruction_critic_prompt(instruction.text)} {label}"


def pair_critic_document(rng: Random) -> str:
    """A rubric, an instruction with a response, and the label of the pair."""
    pair = right_pair(rng) if rng.random() < 0.52 else wrong_pair(rng)
    label = _label(rng, pair.right, pair.doubt)
    return f"{forms.pair_critic_prompt(pair.instruction, pair.response)} {label}"


def documents(seed: int, shard: int, count: int, mixture: Mixture) -> Iterator[tuple[str, str]]:
    """Kind and text of the documents of one shard; equal arguments give equal documents."""
    rng = Random(f"pocket:{seed}:{shard}")
    for _ in range(count):
        kind = rng.choices(KINDS, mixture.kinds)[0]
        if kind == "list":
            yield kind, list_document(rng, mixture)
        elif kind == "response":
            yield kind, response_document(rng, mixture)
        elif kind == "instruction critic":
            yield kind, instruction_critic_document(rng)
        else:
            yield kind, pair_critic_document(rng)
