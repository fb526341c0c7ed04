"""Speaking to a person on a terminal or into a pipe: every line sanitised, questions only where someone can answer."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import Any

import typer

from engine.errors import RefusedError
from engine.logs.sanitise import sanitise
from engine.report.formatting import duration, money


class CommandEnd(Exception):
    """Ends a command with an exit code and no message."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def make_streams_safe() -> None:
    """Printing must never break a command: a closed stream swallows, a narrow encoding shows `?` for what it lacks."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _clean(text: str) -> str:
    return "\n".join(sanitise(line) for line in text.split("\n"))


def paper_width() -> int | None:
    """Cells in a line of the terminal that stdout is; None for a file or a pipe, which have no end of a line."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str) -> None:
    """Print to stdout, line by line as it comes."""
    typer.echo(_clean(text))
    sys.stdout.flush()


def note(text: str) -> None:
    """Print to stderr what accompanies a command without being its result."""
    typer.echo(_clean(text), err=True)


def complain(text: str) -> None:
    """Print an error to stderr, under the program's name."""
    note(f"pilothouse: {text}")


def say_json(value: Any) -> None:
    """Print JSON to stdout, in ASCII: escapes in it are text."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False))


def consent(question: str, *, yes: bool) -> None:
    """Ask on a terminal; `RefusedError` without one (unless `yes`), or when the answer is no."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(f"would ask: {question}", remedy="there is no terminal to ask on: pass --yes to go on")
    if not typer.confirm(_clean(question), default=False, err=True):
        raise RefusedError("not done: the answer was no", remedy="nothing was started or changed")


def forecast_text(cost_usd: float | None, duration_s: float | None = None, basis: str | None = None) -> str:
    """`forecast cost $1.90, 12:30 (as pilot: 0.4 examples/s)`."""
    text = f"forecast cost {money(cost_usd)}"
    text += f", {duration(duration_s)}" if duration_s is not None else ""
    return text + (f" ({basis})" if basis else "")
