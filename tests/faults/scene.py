"""One campaign with one run in a folder of its own, what is done to it, and what was known before that."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import cli
from engine.service import Service
from engine.snapshot import RunSnapshot
from tests.faults import programs
from tests.faults.bystanders import Bystander
from tests.faults.processes import Process, at_work_in, with_environment
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
PROGRAM = "misbehaving.py"
CAMPAIGN = "demo"
RUN = "demo/pilot"
EXAMPLES = 16
USD_PER_SECOND = 1.0
HEARTBEAT_S = 2.0


@dataclass
class Stopwatch:
    """How long the run's devices can have been held, by the test's own clock, in seconds.

    `most` counts from before each start until the run was seen to be over, `least` from when it was seen at work
    first to when it was seen so last. `closed_…` are of the attempts before.
    """

    closed_most: float = 0.0
    closed_least: float = 0.0
    _began: float | None = None
    _seen: tuple[float, float] | None = None

    def begin(self) -> None:
        self._began = self._began or time.monotonic()

    def at_work(self) -> None:
        now = time.monotonic()
        self._seen = (self._seen[0] if self._seen else now, now)

    def over(self) -> None:
        if self._began is not None:
            self.closed_most += time.monotonic() - self._began
        if self._seen is not None:
            self.closed_least += self._seen[1] - self._seen[0]
        self._began = self._seen = None

    @property
    def most(self) -> float:
        return self.closed_most + (time.monotonic() - self._began if self._began is not None else 0.0)

    @property
    def least(self) -> float:
        return self.closed_least + (self._seen[1] - self._seen[0] if self._seen else 0.0)


@dataclass
class Scene:
    """The workspace `folder` with a campaign that was not launched yet.

    `acknowledged` is the text of whole records, or of a program's log, as it stood before the fault.
    `losses` counts how often nobody could keep time: a keeper that was killed or suspended.
    """

    folder: Path
    bystanders: tuple[Bystander, ...]
    undisturbed: Sequence[dict[str, Any]]
    environment: dict[str, str]
    watch: Stopwatch = field(default_factory=Stopwatch)
    acknowledged: bytes = b""
    losses: int = 0
    damaged: bool = False
    foreign: bool = False
    told: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = Service(self.folder)
        self.run = self.folder / "artifacts" / CAMPAIGN / "pilot"
        self.people = self.folder / "people"

    # --- what is set up ------------------------------------------------------------------------------------------

    @property
    def campaign_file(self) -> Path:
        return self.folder / "configs" / f"{CAMPAIGN}.yaml"

    def configure(self, *lines: str) -> None:
        """Add top-level lines to the campaign."""
        self.campaign_file.write_text("\n".join([self.campaign_file.read_text(), *lines, ""]))

    def misbehave(self, source: str) -> None:
        """Have the campaign run a program of `tests.faults.programs` instead of generating."""
        script = self.folder / PROGRAM
        script.write_text(programs.program(str(self.people), source))
        self.configure(f"generator: {{kind: command, argv: [{PYTHON}, -S, {script}]}}")
        self.foreign = True

    # --- the command line ----------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        return [PYTHON, "-m", "tui", *arguments]

    def cli(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """`pilothouse ARGUMENTS`, without a terminal."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """`pilothouse ARGUMENTS` in the background."""
        settings: dict[str, Any] = {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "start_new_session": True,
        }
        return subprocess.Popen(self.command(*arguments), **{**settings, **options})

    def watched(self) -> subprocess.Popen[str]:
        """A `watch` that has said something."""
        watch = self.start("watch", RUN)
        assert watch.stdout is not None
        assert watch.stdout.readline()
        return watch

    def launch(self) -> None:
        self._begun(self.cli("launch", CAMPAIGN, "--run", "pilot", "--yes"))

    def restart(self) -> None:
        self._begun(self.cli("restart", RUN, "--yes"))

    def _begun(self, result: subprocess.CompletedProcess[str]) -> None:
        assert (result.returncode, result.stdout) == (0, f"{RUN}\n"), result.stderr
        self.watch.at_work()

    def stop(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`stop`, which must succeed; nothing of the run may be alive when it returns."""
        self.acknowledge()
        result = self.cli("stop", RUN, *options)
        left = self.left()
        self.watch.over()
        assert result.returncode == 0, result.stderr
        assert left == [], f"alive although it was said to be stopped: {told(left)}"
        return result

    # --- looking -------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The campaign in `status --json`; the command runs in this process, unless its environment is special."""
        if self.environment["PYTHONPATH"] == os.environ["PYTHONPATH"]:
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(io.StringIO()) as output:
                code = cli.run(["status", CAMPAIGN, "--json"])
            text = output.getvalue()
        else:
            result = self.cli("status", CAMPAIGN, "--json")
            code, text = result.returncode, result.stdout
        assert code == 0, text
        found: dict[str, Any] = json.loads(text)["campaigns"][0]
        return found

    def picture(self) -> RunSnapshot:
        """The run as a viewer that looked all along has it."""
        campaign = self.service.poll().campaign(CAMPAIGN)
        run = campaign.run("pilot") if campaign else None
        assert run is not None, "the run is not in sight"
        return run

    def look_anew(self) -> None:
        """A viewer that starts now: what is only ever appended to was written anew."""
        self.service = Service(self.folder)

    def records(self) -> list[bytes]:
        """Whole lines of the run's records."""
        return whole_lines(self.run / "records.jsonl")

    def events(self, kind: str, file: str = "keeper.jsonl") -> list[dict[str, Any]]:
        """Events of a journal, read plainly; garbage is passed over."""
        values = [_value(line) for line in whole_lines(self.run / file)]
        return [value for value in values if value is not None and value.get("event") == kind]

    def keeper_file(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run / "keeper.json").read_text())
        return found

    def log(self) -> bytes:
        path = self.run / "run.log"
        return path.read_bytes() if path.exists() else b""

    # --- meeting the run -----------------------------------------------------------------------------------------

    def in_the_middle(self, records: int = 5) -> None:
        """Wait until some records stand there, or the program says that it is up, and take note of all there is."""
        if self.foreign:
            wait_until(lambda: b"up\n" in self.log(), what="the program")
        else:
            wait_until(lambda: len(self.records()) >= records, what=f"{records} records")
        self.watch.at_work()
        self.acknowledge()

    def acknowledge(self) -> None:
        """Take note of what is finished so far."""
        self.told += self.people_noted()
        kept = [self.log()] if self.foreign else [line + b"\n" for line in self.records()]
        self.acknowledged = max(b"".join(kept), self.acknowledged, key=len)

    def generating(self) -> bool:
        return bool(self.events("phase", "generator.jsonl"))

    def who(self, role: str) -> Process:
        """`keeper` and `generator` as keeper.json names them, everybody else as it noted itself."""
        if role in ("keeper", "generator"):
            found = wait_until(lambda: self.keeper_file().get(role), what=f"the {role}")
            return Process(found["pid"], found["start_ticks"], role)
        return wait_until(lambda: next((who for who in self.people_noted() if who.role == role), None), what=role)

    def people_noted(self) -> list[Process]:
        """What the misbehaving programs wrote down of themselves."""
        if not self.people.exists():
            return []
        lines = (line.split(maxsplit=2) for line in self.people.read_text().splitlines())
        return [Process(int(pid), int(ticks), role) for pid, ticks, role in lines]

    def left(self) -> list[Process]:
        """Everything of the run that lives: by mark, by open files and folder, by its own notes, by the journal."""
        noted = [*self.told, *self.people_noted(), *self._recorded()]
        others = {bystander.process.pid for bystander in self.bystanders}  # a record may have been made to name them
        found = {(who.pid, who.ticks): who for who in noted if who.alive and who.pid not in others}
        for who in (*with_environment(f"PILOTHOUSE_RUN_DIR={self.folder}"), *at_work_in(self.run)):
            found.setdefault((who.pid, who.ticks), who)
        return list(found.values())

    def _recorded(self) -> Iterator[Process]:
        here = os.uname().nodename
        for kind, key in (("keeper_started", "keeper"), ("generator_started", "process")):
            for event in self.events(kind):
                if event[key]["host"] == here:
                    yield Process(event[key]["pid"], event[key]["start_ticks"], key)

    # --- faults --------------------------------------------------------------------------------------------------

    def send(self, number: signal.Signals, *roles: str) -> None:
        """Signal them in this order, without a breath between."""
        people = [self.who(role) for role in roles]
        self.acknowledge()
        for who in people:
            assert who.alive, f"{who} is gone already"
        self.watch.at_work()
        for who in people:
            os.kill(who.pid, number)
        if number in (signal.SIGKILL, signal.SIGSTOP) and "keeper" in roles:
            self.losses += 1
        if number == signal.SIGKILL:
            wait_until(lambda: not any(who.alive for who in people), what="their death")
        elif number == signal.SIGSTOP:
            wait_until(lambda: all(who.suspended for who in people), what="their standstill")

    def hold(self) -> None:
        """Suspend the generator in the middle, so that it is there for sure whatever takes its time to begin."""
        self.in_the_middle()
        self.send(signal.SIGSTOP, "generator")

    def release(self) -> None:
        os.kill(self.who("generator").pid, signal.SIGCONT)

    def kill(self, *roles: str) -> None:
        self.send(signal.SIGKILL, *roles)
        if {"keeper", "generator"} <= set(roles):
            self.watch.over()

    # --- to the end ----------------------------------------------------------------------------------------------

    def settle(self, timeout: float = 40) -> RunSnapshot:
        """Wait until the run has ended and its keeper has let go."""

        def ended() -> RunSnapshot | None:
            run = self.picture()
            if not run.live:
                return run
            if run.state == "running":
                self.watch.at_work()
            return None

        run = wait_until(ended, timeout, "the end of the run")
        self.watch.over()
        self.gone()
        return run

    def gone(self, timeout: float = 10) -> None:
        """Wait until nothing of the run is alive; the last keeper gets a moment to end after its last word."""
        deadline = time.monotonic() + timeout
        while left := self.left():
            assert time.monotonic() < deadline, f"still alive: {told(left)}"
            time.sleep(0.02)

    def finish(self) -> None:
        """Restart the run if it has to be, and see it to its end."""
        if self.settle().state != "succeeded":
            self.watch.begin()
            self.restart()
            self.settle()


