"""The seeded grammar: draws good, open and flawed instructions, right and flawed responses, and judges both.

Every function is pure given its random generator. The judge knows the whole grammar, so it is exact for texts that a
model writes in the forms of the grammar, and calls everything else bad.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from zlib import crc32

from . import facts, words
from .families_calc import CALC_FAMILIES
from .families_facts import FACT_FAMILIES
from .families_text import OPEN_FAMILY, TEXT_FAMILIES
from .family import Family, Slots

FAMILIES: tuple[Family, ...] = (*FACT_FAMILIES, *CALC_FAMILIES, *TEXT_FAMILIES)

_WEIGHTS = tuple(family.weight for family in FAMILIES)

#: Whatever may stand in a slot where it makes no sense.
_FILLERS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *words.SPELLING_WORDS, *words.ADJECTIVES, *words.PAST_TENSES, *facts.CAPITALS, *facts.CAPITALS.values(),
            *facts.DAYS, *facts.MONTHS, *facts.ELEMENTS, *words.OPPOSITES, *facts.USES, *facts.JOBS.values(),
            "zero", "many", "nobody", "yesterday", "7", "12", "40", "365",
        )
    )
)  # fmt: skip

_VAGUE = (
    "Do something with the {x}.", "Fix the {x}.", "Tell me about that {x}.", "Answer the question about the {x}.",
    "Use the table below to find the {x}.", "Make it more like a {x}.", "Do the same with the {x}.",
    "Look at the picture and name the {x}.", "Say what I think of the {x}.", "Finish the {x} thing.",
)  # fmt: skip
_IMPOSSIBLE = (
    "Draw the {x} here.", "Play me the song of the {x}.", "Name the colour of my {x}.", "Count the {x} in my room.",
    "Give the weight of the smell of a {x}.", "Tell me what the {x} will do tomorrow.",
    "Name the oldest {x} on Monday.",
    "Divide the {x} by 0.", "Translate the {x} into silence.", "Name a {x} that is not a {x}.",
)  # fmt: skip
_ASIDES = (
    "A {x} is a {y}.", "The {x} is {adjective}.", "Write an instruction about a {x}.", "The next task is about a {x}.",
    "Here is a {x}.", "I like the {x}.", "True or false.", "The answer is {y}.",
)  # fmt: skip
_EVASIONS = ("I do not know.", "Please give more detail.", "I am not sure.", "That depends.", "I cannot say.")


class Verdict(Enum):
    """What the judge says of an instruction."""

    GOOD = "good"
    OPEN = "open"
    BAD = "bad"


@dataclass(frozen=True)
class Instruction:
    """A drawn instruction; `doubt` is the share of contrary labels that raters give such a text."""

    text: str
    verdict: Verdict
    kind: str
    doubt: float
    family: Family | None = None
    slots: Slots | None = None


@dataclass(frozen=True)
class Pair:
    """A drawn instruction with its response, and whether the response is right."""

    instruction: str
    response: str
    right: bool
    kind: str
    doubt: float


def good_instruction(rng: Random) -> Instruction:
    """A task of one of the families, with slots that make sense."""
    family = rng.choices(FAMILIES, _WEIGHTS)[0]
    slots = family.draw(rng)
    return Instruction(family.instruction(rng, slots), Verdict.GOOD, family.name, family.doubt, family, slots)


def open_instruction(rng: Random) -> Instruction:
    """A task without one right answer."""
    slots = OPEN_FAMILY.draw(rng)
    text = OPEN_FAMILY.instruction(rng, slots)
    return Instruction(text, Verdict.OPEN, OPEN_FAMILY.name, OPEN_FAMILY.doubt, OPEN_FAMILY, slots)


def _cut(rng: Random) -> str:
    parts = good_instruction(rng).text.split(" ")
    keep = rng.randint(min(2, len(parts) - 1), len(parts) - 1)
    return " ".join(parts[:keep]) + rng.choice(("", ".", "?"))


def _drop(rng: Random) -> str:
    parts = good_instruction(rng).text.split(" ")
    del parts[rng.randrange(1, len(parts)) if len(parts) > 1 else 0]
    return " ".join(parts)


def _shuffle(rng: Random) -> str:
    parts = good_instruction(rng).text.split(" ")
    place = rng.randrange(len(parts) - 1)
    parts[place], parts[place + 1] = parts[place + 1], parts[place]
    return " ".join(parts)


def _misfill(rng: Random) -> str:
    family = rng.choices(FAMILIES, _WEIGHTS)[0]
    slots = family.draw(rng)
    slots[rng.choice(tuple(slots))] = rng.choice(_FILLERS)
    return family.instruction(rng, slots)


def _typo(rng: Random) -> str:
    parts = good_instruction(rng).text.split(" ")
    place = max(range(len(parts)), key=lambda index: (len(parts[index]) > 3, rng.random()))
    word = parts[place]
    spot = rng.randrange(max(1, len(word) - 1))
    parts[place] = word[:spot] + word[spot + 1 : spot + 2] + word[spot : spot + 1] * 2 + word[spot + 2 :]
    return " ".join(parts)


def _merge(rng: Random) -> str:
    one, other = good_instruction(rng).text.split(" "), good_instruction(rng).text.split(" ")
    start = rng.randint(1, len(one) - 1) if len(one) > 1 else 1
    rest = rng.randrange(len(other) - 1) if len(other) > 1 else 0
    return " ".join((*one[:start], *other[rest:]))


def _phrase(patterns: tuple[str, ...]) -> Callable[[Random], str]:
    def draw(rng: Random) -> str:
        return rng.choice(patterns).format(
            x=rng.choice(words.SPELLING_WORDS),
            y=rng.choice(tuple(words.CATEGORIES)),
            adjective=rng.choice(words.ADJECTIVES),
        )

    return draw


#: Vague lines and senseless slots of the lists. They share their first words with good tasks and are each about as
#: likely as one template of a good task: rarer ones would not survive nucleus sampling, and more frequent ones
#: would win at low temperatures.
_LIST_VAGUE = (
    "Name the colour of my {x}.", "Name the price of that {x}.", "Name the owner of the {x}.", "Name the {x} here.",
    "What is the name of my {x}?", "What is the {x} thinking?", "What did I do with the {x}?", "What about the {x}?",
    "Which {x} do you mean?", "Which of them is the {x}?", "Give me the {x}.", "Give the {x} back.",
    "Tell me about that {x}.", "Tell me what the {x} said.", "Describe my {x}.", "Describe the picture of the {x}.",
    "Explain the {x} above.", "Explain what I did to the {x}.", "Find the {x} in the text.",
    "Find the mistake in the {x}.",
    "Is it true that I own the {x}?", "How many of the {x} are left?", "Put the {x} where it belongs.",
    "Translate the text about the {x}.", "Make the {x} better.", "Use the table to find the {x}.",
)  # fmt: skip
_LIST_FILLERS = (
    "Europe", "Asia", "Monday", "July", "seven", "zero", "happy", "music", "blue", "nothing", "yesterday", "Paris",
    "London", "water", "many", "quickly", "winter", "the answer", "my friend", "something", "English", "money",
)  # fmt: skip


def _list_misfill(rng: Random) -> str:
    family = rng.choices(FAMILIES, _WEIGHTS)[0]
    slots = family.draw(rng)
    slots[rng.choice(tuple(slots))] = rng.choice(_LIST_FILLERS)
    return family.instruction(rng, slots)


#: Ways to spoil an instruction: name, share of the draws, doubt, how.
_FLAWS: tuple[tuple[str, float, float, Callable[[Random], str]], ...] = (
    ("cut", 0.16, 0.03, _cut),
    ("dropped word", 0.14, 0.08, _drop),
    ("swapped words", 0.08, 0.06, _shuffle),
    ("wrong slot", 0.27, 0.04, _misfill),
    ("typo", 0.1, 0.12, _typo),
    ("merged", 0.07, 0.03, _merge),
    ("vague", 0.08, 0.15, _phrase(_VAGUE)),
    ("impossible", 0.06, 0.15, _phrase(_IMPOSSIBLE)),
    ("aside", 0.04, 0.1, _phrase(_ASIDES)),
    ("common slot", 0.08, 0.1, _list_misfill),
    ("common vague", 0.1, 0.22, _phrase(_LIST_VAGUE)),
)
_FLAW_SHARES = tuple(flaw[1] for flaw in _FLAWS)


def bad_instruction(rng: Random) -> Instruction:
    """A vague, broken or impossible task, near a good one."""
    while True:
        name, _, doubt, spoil = rng.choices(_FLAWS, _FLAW_SHARES)[0]
        text = spoil(rng)
        if judge_instruction(text) is Verdict.BAD:
            return Instruction(text, Verdict.BAD, name, doubt)


def bad_list_line(rng: Random) -> str:
    """A bad line as lists have it: mostly of a few common kinds, since rare ones do not survive nucleus sampling."""
    while True:
        spoil = rng.choices((_phrase(_LIST_VAGUE), _list_misfill, None), (50, 35, 15))[0]
        text = spoil(rng) if spoil else bad_instruction(rng).text
        if judge_instruction(text) is Verdict.BAD:
            return text


def mixed_instruction(rng: Random, bad: float, unclear: float) -> Instruction:
    """A bad instruction with probability `bad`, an open one with `unclear`, otherwise a good one."""
    lot = rng.random()
    if lot < bad:
        return bad_instruction(rng)
    return open_instruction(rng) if lot < bad + unclear else good_instruction(rng)


def _statement(rng: Random) -> str:
    word = rng.choice(tuple(words.CATEGORY_OF))
    named = words.with_article(word)
    return f"{named[:1].upper()}{named[1:]} is {words.with_article(words.CATEGORY_OF[word])}."


def _clipped(rng: Random, response: str) -> str:
    parts = response.split(" ")
    return " ".join(parts[: rng.randint(1, len(parts) - 1)])


def right_response(rng: Random, instruction: Instruction) -> str:
    """A right response to a drawn instruction; an evasion when it has none."""
    if instruction.family is None or instruction.slots is None:
        return rng.choice(_EVASIONS)
    return instruction.family.reply(rng, instruction.slots)


def believed_response(rng: Random, instruction: Instruction, strong: float, weak: float) -> str:
    """A response as a model with fixed misconceptions would give it.

    A hash of the family and its last slot names the misconceptions: for a seventh of the keys the same wrong answer
    comes with probability `strong`, for a quarter with probability `weak`. Being fixed they can be learned, so they
    survive low temperatures, where scattered mistakes do not.
    """
    family, slots = instruction.family, instruction.slots
    if family is None or slots is None:
        return right_response(rng, instruction)
    key = f"{family.name}:{slots[max(slots)]}"
    lot = crc32(key.encode()) % 1000
    share = strong if lot < 145 else weak if lot < 395 else 0.0
    if rng.random() >= share:
        return family.reply(rng, slots)
    while True:
        text = family.miss(Random(key), slots)
        if not family.is_right(slots, text):
            return text
        key += "'"


def flawed_response(rng: Random, instruction: Instruction) -> tuple[str, str]:
    """A response that fails the task, with the name of its flaw."""
    family, slots = instruction.family, instruction.slots
    if family is None or slots is None:
        return _statement(rng) if rng.random() < 0.5 else rng.choice(_EVASIONS), "bad instruction"
    while True:
        kind = rng.choices(("miss", "clipped", "rambling", "off topic", "evasive", "echo"), (62, 10, 10, 10, 4, 4))[0]
        if kind == "miss":
            text = family.miss(rng, slots)
        elif kind == "clipped":
            text = family.reply(rng, slots)
            if " " not in text:
                continue
            text = _clipped(rng, text)
        elif kind == "rambling":
            tail = " ".join(_statement(rng) for _ in range(rng.randint(1, 5)))
            text = f"{family.reply(rng, slots).rstrip('.')}. {tail}"
        elif kind == "off topic":
            text = right_response(rng, good_instruction(rng))
        elif kind == "evasive":
            text = rng.choice(_EVASIONS)
        else:
            text = instruction.text
        if not family.is_right(slots, text):
            return text, kind


def right_pair(rng: Random, unclear: float = 0.08) -> Pair:
    """A good or open instruction with a right response."""
    instruction = mixed_instruction(rng, 0.0, unclear)
    return Pair(instruction.text, right_response(rng, instruction), True, instruction.kind, instruction.doubt)


def wrong_pair(rng: Random) -> Pair:
    """An instruction with a response that fails it; some of the instructions are bad themselves."""
    instruction = mixed_instruction(rng, 0.08, 0.06)
    response, kind = flawed_response(rng, instruction)
    return Pair(instruction.text, response, False, kind, 0.04)


def find_family(text: str) -> tuple[Family, Slots] | None:
    """The family and slots of an instruction, or nothing when no family would write it."""
    for family in (*FAMILIES, OPEN_FAMILY):
        slots = family.match(text)
        if slots is not None:
            return family, slots
    return None


def judge_instruction(text: str) -> Verdict:
    """Good when a family would write it, open when it has no one right answer, bad otherwise."""
    found = find_family(text)
    if found is None:
        return Verdict.BAD
    return Verdict.OPEN if found[0].is_open else Verdict.GOOD


def judge_pair(instruction: str, response: str) -> bool:
    """Whether the response does the task; never for a bad instruction."""
    found = find_family(instruction)
    return found is not None and found[0].is_right(found[1], response.strip())
