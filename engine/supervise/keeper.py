"""The keeper of one run: `python -m engine.supervise.keeper FOLDER --attempt N …`, started detached by `launch`.

It is the generator's parent and the only one that signals it. It survives its starter and the terminal, inherits
the run's orphans, and ends when the run's end is recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from engine.campaign.spec import read_spec
from engine.errors import PilothouseError
from engine.files import RunFiles, storage_error
from engine.supervise.aftermath import is_wanted, take_over
from engine.supervise.charge import Charge
from engine.supervise.commands import workspace_root
from engine.supervise.custody import Custody
from engine.supervise.engines.users import adopt_orphan
from engine.supervise.idle import start_idle_watch
from engine.supervise.ladder import GRACE_S

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Have orphaned descendants reparented to this process, so that they stay findable."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def restore_signals() -> None:
    """Undo what was inherited: children inherit ignored and blocked signals, and `nohup`, cron or a shell's `&`
    ignore SIGINT, by which the generator is asked to stop."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def catch_signals(custody: Custody) -> None:
    """SIGTERM and SIGINT stop the run gracefully; a hung-up terminal is nothing to a keeper.

    Handlers, unlike ignored signals, are not inherited.
    """

    def ending(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        custody.signals += 1

    def nothing(number: int, frame: FrameType | None) -> None:
        pass

    signal.signal(signal.SIGTERM, ending)
    signal.signal(signal.SIGINT, ending)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, nothing)


def keep(files: RunFiles, charge: Charge) -> None:
    """Keep the run to its end, then see to what comes after it."""
    spec = read_spec(files)
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    custody = Custody(files, spec, charge, wakeup=reader)
    catch_signals(custody)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    ending = custody.run()
    if custody.record.engine:  # where nobody looks, nobody else would end an engine whose keeper was killed meanwhile
        adopt_orphan(files.neighbour(custody.record.engine), charge.author)
    start_idle_watch(workspace_root(files, spec), spec.campaign, spec.budget.on_idle, charge.author)
    if is_wanted(spec, ending.state, restarts=custody.plan is not None):
        take_over(files, spec, charge.attempt, going=custody.signals > 0)


def parsed(arguments: list[str]) -> tuple[RunFiles, Charge]:
    parser = argparse.ArgumentParser(prog="python -m engine.supervise.keeper", description=__doc__)
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--author", default="")
    parser.add_argument("--adopt", type=int, default=0, metavar="K", help="take over; the K-th keeper to do so")
    parser.add_argument("--examples", type=int, default=None, help="raise the target")
    parser.add_argument("--max-candidates", type=int, default=None)
    parser.add_argument("--budget-left", type=float, default=None, metavar="USD", help="stop when this is spent")
    parser.add_argument("--grace", type=float, default=GRACE_S, metavar="SECONDS")
    parser.add_argument("--engine", default="", metavar="NAME", help="the kept engine that the run attaches to")
    given = parser.parse_args(arguments)
    charge = Charge(
        attempt=given.attempt,
        author=given.author,
        adoption=given.adopt,
        examples=given.examples,
        max_candidates=given.max_candidates,
        budget_left=given.budget_left,
        grace_s=given.grace,
        engine=given.engine,
    )
    return RunFiles(given.folder), charge


def main(arguments: list[str] | None = None) -> int:
    """0 when the run's end was recorded, whatever it was; else the exit code of the error on stderr."""
    files, charge = parsed(sys.argv[1:] if arguments is None else arguments)
    restore_signals()
    with contextlib.suppress(OSError):  # another kernel's limits: orphans are still found by their marks
        become_subreaper()
    try:
        keep(files, charge)
    except PilothouseError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        refused = storage_error(error, error.filename or files.folder)
        sys.stderr.write(f"{refused}\n")
        return refused.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
