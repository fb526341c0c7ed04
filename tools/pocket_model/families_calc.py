"""Families whose answers are computed: sums, comparisons, sequences, units, days and months, letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from . import words
from .facts import DAYS, MONTHS, UNITS
from .family import Family, Slots, other_than

_NUMBER_FORMS = ("{v}", "{v}.", "{v}.", "It is {v}.")


def _near_number(rng: Random, value: int) -> str:
    """A number that a careless pupil might give instead."""
    text = str(value)
    near = [value + step for step in (1, -1, 2, 10, -10) if value + step > 0]
    if len(text) == 2 and text[0] != text[1] and text[1] != "0":
        near.append(int(text[::-1]))
    return str(rng.choice(near))


def _number_family(
    name: str,
    templates: tuple[str, ...],
    draw: Callable[[Random], Slots],
    compute: Callable[[Sequence[int]], int | None],
    *,
    doubt: float = 0.03,
    weight: float = 1.0,
    forms: tuple[str, ...] = _NUMBER_FORMS,
) -> Family:
    """A family over whole numbers; `compute` returns nothing when the task makes no sense."""

    def value(slots: Slots) -> int | None:
        if not all(slot.isdecimal() and len(slot) <= 4 for slot in slots.values()):
            return None
        # By name, since a template may mention the slots in another order than the computation takes them.
        return compute([int(slots[name]) for name in sorted(slots)])

    def right(slots: Slots) -> tuple[str, ...]:
        number = value(slots)
        return () if number is None else (str(number),)

    def wrong(rng: Random, slots: Slots) -> str:
        return _near_number(rng, value(slots) or 0)

    return Family(
        name=name, templates=templates, draw=draw, right=right, wrong=wrong, forms=forms, doubt=doubt, weight=weight
    )


def _numbers(**ranges: tuple[int, int]) -> Callable[[Random], Slots]:
    """A drawing function: each slot gets a whole number of its range, ends included."""
    return lambda rng: {name: str(rng.randint(low, high)) for name, (low, high) in ranges.items()}


def _subtraction(rng: Random) -> Slots:
    first = rng.randint(12, 99)
    return {"a": str(first), "b": str(rng.randint(2, min(30, first - 1)))}


def _comparison(rng: Random) -> Slots:
    first, second = rng.sample(range(10, 1000), 2)
    return {"a": str(first), "b": str(second)}


def _sequence(rng: Random) -> Slots:
    start, step = rng.randint(1, 20), rng.randint(2, 10)
    return {"a": str(start), "b": str(start + step), "c": str(start + 2 * step)}


def _division(rng: Random) -> Slots:
    divisor, quotient = rng.randint(2, 12), rng.randint(2, 12)
    return {"a": str(divisor * quotient), "b": str(divisor)}


ARITHMETIC: tuple[Family, ...] = (
    _number_family(
        "add", ("Add {a} and {b}.", "What is {a} plus {b}?", "Find the sum of {a} and {b}."),
        _numbers(a=(10, 99), b=(2, 30)), lambda n: n[0] + n[1], weight=2.5,
    ),
    _number_family(
        "subtract", ("Subtract {b} from {a}.", "What is {a} minus {b}?"), _subtraction,
        lambda n: n[0] - n[1] if n[0] > n[1] else None, weight=2.0,
    ),
    _number_family(
        "multiply", ("Multiply {a} by {b}.", "What is {a} times {b}?"), _numbers(a=(2, 12), b=(2, 12)),
        lambda n: n[0] * n[1] if n[0] <= 12 and n[1] <= 12 else None, weight=1.2,
    ),
    _number_family(
        "divide", ("Divide {a} by {b}.", "What is {a} divided by {b}?"), _division,
        lambda n: n[0] // n[1] if n[1] and n[0] % n[1] == 0 and n[0] <= 144 else None, weight=1.0,
    ),
    _number_family("double", ("Double the number {a}.", "What is twice {a}?"), _numbers(a=(2, 60)), lambda n: 2 * n[0]),
    _number_family(
        "next number", ("Which number comes after {a}?", "Name the number that follows {a}."),
        _numbers(a=(10, 999)), lambda n: n[0] + 1, weight=1.2,
    ),
    _number_family(
        "sequence", ("Continue the sequence: {a}, {b}, {c}.", "Which number follows {a}, {b}, {c}?"), _sequence,
        lambda n: 2 * n[2] - n[1] if n[2] - n[1] == n[1] - n[0] > 0 else None, weight=1.5,
    ),
    _number_family(
        "larger", ("Which is larger, {a} or {b}?", "Name the larger number: {a} or {b}."),
        _comparison, lambda n: max(n[0], n[1]) if n[0] != n[1] else None, weight=1.5,
    ),
)  # fmt: skip


def _units() -> Family:
    sizes = {(big, small): size for big, small, size in UNITS}

    def right(slots: Slots) -> tuple[str, ...]:
        size = sizes.get((slots["big"], slots["small"]))
        if size is None or not slots["n"].isdecimal() or not 2 <= int(slots["n"]) <= 20:
            return ()
        return (str(size * int(slots["n"])),)

    def draw(rng: Random) -> Slots:
        big, small, _ = rng.choice(UNITS)
        return {"small": small, "n": str(rng.randint(2, 12)), "big": big}

    def wrong(rng: Random, slots: Slots) -> str:
        size, count = sizes[slots["big"], slots["small"]], int(slots["n"])
        return other_than(rng, [str(size * (count + 1)), str(size), str(count * 10), str(size + count)], right(slots))

    return Family(
        name="units",
        templates=("How many {small} are in {n} {big}?", "Convert {n} {big} to {small}."),
        draw=draw,
        right=right,
        wrong=wrong,
        forms=("{v}", "{v}.", "{v} {small}."),
        weight=1.5,
    )


def _cycle(name: str, kind: str, cycle: tuple[str, ...]) -> Family:
    """What comes one or two places after or before a day or month."""
    steps = {"after": 1, "before": -1, "two {}s after": 2, "two {}s before": -2}
    places = {key.format(kind): step for key, step in steps.items()}

    def right(slots: Slots) -> tuple[str, ...]:
        if slots["x"] not in cycle or slots["where"] not in places:
            return ()
        return (cycle[(cycle.index(slots["x"]) + places[slots["where"]]) % len(cycle)],)

    return Family(
        name=name,
        templates=(f"Which {kind} comes {{where}} {{x}}?", f"Name the {kind} {{where}} {{x}}."),
        draw=lambda rng: {"where": rng.choice(tuple(places)), "x": rng.choice(cycle)},
        right=right,
        wrong=lambda rng, slots: other_than(rng, cycle, right(slots)),
        forms=("{v}.", "{v}.", "{v}", "It is {v}."),
        weight=1.0,
    )


def _parity() -> Family:
    def right(slots: Slots) -> tuple[str, ...]:
        if not slots["a"].isdecimal() or len(slots["a"]) > 4:
            return ()
        return ("even",) if int(slots["a"]) % 2 == 0 else ("odd",)

    return Family(
        name="parity",
        templates=("Is {a} odd or even?", "Say whether {a} is odd or even."),
        draw=_numbers(a=(10, 999)),
        right=right,
        wrong=lambda rng, slots: other_than(rng, ("odd", "even"), right(slots)),
        forms=("{V}.", "{v}", "It is {v}."),
    )


def _letters(name: str, templates: tuple[str, ...], answer: Callable[[str], str], weight: float) -> Family:
    """A question about the letters of a known word; a near miss answers for another word or place."""
    known = frozenset(words.SPELLING_WORDS)

    def right(slots: Slots) -> tuple[str, ...]:
        return (answer(slots["x"]),) if slots["x"] in known else ()

    def wrong(rng: Random, slots: Slots) -> str:
        value = answer(slots["x"])
        if value.isdecimal():
            return str(max(1, int(value) + rng.choice((-1, 1, 2))) if value != "1" else 2)
        near = [answer(rng.choice(words.SPELLING_WORDS)) for _ in range(3)]
        near.extend([value[::-1], slots["x"][1], "k", "z-e-b-r-a"])
        return other_than(rng, [text for text in near if ("-" in text) == ("-" in value)] + ["q"], (value,))

    return Family(
        name=name,
        templates=templates,
        draw=lambda rng: {"x": rng.choice(words.SPELLING_WORDS)},
        right=right,
        wrong=wrong,
        forms=("{v}", "{v}.", "It is {v}."),
        weight=weight,
    )


CALC_FAMILIES: tuple[Family, ...] = (
    *ARITHMETIC,
    _units(),
    _cycle("day", "day", DAYS),
    _cycle("month", "month", MONTHS),
    _parity(),
    _letters(
        "first letter", ("What is the first letter of {x}?", "Name the first letter of the word {x}."),
        lambda word: word[0], 1.2,
    ),
    _letters(
        "last letter", ("What is the last letter of {x}?", "Name the last letter of the word {x}."),
        lambda word: word[-1], 1.2,
    ),
    _letters(
        "letter count", ("How many letters are in the word {x}?", "Count the letters of {x}."),
        lambda word: str(len(word)), 1.2,
    ),
    _letters("spell", ("Spell the word {x} with dashes.", "Spell {x} letter by letter."), "-".join, 1.2),
)  # fmt: skip
