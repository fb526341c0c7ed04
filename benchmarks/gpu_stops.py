"""From stop to free GPU memory: `python -m benchmarks.gpu_stops MODEL OUT.jsonl` on a machine with a GPU and vLLM.

Each case starts a run of `benchmarks/gpu_generator.py` (vLLM in process; its engine core is a child of its own) through
the command line, waits for a phase, ends the run in one way, and measures by means of its own (NVML in this process, a
scan of /proc) when its processes are gone and when the GPU's memory is back. MODEL is a model folder; weights are
random.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]
SLACK_BYTES = 256 << 20
PATIENCE_S = 90.0
STALL_S = 30.0
PHASES = {
    "importing": re.compile(r"PHASE loading"),
    "loading": re.compile(r"Starting to load model|Model loading took|Loading weights"),
    "compiling": re.compile(
        r"Dynamo bytecode|Compiling a graph|Directly load the|torch\.compile t|Capturing CUDA graph"
    ),
    "generating": re.compile(r"^generated ", re.MULTILINE),
}
CASES = [
    ("generating", "stop"),
    ("generating", "SIGKILL parent"),
    ("generating", "SIGKILL both"),
    ("loading", "SIGKILL parent"),
    ("compiling", "SIGKILL parent"),
    ("generating", "stop --now"),
    ("generating", "SIGKILL keeper"),
    ("loading", "stop"),
    ("compiling", "stop"),
    ("loading", "SIGKILL both"),
    ("compiling", "SIGKILL both"),
    ("generating", "SIGTERM parent"),
    ("generating", "SIGKILL core"),
    ("importing", "stop"),
    ("loading", "stop --now"),
    ("compiling", "stop --now"),
    ("loading", "SIGKILL keeper"),
    ("compiling", "SIGKILL keeper"),
    ("compiling", "SIGKILL core"),
    ("loading", "SIGKILL core"),
    ("loading", "SIGTERM parent"),
    ("compiling", "SIGTERM parent"),
]


class Memory:
    """Used memory of GPU 0 in bytes, read every 50 ms in a thread; `last_above` is when it was above a level."""

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml, self._handle = pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
        self.level = self.used = self.read()
        self.last_above = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def read(self) -> int:
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used)

    def _watch(self) -> None:
        while True:
            self.used = self.read()
            if self.used > self.level + SLACK_BYTES:
                self.last_above = time.monotonic()
            time.sleep(0.05)


class Place:
    """A workspace of one campaign, and the command line in it."""

    def __init__(self, root: Path, model: str, *, eager: bool, python: str) -> None:
        self.root = root
        (root / "configs").mkdir(parents=True, exist_ok=True)
        generator = [python, str(HOME / "benchmarks" / "gpu_generator.py"), model, *(["--eager"] if eager else [])]
        campaign = f"name: gpu\ngenerator: {{kind: command, argv: {json.dumps(generator)}}}\n"
        campaign += f"supervision: {{stall: {{after_minutes: {STALL_S / 60}, action: stop}}}}\n"
        (root / "configs" / "gpu.yaml").write_text(campaign)

    def folder(self, run: str) -> Path:
        return self.root / "artifacts" / "gpu" / run

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "engine", *arguments],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(HOME), os.environ.get("PYTHONPATH", "")])},
            capture_output=True,
            text=True,
            check=False,
        )

    def read(self, run: str, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder(run) / name).read_text())
        except (OSError, ValueError):
            return {}
        return found


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def living(pids: set[int]) -> set[int]:
    """Those that run: no zombies."""
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.add(pid)
    return found


def processes_of(run_id: str) -> set[int]:
    """Pids that carry the run's mark, zombies left out."""
    pids = {int(entry) for entry in os.listdir("/proc") if entry.isdecimal()}
    return living({pid for pid in pids if f"PILOTHOUSE_RUN={run_id}".encode() in environment(pid)})


def until(condition: Callable[[], Any], limit_s: float) -> Any:
    deadline = time.monotonic() + limit_s
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def log_shows(place: Place, run: str, phase: str) -> bool:
    try:
        return PHASES[phase].search((place.folder(run) / "run.log").read_text(errors="replace")) is not None
    except OSError:
        return False


def ended(place: Place, run: str) -> bool:
    return bool(place.read(run, "keeper.json").get("ended"))


