"""Hand-made snapshots, and a service that serves them and notes what was asked of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from engine.budget.forecast import Forecast
from engine.budget.money import Budget
from engine.campaign.grading import SEED_CHECKS
from engine.campaign.models import Campaign, Parameters, Target
from engine.campaign.parameters import assign
from engine.errors import PilothouseError
from engine.figures import EngineFigures, GpuFigures, RunProcesses
from engine.policy.actions import NextAction
from engine.qc.metrics import is_kept
from engine.qc.verdicts import CheckVerdict, DetectorEvidence, GateVerdict, Needs, Verdict
from engine.report.events import RunEvent, RunEvents
from engine.report.samples import Sample, Samples, Wanted
from engine.report.series import RunSeries
from engine.service import LaunchPlan
from engine.snapshot import (
    CampaignSnapshot,
    Counts,
    EngineSnapshot,
    GradingNote,
    IdleCountdown,
    LoggedAction,
    RunSnapshot,
    Snapshot,
)
from engine.warm import EnginePlan

NOW = 1_800_000_761.0  # 12:41 after the iteration of `seed_story` started
STARTED = "2027-01-15T08:00:00Z"

PILOT = Parameters()
ITERATION = assign(PILOT, ["seed=43", "response.temperature=0.3", "response.max_tokens=100"])


def check(
    metric: str, value: float | None, verdict: Verdict, sentence: str, *, n: int = 100, clean: int | None = None
) -> CheckVerdict:
    limit = SEED_CHECKS[metric]
    return CheckVerdict(
        metric=metric,
        op=limit.op,
        limit=limit.value,
        percent=limit.percent,
        value=value,
        verdict=verdict,
        n=n,
        failures=0,
        lower=None,
        upper=None,
        evidence=None,
        threshold=None,
        evidence_fail=None,
        threshold_fail=None,
        needs=Needs(clean, None),
        reachable=True,
        sentence=sentence,
    )


def gate(verdict: Verdict, sentence: str, *checks: CheckVerdict) -> GateVerdict:
    return GateVerdict(verdict, checks, 0.95, True, sentence)


PILOT_GATE = gate(
    "fail",
    "fail: runaway 9 of 43, limit < 5%; token limit 24 of 46, limit < 10%",
    check("runaway_rate", 0.209, "fail", "9 of 43: proven too high (limit < 5%)"),
    check("token_limit_rate", 0.522, "fail", "24 of 46: proven too high (limit < 10%)"),
    check("delimiter_leakage", 0.0, "pass", "0 in 43: holds (= 0)"),
    check("median_tokens", 32.0, "pass", "12 of 43 at 40 or more: proven < 40"),
    check("instruction_acceptance", 0.776, "pass", "26 of 116 rejected: proven >= 50%"),
    check("pair_acceptance", 0.935, "pass", "3 of 46 rejected: proven >= 50%"),
)

LIVE_GATE = gate(
    "undecided",
    "undecided: runaway needs 79 more clean; token limit cannot pass by 300 (13 of 88)",
    check("runaway_rate", 0.016, "undecided", "1 of 61: not yet proven, 79 more clean", n=61, clean=79),
    check("token_limit_rate", 0.148, "undecided", "13 of 88: cannot pass by 300", n=88),
    check("delimiter_leakage", 0.0, "undecided", "0 in 61: holds so far, decided at the end", n=61),
    check("median_tokens", 30.0, "pass", "9 of 61 at 40 or more: proven < 40", n=61),
    check("instruction_acceptance", 0.74, "pass", "40 of 154 rejected: proven >= 50%", n=154),
    check("pair_acceptance", 0.912, "pass", "8 of 88 rejected: proven >= 50%", n=88),
)


def metrics_of(verdict: GateVerdict) -> dict[str, float | None]:
    return {check.metric: check.value for check in verdict.checks}


def run(name: str = "pilot", **changes: Any) -> RunSnapshot:
    """A finished pilot that failed its gate, with `changes`."""
    base = RunSnapshot(
        id=f"stage1/{name}",
        name=name,
        kind="pilot" if name.startswith("pilot") else "scale" if name.startswith("scale") else "iteration",
        attempt=1,
        state="succeeded",
        phase=None,
        pid=None,
        started="2027-01-15T07:10:00Z",
        ended="2027-01-15T07:50:12Z",
        exit_code=0,
        parameters=PILOT,
        parameters_known=True,
        parent=None,
        counts=Counts(target=100, max_candidates=400, candidates=116, generated=46, kept=43),
        metrics={**metrics_of(PILOT_GATE), "instruction_yield": 0.397, "pair_yield": 0.935, "duplicate_rate": 0.04},
        computed=None,
        gate=PILOT_GATE,
        reason="the candidates are spent: 43 of 100 kept",
        cost_usd=2.01,
        active_s=2412.0,
        examples_per_second=0.018,
        log=f"artifacts/stage1/{name}/run.log",
        folder=f"artifacts/stage1/{name}",
        model="Qwen/Qwen2.5-32B",
    )
    return replace(base, **changes)


def live_run(name: str = "iteration-1", **changes: Any) -> RunSnapshot:
    """An iteration that goes on, 61 of 100 kept."""
    values: dict[str, Any] = {
        "state": "running",
        "phase": "generating",
        "pid": 4711,
        "started": STARTED,
        "ended": None,
        "exit_code": None,
        "parameters": ITERATION,
        "parent": "pilot",
        "counts": Counts(target=100, max_candidates=400, candidates=154, generated=88, kept=61),
        "metrics": {
            **metrics_of(LIVE_GATE),
            "instruction_yield": 0.571,
            "pair_yield": 0.693,
            "duplicate_rate": 0.031,
        },
        "gate": LIVE_GATE,
        "reason": "",
        "cost_usd": 0.63,
        "active_s": 761.0,
        "examples_per_second": 0.08,
    }
    return run(name, **{**values, **changes})


STALL = (
    "stalled while generating: nothing finished for 10 min; log silent for 9 min; GPU at 0 %; last item at 08:02:41 UTC"
)
LAUNCHED = LoggedAction("2027-01-15T08:00:00Z", "kim@pod-7", "launched it")
NOTICED = LoggedAction("2027-01-15T08:11:00Z", "watchdog", "noticed that it stalled")
ASKED = LoggedAction("2027-01-15T08:12:30Z", "ann@pod-9", "asked to stop it", pending=True)


def idle(state: Literal["counting", "cancelled", "running", "done", "failed"], **changes: Any) -> IdleCountdown:
    """At `NOW` the machine has been idle for 5:50 and is stopped in 14:10."""
    command = ("runpodctl", "stop", "pod", "x7k2q9")
    return replace(IdleCountdown(state, "2027-01-15T08:06:51Z", "2027-01-15T08:26:51Z", command), **changes)


FIGURES = EngineFigures(
    prompt_tokens_per_s=12_004.0,
    generation_tokens_per_s=6_698.4,
    running=256,
    waiting=0,
    kv_cache_usage=0.41,
    prefix_cache_hit_rate=0.84,
)
GIB = 1 << 30


def gpu(index: int = 0, **changes: Any) -> GpuFigures:
    """An H200 that is busy."""
    values: dict[str, Any] = {
        "uuid": f"GPU-{index}f3c9a1e-77b2",
        "index": index,
        "name": "NVIDIA H200",
        "utilisation": 93.0,
        "used_bytes": round(61.2 * GIB),
        "total_bytes": round(140.4 * GIB),
        "power_w": 512.3,
    }
    return GpuFigures(**{**values, **changes})


def engine(**changes: Any) -> EngineSnapshot:
    """The campaign's kept engine, which answers and is used by iteration-1 at `NOW`."""
    base = EngineSnapshot(
        id="stage1/engine-1",
        name="engine-1",
        state="running",
        model="Qwen/Qwen2.5-32B",
        started="2027-01-15T07:30:51Z",
        ended=None,
        ready="2027-01-15T07:32:15Z",
        loading="",
        start_s=84.0,
        in_use=True,
        idle_since=None,
        stops_at=None,
        attached=("iteration-1",),
        fits=True,
        figures=FIGURES,
        gpus=(gpu(),),
        devices=(gpu().uuid,),
        pid=4001,
        reason="",
        cost_usd=2.11,
        active_s=2530.0,
        log="artifacts/stage1/engine-1/run.log",
        folder="artifacts/stage1/engine-1",
        author="kim@pod-7",
        keeper_alive=True,
    )
    return replace(base, **changes)


