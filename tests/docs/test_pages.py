"""What the documentation names exists: pages, files, commands, targets, modules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from engine.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")), key=str)
NAMED_PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`|^    (.+)$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s(])(?:\.venv/bin/)?pilothouse((?: +[a-z][a-z-]*)*)")
MAKE = re.compile(r"(?:^|[\s(])make ([a-z-]+)")
MODULE = re.compile(r"python -m ([a-z_.0-9]+)")
FILE = re.compile(r"(?:engine|tui|tests|tools|configs|docs|benchmarks)/[\w./-]*")


def code_of(page: Path) -> list[str]:
    """What stands in backquotes or in an indented block."""
    return [one or other for one, other in CODE.findall(page.read_text(encoding="utf-8"))]


def anchors_of(page: Path) -> set[str]:
    """What its headings are called in a link."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_pages_to_look_at() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "screen.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", NAMED_PAGES)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(linked), target


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = set(LINK.findall(index.read_text(encoding="utf-8")))
    assert {page.name for page in index.parent.glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize("page", NAMED_PAGES)
def test_every_command_that_is_named_exists(page: Path) -> None:
    for code in code_of(page):
        for words in COMMAND.findall(code):
            known: Any = typer.main.get_command(app)
            for word in words.split():
                if not hasattr(known, "commands"):
                    break  # an argument
                assert word in known.commands, code
                known = known.commands[word]


@pytest.mark.parametrize("page", NAMED_PAGES)
def test_every_target_of_make_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for code in code_of(page):
        assert set(MAKE.findall(code)) <= targets, code


@pytest.mark.parametrize("page", NAMED_PAGES)
def test_every_module_and_file_that_is_named_exists(page: Path) -> None:
    for code in code_of(page):
        for module in MODULE.findall(code):
            path = ROOT.joinpath(*module.split("."))
            assert path.is_dir() or path.with_suffix(".py").is_file() or module in ("venv", "pytest", "pip"), code
        if FILE.fullmatch(code):
            assert (ROOT / code).exists(), code


def test_the_hooks_before_a_commit_are_those_of_make_check() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    checks = {line.strip().replace("$(BIN)/", ".venv/bin/").removesuffix(" .") for line in recipe.splitlines()}
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {hook["entry"] for repository in configuration["repos"] for hook in repository["hooks"]} == checks


def test_the_workflow_does_what_must_hold_before_anything_lands() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert "bash .ci/run" in [step.get("run") for step in workflow["jobs"]["ci"]["steps"]]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
