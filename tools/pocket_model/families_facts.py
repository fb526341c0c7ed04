"""Families whose answers stand in a table: capitals, opposites, plurals, colours, translations, definitions, ..."""

from __future__ import annotations

from random import Random

from . import facts, words
from .family import Family, Slots, other_than, table_family
from .passages import DEFINITIONS

_BARE = ("{V}.", "{V}.", "{v}")

_COUNTRY_OF = {capital: country for country, capital in facts.CAPITALS.items()}
_TASKS_OF_JOBS = {job: task for task, job in facts.JOBS.items()}


def _translation() -> Family:
    """Words into French or Spanish; a near miss is the other language or another word."""

    def right(slots: Slots) -> tuple[str, ...]:
        word = words.TRANSLATIONS.get(slots["language"], {}).get(slots["x"])
        return (word,) if word else ()

    def wrong(rng: Random, slots: Slots) -> str:
        table = words.TRANSLATIONS[slots["language"]]
        other = words.TRANSLATIONS["Spanish" if slots["language"] == "French" else "French"]
        near = (other[slots["x"]], rng.choice(tuple(table.values())), rng.choice(tuple(table.values())))
        return other_than(rng, (*near, "perro", "chien"), (table[slots["x"]],))

    def draw(rng: Random) -> Slots:
        language = rng.choice(tuple(words.TRANSLATIONS))
        return {"language": language, "x": rng.choice(tuple(words.TRANSLATIONS[language]))}

    return Family(
        name="translation",
        templates=(
            "Translate the word {x} into {language}.",
            "What is the {language} word for {x}?",
            "Say {x} in {language}.",
        ),
        draw=draw,
        right=right,
        wrong=wrong,
        forms=_BARE,
        weight=2.0,
    )


def _definition() -> Family:
    """Definitions; a near miss defines another word."""
    return table_family(
        "definition",
        ("Define the word {x}.", "What does the word {x} mean?", "Explain in one sentence what {x} means."),
        DEFINITIONS,
        forms=("It is {v}.", "{V}.", "The word means {v}."),
        doubt=0.06,
        weight=1.5,
    )


FACT_FAMILIES: tuple[Family, ...] = (
    table_family(
        "capital",
        ("Name the capital of {x}.", "What is the capital of {x}?", "Which city is the capital of {x}?"),
        facts.CAPITALS,
        weight=1.5,
    ),
    table_family(
        "country",
        ("{x} is the capital of which country?", "Which country has {x} as its capital?"),
        _COUNTRY_OF,
        forms=_BARE,
        weight=1.2,
    ),
    table_family(
        "continent",
        ("On which continent is {x}?", "Name the continent of {x}."),
        facts.CONTINENTS,
        forms=("{V}.", "{v}", "In {v}."),
    ),
    table_family("language", ("Which language do people speak in {x}?",), facts.LANGUAGES, forms=_BARE, doubt=0.22),
    table_family(
        "opposite",
        ("Give the opposite of {x}.", "What is the opposite of {x}?", "Find a word that means the opposite of {x}."),
        words.OPPOSITES,
        forms=_BARE,
        weight=1.5,
    ),
    table_family(
        "synonym",
        ("Give another word for {x}.", "Which word means the same as {x}?"),
        words.SYNONYMS,
        forms=_BARE,
        doubt=0.08,
    ),
    table_family(
        "plural",
        ("Give the plural of {x}.", "What is the plural of {x}?", "Write the plural form of {x}."),
        {noun: words.plural_of(noun) for noun in words.PLURAL_NOUNS},
        forms=_BARE,
        weight=1.5,
    ),
    table_family(
        "past tense",
        ("Give the past tense of {x}.", "What is the past tense of the verb {x}?"),
        words.PAST_TENSES,
        forms=_BARE,
        weight=1.5,
    ),
    table_family("colour", ("What colour is {x}?", "Name the colour of {x}."), facts.COLOURS, doubt=0.15),
    table_family(
        "young", ("What is a young {x} called?", "Name the young of a {x}."), facts.YOUNG,
        forms=("A {v}.", "{V}.", "{v}"),
    ),
    table_family(
        "sound", ("Which sound does a {x} make?", "Name the sound of a {x}."), facts.SOUNDS,
        forms=("A {v}.", "{V}.", "{v}"), doubt=0.2,
    ),
    table_family(
        "home", ("Where does a {x} live?", "Name the home of a {x}."), facts.HOMES,
        forms=("In a {v}.", "A {v}.", "{v}"), doubt=0.32,
    ),
    table_family("job", ("Who {x}?", "Name a person who {x}."), facts.JOBS, forms=_BARE, doubt=0.06),
    table_family(
        "work", ("What does {x} do?", "Describe the work of {x}."), _TASKS_OF_JOBS,
        forms=("This person {v}.", "Someone who {v}."), doubt=0.18,
    ),
    table_family("use", ("What do you need to {x}?", "Name a thing used to {x}."), facts.USES, forms=_BARE, doubt=0.25),
    table_family(
        "element", ("What is the chemical symbol for {x}?", "Give the chemical symbol of {x}."), facts.ELEMENTS,
        forms=("{v}", "{v}.", "The symbol is {v}."),
    ),
    table_family("blank", ("Fill in the blank: {x}",), facts.BLANKS, forms=("{v}", "{V}.", "The word is {v}.")),
    table_family(
        "rhyme",
        ("Name a word that rhymes with {x}.", "Give a rhyme for {x}.", "Which word rhymes with {x}?"),
        words.RHYMES_OF,
        forms=_BARE,
        doubt=0.12,
        weight=1.2,
    ),
    table_family(
        "category",
        ("What kind of thing is {x}?", "Name the group that {x} belongs to."),
        {words.with_article(word): words.with_article(name) for word, name in words.CATEGORY_OF.items()},
        forms=("{V}.", "It is {v}."),
        doubt=0.05,
        weight=1.5,
    ),
    _translation(),
    _definition(),
)  # fmt: skip
