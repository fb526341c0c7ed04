"""Families over words and sentences: sorting, odd one out, rewriting, lists, long explanations, open tasks."""

from __future__ import annotations

import re
from random import Random

from . import words
from .family import Family, Slots, other_than
from .passages import CLOSINGS, EXPLANATIONS, PROCEDURES

_COUNTS = {"two": 2, "three": 3, "four": 4}
_CATEGORY_OF_PLURAL = {plural: name for name, plural in words.CATEGORY_PLURALS.items()}


def _join(items: list[str]) -> str:
    return ", ".join(items)


def _sort() -> Family:
    known = frozenset(words.SPELLING_WORDS)

    def items(slots: Slots) -> list[str]:
        return [slots["a"], slots["b"], slots["c"]]

    def right(slots: Slots) -> tuple[str, ...]:
        listed = items(slots)
        if not known.issuperset(listed) or len({word[0] for word in listed}) < 3:
            return ()
        return (_join(sorted(listed)),)

    def draw(rng: Random) -> Slots:
        while True:
            listed = rng.sample(words.SPELLING_WORDS, 3)
            if len({word[0] for word in listed}) == 3:
                return dict(zip("abc", listed, strict=True))

    def wrong(rng: Random, slots: Slots) -> str:
        ordered = sorted(items(slots))
        first, second, third = ordered
        orders = ([second, first, third], [first, third, second], [third, second, first], [first, second])
        return _join(rng.choice(orders))

    return Family(
        name="sort",
        templates=("Sort by alphabet: {a}, {b}, {c}.", "Put these words in order: {a}, {b}, {c}."),
        draw=draw,
        right=right,
        wrong=wrong,
        forms=("{v}", "{v}."),
        weight=2.0,
        doubt=0.04,
    )


def _odd_one_out() -> Family:
    def right(slots: Slots) -> tuple[str, ...]:
        listed = [slots["a"], slots["b"], slots["c"]]
        groups = [words.CATEGORY_OF.get(word) for word in listed]
        if None in groups or len(set(groups)) != 2 or len(set(listed)) < 3:
            return ()
        return tuple(word for word, group in zip(listed, groups, strict=True) if groups.count(group) == 1)

    def draw(rng: Random) -> Slots:
        one, other = rng.sample(tuple(words.CATEGORIES), 2)
        listed = [*rng.sample(words.CATEGORIES[one], 2), rng.choice(words.CATEGORIES[other])]
        rng.shuffle(listed)
        return dict(zip("abc", listed, strict=True))

    def wrong(rng: Random, slots: Slots) -> str:
        return other_than(rng, tuple(slots[name] for name in "abc"), right(slots))

    return Family(
        name="odd one out",
        templates=("Which word does not fit: {a}, {b}, {c}?", "Find the odd one out: {a}, {b}, {c}."),
        draw=draw,
        right=right,
        wrong=wrong,
        forms=("{V}.", "{v}", "{v}."),
        weight=2.0,
        doubt=0.05,
    )


def _longer_word() -> Family:
    known = frozenset(words.SPELLING_WORDS)

    def right(slots: Slots) -> tuple[str, ...]:
        first, second = slots["a"], slots["b"]
        if not known.issuperset((first, second)) or len(first) == len(second):
            return ()
        return (max(first, second, key=len),)

    def draw(rng: Random) -> Slots:
        while True:
            first, second = rng.sample(words.SPELLING_WORDS, 2)
            if len(first) != len(second):
                return {"a": first, "b": second}

    return Family(
        name="longer word",
        templates=("Which word is longer, {a} or {b}?", "Pick the longer word: {a} or {b}."),
        draw=draw,
        right=right,
        wrong=lambda rng, slots: other_than(rng, (slots["a"], slots["b"]), right(slots)),
        forms=("{V}.", "{v}", "{v}."),
        weight=1.5,
    )


