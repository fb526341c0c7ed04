"""Real runs of small programs in a folder of their own; whatever they leave behind is killed after each test."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.naming import kind_of
from engine.campaign.spec import RunSpec, create_spec
from engine.files import RunFiles, Workspace, make_private_folder, read_json
from engine.journal.events import AnyEvent, ProcessIdentity, RunEnded, parse_event
from engine.journal.reader import JournalReader
from engine.supervise.attempts import next_attempt
from engine.supervise.census import marked_processes
from engine.supervise.identity import is_alive, signal_process
from engine.supervise.launch import start_attempt
from engine.supervise.liveness import read_keeper
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """One run of a test: its files, and what a viewer would do with them."""

    files: RunFiles
    spec: RunSpec

    def start(self, **options: Any) -> ProcessIdentity:
        return start_attempt(self.files, attempt=next_attempt(self.files), author="tester", **options)

    def adopt(self, **options: Any) -> ProcessIdentity:
        record = read_keeper(self.files)
        assert record is not None
        return start_attempt(self.files, attempt=record.attempt, author="tester", adopt=True, **options)

    def events(self, kind: str | None = None) -> list[AnyEvent]:
        parsed = [parse_event(value) for value in JournalReader(self.files.keeper_journal).read_new()]
        return [event for event in parsed if event is not None and kind in (None, event.event)]

    def aftermath(self, kind: str, attempt: int = 1) -> list[AnyEvent]:
        parsed = [parse_event(value) for value in JournalReader(self.files.aftermath(attempt)).read_new()]
        return [event for event in parsed if event is not None and event.event == kind]

    def end(self, attempt: int = 1, timeout: float = 20.0) -> RunEnded:
        """The end of `attempt`, once its keeper has let go."""

        def ended() -> RunEnded | None:
            record = read_keeper(self.files)
            if record is None or record.attempt < attempt or not record.ended:
                return None
            ends = [event for event in self.events("run_ended") if event.attempt == attempt]
            return ends[-1] if ends else None  # type: ignore[return-value]

        return wait_until(ended, timeout, "the end of the run")

    def generator(self) -> ProcessIdentity:
        """The generator, once keeper.json names it."""
        record = wait_until(lambda: (r := read_keeper(self.files)) and r.generator and r, what="a generator")
        return record.generator

    def keeper(self) -> ProcessIdentity:
        record = read_keeper(self.files)
        assert record is not None
        return record.keeper

    def kill(self, identity: ProcessIdentity, number: signal.Signals = signal.SIGKILL) -> None:
        assert signal_process(identity, number)
        if number == signal.SIGKILL:
            wait_until(lambda: is_alive(identity) is False, what="its death")

    def log(self) -> str:
        return self.files.log.read_text(errors="replace") if self.files.log.exists() else ""

    def said(self, text: str) -> None:
        """Wait until the generator's log holds `text`."""
        wait_until(lambda: text in self.log(), what=f"{text!r} in the log")

    def exit(self) -> dict[str, Any]:
        value = read_json(self.files.exit)
        assert value is not None
        return value

    def alive(self) -> list[ProcessIdentity]:
        return marked_processes(self.spec.run_id)


@dataclass
class Runs:
    workspace: Workspace
    made: list[Run] = field(default_factory=list)

    def program(self, source: str, name: str = "program.py") -> list[str]:
        """The command line of a Python program with that source."""
        path = self.workspace.root / name
        path.write_text(textwrap.dedent(source))
        return [sys.executable, str(path)]

    def command(self, argv: list[str], name: str = "pilot", **fields: Any) -> Run:
        """A run of the campaign `camp` whose generator is the command `argv`, not started yet."""
        files = self.workspace.run_files("camp", name)
        make_private_folder(files.folder)
        spec = RunSpec(
            campaign="camp",
            run=name,
            kind=kind_of(name),
            workspace=str(self.workspace.root),
            generator={"kind": "command", "argv": argv},
            **fields,
        )
        create_spec(files, spec)
        run = Run(files, spec)
        self.made.append(run)
        return run

    def python(self, source: str, name: str = "pilot", **fields: Any) -> Run:
        return self.command(self.program(source, f"{name}.py"), name, **fields)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    workspace = Workspace(tmp_path / "workspace")
    workspace.configs.mkdir(parents=True)
    made = Runs(workspace)
    yield made
    for run in made.made:
        _bury(run)


def _bury(run: Run) -> None:
    """Kill all that is left of the run, keeper first, so that it starts nothing more."""

    def none_left() -> bool:
        left = run.alive()
        record = read_keeper(run.files)
        if record is not None:
            left += [who for who in (record.keeper, record.generator) if who is not None and is_alive(who)]
        for identity in left:
            assert identity.pid != os.getpid()
            signal_process(identity, signal.SIGKILL)
        return not left

    wait_until(none_left, what="the end of all processes of the test")


@pytest.fixture
def bystander() -> Iterator[Callable[[], ProcessIdentity]]:
    """Starts processes that belong to nobody's run."""
    import subprocess

    from engine.supervise.identity import identity_of

    started: list[subprocess.Popen[bytes]] = []

    def start() -> ProcessIdentity:
        process = subprocess.Popen(["sleep", "300"])
        started.append(process)
        identity = identity_of(process.pid)
        assert identity is not None
        return identity

    yield start
    for process in started:
        process.kill()
        process.wait()
