"""Every living process that is proven to belong to one run.

Proof is any of: its environment holds the run's mark; it writes its output into the run's log; it descends from a
process of the run, or from the keeper, which adopts orphans as a child subreaper; it is in the generator's process
group or session while the generator's pid cannot have been reused; it was proven before, by this keeper or by one that
was killed since, and is the same process still.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.journal.events import ProcessIdentity
from engine.supervise.identity import PROC, ProcessStat, identity_from, is_alive, read_stat

RUN_MARK = "PILOTHOUSE_RUN"
FOLDER_MARK = "PILOTHOUSE_RUN_DIR"
KEEP_ENVIRONMENT = "SPT_NOENV"  # setproctitle, as vLLM's engine core uses it, wipes the environment without this
MARKS = (RUN_MARK, FOLDER_MARK, KEEP_ENVIRONMENT)


def living_stats() -> dict[int, ProcessStat]:
    """Stat of every living process that this pid namespace shows, by pid."""
    stats = (read_stat(int(name)) for name in os.listdir(PROC) if name.isdecimal())
    return {stat.pid: stat for stat in stats if stat is not None and stat.living}


def is_marked(pid: int, run_id: str) -> bool:
    """Whether the environment that `pid` was started with holds the mark of the run `run_id`."""
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:  # gone, or another user's
        return False
    return f"{RUN_MARK}={run_id}".encode() in environment.split(b"\0")


def writes_to(pid: int, log: os.stat_result | None) -> bool:
    """Whether stdout or stderr of `pid` goes into that file: only what the run started was given it."""
    if log is None:
        return False
    for descriptor in (1, 2):
        try:
            found = os.stat(PROC / str(pid) / "fd" / str(descriptor))
            if (found.st_dev, found.st_ino) != (log.st_dev, log.st_ino):
                continue
            information = (PROC / str(pid) / "fdinfo" / str(descriptor)).read_text()
        except OSError:  # closed, gone, or another user's
            continue
        flags = next((line for line in information.splitlines() if line.startswith("flags:")), "flags: 0")
        if int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY:
            return True
    return False


def marked_processes(run_id: str, log: Path | None = None) -> list[ProcessIdentity]:
    """Every living process of this user that carries the mark of the run `run_id`, keepers included, or writes into
    its `log`."""
    file = stat_of(log)
    return [
        identity_from(stat)
        for stat in living_stats().values()
        if is_marked(stat.pid, run_id) or writes_to(stat.pid, file)
    ]


def stat_of(path: Path | None) -> os.stat_result | None:
    try:
        return os.stat(path) if path is not None else None
    except OSError:
        return None


def with_descendants(stats: dict[int, ProcessStat], roots: Iterable[int]) -> set[int]:
    """`roots` and all that descends from them in `stats`."""
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    found: set[int] = set()
    frontier = list(roots)
    while frontier:
        pid = frontier.pop()
        if pid not in found:
            found.add(pid)
            frontier.extend(children.get(pid, ()))
    return found


class RunProcesses:
    """The living processes of the run `run_id`, its keeper (this process) and the keeper's helpers left out.

    `leader` is the generator. As long as `leader_is_held` says so it is a child that was not collected, which keeps its
    pid, and so its group's number, from being reused. `log` is the run's. `helpers` names children of the keeper that
    are not the run's; whoever is in a helper's session is left out, too. `known` were proven by an earlier keeper.
    """

    def __init__(
        self,
        run_id: str,
        *,
        leader: ProcessIdentity | None = None,
        leader_is_held: Callable[[], bool] = lambda: False,
        log: Path | None = None,
        helpers: Callable[[], Iterable[int]] = tuple,
        known: Iterable[ProcessIdentity] = (),
    ) -> None:
        self.run_id = run_id
        self._log = log
        self.leader = leader
        self.leader_is_held = leader_is_held
        self._helpers = helpers
        self._known = {identity.pid: identity for identity in known if is_alive(identity)}

    def scan(self) -> list[ProcessIdentity]:
        """Who lives now. Costs one look at every process of the machine (some ten milliseconds)."""
        stats = living_stats()
        helpers = set(self._helpers())
        outside = {os.getpid(), *helpers} | {pid for pid, stat in stats.items() if stat.session in helpers}
        proven = {pid for pid, identity in self._known.items() if pid in stats and _same(stats[pid], identity)}
        proven |= {stat.pid for stat in stats.values() if stat.parent == os.getpid()}
        log = stat_of(self._log)
        proven |= {pid for pid in stats if pid not in proven and is_marked(pid, self.run_id)}
        proven |= {pid for pid in stats if pid not in proven and writes_to(pid, log)}
        if self.leader is not None and self.group_is_ours():
            leader = self.leader.pid
            proven |= {stat.pid for stat in stats.values() if leader in (stat.group, stat.session)}
        proven = with_descendants(stats, proven - outside) - outside
        self._known = {pid: identity_from(stats[pid]) for pid in proven}
        return list(self._known.values())

    def group_is_ours(self) -> bool:
        """Whether the leader's pid, as the number of its group and session, still means what it meant."""
        return self.leader is not None and (self.leader_is_held() or is_alive(self.leader) is True)


def _same(stat: ProcessStat, identity: ProcessIdentity) -> bool:
    return stat.start_ticks == identity.start_ticks
