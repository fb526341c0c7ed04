"""What comes after a run: with `policy.auto` its keeper asks the policy, by the command a person would type."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from engine.journal.events import PolicyAsked
from engine.logs.sanitise import sanitise_block
from engine.supervise.commands import python_module, unmarked_environment

ANSWER_TIMEOUT_S = 60.0
OUTPUT_BYTES = 4096
AUTHOR_VARIABLE = "PILOTHOUSE_AUTHOR"


def ask_policy(campaign: str, run: str, attempt: int, folder: Path) -> PolicyAsked:
    """Run `next CAMPAIGN --do --yes` in the workspace root `folder` and wait a bounded time for its answer.

    It is a session of its own and carries no mark of this run: it starts the next run's keeper, and must not go
    down with this one. `exit_code` is None when it has not answered in time, or could not be started.
    """
    argv = [*python_module("engine", folder), "next", campaign, "--do", "--yes"]
    environment = unmarked_environment() | {AUTHOR_VARIABLE: f"policy after {campaign}/{run}"}
    with tempfile.TemporaryFile() as output:  # no pipe: what it starts may outlive this process
        code: int | None = None
        try:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code = process.wait(ANSWER_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            output.write(f"{error}\n".encode())
        size = os.fstat(output.fileno()).st_size
        tail = os.pread(output.fileno(), OUTPUT_BYTES, max(size - OUTPUT_BYTES, 0))
    text = sanitise_block(tail.decode("utf-8", "replace").strip())
    return PolicyAsked(attempt=attempt, argv=argv, exit_code=code, output=text)
