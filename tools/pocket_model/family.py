"""What a task family is: templates with slots, right answers, near misses, and how it judges a response."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

Slots = dict[str, str]

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Family:
    """One kind of task.

    `right` returns every right answer value, and nothing when the slots make no sense; so it also says whether an
    instruction is good. `doubt` is the share of labels of the critic corpus that contradict the judge, as raters who
    disagree would: it sets how confident a critic can get. `is_open` marks tasks without one right answer, whose
    instruction the judge calls borderline.
    """

    name: str
    templates: tuple[str, ...]
    draw: Callable[[Random], Slots]
    right: Callable[[Slots], Sequence[str]]
    wrong: Callable[[Random, Slots], str]
    forms: tuple[str, ...] = ("{V}.", "{V}.", "{v}", "It is {v}.")
    doubt: float = 0.03
    weight: float = 1.0
    is_open: bool = False
    accepts: Callable[[Slots, str], bool] | None = None
    patterns: tuple[re.Pattern[str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the templates, once, into patterns that find the slots again."""
        object.__setattr__(self, "patterns", tuple(_compile(template) for template in self.templates))

    def instruction(self, rng: Random, slots: Slots) -> str:
        """The task in words, by one of the templates."""
        return rng.choice(self.templates).format_map(slots)

    def reply(self, rng: Random, slots: Slots) -> str:
        """A right response."""
        return fill(rng.choice(self.forms), rng.choice(self.right(slots)), slots)

    def miss(self, rng: Random, slots: Slots) -> str:
        """A response of the right form with wrong content."""
        return fill(rng.choice(self.forms), self.wrong(rng, slots), slots)

    def is_right(self, slots: Slots, response: str) -> bool:
        """Whether the response is one of the right ones."""
        if self.accepts is not None:
            return self.accepts(slots, response)
        return any(response == fill(form, value, slots) for form in set(self.forms) for value in self.right(slots))

    def match(self, text: str) -> Slots | None:
        """The slots of an instruction of this family, or nothing when it is not one or its slots make no sense."""
        for pattern in self.patterns:
            found = pattern.fullmatch(text)
            if found:
                slots = found.groupdict()
                if self.right(slots):
                    return slots
        return None


def fill(form: str, value: str, slots: Mapping[str, str]) -> str:
    """A response form with its value: `{v}` as it is, `{V}` with a capital first letter, other slots by name."""
    return form.format_map({**slots, "v": value, "V": value[:1].upper() + value[1:]})


def _compile(template: str) -> re.Pattern[str]:
    parts = _SLOT.split(template)
    # `where` may hold several words with another slot right behind it, so it takes as much as it can.
    groups = {name: rf"(?P<{name}>.+{'' if name == 'where' else '?'})" for name in parts[1::2]}
    return re.compile("".join(groups[part] if index % 2 else re.escape(part) for index, part in enumerate(parts)))


def other_than(rng: Random, values: Sequence[str], taken: Sequence[str]) -> str:
    """One of the values that is none of those taken."""
    choices = [value for value in values if value not in taken]
    return rng.choice(choices)


def table_family(
    name: str,
    templates: tuple[str, ...],
    table: Mapping[str, str | tuple[str, ...]],
    *,
    forms: tuple[str, ...] = ("{V}.", "{V}.", "{v}", "It is {v}."),
    doubt: float = 0.03,
    weight: float = 1.0,
) -> Family:
    """A family with one slot `x` that a table answers; near misses are answers of other entries."""
    keys = tuple(table)
    answers = {key: (value,) if isinstance(value, str) else value for key, value in table.items()}
    values = tuple(dict.fromkeys(value for group in answers.values() for value in group))

    def wrong(rng: Random, slots: Slots) -> str:
        return other_than(rng, values, (*answers[slots["x"]], slots["x"]))

    return Family(
        name=name,
        templates=templates,
        draw=lambda rng: {"x": rng.choice(keys)},
        right=lambda slots: answers.get(slots["x"], ()),
        wrong=wrong,
        forms=forms,
        doubt=doubt,
        weight=weight,
    )
