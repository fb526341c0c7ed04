"""A child beside the run that its keeper never waits for: its time is limited, and its last words are kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.journal.events import ProcessIdentity
from engine.logs.sanitise import sanitise
from engine.supervise.census import living_stats, with_descendants
from engine.supervise.generator import signal_name
from engine.supervise.identity import identity_from, signal_process
from engine.supervise.log_limit import BLOCK_BYTES, punch_hole

TERMINATE_S = 5.0  # from SIGTERM to SIGKILL
LEFTOVER_S = 10.0  # how long what it left running in its session may outlast it
HOPELESS_S = 10.0  # after SIGKILL: what still lives hangs in the kernel
STEADY_LOOKS = 5
OUTPUT_BYTES = 1 << 20  # of its output no more is kept
WORDS_BYTES = 4096
WORDS_LINES = 3
WORDS_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended, after `seconds`; `detail` is one line, sanitised: why not, or what is odd about it."""

    ok: bool
    detail: str
    seconds: float


class TimedChild:
    """A process in a session of its own, in `folder`, that may take `limit_s` seconds.

    `message` is its standard input. What it prints goes to memory that has no name, so that neither a full disk nor
    this process's end is in its way. `secret` never shows in what is told of it. Times are seconds of one monotonic
    clock. Until it is `gone` it is looked after, and its number, and so its session's, is not given to another.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        limit_s: float,
        now: float,
        message: bytes = b"",
        secret: str = "",
    ) -> None:
        """Start it. Raises `OSError`, or `ValueError` for what cannot be an argument."""
        self._began, self._limit_s, self._secret = now, limit_s, secret
        self._deadline = now + limit_s
        self._output = os.memfd_create("output", os.MFD_CLOEXEC)
        try:
            given = os.memfd_create("input", os.MFD_CLOEXEC)
            try:
                os.pwrite(given, message, 0)
                self._process = subprocess.Popen(
                    argv,
                    cwd=folder,
                    env=environment,
                    stdin=given,
                    stdout=self._output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            finally:
                os.close(given)
        except BaseException:
            os.close(self._output)
            raise
        self.pid = self._process.pid
        self.gone = False
        self.told = False
        self._ended: float | None = None
        self._pressed: float | None = None
        self._known: dict[int, ProcessIdentity] = {}

    def look(self, now: float) -> Outcome | None:
        """Do what is due; how it ended, told once. One that even SIGKILL cannot end is told of, and is not `gone`."""
        if self.gone:
            return None
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else collected it, and its number may be another's already
            self._let_go(0)
            return self._tell(Outcome(False, "it ended, and nobody saw how", self._seconds(now)))
        self._trim()
        if ended and self._ended is None:
            self._ended = now
            self._deadline = min(self._deadline, now + LEFTOVER_S)
        if not ended and now < self._deadline:
            return None
        members = self._members()
        if ended and not members:
            _, status = os.waitpid(self.pid, 0)
            outcome = self._judge(os.waitstatus_to_exitcode(status), now)
            self._let_go(status)
            return self._tell(outcome)
        if now >= self._deadline:
            self._press(members, now)
        if self._pressed is not None and now >= self._pressed + TERMINATE_S + HOPELESS_S:
            return self._tell(Outcome(False, f"{self._late()}, and SIGKILL does not end it", self._seconds(now)))
        return None

    def abandon(self, now: float) -> Outcome | None:
        """SIGKILL to all of it, and let go; the outcome, unless it was told."""
        if self.gone:
            return None
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # its number is still its own
            self._kill()
        outcome = Outcome(False, _joined("given up at its keeper's end", self._words()), self._seconds(now))
        self._let_go(signal.SIGKILL)
        return self._tell(outcome)

    # --- its end -----------------------------------------------------------------------------------------------

    def _members(self) -> list[ProcessIdentity]:
        """Who lives of its session, its group and its descendants, those of earlier looks included."""
        stats = living_stats()
        found = {pid for pid, stat in stats.items() if self.pid in (pid, stat.session, stat.group)}
        found |= {p for p, who in self._known.items() if p in stats and stats[p].start_ticks == who.start_ticks}
        self._known = {pid: identity_from(stats[pid]) for pid in with_descendants(stats, found)}
        return list(self._known.values())

    def _press(self, members: list[ProcessIdentity], now: float) -> None:
        if self._pressed is None:
            self._pressed = now
            for identity in members:
                signal_process(identity, signal.SIGTERM)
        elif now >= self._pressed + TERMINATE_S:
            self._kill()

    def _kill(self) -> None:
        """SIGKILL to all; stopped first until no look finds more, so that none starts another that gets away."""
        members: list[ProcessIdentity] = []
        for _ in range(STEADY_LOOKS):
            before, members = members, self._members()
            self._signal(members, signal.SIGSTOP)
            if members == before:
                break
        self._signal(members, signal.SIGKILL)

    def _signal(self, members: list[ProcessIdentity], number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        for identity in members:
            signal_process(identity, number)

    def _judge(self, code: int, now: float) -> Outcome:
        late = self._pressed is not None and (self._ended is None or self._ended >= self._pressed)
        if late:
            return Outcome(False, _joined(self._late(), self._words()), self._seconds(now))
        if code == 0:
            leftovers = "what it left running was ended" if self._pressed is not None else ""
            return Outcome(True, leftovers, self._seconds(now))
        how = f"exit code {code}" if code > 0 else f"killed by {signal_name(-code)}"
        return Outcome(False, _joined(how, self._words()), self._seconds(now))

    def _late(self) -> str:
        minutes = self._limit_s / 60
        return f"took longer than {f'{minutes:g} min' if minutes > 1 else f'{self._limit_s:g} s'}"

    def _seconds(self, now: float) -> float:
        return round((self._ended if self._ended is not None else now) - self._began, 3)

    def _tell(self, outcome: Outcome) -> Outcome | None:
        told, self.told = self.told, True
        return None if told else outcome

    def _let_go(self, status: int) -> None:
        self._process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self._output)
        self.gone = True

    # --- what it prints ----------------------------------------------------------------------------------------

    def _trim(self) -> None:
        """Give the oldest of much output back; the file keeps its length, and the child never notices."""
        status = os.fstat(self._output)
        if status.st_blocks * BLOCK_BYTES > OUTPUT_BYTES:
            with contextlib.suppress(OSError):
                punch_hole(self._output, 0, status.st_size - OUTPUT_BYTES // 2)

    def _words(self) -> str:
        """The end of what it printed, on one line."""
        size = os.fstat(self._output).st_size
        hidden = len(self._secret.encode("utf-8", "surrogateescape"))
        start = max(size - WORDS_BYTES - hidden, 0)
        text = os.pread(self._output, WORDS_BYTES + hidden, start).decode("utf-8", "surrogateescape")
        if self._secret:
            text = text.replace(self._secret, "…")
        if start:
            text = text[hidden:]  # which may be the rest of a secret that begins before
        lines = (sanitise(line, WORDS_LIMIT).strip() for line in text.split("\n"))
        return " | ".join([line for line in lines if line][-WORDS_LINES:])


def _joined(how: str, words: str) -> str:
    return f"{how}: {words}" if words else how
