"""The parts of README and docs that are made from the code: `python -m tools.reference` renews them in place.

A part stands between `<!-- NAME: made by make reference -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from engine.cli import app
from tui.actions import in_scope, key_table

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/screen.md", "docs/command-line.md")

_MADE = "made by make reference"
_PART = re.compile(rf"^<!-- ([a-z ]+): {_MADE} -->\n.*?^<!-- end -->$", re.MULTILINE | re.DOTALL)


def first_keys() -> str:
    """The keys that the dashboard's footer shows, in its order, as a Markdown table."""
    shown = sorted(
        (action for action in in_scope("dashboard") if action.footer is not None),
        key=lambda action: action.footer or 0,
    )
    return "\n".join(["| key | does |", "|---|---|", *(f"| `{action.shown}` | {action.help} |" for action in shown)])


def command_reference() -> str:
    """Every command with its help and options, as Markdown."""
    return "\n\n".join(_commands("pilothouse", typer.main.get_command(app)))


def _commands(path: str, command: Any) -> Iterator[str]:
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        whole = f"{path} {name}"
        if hasattr(inner, "commands"):
            yield from _commands(whole, inner)
            continue
        arguments = [each for each in inner.params if each.param_type_name == "argument"]
        options = [each for each in inner.params if each.param_type_name == "option" and not each.hidden]
        usage = " ".join([whole, *(each.metavar for each in arguments), *(["[OPTIONS]"] if options else [])])
        rows = [f"| `{_spelled(option)}` | {option.help}{_further(option)} |" for option in options]
        table = ["| option | does |", "|---|---|", *rows] if rows else []
        yield "\n".join([f"### `{usage}`", "", inner.help, *([""] if table else []), *table])


def _spelled(option: Any) -> str:
    *_, longest = names = sorted(option.opts, key=len)
    value = "" if option.is_flag else f" {option.metavar or longest.lstrip('-').upper()}"
    return " / ".join([", ".join(names), *option.secondary_opts]) + value


def _further(option: Any) -> str:
    if option.required:
        return " (required)"
    return f" (default: {option.default})" if option.default and not option.is_flag else ""


PARTS: dict[str, Callable[[], str]] = {
    "keys": key_table,
    "first keys": first_keys,
    "commands": command_reference,
}


def renewed(text: str) -> str:
    """`text` with every part that is made from the code as the code has it now."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- {found[1]}: {_MADE} -->\n\n{PARTS[found[1]]()}\n\n<!-- end -->"

    return _PART.sub(part, text)


def main() -> int:
    for page in PAGES:
        path = ROOT / page
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
