"""The house's rule on imports, looked at from outside: each module alone in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "engine").rglob("*.py")
    if path.name != "__main__.py" and "models" not in path.relative_to(ROOT / "engine").parts[:1]
)
HEAVY = ("ctranslate2", "tokenizers", "numpy", "httpx", "pynvml", "torch", "vllm", "psutil", "asyncio")


def loaded_by(statement: str) -> set[str]:
    """Top-level names in `sys.modules` after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(result.stdout.split())


@pytest.mark.slow
def test_no_engine_module_loads_a_screen() -> None:
    """All at once, then (only if that fails) one by one to name the culprit."""
    banned = {"tui", "textual", "rich"}
    everything = "\n".join(f"import {module}" for module in MODULES)
    if loaded_by(everything) & banned:
        culprits = [module for module in MODULES if loaded_by(f"import {module}") & banned]
        pytest.fail(f"load a screen: {culprits}")


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--json"], ["gate", "--help"]])
def test_looking_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import os; os.chdir({str(tmp_path)!r})\n"
        f"from tui.__main__ import main\nsys.argv = ['pilothouse', *{arguments!r}]\n"
        "try:\n    code = main()\nexcept SystemExit as end:\n    code = end.code\nassert not code, code"
    )
    names = loaded_by(code)
    assert not names & {*HEAVY, "textual", "rich"}, names & {*HEAVY, "textual", "rich"}
