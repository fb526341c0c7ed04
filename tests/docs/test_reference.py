"""What the documentation says of keys, commands, exit codes and settings is what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from engine import errors
from engine.cli import app
from tools.reference import PAGES, renewed
from tui.actions import ACTIONS, in_scope
from tui.settings import VARIABLES, Settings

ROOT = Path(__file__).parents[2]
SCREEN = ROOT / "docs" / "screen.md"


@pytest.mark.parametrize("page", PAGES)
def test_what_is_made_from_the_code_is_as_the_code_has_it(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "made by make reference" in text
    assert text == renewed(text), "`make reference` renews it"


def test_every_key_stands_in_the_documentation() -> None:
    text = SCREEN.read_text(encoding="utf-8")
    for action in ACTIONS:
        assert re.search(rf"^\| `{re.escape(action.shown)}` \| .*\| {re.escape(action.help)} \|$", text, re.MULTILINE)


def test_the_dashboards_first_keys_stand_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for action in in_scope("dashboard"):
        assert (f"| `{action.shown}` | {action.help} |" in text) == (action.footer is not None), action.id


def test_a_part_that_has_fallen_behind_is_renewed_and_nothing_else_is_touched() -> None:
    text = "before\n\n<!-- keys: made by make reference -->\n\n| `z` | gone |\n\n<!-- end -->\n\nafter\n"
    new = renewed(text)
    assert "| `z` |" not in new
    assert all(action.help in new for action in ACTIONS)
    assert new.startswith("before\n\n<!-- keys")
    assert new.endswith("<!-- end -->\n\nafter\n")
    assert renewed(new) == new


def test_every_command_and_option_stands_in_the_documentation() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")

    def look(path: str, command: Any) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            look(f"{path} {name}", inner)
        if not hasattr(command, "commands"):
            (section,) = re.findall(rf"^### `{path}(?: [^\n]*)?`\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
            for option in command.params:
                if option.param_type_name == "option" and not option.hidden:
                    assert all(spelled in section for spelled in option.opts), (path, option.opts)

    look("pilothouse", typer.main.get_command(app))


def test_every_exit_code_stands_in_the_documentation() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == codes


def test_every_setting_stands_in_the_documentation() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+?) \|", SCREEN.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, _, _ in rows} == set(Settings.model_fields)
    assert {variable: name for name, variable, _ in rows} == {each: name for each, (name, _) in VARIABLES.items()}
    defaults = {name: default.strip("`") for name, _, default in rows}
    settings = Settings()
    assert float(defaults["refresh_per_second"]) == settings.refresh_per_second
    assert defaults["notify"] == ", ".join(settings.notify)