def _list_members() -> Family:
    def members(slots: Slots) -> tuple[int, tuple[str, ...]]:
        name = _CATEGORY_OF_PLURAL.get(slots["group"], "")
        return _COUNTS.get(slots["n"], 0), words.CATEGORIES.get(name, ())

    def right(slots: Slots) -> tuple[str, ...]:
        count, known = members(slots)
        size = len(known) if count else 0
        # Every start with a few strides gives enough variety without naming all combinations.
        return tuple(
            _join([known[(start + stride * place) % size] for place in range(count)])
            for start in range(size)
            for stride in (1, 3, size - 1)
        )

    def accepts(slots: Slots, response: str) -> bool:
        count, known = members(slots)
        listed = response[:1].lower() + response[1:].rstrip(".")
        found = listed.split(", ")
        return len(found) == count == len(set(found)) and set(found) <= set(known)

    def wrong(rng: Random, slots: Slots) -> str:
        count, known = members(slots)
        listed = rng.sample(known, count)
        kind = rng.randrange(3)
        if kind == 0:
            listed[rng.randrange(count)] = rng.choice([w for w in words.CATEGORY_OF if w not in known])
        elif kind == 1:
            listed[-1] = listed[0]
        else:
            listed = listed[:-1] if count > 2 else [*listed, *(w for w in known if w not in listed)][:4]
        return _join(listed)

    return Family(
        name="list members",
        templates=("List {n} {group}.", "Name {n} {group}.", "Give {n} examples of {group}."),
        draw=lambda rng: {"n": rng.choice(tuple(_COUNTS)), "group": rng.choice(tuple(_CATEGORY_OF_PLURAL))},
        right=right,
        wrong=wrong,
        forms=("{V}.", "{v}"),
        accepts=accepts,
        doubt=0.05,
        weight=1.5,
    )


def _membership() -> Family:
    def right(slots: Slots) -> tuple[str, ...]:
        name = _NAMED.get(slots["x"])
        if name is None or slots["group"] not in _GROUPS:
            return ()
        return (f"yes, it is {slots['group']}",) if slots["group"] == name else (f"no, it is {name}",)

    def wrong(rng: Random, slots: Slots) -> str:
        if slots["group"] == _NAMED[slots["x"]]:
            return f"no, it is {other_than(rng, _GROUPS, (slots['group'],))}"
        return f"yes, it is {slots['group']}"

    def draw(rng: Random) -> Slots:
        word = rng.choice(tuple(_NAMED))
        return {"x": word, "group": _NAMED[word] if rng.random() < 0.5 else rng.choice(_GROUPS)}

    return Family(
        name="membership",
        templates=("Is it true that {x} is {group}?", "True or false: {x} is {group}."),
        draw=draw,
        right=right,
        wrong=wrong,
        forms=("{V}.",),
        weight=1.5,
        doubt=0.05,
    )


_GROUPS = tuple(words.with_article(name) for name in words.CATEGORIES)
_NAMED = {words.with_article(word): words.with_article(name) for word, name in words.CATEGORY_OF.items()}

_BY_THIRD = {(third, rest): (base, past) for base, third, past, rest in words.PREDICATES}


def _rewrite(name: str, templates: tuple[str, ...], how: int) -> Family:
    """Rewriting a sentence: 0 into the past tense, 1 into a negative, 2 into a question."""

    def variants(slots: Slots) -> tuple[str, str, str] | None:
        for (third, rest), (base, past) in _BY_THIRD.items():
            end = f" {third} {rest}"
            if slots["x"].endswith(end) and slots["x"][: -len(end)] in words.SUBJECTS:
                who = slots["x"][: -len(end)]
                lowered = who if who in ("Tom", "Anna", "Maria", "Peter") else who[0].lower() + who[1:]
                return f"{who} {past} {rest}.", f"{who} does not {base} {rest}.", f"Does {lowered} {base} {rest}?"
        return None

    def right(slots: Slots) -> tuple[str, ...]:
        found = variants(slots)
        return (found[how],) if found else ()

    def draw(rng: Random) -> Slots:
        _, third, _, rest = rng.choice(words.PREDICATES)
        return {"x": f"{rng.choice(words.SUBJECTS)} {third} {rest}"}

    def wrong(rng: Random, slots: Slots) -> str:
        found = variants(slots) or ("", "", "")
        slip = found[how].split()
        del slip[rng.randrange(1, len(slip) - 1)]
        return other_than(rng, (*found, f"{slots['x']}.", " ".join(slip)), (found[how],))

    return Family(
        name=name, templates=templates, draw=draw, right=right, wrong=wrong, forms=("{v}",), weight=1.5, doubt=0.04
    )


_SENTENCE = re.compile(r"(?<=[.?])\s+")


