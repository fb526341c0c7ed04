"""One attempt of a run, from the spec to the artifacts."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal

from engine.campaign.models import Target
from engine.campaign.spec import RunSpec
from engine.errors import ConfigurationError, PilothouseError, RefusedError, RunFailedError
from engine.files import RunFiles, storage_error
from engine.generate.artifacts import Session, write_artifacts
from engine.generate.attaching import AttachedEngine, await_engine
from engine.generate.backends import check_folder, check_model, models_folder, open_backend
from engine.generate.backends.base import Backend
from engine.generate.gate_watch import GateWatch
from engine.generate.history import History, read_history, read_records
from engine.generate.models.folder import ModelFolder
from engine.generate.pipeline import Ending, Pipeline
from engine.generate.preflight import check_needs, run_preflight
from engine.generate.progress import Progress, log
from engine.generate.prompts import PromptBuilder
from engine.generate.stopping import StopRequests
from engine.gradings import graded_spec
from engine.journal.clock import generator_beat
from engine.journal.events import (
    Event,
    GenerationEnded,
    GenerationStarted,
    Phase,
    PhaseEntered,
    dump_event,
    utc_now,
)
from engine.journal.writer import JournalWriter
from engine.logs.sanitise import sanitise
from engine.logs.tail import LogTail
from engine.logs.vllm_lines import root_cause
from engine.qc.custom import check_custom
from engine.qc.metrics import check_names
from engine.qc.tally import RunTally
from engine.records import detector_homes

Outcome = Literal["completed", "exhausted", "decided", "stopped", "failed"]
PACKAGES = ("tokenizers", "pydantic")
CAUSE_LINES = 400


@dataclass(frozen=True, slots=True)
class _Loaded:
    backend: Backend
    preflight: dict[str, Any]


def check(spec: RunSpec) -> tuple[PromptBuilder, ModelFolder | None]:
    """Everything that can be found wrong in no time, before a file is written; `ConfigurationError` then.

    The model's folder is None when the model is yet to be downloaded.
    """
    if spec.generator.kind != "builtin" or spec.prompts is None:
        raise ConfigurationError(
            f"the run {spec.id} is not one of the builtin generator",
            where="generator.kind",
            remedy="run its own command; `pilothouse launch` does",
        )
    check_names(spec.gate, spec.qc)
    check_custom(spec.qc, (spec.workspace,))
    return PromptBuilder.of(spec.prompts, spec.pipeline.list_shots), check_model(spec.model, spec.engine)


def generate(
    files: RunFiles,
    spec: RunSpec,
    target: Target,
    attempt: int | None,
    stop: StopRequests,
    *,
    engine: str | None = None,
) -> None:
    """Run one attempt (by default the one after the last) to its end, going on from what earlier ones left.

    `engine` names the kept engine of the same campaign that it attaches to; without one it loads the model itself.

    Raises `PilothouseError`: `ConfigurationError` before anything is written, `RefusedError` when files cannot be
    written or another generator writes them, `RunFailedError` when nothing works.
    """
    prompts, folder = check(spec)
    try:
        with (
            _only_writer(files),
            JournalWriter(files.generator_journal) as journal,
            JournalWriter(files.records) as records,
        ):
            history = read_history(files)
            number = attempt if attempt is not None else history.last_attempt + 1
            _Attempt(files, spec, target, number, stop, engine, prompts, folder, journal, records, history).run()
    except OSError as error:
        raise storage_error(error, files.folder) from error


@contextlib.contextmanager
def _only_writer(files: RunFiles) -> Iterator[None]:
    """Hold a lock on the records while writing them. Where the file system has no locks, go without."""
    descriptor = os.open(files.records, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(
                "another generator is writing into this folder",
                where=str(files.folder),
                remedy="wait for it or stop it, or choose another folder",
            ) from error
        except OSError as error:
            log.warning("no file lock here (%s): make sure that nothing else writes into %s", error, files.folder)
        yield
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class _Attempt:
    files: RunFiles
    spec: RunSpec
    target: Target
    number: int
    stop: StopRequests
    engine: str | None
    prompts: PromptBuilder
    folder: ModelFolder | None
    journal: JournalWriter
    records: JournalWriter
    history: History
    started: str = ""
    preflight: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        self.started = utc_now()
        self.versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        repaired = self.journal.repaired_bytes + self.records.repaired_bytes
        self._say(
            GenerationStarted(
                attempt=self.number,
                target=self.target.examples,
                max_candidates=self.target.candidates_allowed,
                backend=self.spec.model.backend,
                versions=self.versions,
                records_found=len(self.history.done),
                repaired_bytes=repaired,
            )
        )
        if repaired:
            log.warning("a half-written line of %d bytes at the end of a file was dropped", repaired)
        if self.history.done:
            log.info("going on from %d records, %d of them kept", len(self.history.done), self.history.kept)
        pipeline: Pipeline | None = None
        loaded: _Loaded | None = None
        try:
            try:
                loaded = self._load()
                if loaded is None:
                    ending = Ending("stopped", f"asked to stop by {self.stop.reason}")
                else:
                    pipeline = self._pipeline(loaded)
                    self._phase("generating")
                    ending = pipeline.run()
            finally:
                if loaded is not None:  # before files are opened: what was started ahead may hold a socket each
                    loaded.backend.close()
        except Exception as error:
            self._fail(error, pipeline)
            raise
        self._close(ending.outcome, ending.reason, pipeline)

    def _load(self) -> _Loaded | None:
        """The model, loaded in a thread of its own so that a request to stop ends the attempt at once: None then."""
        results: SimpleQueue[_Loaded | BaseException | None] = SimpleQueue()
        self.stop.wake(results)

        def load() -> None:
            try:
                results.put(self._loaded())
            except BaseException as error:
                results.put(error)

        if self.stop.requested:
            return None
        threading.Thread(target=load, name="load", daemon=True).start()
        result = results.get()
        if isinstance(result, PilothouseError | OSError):
            raise result
        if isinstance(result, BaseException):
            cause = root_cause(LogTail(self.files.log).last(CAUSE_LINES)) or sanitise(
                f"{type(result).__name__}: {result}", 300
            )
            raise RunFailedError(
                f"the model cannot be loaded: {cause}",
                where=str(self.folder.weights if self.folder is not None else self.spec.model.path),
                remedy="check the model folder and the installation with `pilothouse doctor`",
            ) from result
        return result

    def _loaded(self) -> _Loaded | None:
        """Download what is missing; load the model, or wait for the engine to attach to. None when asked to stop."""
        if self.folder is None:
            self.folder = self._download()
        self._phase("loading")
        attached: AttachedEngine | None = None
        if self.engine is not None:
            log.info("attaching to the engine %s", self.engine)
            attached = await_engine(self.files.neighbour(self.engine), lambda: self.stop.requested)
            if attached is None:
                return None
        else:
            log.info("loading %s with %s", self.spec.model.path, self.spec.model.backend)
        backend = open_backend(self.spec.model, self.folder, self.spec.engine, attached)
        try:
            check_needs(backend.capabilities, self.spec)
            return _Loaded(backend, run_preflight(backend, self.folder, self.prompts, self.files.folder))
        except BaseException:
            backend.close()
            raise

    def _download(self) -> ModelFolder:
        from engine.generate.models.download import download

        self._phase("downloading")
        folder = download(
            self.spec.model,
            models_folder(self.spec.engine),
            progress=lambda event: self._say(event.model_copy(update={"attempt": self.number})),
            stopped=lambda: self.stop.requested,
        )
        check_folder(self.spec.model, folder)
        return folder

    def _pipeline(self, loaded: _Loaded) -> Pipeline:
        self.preflight = loaded.preflight
        self.versions |= loaded.backend.capabilities.versions
        progress = Progress(self.spec, self.target.examples)
        for record in read_records(self.files):
            progress.tally.add(record)
        progress.begin()
        return Pipeline(
            self.spec,
            self.target,
            backend=loaded.backend,
            prompts=self.prompts,
            history=self.history,
            records=self.records,
            journal=self.journal,
            progress=progress,
            gate=self._gate_watch(progress.tally),
            stop=self.stop,
            attempt=self.number,
        )

    def _gate_watch(self, tally: RunTally) -> GateWatch:
        """By the ruler that the run is judged by now, which may be another than it was launched with."""
        ruled = graded_spec(self.files, self.spec)
        if (ruled.qc, ruled.gate) == (self.spec.qc, self.spec.gate):
            return GateWatch(self.spec, self.target.examples, tally)
        homes = detector_homes(self.files, ruled)
        own = RunTally(ruled.qc, ruled.gate, ruled.pipeline.delimiter, import_from=homes)
        for record in read_records(self.files):
            own.add(record)
        return GateWatch(ruled, self.target.examples, own, follows=True)

    def _close(self, outcome: Outcome, reason: str, pipeline: Pipeline | None) -> None:
        self._phase("saving")
        log.info("PHASE 4: QC METRICS")
        progress = Progress(self.spec, self.target.examples)
        for record in read_records(self.files):
            progress.tally.add(record)
        progress.close()
        log.info("PHASE 5: SAVING ARTIFACTS")
        session = Session(
            target=self.target,
            attempt=self.number,
            started=self.started,
            outcome=outcome,
            reason=reason,
            versions=self.versions,
            preflight=self.preflight,
        )
        verdict = write_artifacts(self.files, self.spec, self.prompts, session)
        self._end(outcome, reason, pipeline)
        log.info("GENERATION %s%s", outcome.upper(), f": {reason}" if reason else "")
        progress.status(verdict)

    def _fail(self, error: Exception, pipeline: Pipeline | None) -> None:
        """Leave what there is in order. When the disk is full even that may not be possible, which is no new fault."""
        reason = error.what if isinstance(error, PilothouseError) else sanitise(f"{type(error).__name__}: {error}", 300)
        with contextlib.suppress(OSError):
            if isinstance(error, RunFailedError):
                self._close("failed", reason, pipeline)
            else:
                self._end("failed", reason, pipeline)

    def _end(self, outcome: Outcome, reason: str, pipeline: Pipeline | None) -> None:
        self._say(generator_beat(self.number))
        self._say(
            GenerationEnded(
                attempt=self.number,
                outcome=outcome,
                kept=pipeline.kept if pipeline else self.history.kept,
                candidates=pipeline.candidates if pipeline else self.history.candidates,
                reason=reason,
                saved_s=self._saved_s(pipeline) if outcome == "decided" and pipeline else None,
            )
        )

    def _saved_s(self, pipeline: Pipeline) -> float | None:
        """Seconds to the target at the pace of this attempt; None where it kept nothing to tell a pace by."""
        kept = pipeline.kept - self.history.kept
        if kept <= 0:
            return None
        return round((self.target.examples - pipeline.kept) * pipeline.seconds / kept, 3)

    def _phase(self, phase: Phase) -> None:
        self._say(generator_beat(self.number))
        self._say(PhaseEntered(attempt=self.number, phase=phase))

    def _say(self, event: Event) -> None:
        self.journal.append(dump_event(event), sync=True)