def starting(**changes: Any) -> EngineSnapshot:
    """1:12 after its start."""
    values: dict[str, Any] = {
        "state": "starting",
        "started": "2027-01-15T08:11:29Z",
        "ready": None,
        "start_s": None,
        "loading": "weights 40%",
        "figures": None,
        "cost_usd": 0.06,
        "active_s": 72.0,
    }
    return engine(**{**values, **changes})


def idling(**changes: Any) -> EngineSnapshot:
    """Nothing has used it for 1:48; it stops in 28:12."""
    values: dict[str, Any] = {
        "in_use": False,
        "idle_since": "2027-01-15T08:10:53Z",
        "stops_at": "2027-01-15T08:40:53Z",
        "attached": (),
        "figures": EngineFigures(prompt_tokens_per_s=0.0, generation_tokens_per_s=0.0, running=0, waiting=0),
        "gpus": (gpu(utilisation=0.0, power_w=118.0),),
    }
    return engine(**{**values, **changes})


def detector(**changes: Any) -> DetectorEvidence:
    """What is known of the runaway detector, which nobody has marked yet."""
    return replace(DetectorEvidence("runaway", "markers-v2", ("runaway_rate",), flagged=22), **changes)


SUSPECT = detector(suspect="the pair critic accepts 20 of 22 flagged, and 18 of 20 others")


