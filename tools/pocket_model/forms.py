"""The prompt forms of the corpus; the files of `configs/prompts/demo/` repeat them word for word."""

from __future__ import annotations

LIST_HEADER = "Short tasks for a language model:"

INSTRUCTION_RUBRIC = "Is the task clear, complete and possible? A = yes, B = no."
PAIR_RUBRIC = "Does the response do the task correctly? A = yes, B = no."

DELIMITER = "###END###"
END_OF_TEXT = "<|endoftext|>"

LABELS = ("A", "B")


def list_line(number: int, text: str) -> str:
    """One numbered line of a list."""
    return f"{number}. {text}"


def block(instruction: str, response: str) -> str:
    """One worked example."""
    return f"Instruction: {instruction}\nResponse: {response}"


def instruction_critic_prompt(instruction: str) -> str:
    """What precedes the label of an instruction."""
    return f"{INSTRUCTION_RUBRIC}\nInstruction: {instruction}\nLabel:"


def pair_critic_prompt(instruction: str, response: str) -> str:
    """What precedes the label of a pair."""
    return f"{PAIR_RUBRIC}\n{block(instruction, response)}\nLabel:"
