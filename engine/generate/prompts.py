"""Builds prompts from the campaign's few-shots and rubrics. Plain text, completion style, no chat template."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from engine.campaign.loading import Prompts
from engine.errors import ConfigurationError

_NUMBERED = re.compile(r"\s*\d+[.)]\s+(?P<text>\S.*)")
_PLACEHOLDER = re.compile(r"\{(instruction|response)\}")


def fill(template: str, values: dict[str, str]) -> str:
    """`template` with `{instruction}` and `{response}` replaced in one pass: what is put in is never looked at again.

    A placeholder without a value stays as it is.
    """
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group(0)), template)


@dataclass(frozen=True, slots=True)
class ListPrompt:
    """One prompt that continues a numbered list; the model goes on with line `next_number`."""

    text: str
    next_number: int


@dataclass(frozen=True, slots=True)
class PromptBuilder:
    """All four prompts of a run. `examples` are the instructions that the list prompts are drawn from."""

    header: str
    examples: tuple[str, ...]
    shots: int
    response_template: str
    instruction_template: str
    pair_template: str

    @classmethod
    def of(cls, prompts: Prompts, shots: int) -> PromptBuilder:
        """`ConfigurationError` when the instructions file is not a header followed by enough numbered lines."""
        header, examples = _split_list(prompts.instructions.text, prompts.instructions.path)
        if len(examples) < shots:
            raise ConfigurationError(
                f"prompts.instructions: {len(examples)} numbered lines are too few for pipeline.list_shots {shots}",
                where=prompts.instructions.path,
                remedy="add example lines, or lower pipeline.list_shots",
            )
        return cls(
            header=header,
            examples=examples,
            shots=shots,
            response_template=prompts.response.text,
            instruction_template=prompts.instruction_critic.text,
            pair_template=prompts.pair_critic.text,
        )

    def list_prompt(self, seed: int) -> ListPrompt:
        """The header, `shots` examples drawn and shuffled by `seed`, numbered from 1, and the next number."""
        drawn = random.Random(seed).sample(self.examples, self.shots)
        lines = [self.header] if self.header else []
        lines += [f"{number}. {example}" for number, example in enumerate(drawn, start=1)]
        return ListPrompt(text="\n".join(lines) + f"\n{self.shots + 1}.", next_number=self.shots + 1)

    def response_prompt(self, instruction: str) -> str:
        return fill(self.response_template, {"instruction": instruction})

    def instruction_critic_prompt(self, instruction: str) -> str:
        return fill(self.instruction_template, {"instruction": instruction})

    def pair_critic_prompt(self, instruction: str, response: str) -> str:
        return fill(self.pair_template, {"instruction": instruction, "response": response})


def _split_list(text: str, where: str) -> tuple[str, tuple[str, ...]]:
    """Header lines, and the texts of the numbered lines that follow them."""
    header: list[str] = []
    examples: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _NUMBERED.fullmatch(line)
        if match:
            examples.append(match.group("text").strip())
        elif not examples:
            header.append(line)
        elif line.strip():
            raise ConfigurationError(
                "prompts.instructions: a line after the first numbered one has no number",
                where=f"{where}:{number}",
                remedy="write header lines first, then one numbered example a line",
            )
    return "\n".join(header).strip("\n"), tuple(examples)
