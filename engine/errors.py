"""Errors a person can act on: what is wrong, where, what to do, and the exit code that belongs to it."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_REFUSED = 4
EXIT_RUN_FAILED = 5
EXIT_GATE_FAIL = 10
EXIT_GATE_UNDECIDED = 11
EXIT_INTERRUPTED = 130


class PilothouseError(Exception):
    """Base of every error that is meant for a person; shown without a traceback.

    `what` says what is wrong, `where` names the file, key or line, `remedy` says what to do about it.
    """

    exit_code = EXIT_USAGE

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.remedy:
            lines.append(f"  to do: {self.remedy}")
        return "\n".join(lines)


class ConfigurationError(PilothouseError):
    """A campaign file, an option or an argument is wrong (exit 2)."""

    exit_code = EXIT_USAGE


class NotFoundError(PilothouseError):
    """A campaign, run, folder or file that was named does not exist (exit 3)."""

    exit_code = EXIT_NOT_FOUND


class RefusedError(PilothouseError):
    """The request is well formed but must not be carried out now: budget, gate, claim, GPU held (exit 4)."""

    exit_code = EXIT_REFUSED


class RunFailedError(PilothouseError):
    """A run that was waited for, or the generator itself, failed (exit 5)."""

    exit_code = EXIT_RUN_FAILED