GRADED = GradingNote(
    number=1,
    time="2027-01-15T08:02:00Z",
    author="kim@pod-7",
    reason="the old ruler flags good answers",
    changed="qc.runaway length-v1 → markers-v2",
    verdict_before="fail",
    sentence_before="fail: runaway 9 of 43, limit < 5%",
    verdict="undecided",
    sentence="undecided: runaway needs 79 more clean",
)


def sample(index: int, **changes: Any) -> Sample:
    """A kept record whose completion went on into a new prompt."""
    raw = f"Answer {index}.\nInstruction: and the next one?"
    record = {
        "outcome": "kept",
        "instruction": f"Question {index}?",
        "raw_response": raw,
        "response": f"Answer {index}.",
        "pair_critic": {"good": True, "confident": True, "label": "A", "margin": 2.3123},
        "finish_reason": "length",
        "generated_tokens": 80,
        **changes.pop("record", {}),
    }
    values: dict[str, Any] = {
        "flags": {"runaway": True, "token_limit": True, "delimiter": False},
        "spans": {"runaway": [("raw_response", raw.index("\n"), len(raw))], "token_limit": []},
        **changes,
    }
    return Sample(index=index, record=record, **values)


PLAN = EnginePlan("start", "starts an engine: about 2 min and $0.08 until it answers", 90.0, 0.075)

ITERATE_ARGV = ("pilothouse", "launch", "stage1", "--run", "iteration-2")
ITERATE = NextAction(
    "iterate",
    "token limit cannot pass by 300 and runaway is better than in the pilot: iteration-2 is the next to try",
    run="iteration-2",
    argv=ITERATE_ARGV,
    changes={"response.max_tokens": (100, 140), "response.temperature": (0.3, 0.25)},
    why={"response.max_tokens": "token limit failed", "response.temperature": "runaway failed"},
    cost_usd=1.90,
    duration_s=2280.0,
    basis="as iteration-1: 0.08 examples/s",
)
PROPOSED = assign(ITERATION, ["response.max_tokens=140", "response.temperature=0.25"])
EDITABLE = replace(
    ITERATE,
    parameters=PROPOSED,
    argv=(*ITERATE_ARGV, "--set", "response.max_tokens=140", "--set", "response.temperature=0.25"),
    rule="gate-not-proven",
    numbers={"token_limit_rate.n": 88, "token_limit_rate.failures": 13, "forecast": 0.14},
    unless="75 more clean samples, which 300 do not leave room for",
)
"""As `ITERATE`, with all that the policy says of it."""
WAIT = NextAction("wait", "iteration-1 goes on: 61 of 100 kept", run="iteration-1")

BUDGET = Budget(300.0, 4.20, 1.10, 3.0, 1.4, 0.8)

