"""`python -m engine.generate` as a real process, and what it left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.files import RunFiles
from engine.journal.events import parse_event
from engine.journal.reader import JournalReader

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = ("--count", "40", "--seed", "7")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "engine.generate", *map(str, arguments)]


def run(*arguments: object, prepare: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=prepare,
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(command(*arguments), cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)


def events(folder: Path) -> list[Any]:
    return [parse_event(value) for value in JournalReader(RunFiles(folder).generator_journal).read_new()]


def records_in(folder: Path) -> int:
    path = RunFiles(folder).records
    return path.read_bytes().count(b"\n") if path.exists() else 0
