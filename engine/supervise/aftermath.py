"""What comes after a run whose end is recorded: telling whoever is to be told, the last copy, a restart, the policy.

None of it is the run any more. Its keeper lives on for it, keeps a journal of its own (`aftermath-N.jsonl`), and gives
way to whoever goes on with the run in the meantime.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO

from engine.campaign.spec import RunSpec
from engine.files import RunFiles
from engine.journal.events import Event, PolicyAsked, RequestTaken, RestartPlanned, RestartSettled, dump_event
from engine.journal.writer import JournalWriter
from engine.logs.sanitise import sanitise, sanitise_block
from engine.supervise import requests
from engine.supervise.attempts import next_attempt
from engine.supervise.commands import python_module, unmarked_environment
from engine.supervise.ending import Ending
from engine.supervise.errands import Errands
from engine.supervise.restarts import WATCHDOG, Plan

ANSWER_TIMEOUT_S = 60.0
OUTPUT_BYTES = 4096
PAUSE_S = 0.1
AUTHOR_VARIABLE = "PILOTHOUSE_AUTHOR"
SUBJECTS: Mapping[str, str] = {"failed": "failed", "lost": "lost"}


class Aftermath:
    """Everything after the end of `attempt`. `wait` sleeps until something happens, at most so many seconds,
    and leaves the children it is given uncollected; `told_to_go` says that the keeper was asked to end."""

    def __init__(
        self,
        files: RunFiles,
        spec: RunSpec,
        attempt: int,
        *,
        root: Path,
        errands: Errands,
        handled: set[str],
        wait: Callable[[float, Collection[int]], None],
        told_to_go: Callable[[], bool],
    ) -> None:
        self._files, self._spec, self._attempt, self._root = files, spec, attempt, root
        self._errands, self._handled = errands, handled
        self._wait, self._told_to_go = wait, told_to_go
        self._journal = JournalWriter(files.aftermath(attempt))

    def report(self, event: Event) -> None:
        """Append to this attempt's aftermath; where that cannot be written (a full disk), it is not known later."""
        try:
            self._journal.append(dump_event(event.model_copy(update={"attempt": self._attempt})), sync=True)
        except OSError:
            return

    def run(self, ending: Ending, plan: Plan | None) -> None:
        """Carry it out, and return once nothing of it is under way."""
        self._errands.notify(SUBJECTS.get(ending.state, "ended"), {"state": ending.state, "reason": ending.reason})
        self._errands.final_sync(time.monotonic())
        if plan is not None:
            self._restart(plan)
        elif ending.state == "succeeded" and self._spec.policy.auto:
            self._ask_policy()
        while self._errands.busy and not self._told_to_go():
            self._pause()
        self._errands.kill_all()
        self._journal.close()

    def _pause(self, *children: int) -> None:
        self._errands.tick(time.monotonic())
        self._wait(PAUSE_S, children)

    # --- a restart ---------------------------------------------------------------------------------------------

    def _restart(self, plan: Plan) -> None:
        """Wait as planned, then do what a person would: `restart RUN --yes`. A request to stop cancels it."""
        self.report(RestartPlanned(number=plan.number, most=plan.most, delay_s=plan.delay_s, reason=plan.reason))
        due = time.monotonic() + plan.delay_s
        while time.monotonic() < due:
            settled = self._overtaken()
            if settled is not None:
                self.report(settled)
                return
            self._pause()
        argv = [*python_module("engine", self._root), "restart", self._spec.id, "--yes"]
        code, text = self._command(argv, WATCHDOG)
        self.report(RestartSettled(started=code == 0, author=WATCHDOG, detail="" if code == 0 else text))

    def _overtaken(self) -> RestartSettled | None:
        """Why the planned restart is not needed any more; None while it is."""
        if self._told_to_go():
            return RestartSettled(started=False, detail="the keeper was asked to end by a signal")
        if next_attempt(self._files) - 1 > self._attempt:
            return RestartSettled(started=False, detail="somebody else started the run")
        for request in requests.pending(self._files, self._handled):
            self._handled.add(request.file)
            meant = request.kind in ("stop", "stop-now") and request.attempt == self._attempt
            author = sanitise(request.author, 128)
            self.report(
                RequestTaken(
                    file=sanitise(request.file, 128),
                    request=sanitise(request.kind, 32),
                    author=author,
                    accepted=meant,
                    note="" if meant else "the attempt has ended, and only its restart is left to be stopped",
                )
            )
            if meant:
                return RestartSettled(started=False, author=author, detail=f"cancelled by {author or 'a request'}")
        return None

    # --- the policy --------------------------------------------------------------------------------------------

    def _ask_policy(self) -> None:
        """Run `next CAMPAIGN --do --yes`, the command that a person would type."""
        argv = [*python_module("engine", self._root), "next", self._spec.campaign, "--do", "--yes"]
        code, text = self._command(argv, f"policy after {self._spec.id}")
        self.report(PolicyAsked(argv=argv, exit_code=code, output=text))

    def _command(self, argv: list[str], author: str) -> tuple[int | None, str]:
        """Exit code (None: no answer in time, or it could not be started) and what was said, sanitised.

        It is a session of its own and carries no mark of this run: it starts a keeper, which must not go down with
        this one.
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
                self._pause(process.pid)
            return process.returncode, _tail(output)


def _tail(output: IO[bytes]) -> str:
    size = os.fstat(output.fileno()).st_size
    tail = os.pread(output.fileno(), OUTPUT_BYTES, max(size - OUTPUT_BYTES, 0))
    return sanitise_block(tail.decode("utf-8", "replace").strip())