CAMPAIGN = Campaign.model_validate(
    {
        "name": "stage1",
        "model": {"path": "Qwen/Qwen2.5-32B", "backend": "vllm"},
        "prompts": dict.fromkeys(("instructions", "response", "instruction_critic", "pair_critic"), "prompt.txt"),
    }
)


def campaign(
    *runs: RunSnapshot, name: str = "stage1", engine: EngineSnapshot | None = None, **changes: Any
) -> CampaignSnapshot:
    base = CampaignSnapshot(
        name=name,
        state="running" if any(each.live for each in runs) else "waiting",
        file=f"configs/{name}.yaml",
        campaign=CAMPAIGN,
        budget=BUDGET,
        next=ITERATE,
        runs=runs,
        engines=(engine,) if engine is not None else (),
    )
    return replace(base, **changes)


def snapshot(*campaigns: CampaignSnapshot) -> Snapshot:
    return Snapshot("/home/kim/work", "pod-7", campaigns, ("GPU0 H200",))


def seed_story(**changes: Any) -> Snapshot:
    """The pilot has failed, iteration 1 is running."""
    return snapshot(campaign(run(), live_run(), **{"next": WAIT, **changes}))


def acted(run: RunSnapshot) -> RunEvents:
    """What is known to have happened to a run where nothing but its actions is."""
    happened = [RunEvent(each.time, 1, each.author, each.action, pending=each.pending) for each in run.actions]
    return RunEvents(tuple(happened))