def told(people: Sequence[Process]) -> str:
    """Who they are, with their command lines."""
    return "; ".join(f"{who.role or 'somebody'} {who.pid}: {who.command_line}" for who in people)


def whole_lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def comparable(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """Records in item order, without what tells when and in which attempt they were made; garbage left out."""
    values = [value for value in map(_value, lines) if value is not None and {"index", "attempt"} <= set(value)]
    kept = [{key: item for key, item in value.items() if key not in ("time", "attempt")} for value in values]
    return sorted(kept, key=lambda record: record["index"])


def set_up(folder: Path) -> None:
    """The demo campaign with a small target, dear enough for the bill to be seen, in `folder`."""
    configs = folder / "configs"
    prompts = configs / "prompts" / "demo"
    prompts.mkdir(parents=True)
    for path in (ROOT / "configs" / "prompts" / "demo").iterdir():
        (prompts / path.name).write_bytes(path.read_bytes())
    text = (ROOT / "configs" / "demo.yaml").read_text()
    replacements: Mapping[str, str] = {
        r"^target: .*$": f"target: {{examples: {EXAMPLES}, max_candidates: {5 * EXAMPLES}}}",
        r"^budget: .*$": f"budget: {{limit_usd: 1000000, gpu_usd_per_hour: {3600 * USD_PER_SECOND}, warn_at: 0.8}}",
    }
    for pattern, line in replacements.items():
        text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
        assert count == 1, pattern
    (configs / f"{CAMPAIGN}.yaml").write_text(text)


def environment(*, first: Path | None = None) -> dict[str, str]:
    """What the command line is started with; modules in `first` are found before all others."""
    paths = [str(path) for path in (first, ROOT) if path is not None]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def bury(scene: Scene) -> None:
    """Kill whatever is left of the run, until nothing is."""

    def none_left() -> bool:
        left = scene.left()
        for who in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(who.pid, signal.SIGKILL)
        return not left

    wait_until(none_left, what="the end of all processes of the test")


def _value(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
