"""Processes that belong to nobody's run: each writes down every signal that it gets."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.processes import Process, process
from tests.waiting import wait_until

# All signals that can be caught are blocked and waited for, so that none is lost and none kills.
_RECORDER = """
import os, signal, sys, time
everything = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
signal.pthread_sigmask(signal.SIG_BLOCK, everything)
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(out, b"ready\\n")
while True:
    caught = signal.sigwaitinfo(everything)
    os.write(out, f"signal {caught.si_signo} from {caught.si_pid}\\n".encode())
"""


@dataclass(frozen=True)
class Bystander:
    process: Process
    notes: Path

    def complaints(self) -> list[str]:
        """What was ever done to it."""
        said = self.notes.read_text().splitlines()[1:]
        if not self.process.alive:
            said.append("died")
        if self.process.suspended:
            said.append("was suspended")
        return [f"{self.process.role} (pid {self.process.pid}): {what}" for what in said]


@contextmanager
def bystanders(folder: Path, program: str) -> Iterator[tuple[Bystander, ...]]:
    """Three of them: one in a session of its own, one of another run, one with the program name `program`."""
    marked = os.environ | {"PILOTHOUSE_RUN": str(uuid.uuid4()), "PILOTHOUSE_RUN_DIR": str(folder / "another-run")}
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PILOTHOUSE_")}
    wanted = [
        ("the stranger", "recorder.py", plain),
        ("the process of another run", "recorder.py", marked),
        ("the namesake", program, plain),
    ]
    started: list[subprocess.Popen[bytes]] = []
    found = []
    try:
        for number, (role, name, environment) in enumerate(wanted):
            script = folder / str(number) / name
            script.parent.mkdir(parents=True)
            script.write_text(_RECORDER)
            notes = folder / str(number) / "signals"
            # No `-P`, no module: the command line looks like that of a misbehaving program.
            child = subprocess.Popen(
                [sys.executable, "-S", str(script), str(notes)], cwd=folder, env=environment, start_new_session=True
            )
            started.append(child)
            wait_until(notes.exists, what=f"{role}")
            found.append(Bystander(process(child.pid, role), notes))
        for bystander in found:
            wait_until(bystander.notes.read_text, what=f"{bystander.process.role} to listen")
        yield tuple(found)
    finally:
        for child in started:
            child.kill()
            child.wait()