def measure(place: Place, memory: Memory, number: int, phase: str, way: str) -> dict[str, Any]:
    """One case; seconds are from the act that ends the run."""
    run = f"case-{number}"
    result: dict[str, Any] = {"phase": phase, "way": way}
    memory.level = memory.read()
    began = time.monotonic()
    launched = place.command("launch", "gpu", "--run", run, "--yes")
    if launched.returncode != 0:
        return result | {"error": launched.stderr.strip()}
    run_id = place.read(run, "spec.json")["run_id"]
    if not until(lambda: log_shows(place, run, phase) or ended(place, run), 300) or ended(place, run):
        return result | {"error": f"ended or silent before {phase}: {place.read(run, 'exit.json').get('reason')}"}
    time.sleep(0.5)  # well into the phase
    identity = place.read(run, "keeper.json")
    keeper, parent = identity["keeper"]["pid"], identity["generator"]["pid"]
    family = processes_of(run_id)
    cores = sorted(pid for pid in family if name_of(pid).startswith("VLLM::Engine"))
    result |= {
        "start_s": round(time.monotonic() - began, 1),
        "held_gib": round((memory.read() - memory.level) / 2**30, 1),
        "processes": len(family) - 1,
        "core_marked": bool(cores),
        "core_alone_unmarked": len([p for p in os.listdir("/proc") if p.isdecimal() and int(p) not in family
                                    and name_of(int(p)).startswith("VLLM::Engine")]),
    }  # fmt: skip
    acted = time.monotonic()
    if way.startswith("stop"):
        done = place.command("stop", f"gpu/{run}", *way.split()[1:])
        result |= {"command_s": round(time.monotonic() - acted, 2), "said": done.stdout.strip() or done.stderr.strip()}
    else:
        number_of = signal.SIGTERM if "SIGTERM" in way else signal.SIGKILL
        targets = {"parent": [parent], "core": cores, "keeper": [keeper], "both": [keeper, parent]}[way.split()[1]]
        for pid in targets:
            os.kill(pid, number_of)
        if "keeper" in way:
            done = place.command("stop", f"gpu/{run}")
            result |= {"said": done.stdout.strip() or done.stderr.strip()}
            result |= {"command_s": round(time.monotonic() - acted, 2)}
        elif "both" in way:
            place.command("status", "gpu")
    left: set[int] = {1}
    gone_at = memory_at = None
    deadline = acted + PATIENCE_S
    while time.monotonic() < deadline and (left or memory.used > memory.level + SLACK_BYTES or not ended(place, run)):
        left = processes_of(run_id) | living(family - {keeper})
        if not left and gone_at is None:
            gone_at = time.monotonic()
        time.sleep(0.05)
    if memory.used <= memory.level + SLACK_BYTES:
        memory_at = max(memory.last_above, acted)
    end = place.read(run, "exit.json")
    if left or not ended(place, run):  # the next case must not meet it
        place.command("stop", f"gpu/{run}", "--now")
        until(lambda: memory.used <= memory.level + SLACK_BYTES, 30)
    return result | {
        "gone_s": round(gone_at - acted, 2) if gone_at else None,
        "memory_free_s": round(memory_at - acted, 2) if memory_at else None,
        "recorded": ended(place, run),
        "state": end.get("state"),
        "reason": end.get("reason"),
        "gpu_held": end.get("gpu_held"),
        "gpu_held_by": end.get("gpu_held_by"),
        "left": [f"{pid} {name_of(pid)}" for pid in sorted(left)],
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown, and a sentence with the shares."""
    head = ("while", "ended by", "GiB held", "processes gone, s", "memory free, s", "command returned, s", "said")
    rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for case in results:
        said = case.get("error") or f"{case['state']}: {case['reason']}"
        figures = (case.get(key) for key in ("held_gib", "gone_s", "memory_free_s", "command_s"))
        cells = ["–" if figure is None else f"{figure:g}" for figure in figures]
        rows.append(f"| {case['phase']} | {case['way']} | {' | '.join(cells)} | {said[:90]} |")
    seconds = sorted(case["memory_free_s"] for case in results if case.get("memory_free_s") is not None)
    verified = [case for case in results if case.get("recorded") and case.get("gpu_held") is False]
    within = sum(value <= 10 for value in seconds)
    rows.append(
        f"\n{len(results)} cases: {len(verified)} verified free, {within} within 10 s"
        + (f", slowest {seconds[-1]:g} s, median {seconds[len(seconds) // 2]:g} s" if seconds else "")
    )
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_stops", description=__doc__)
    parser.add_argument("model", help="a model folder")
    parser.add_argument("out", type=Path, help="one JSON line per case")
    parser.add_argument("--workspace", type=Path, default=Path("gpu-stops"))
    parser.add_argument("--python", default=sys.executable, help="the Python that has vLLM")
    parser.add_argument("--eager", action="store_true", help="no torch.compile and no CUDA graphs")
    parser.add_argument("--cases", default="", metavar="N,N", help="only these, by their number from 0")
    parser.add_argument("--budget-s", type=float, default=1e9, help="start no case after so many seconds")
    given = parser.parse_args()
    try:
        memory = Memory()
    except Exception as error:  # no driver, no GPU, no binding: all mean that nothing can be measured here
        sys.stderr.write(f"no GPU to measure on: {error}\n")
        return 4
    began = time.monotonic()
    place = Place(given.workspace, given.model, eager=given.eager, python=given.python)
    results = []
    for number in [int(text) for text in given.cases.split(",") if text] or range(len(CASES)):
        phase, way = CASES[number]
        if time.monotonic() - began > given.budget_s:
            break
        result = measure(place, memory, number, phase, way)
        results.append(result)
        sys.stdout.write(f"{number:2d} {json.dumps(result)}\n")
        sys.stdout.flush()
        with given.out.open("a") as out:
            out.write(json.dumps({"case": number, **result}) + "\n")
    sys.stdout.write(table(results) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