class FakeService:
    """Serves `snapshot`; `calls` lists what was asked. `refuse` is raised by every call that changes something."""

    def __init__(self, picture: Snapshot, root: Path = Path("/nonexistent")) -> None:
        self.root = root
        self.snapshot = picture
        self.calls: list[tuple[Any, ...]] = []
        self.refuse: Exception | None = None
        self.poll_error: Exception | None = None
        self.stop_may_end = threading.Event()
        self.stop_may_end.set()
        self.start_may_end = threading.Event()
        self.start_may_end.set()
        self.cancel_may_end = threading.Event()
        self.cancel_may_end.set()
        self.plan = PLAN
        self.plan_error: Exception | None = None
        self.planned: list[tuple[str, ...]] = []
        self.plan_may_end = threading.Event()
        self.plan_may_end.set()
        self.launch_error: Exception | None = None
        self.records: list[Sample] = []
        self.marks: dict[tuple[str, int], bool] = {}
        self.detectors = {"runaway": "markers-v2"}
        self.marked_of: list[str | None] = []
        self.mark_may_end = threading.Event()
        self.mark_may_end.set()
        self.read: list[Wanted] = []
        self.read_may_end = threading.Event()
        self.read_may_end.set()
        self.read_error: Exception | None = None
        self.series: dict[str, RunSeries] = {}
        self.happened: dict[str, RunEvents] = {}
        self.living: dict[str, RunProcesses] = {}
        self.looks: list[tuple[str, str]] = []
        self.look_error: PilothouseError | None = None

    def poll(self) -> Snapshot:
        if self.poll_error is not None:
            raise self.poll_error
        return self.snapshot

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.refuse is not None:
            raise self.refuse

    def stop(self, run_id: str, *, now: bool = False, on_progress: Callable[[str], None] | None = None) -> str:
        self._note("stop", run_id, now)
        if on_progress is not None:
            on_progress("SIGINT sent to 3 processes")
        assert self.stop_may_end.wait(20)
        return "stopped"

    def restart(self, run_id: str, *, fresh: bool = False) -> str:
        self._note("restart", run_id, fresh)
        return run_id

    def extend(self, run_id: str, examples: int) -> str:
        self._note("extend", run_id, examples)
        return run_id

    def do_next(self, campaign: str, say: Callable[[str], None], assignments: Sequence[str]) -> NextAction:
        self._note("do_next", campaign, *assignments)
        current = self.snapshot.campaign(campaign)
        if current is None or current.next is None:
            raise PilothouseError("nothing to do")
        return current.next

    def draft_own(self, campaign: str) -> NextAction:
        assert self.plan_may_end.wait(20)
        if self.launch_error is not None:
            raise self.launch_error
        argv = ("pilothouse", "launch", campaign, "--run", "iteration-2")
        changes = {"response.temperature": (0.4, 0.3)}
        return NextAction(
            "launch",
            "values of your own",
            "iteration-2",
            argv,
            ITERATION,
            changes=changes,
            why=dict.fromkeys(changes, "listed"),
        )

    def launch(self, campaign: str, run: str | None, assignments: Sequence[str], say: Callable[[str], None]) -> str:
        self._note("launch", campaign, run, *assignments)
        return f"{campaign}/{run}"

    def cancel_idle(self, campaign: str) -> IdleCountdown:
        self._note("cancel_idle", campaign)
        assert self.cancel_may_end.wait(20)
        return idle("cancelled", author="kim@pod-7")

    def forecast_restart(self, run_id: str) -> float | None:
        return 1.25

    def plan_launch(self, campaign: str, run: str | None, assignments: Sequence[str]) -> LaunchPlan:
        self.planned.append(tuple(assignments))
        assert self.plan_may_end.wait(20)
        if self.launch_error is not None:
            raise self.launch_error
        parameters = assign(PROPOSED, assignments)
        forecast = Forecast(parameters.response.max_tokens / 100, 1234.0, "as iteration-1")
        return LaunchPlan(run or "", parameters, "iteration-1", Target(), forecast, PLAN)

    def samples(self, run_id: str, wanted: Wanted, most: int, *, near: int = 0) -> Samples:
        self.read.append(wanted)
        assert self.read_may_end.wait(20)
        if self.read_error is not None:
            raise self.read_error
        known = [
            replace(one, marks={kind: right for (kind, index), right in self.marks.items() if index == one.index})
            for one in self.records
        ]
        found = [one for one in known if wanted.takes(one.record, one.flags, one.marks)]
        kinds = dict.fromkeys(kind for one in known for kind, flag in one.flags.items() if flag)
        flagged = {kind: sum(one.flags.get(kind, False) for one in known) for kind in kinds}
        kept = sum(is_kept(one.record) for one in known)
        start = max(0, min(sum(one.index < near for one in found) - most // 2, len(found) - most))
        shown = found[start : start + most]
        return Samples(run_id, wanted, dict(self.detectors), shown, len(found), len(known), start, kept, flagged)

    def _look(self, what: str, run_id: str, found: Callable[[RunSnapshot], Any]) -> Callable[[RunSnapshot], Any]:
        def look(run: RunSnapshot) -> Any:
            self.looks.append((what, run_id))
            if self.look_error is not None:
                raise self.look_error
            return found(run)

        return look

    def metric_series(self, run_id: str) -> Callable[[RunSnapshot], RunSeries]:
        return self._look("metrics", run_id, lambda _: self.series.get(run_id, RunSeries((), nothing="no records")))

    def events(self, run_id: str) -> Callable[[RunSnapshot], RunEvents]:
        return self._look("events", run_id, lambda run: self.happened.get(run_id, acted(run)))

    def processes(self, run_id: str) -> Callable[[RunSnapshot], RunProcesses]:
        return self._look("processes", run_id, lambda _: self.living.get(run_id, RunProcesses("pod-7")))

    def rulers(self) -> Sequence[Path]:
        return ()

    def mark(self, run_id: str, kind: str, marks: Mapping[int, bool], *, detector: str | None = None) -> str:
        self.marked_of.append(detector)
        self._note("mark", run_id, kind, dict(marks))
        self.marks |= {(kind, index): right for index, right in marks.items()}
        assert self.mark_may_end.wait(20)
        return f"{len(self.marks)} marked"

    def plan_engine(self, campaign: str) -> EnginePlan:
        assert self.snapshot.campaign(campaign) is not None
        if self.plan_error is not None:
            raise self.plan_error
        return self.plan

    def start_engine(self, campaign: str, say: Callable[[str], None]) -> str:
        self._note("start_engine", campaign)
        say(f"{campaign}/engine-2 starts")
        assert self.start_may_end.wait(20)
        return f"{campaign}/engine-2"

    def stop_engine(self, campaign: str, *, now: bool, on_progress: Callable[[str], None]) -> tuple[str, str]:
        self._note("stop_engine", campaign, now)
        on_progress("SIGINT sent to 5 processes")
        assert self.stop_may_end.wait(20)
        return f"{campaign}/engine-1", "stopped"
