"""What the generator's tests share: prompts, specs, and a run of the pipeline on a scripted backend."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.loading import Prompts, PromptText
from engine.campaign.models import Parameters, Pipeline, Target
from engine.campaign.policy import EarlyEnd, PolicyConfig
from engine.campaign.spec import RunSpec
from engine.files import RunFiles
from engine.generate.gate_watch import GateWatch
from engine.generate.history import read_history, read_records
from engine.generate.pipeline import Ending
from engine.generate.pipeline import Pipeline as Generation
from engine.generate.progress import Progress
from engine.generate.prompts import PromptBuilder
from engine.generate.stopping import StopRequests
from engine.journal.writer import JournalWriter
from tests.generate.processes import RUN, run
from tests.generate.scripted import ScriptedBackend


def prompt_text(text: str) -> PromptText:
    return PromptText(path="p.txt", sha256=hashlib.sha256(text.encode()).hexdigest(), text=text)


PROMPTS = Prompts(
    instructions=prompt_text("Tasks:\n1. Say hello.\n2. Name a tree.\n3. Define music."),
    response=prompt_text("Instruction: Say hello.\nResponse: Hello.\n\nInstruction: {instruction}\nResponse:"),
    instruction_critic=prompt_text("Good?\nInstruction: {instruction}\nLabel:"),
    pair_critic=prompt_text("Right?\nInstruction: {instruction}\nResponse: {response}\nLabel:"),
)


NEVER_EARLY = PolicyConfig(early_end=EarlyEnd(unreachable=False))


def make_spec(concurrency: int | None = None, *, policy: PolicyConfig = NEVER_EARLY, **parameters: Any) -> RunSpec:
    return RunSpec(
        campaign="test",
        run="pilot",
        kind="pilot",
        prompts=PROMPTS,
        pipeline=Pipeline(list_shots=2, concurrency=concurrency),
        parameters=Parameters.model_validate(parameters),
        policy=policy,
    )


def run_pipeline(
    folder: Path,
    target: Target,
    backend: ScriptedBackend,
    *,
    spec: RunSpec | None = None,
    stop: StopRequests | None = None,
    attempt: int = 1,
    watch: type[GateWatch] = GateWatch,
) -> Ending:
    """One attempt in `folder`, going on from what is there."""
    spec = spec or make_spec()
    files = RunFiles(folder)
    folder.mkdir(exist_ok=True)
    progress = Progress(spec, target.examples)
    if files.records.exists():
        for record in read_records(files):
            progress.tally.add(record)
    with JournalWriter(files.generator_journal) as journal, JournalWriter(files.records) as records:
        pipeline = Generation(
            spec,
            target,
            backend=backend,
            prompts=PromptBuilder.of(PROMPTS, spec.pipeline.list_shots),
            history=read_history(files),
            records=records,
            journal=journal,
            progress=progress,
            gate=watch(spec, target.examples, progress.tally),
            stop=stop or StopRequests(),
            attempt=attempt,
        )
        try:
            return pipeline.run()
        finally:
            backend.close()


def contents(folder: Path) -> dict[int, dict[str, Any]]:
    """Records by index, without what differs between two honest runs; no index may stand there twice."""
    rows = list(read_records(RunFiles(folder)))
    lines = RunFiles(folder).records.read_bytes().splitlines()
    assert len(lines) == len(rows), "a record stands there twice, or a line is no record"
    return {row["index"]: {k: v for k, v in row.items() if k not in ("time", "attempt")} for row in rows}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """The records of a run of 12 pairs that nobody disturbed, one item at a time."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ending = run_pipeline(folder, Target(examples=12, max_candidates=200), ScriptedBackend(), spec=make_spec(1))
    assert ending.outcome == "completed"
    return contents(folder)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 40 pairs that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = run(*RUN, "--output", folder)
    assert done.returncode == 0, done.stderr
    return folder