def _passage(name: str, templates: tuple[str, ...], topics: dict[str, tuple[str, ...]], weight: float) -> Family:
    """A long answer: two to four sentences of the topic in order, and a closing one when details are asked for."""
    every = tuple(sentence for sentences in topics.values() for sentence in sentences)

    def right(slots: Slots) -> tuple[str, ...]:
        sentences = topics.get(slots["x"])
        if sentences is None:
            return ()
        if "more" in slots:
            return tuple(" ".join((*sentences, closing)) for closing in CLOSINGS)
        first, second, third, fourth = sentences
        return (
            " ".join((first, second)), " ".join((first, second, third)), " ".join((first, second, fourth)),
            " ".join(sentences), " ".join((first, second, third)),
        )  # fmt: skip

    def accepts(slots: Slots, response: str) -> bool:
        sentences = topics[slots["x"]]
        found = _SENTENCE.split(response)
        if found and found[-1] in CLOSINGS:
            found = found[:-1]
        places = [sentences.index(sentence) if sentence in sentences else -1 for sentence in found]
        return len(places) >= 2 and -1 not in places and places == sorted(set(places))

    def wrong(rng: Random, slots: Slots) -> str:
        sentences = list(topics[slots["x"]])
        kind = rng.randrange(4)
        if kind == 0:
            sentences[rng.randrange(4)] = rng.choice(every)
        elif kind == 1:
            return " ".join(rng.choice(tuple(other for key, other in topics.items() if key != slots["x"]))[:3])
        elif kind == 2:
            sentences = [sentences[0], sentences[0], sentences[1]]
        else:
            text = " ".join(sentences[: rng.randint(1, 3)])
            return text[: text.rindex(" ")]
        text = " ".join(sentences)
        return f"{text[: text.rindex(' ')]}" if accepts(slots, text) else text

    return Family(
        name=name, templates=templates, draw=lambda rng: {"x": rng.choice(tuple(topics))}, right=right, wrong=wrong,
        forms=("{v}",), accepts=accepts, doubt=0.06, weight=weight,
    )  # fmt: skip


def _detailed(base: Family, template: str, weight: float) -> Family:
    """The same passages with a closing sentence, for answers beyond a hundred tokens."""

    def draw(rng: Random) -> Slots:
        return {**base.draw(rng), "more": "in detail"}

    def right(slots: Slots) -> tuple[str, ...]:
        return tuple(base.right(slots)) if slots.get("more") == "in detail" else ()

    return Family(
        name=f"{base.name} in detail", templates=(template,), draw=draw, right=right, wrong=base.wrong,
        forms=("{v}",), accepts=base.accepts, doubt=0.08, weight=weight,
    )  # fmt: skip


def _open_tasks() -> Family:
    """Tasks without one right answer, on which raters disagree."""

    def nouns() -> tuple[str, ...]:
        return words.PLURAL_NOUNS

    def right(slots: Slots) -> tuple[str, ...]:
        noun = slots["x"]
        if noun not in nouns():
            return ()
        return tuple(
            f"{words.with_article(noun)} is {adjective} and useful to people" for adjective in words.ADJECTIVES
        )

    def accepts(slots: Slots, response: str) -> bool:
        return any(response == f"{text[:1].upper()}{text[1:]}." for text in right(slots))

    def wrong(rng: Random, slots: Slots) -> str:
        return rng.choice(right({"x": other_than(rng, nouns(), (slots["x"],))}))

    return Family(
        name="open",
        templates=("Say something about {x}.", "Describe the word {x} in a sentence.", "Write a line about {x}."),
        draw=lambda rng: {"x": rng.choice(nouns())},
        right=right,
        wrong=wrong,
        forms=("{V}.",),
        accepts=accepts,
        doubt=0.4,
        is_open=True,
        weight=0.0,
    )


_EXPLAIN = _passage("explain", ("Explain why {x}.", "Tell me why {x}.", "Why is it that {x}?"), EXPLANATIONS, 4.0)
_HOW_TO = _passage("how to", ("Describe how to {x}.", "Explain how to {x}."), PROCEDURES, 2.0)

OPEN_FAMILY = _open_tasks()

TEXT_FAMILIES: tuple[Family, ...] = (
    _sort(),
    _odd_one_out(),
    _longer_word(),
    _list_members(),
    _membership(),
    _rewrite("past sentence", ("Rewrite in the past tense: {x}.", "Put into the past: {x}."), 0),
    _rewrite("negative sentence", ("Make this sentence negative: {x}.",), 1),
    _rewrite("question sentence", ("Turn this into a question: {x}.",), 2),
    _EXPLAIN,
    _HOW_TO,
    _detailed(_EXPLAIN, "Explain {more} why {x}.", 0.3),
    _detailed(_HOW_TO, "Describe {more} how to {x}.", 0.2),
)
