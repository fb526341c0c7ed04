"""Repeats the fault matrix and prints a table: `python -m tests.faults [PASSES] [PYTEST OPTIONS …]`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

HERE = Path(__file__).parent


@dataclass
class Tally:
    """How one fault has done so far."""

    passes: int = 0
    failures: int = 0
    skips: int = 0
    slowest_s: float = 0.0

    @property
    def tries(self) -> int:
        return self.passes + self.failures

    def add(self, case: Xml.Element) -> None:
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            self.failures += 1
        elif "skipped" in outcomes:
            self.skips += 1
            return
        else:
            self.passes += 1
        self.slowest_s = max(self.slowest_s, float(case.get("time", "0")))


def fault_name(case: Xml.Element) -> str:
    """`test_sigkill_of[an orphan]` reads `SIGKILL of an orphan` in the table."""
    name, _, parameter = case.get("name", "").partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    return re.sub(r"\bsig([a-z]+)\b", lambda match: match.group().upper(), f"{words} {parameter.rstrip(']')}".strip())


def one_pass(report: Path, options: list[str]) -> tuple[bool, str]:
    """Whether every fault was coped with, and what pytest said."""
    command = [sys.executable, "-m", "pytest", str(HERE), "-q", "--tb=short", "-p", "no:cacheprovider"]
    command += ["-n", "2", "--dist", "worksteal"]
    command.append(f"--ignore={HERE / 'test_witnesses.py'}")
    settings = [f"--junitxml={report}", "-o", "junit_duration_report=call"]
    done = subprocess.run([*command, *settings, *options], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def table(tallies: dict[str, Tally]) -> Iterable[str]:
    yield "| fault | passed | slowest |"
    yield "|---|---|---|"
    for name, tally in sorted(tallies.items()):
        passed = f"{tally.passes} of {tally.tries}" if tally.tries else "skipped here"
        yield f"| {name} | {passed} | {f'{tally.slowest_s:.1f} s' if tally.tries else '–'} |"
    passes, tries = sum(tally.passes for tally in tallies.values()), sum(tally.tries for tally in tallies.values())
    yield f"| **all {len(tallies)}** | **{passes} of {tries}** | |"


def main(arguments: list[str]) -> int:
    """0 when no fault ever failed."""
    passes = int(arguments.pop(0)) if arguments and arguments[0].isdecimal() else 1
    tallies: dict[str, Tally] = {}
    sound = True
    for number in range(1, passes + 1):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            passed, said = one_pass(report, arguments)
            cases = list(Xml.parse(report).iter("testcase")) if report.exists() else []
        for case in cases:
            tallies.setdefault(fault_name(case), Tally()).add(case)
        sound = sound and passed and bool(cases)
        verdict = "passed" if passed else "FAILED"
        sys.stderr.write(f"pass {number} of {passes}: {verdict} in {time.monotonic() - began:.0f} s\n")
        if not passed:
            sys.stderr.write(f"{said}\n")
    sys.stdout.write("\n".join(table(tallies)) + "\n")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
