"""One run's files, folded into its snapshot."""

from __future__ import annotations

import time

from engine.budget.ledger import Meter
from engine.campaign.policy import PolicyConfig
from engine.campaign.spec import RunSpec, only_ruler_differs, same_limits, same_ruler
from engine.files import RunFiles, file_identity
from engine.journal.events import parse_event
from engine.journal.reader import JournalReader
from engine.logs.sanitise import sanitise
from engine.policy.history import PastRun
from engine.qc.tally import RunTally
from engine.replay.course import Course, seconds_between
from engine.replay.grades import Grades
from engine.replay.metering import RunMeter
from engine.replay.rules import Named, prompt_hashes, rules
from engine.replay.trail import Trail
from engine.snapshot import LIVE_STATES, Counts, RunSnapshot, RunState
from engine.supervise.ending import LOST_REMEDY
from engine.supervise.ending import judge as judge_ending
from engine.supervise.generator import Exit
from engine.supervise.identity import here, read_stat
from engine.supervise.liveness import RunLiveness, run_liveness
from engine.supervise.watchdog import stall_text

KEEPER_PATIENCE_S = 30.0
LEAST_MEASURED_S = 2.0
SLOW_KEEPER_S = 20.0


class RunReplay:
    """Reads what was appended to a run's journals and records; `snapshot` is a pure function of what was read.

    An imported run's metrics are the figures of its own summary; with `own_figures` they are ours, from its rows, and
    the run is judged by `spec` as it is, whatever gradings were saved (see `Grades`).
    `damage` says why the run's own spec could not be read, where `spec` is a stand-in.
    """

    def __init__(self, files: RunFiles, spec: RunSpec, *, own_figures: bool = False, damage: str | None = None) -> None:
        self.files = files
        self.damage = damage
        self._metering = RunMeter(files, endless=spec.kind == "engine")
        self._trail = Trail(spec)
        self._aftermath: JournalReader | None = None
        self._grades = Grades(files, spec, own_figures=own_figures)
        self._prompts = prompt_hashes(spec)
        self._rules = self._own_rules()
        self._keeper = JournalReader(files.keeper_journal)
        self._course = Course()
        self._liveness = RunLiveness(keeper_alive=False, generator_alive=False)
        self._begin_records()

    @property
    def spec(self) -> RunSpec:
        """The run's spec, with the detectors and limits that it is judged by now."""
        return self._grades.spec

    @property
    def meter(self) -> Meter:
        """Its device time and what that costs."""
        return self._metering.meter

    def _own_rules(self) -> Named:
        return rules(self.spec, own_figures=self._grades.own_figures) if self.damage is None else ()

    def new_tally(self) -> RunTally:
        """An empty tally of the kind that counts this run's records."""
        return self._grades.new_tally()

    def _begin_records(self) -> None:
        """What is rebuilt when `restart --fresh` put the records away."""
        self._generator = JournalReader(self.files.generator_journal)
        self._identity = (file_identity(self.files.generator_journal), file_identity(self.files.records))
        self._count_anew()

    def _count_anew(self) -> None:
        self._records = JournalReader(self.files.records)
        self._kept_now = 0
        self._last_record: str | None = None

    def refresh(self) -> None:
        """Read what is new. Liveness first: an end that is recorded after that look is never mistaken for a loss."""
        if self.spec.imported is None:
            self._liveness = run_liveness(self.files)
        identity = (file_identity(self.files.generator_journal), file_identity(self.files.records))
        if any(old is not None and old != new for old, new in zip(self._identity, identity, strict=True)):
            self._grades.begin()
            self._begin_records()
        self._identity = identity
        for value in self._keeper.read_new():
            event = parse_event(value)
            if event is None:
                continue
            self._course.apply(event)
            self._trail.apply(event)
            self._metering.apply(event)
        self._read_aftermath()
        if self.spec.imported is None:
            self._trail.look_for_requests(self.files)
        for value in self._generator.read_new():
            event = parse_event(value) if value.get("event") != "list" else None
            if event is not None:
                self._course.apply(event)
                self._metering.apply(event)
        if self._grades.refresh():
            self._rules = self._own_rules()
            self._count_anew()
        attempt = self._course.attempt
        for record in self._records.read_new():
            counted, stamp, made_in = self._grades.tally.add(record), record.get("time"), record.get("attempt")
            if not isinstance(stamp, str) or type(made_in) is not int:
                continue
            if counted and made_in == attempt:
                self._kept_now += record.get("kept") is True
                self._last_record = stamp
        self._metering.charge_unwatched(self._liveness, attempt)

    def _read_aftermath(self) -> None:
        """What the keeper of the present attempt does after its end, in a journal of its own."""
        path = self.files.aftermath(self._course.attempt)
        if self._aftermath is None or self._aftermath.path != path:
            self._aftermath = JournalReader(path)
        for value in self._aftermath.read_new():
            event = parse_event(value)
            if event is not None:
                self._course.apply(event)
                self._trail.apply(event)

    # --- what follows from it ----------------------------------------------------------------------------------

    @property
    def target(self) -> int:
        return self._course.target or self.spec.target.examples

    @property
    def attempt(self) -> int:
        return self._course.attempt

    @property
    def max_candidates(self) -> int:
        return self._course.max_candidates or self.spec.target.candidates_allowed

    def _state(self) -> tuple[RunState, str]:
        """State of the process and the reason that goes with it."""
        course, alive = self._course, self._liveness
        if self.spec.imported is not None:
            return "succeeded", f"imported from {self.spec.imported.source}"
        if course.end is not None:
            if course.restart is not None and alive.keeper_alive is True:
                return "queued", course.restart_text
            return course.end.state, course.end.reason
        if course.attempt == 0:
            return self._not_started()
        if alive.out_of_sight and alive.keeper is not None:
            host = sanitise(alive.keeper.host, 128)
            return "lost", (
                f"no sign of life from {host} since {course.heartbeat or 'its start'}; if that machine or container is "
                f"gone, `restart` goes on here: {LOST_REMEDY}"
            )
        if alive.keeper_alive is False and not alive.ended:
            if alive.generator_alive is False and course.outcome is not None:
                ending = judge_ending(Exit(), own_word=course.outcome, order=None)
                return ending.state, ending.reason
            if alive.generator_alive is False:
                rebooted = alive.keeper is not None and alive.keeper.boot_id != here().boot_id
                ending = judge_ending(Exit(), own_word=None, order=None, rebooted=rebooted)
                return ending.state, ending.reason
            return "running", "its keeper died, the generator goes on; whoever looks next takes it over"
        if course.found_dead:
            return "stopping", "it died unwatched; its keeper makes sure that nothing of it is left"
        if course.stopping:
            return "stopping", "asked to stop"
        if course.phase in ("generating", "saving") or course.ready is not None:
            return "running", ""
        if self.spec.generator.kind == "command" and course.generator_started:
            return "running", ""
        return "starting", ""

    def _not_started(self) -> tuple[RunState, str]:
        """No keeper has written yet: it is about to, or it never will."""
        if self._liveness.keeper_alive is not False:
            return "starting", ""
        claims = [path.stat().st_mtime for path in self.files.folder.glob("attempt-*.claim")]
        if claims and time.time() - max(claims) < KEEPER_PATIENCE_S:
            return "queued", ""
        return "lost", "it was never started: `restart` starts it"

    @property
    def orphaned(self) -> bool:
        """Whether the attempt is open and its keeper dead: one has to be started that adopts it, or records its end."""
        alive = self._liveness
        if alive.keeper is None or alive.keeper_alive is not False or alive.ended:
            return False
        return alive.generator_alive is not None

    def snapshot(self, policy: PolicyConfig | None = None) -> RunSnapshot:
        """The run as its files tell it now. `policy` is the campaign's present one: how far a run may go is not frozen
        with it, and verdict and policy must speak of the same `extend_to`. Where `max_retries` was raised since, the
        error probability is split over more tries, and each has to prove more."""
        spec, course = self.spec, self._course
        state, reason = self._state()
        live = state in LIVE_STATES
        imported = spec.imported is not None
        return RunSnapshot(
            id=spec.id,
            name=spec.run,
            kind=spec.kind,
            attempt=course.attempt,
            state=state,
            phase=course.phase if live else None,
            pid=course.pid if live else None,
            started=course.started or spec.created,
            ended=course.end.time if course.end else (spec.created if imported else None),
            exit_code=course.exit_code if not live else None,
            parameters=spec.parameters,
            parameters_known=spec.parameters_known,
            parent=spec.parent,
            counts=self._counts(),
            metrics=self._grades.metrics(),
            computed=self._grades.tally.metrics() if imported else None,
            gate=self._grades.verdict(policy or spec.policy, ended=state == "succeeded", target=self.target),
            reason=reason,
            cost_usd=round(self.meter.device_hours * spec.budget.gpu_usd_per_hour, 6),
            active_s=round(self.meter.active_s, 3),
            examples_per_second=self._rate(),
            log=str(self.files.log),
            folder=str(self.files.folder),
            model=spec.model.path,
            imported=imported,
            gpu_held=bool(course.end and course.end.gpu_held),
            keeper_alive=self._liveness.keeper_alive,
            heartbeat=course.heartbeat if live else None,
            author=course.author or spec.author,
            warnings=self._warnings(live),
            devices=tuple(sorted({device for _, device in self.meter.devices})),
            stalled=stall_text(course.stall) if live and course.stall is not None and state != "queued" else "",
            actions=self._trail.actions,
            gpu_held_by=tuple(course.end.gpu_held_by) if course.end and course.end.gpu_held else (),
            synced=course.synced,
            sync_error=course.sync_error,
            engine=course.engine,
            loading=sanitise(course.loading_text, 120) if live else "",
            figures=course.figures if live else None,
            gpus=course.gpus if live else (),
            saved_usd=self._saved_usd(),
            prompts=self._prompts,
            rules=self._rules,
            gradings=self._grades.notes,
        )

    def _saved_usd(self) -> float | None:
        """What the present attempt's early end spared of its devices' time."""
        word = self._course.outcome
        if word is None or word.saved_s is None:
            return None
        devices = max(1, len(self.meter.devices))
        return round(word.saved_s * devices * self.spec.budget.gpu_usd_per_hour / 3600, 6)

    def _counts(self) -> Counts:
        ours = self._grades.tally.counts()
        if self.spec.imported is not None:
            ours = {**ours, **{key: value for key, value in self.spec.imported.counts.items() if key in ours}}
        known = {name: value for name, value in ours.items() if name in Counts.__slots__}
        return Counts(target=self.target, max_candidates=self.max_candidates, **known)

    def _rate(self) -> float | None:
        """Kept pairs a second in this attempt's generating time; too short a time of a live run tells nothing."""
        seconds = seconds_between(self._course.generating_since, self._last_record)
        least = 0.0 if self._course.end is not None else LEAST_MEASURED_S
        return round(self._kept_now / seconds, 4) if seconds and seconds > least and self._kept_now else None

    def _warnings(self, live: bool) -> tuple[str, ...]:
        found = [self.damage] if self.damage else []
        if live and self._course.end is None and self._liveness.keeper_alive is False and self._course.attempt:
            found.append("its keeper died; the generator goes on")
        if live and self._course.end is None and self._liveness.keeper_alive:
            found += self._slow_keeper()
        if live and self._liveness.keeper_alive is None:
            found.append("it runs on another host or in another container: not to be reached from here")
        garbage = self._records.garbage
        if garbage:
            found.append(f"{garbage} unreadable line(s) in records.jsonl were passed over")
        found += self._grades.warnings()
        if self._course.end and self._course.end.gpu_held:
            found.append("GPU memory is not back at its level before launch")
        return tuple(found)

    def _slow_keeper(self) -> list[str]:
        """A keeper that lives and does not beat: suspended, or held up by the disk or the driver."""
        alive = self._liveness
        stat = read_stat(alive.keeper.pid) if alive.keeper is not None else None
        if stat is not None and stat.state in "Tt":
            return ["its keeper is suspended (SIGSTOP): the run goes on, and `stop` wakes the keeper"]
        if alive.silent_s > SLOW_KEEPER_S:
            return [f"its keeper lives, but has not beaten for over {SLOW_KEEPER_S:.0f} s: it is held up"]
        return []

    @property
    def course(self) -> Course:
        """What its journals have said so far."""
        return self._course

    def past(self, snapshot: RunSnapshot, recipe: str | None = None, *, startup_s: float | None = None) -> PastRun:
        """The run as the policy sees it. `recipe` is the campaign's present one, see `engine.campaign.spec`;
        `startup_s` takes the place of the start-up that was measured, where that of the next run would be another."""
        own = self.spec.recipe
        if recipe is None:
            stands, by_another = True, False
        elif snapshot.imported:  # nobody knows how it was made, and its summary's figures by which detectors
            by_another = not (same_ruler if snapshot.gradings else same_limits)(own, recipe)
            stands = not by_another and not snapshot.gradings
        else:
            stands, by_another = own == recipe, only_ruler_differs(own, recipe)
        return PastRun(
            name=snapshot.name,
            kind=snapshot.kind,
            state=snapshot.state,
            live=snapshot.live,
            parameters=snapshot.parameters,
            gate=snapshot.gate,
            kept=snapshot.counts.kept,
            target=snapshot.counts.target,
            max_candidates=snapshot.counts.max_candidates,
            candidates=snapshot.counts.candidates,
            metrics=snapshot.metrics,
            active_s=snapshot.active_s,
            cost_usd=snapshot.cost_usd,
            examples_per_second=snapshot.examples_per_second,
            startup_s=self._course.startup_s if startup_s is None else startup_s,
            imported=snapshot.imported,
            reason=snapshot.reason,
            attempt=snapshot.attempt,
            exhausted=self._course.exhausted,
            parameters_known=snapshot.parameters_known,
            parent=self.spec.parent,
            recipe_stands=stands,
            gradings=self._grades.gradings,
            fresh_starts=self._fresh_starts(),
            only_ruler_differs=by_another,
        )

    def _fresh_starts(self) -> int:
        """How often it was begun anew after records had been made."""
        archived = self.files.archive(0).parent
        if not archived.is_dir():
            return 0
        records = (folder / self.files.records.name for folder in archived.iterdir())
        return sum(path.is_file() and path.stat().st_size > 0 for path in records)
