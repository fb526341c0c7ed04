"""What comes after a run whose end is recorded: telling whoever is to be told, the last copy, a restart, the policy.

None of it is the run any more. `python -m engine.supervise.aftermath FOLDER --attempt N` takes the keeper's place (the
same process, without the run's marks), keeps a journal of its own (`aftermath-N.jsonl`), and gives way to whoever goes
on with the run in the meantime.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from engine.campaign.spec import RunSpec, read_spec
from engine.errors import PilothouseError
from engine.files import RunFiles
from engine.journal.events import (
    Event,
    PolicyAsked,
    RequestTaken,
    RestartPlanned,
    RestartSettled,
    RunEnded,
    dump_event,
)
from engine.journal.writer import JournalWriter
from engine.logs.sanitise import sanitise, sanitise_block
from engine.supervise import requests
from engine.supervise.attempts import next_attempt
from engine.supervise.census import RUN_MARK
from engine.supervise.commands import aftermath_mark, python_module, unmarked_environment, workspace_root
from engine.supervise.errands import Errands
from engine.supervise.evidence import own_word, recorded_end
from engine.supervise.keeper_journal import KeeperJournal
from engine.supervise.restarts import WATCHDOG, pending_restart

ANSWER_TIMEOUT_S = 60.0
OUTPUT_BYTES = 4096
PAUSE_S = 0.1
AUTHOR_VARIABLE = "PILOTHOUSE_AUTHOR"
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SUBJECTS: Mapping[str, str] = {"failed": "failed", "lost": "lost"}


def is_wanted(spec: RunSpec, state: str, *, restarts: bool) -> bool:
    """Whether anything comes after a run that ended in `state`."""
    asks = spec.policy.auto and state == "succeeded"
    return restarts or asks or spec.notify is not None or spec.sync is not None


def take_over(files: RunFiles, spec: RunSpec, attempt: int, *, going: bool) -> None:
    """Become the aftermath of `attempt`: this process goes on as that, and does not return.

    `going`: it was asked to end (the machine shuts down, perhaps), so that nothing new may be started.
    """
    argv = python_module("engine.supervise.aftermath", workspace_root(files, spec))
    argv += [str(files.folder.resolve()), "--attempt", str(attempt), *(["--going"] if going else [])]
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)  # until it can heed them
    environment = unmarked_environment() | {RUN_MARK: aftermath_mark(spec.run_id)}
    os.execve(argv[0], argv, environment)


class Aftermath:
    """Everything after the end of `attempt`; `told_to_go` is set when this process is asked to end."""

    def __init__(
        self, files: RunFiles, spec: RunSpec, attempt: int, told_to_go: threading.Event, *, going: bool = False
    ) -> None:
        self._files, self._spec, self._attempt = files, spec, attempt
        self._root = workspace_root(files, spec)
        self._told_to_go = told_to_go
        self._going = going
        self._handled = KeeperJournal.answered(files)
        self._journal: JournalWriter | None = None
        with contextlib.suppress(OSError):
            self._journal = JournalWriter(files.aftermath(attempt))
        self._errands = Errands(files, spec, attempt=attempt, root=self._root, report=self._report)

    def _report(self, event: Event) -> None:
        """Append to this attempt's aftermath; where that cannot be written (a full disk), it is not known later."""
        if self._journal is not None:
            with contextlib.suppress(OSError):
                self._journal.append(dump_event(event.model_copy(update={"attempt": self._attempt})), sync=True)

    def run(self, end: RunEnded) -> None:
        """Carry it out, and return once nothing of it is under way."""
        self._errands.notify(SUBJECTS.get(end.state, "ended"), self._facts(end))
        self._errands.final_sync(time.monotonic())
        plan = pending_restart(self._files, self._attempt)
        if plan is not None:
            self._restart(plan)
        elif end.state == "succeeded" and self._spec.policy.auto and not self._is_going():
            self._ask_policy()
        while self._errands.busy and not self._told_to_go.is_set():
            self._pause()
        self._errands.kill_all()
        if self._journal is not None:
            with contextlib.suppress(OSError):
                self._journal.close()

    def _facts(self, end: RunEnded) -> dict[str, object]:
        """What is told of the end; kept and target where the generator has left its own word."""
        facts: dict[str, object] = {"state": end.state, "reason": end.reason}
        word = own_word(self._files, self._attempt)
        if word is not None:
            raised = KeeperJournal.last_target(self._files)
            facts |= {"kept": word.kept, "target": raised or self._spec.target.examples}
        return facts

    def _pause(self) -> None:
        self._errands.tick(time.monotonic())
        time.sleep(PAUSE_S)

    def _is_going(self) -> bool:
        return self._going or self._told_to_go.is_set()

    # --- a restart ---------------------------------------------------------------------------------------------

    def _restart(self, plan: RestartPlanned) -> None:
        """Wait as planned, then do what a person would: `restart RUN --yes`. A request to stop calls it off."""
        due = time.monotonic() + plan.delay_s
        while (settled := self._overtaken()) is None and time.monotonic() < due:
            self._pause()
        if settled is not None:
            self._report(settled)
            return
        argv = [*python_module("engine", self._root), "restart", self._spec.id, "--yes"]
        code, text = self._command(argv, WATCHDOG)
        self._report(RestartSettled(started=code == 0, author=WATCHDOG, detail="" if code == 0 else text))

    def _overtaken(self) -> RestartSettled | None:
        """Why the planned restart is not needed any more; None while it is."""
        if self._is_going():
            return RestartSettled(started=False, detail="its keeper was asked to end by a signal")
        if next_attempt(self._files) - 1 > self._attempt:
            return RestartSettled(started=False, detail="somebody else started the run")
        for request in requests.pending(self._files, self._handled):
            self._handled.add(request.file)
            if request.kind not in ("stop", "stop-now") or request.attempt != self._attempt:
                continue
            author = sanitise(request.author, 128)
            self._report(
                RequestTaken(file=sanitise(request.file, 128), request=sanitise(request.kind, 32), author=author)
            )
            return RestartSettled(started=False, author=author, detail=f"called off by {author or 'a request'}")
        return None

    # --- the policy --------------------------------------------------------------------------------------------

    def _ask_policy(self) -> None:
        """Run `next CAMPAIGN --do --yes`, the command that a person would type."""
        argv = [*python_module("engine", self._root), "next", self._spec.campaign, "--do", "--yes"]
        code, text = self._command(argv, f"policy after {self._spec.id}")
        self._report(PolicyAsked(argv=argv, exit_code=code, output=text))

    def _command(self, argv: list[str], author: str) -> tuple[int | None, str]:
        """Exit code (None: no answer in time, or it could not be started) and what was said, sanitised.

        It is a session of its own and carries no mark of this run: it starts a keeper, which must not go down with
        this process.
        """
        environment = unmarked_environment() | {AUTHOR_VARIABLE: author}
        with tempfile.TemporaryFile() as output:  # no pipe: what it starts may outlive this process
            try:
                process = subprocess.Popen(
                    argv,
                    cwd=self._root,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                return None, sanitise(str(error))
            deadline = time.monotonic() + ANSWER_TIMEOUT_S
            while process.poll() is None and time.monotonic() < deadline:
                self._pause()
            return process.returncode, _tail(output)


def _tail(output: IO[bytes]) -> str:
    size = os.fstat(output.fileno()).st_size
    tail = os.pread(output.fileno(), OUTPUT_BYTES, max(size - OUTPUT_BYTES, 0))
    return sanitise_block(tail.decode("utf-8", "replace").strip())


def main(arguments: list[str] | None = None) -> int:
    """0 once all is done; else the exit code of the error on stderr."""
    parser = argparse.ArgumentParser(prog="python -m engine.supervise.aftermath", description=__doc__)
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--going", action="store_true", help="start nothing new")
    given = parser.parse_args(arguments)
    told_to_go = threading.Event()
    for number in ENDING_SIGNALS:
        signal.signal(number, lambda *_: told_to_go.set())
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    files = RunFiles(given.folder)
    try:
        end = recorded_end(files, given.attempt)
        if end is not None:
            Aftermath(files, read_spec(files), given.attempt, told_to_go, going=given.going).run(end)
    except PilothouseError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
