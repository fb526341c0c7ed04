"""One run's counts, metrics and gate samples, kept up to date record by record.

Records finish in any order, short answers first. Metrics are over all of them; what the gate judges is only the
items from the first one on without a hole, in item order, so that no verdict depends on who finished first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from engine.campaign.grading import GateConfig, QcConfig
from engine.qc.checks import CheckCounts, failure_test, judged_by_list
from engine.qc.custom import failures_in_words, load_custom
from engine.qc.detectors import Record, resolve_detectors
from engine.qc.diversity import Diversity, Prints, prints_of
from engine.qc.evidence import EvidenceCounts
from engine.qc.margins import Spread
from engine.qc.metrics import (
    DROPPED_OUTCOMES,
    IN_ORDER,
    KEPT,
    MEASURED_BY,
    MEDIAN,
    METRICS,
    PAIR_GOOD,
    POSITIONS,
    Samples,
    is_garbage,
    metric_of,
    rate_of,
    samples_of,
    token_count,
)
from engine.qc.sizes import Sizes
from engine.qc.verdicts import DetectorEvidence

_FIRST_IN_ORDER = POSITIONS[IN_ORDER[0]]
_Failed = tuple[str, ...]
"""Metrics of the custom detectors that failed on a record."""
_Waiting = tuple[Samples, int, Prints | None, _Failed]


class RunTally:
    """Adds records one by one, in any order.

    `in_line_order` ignores the records' own `index`: rows of a foreign file, whose numbering means nothing here.
    `import_from` are folders that custom detectors may be found in, beside what is installed; `detectors` are all of
    `qc`, by kind or name. `repeated` counts records whose index had been seen; they are counted once. Nothing that a
    record may hold raises: values that cannot be what their key says are passed over, and so are garbage records of
    runs of our own. `ConfigurationError` for an unknown built-in detector. A check on a metric that does not exist has
    no samples.

    No text is kept. It grows by at most 96 octets a kept pair (see `Diversity`), and by the samples of records that
    stand behind a hole.
    """

    def __init__(
        self,
        qc: QcConfig,
        gate: GateConfig,
        delimiter: str,
        *,
        in_line_order: bool = False,
        import_from: Sequence[str] = (),
    ) -> None:
        builtin = resolve_detectors(qc, delimiter)
        self._custom = load_custom(qc, import_from)
        self.detectors = builtin | {loaded.name: loaded.detector() for loaded in self._custom}
        self.repeated = 0
        self.gate = gate
        self._in_line_order = in_line_order
        self._graders = tuple((kind, builtin[kind].count) for kind in MEASURED_BY)
        measured = {**MEASURED_BY, **{loaded.name: rate_of(loaded.name) for loaded in self._custom}}
        names = dict.fromkeys((*METRICS, *measured.values()))
        self._metrics = {name: metric for name in names if (metric := metric_of(name)) is not None}
        positions = {name: position for position, name in enumerate(self._metrics)}
        self._evidence = tuple(
            EvidenceCounts(self.detectors[kind], name, positions[name])
            for kind, name in measured.items()
            if not self.detectors[kind].fact
        )
        self._errors: dict[str, tuple[int, str]] = {}
        self._judged_errors: Counter[str] = Counter()
        self._sums = [0] * len(positions)
        self._ns = [0] * len(positions)
        self._outcomes: Counter[str] = Counter()
        self._generated_tokens = 0
        self._tokens = Sizes()
        self._margins = (("instruction_critic", Spread()), ("pair_critic", Spread()))
        self._checks = {
            name: CheckCounts(
                positions[name],
                failure_test(self._metrics[name], limit),
                by_list=judged_by_list(gate, self._metrics[name], limit),
            )
            for name, limit in gate.checks.items()
            if name in positions
        }
        self._checked = tuple(self._checks.values())
        self._diversity = Diversity()
        self._prefix = 0
        self._prefix_kept = 0
        self._waiting: dict[int, _Waiting] = {}
        self._added = 0

    def add(self, record: Record) -> bool:
        """Take in one record; False when its index had been seen before or it is garbage (nothing was counted)."""
        if not self._in_line_order and is_garbage(record):
            return False
        index = record.get("index")
        if self._in_line_order or type(index) is not int or index < 0:
            index = self._added
        if index < self._prefix or index in self._waiting:
            self.repeated += 1
            return False
        self._added += 1
        samples = samples_of(record, {kind: count(record) for kind, count in self._graders})
        failed: _Failed = ()
        if self._custom:
            asked, failed = self._asked(record)
            samples += asked
        sums, ns = self._sums, self._ns
        for position, value in enumerate(samples):
            if value is not None:
                ns[position] += 1
                if value:
                    sums[position] += value
        tokens = samples[MEDIAN]
        if tokens is not None:
            self._tokens.add(tokens)
        for evidence in self._evidence:
            strikes = samples[evidence.position]
            if strikes is not None:
                evidence.add(record, strikes, samples[PAIR_GOOD])
        self._generated_tokens += token_count(record.get("generated_tokens")) or 0
        outcome = record.get("outcome")
        if isinstance(outcome, str):
            self._outcomes[outcome] += 1
        for name, margins in self._margins:
            verdict = record.get(name)
            if type(verdict) is dict and type(margin := verdict.get("margin")) is float:
                margins.add(margin)
        list_number = record.get("list")
        prints = prints_of(record) if samples[KEPT] else None
        self._place(index, (samples, list_number if type(list_number) is int else -1 - index, prints, failed))
        return True

    def _asked(self, record: Record) -> tuple[Samples, _Failed]:
        """What the custom detectors say of `record`, and which failed; that is counted, the first error kept."""
        found, failed = [], []
        for loaded in self._custom:
            answer = loaded.ask(record)
            found.append(answer.count)
            if answer.error:
                n, first = self._errors.get(loaded.name, (0, answer.error))
                self._errors[loaded.name] = n + 1, first
                failed.append(rate_of(loaded.name))
        return tuple(found), tuple(failed)

    def _place(self, index: int, record: _Waiting) -> None:
        """Judge the record if all before it have been judged, and then those that waited for it."""
        if index != self._prefix:
            self._waiting[index] = record
            return
        following: _Waiting | None = record
        while following is not None:
            samples, list_number, prints, failed = following
            self._prefix += 1
            if failed:
                self._judged_errors.update(failed)
            self._prefix_kept += samples[KEPT] or 0
            if prints is not None:
                samples = self._in_order(samples, prints)
            for check in self._checked:
                value = samples[check.position]
                if value is not None:
                    check.add(value, list_number)
            following = self._waiting.pop(self._prefix, None) if self._waiting else None

    def _in_order(self, samples: Samples, prints: Prints) -> Samples:
        """`samples` of a kept pair with those that only its turn tells, which are counted now."""
        found = self._diversity.add(prints)
        for position, value in enumerate(found, start=_FIRST_IN_ORDER):
            if value is not None:
                self._ns[position] += 1
                self._sums[position] += value
        return samples[:_FIRST_IN_ORDER] + found + samples[_FIRST_IN_ORDER + len(found) :]

    # --- what the gate judges: the items before the first hole ---------------------------------------------

    def check_counts(self, metric: str) -> tuple[int, float]:
        """(n, failures) of a gate check over the items before the first hole; for counts the occurrences. Where lists
        are the samples, over those that are through, and `failures` is the sum of their shares."""
        check = self._checks.get(metric)
        return (check.n, check.failures) if check is not None else (0, 0)

    def check_errors(self) -> Mapping[str, int]:
        """By metric whose custom detector failed: on how many of the items before the first hole."""
        return self._judged_errors

    @property
    def judged_items(self) -> int:
        """Items before the first hole: index of the first item that has not finished."""
        return self._prefix

    @property
    def judged_kept(self) -> int:
        """Kept pairs among the judged items."""
        return self._prefix_kept

    @property
    def waiting_items(self) -> int:
        """Records that stand behind a hole."""
        return len(self._waiting)

    # --- what is shown ---------------------------------------------------------------------------------------

    def metrics(self) -> dict[str, float | None]:
        """Every metric over all records added; None where it has no samples. Those `IN_ORDER`, which would depend on
        who finished first, are over the items before the first hole."""
        values: dict[str, float | None] = {}
        for position, metric in enumerate(self._metrics.values()):
            n, total = self._ns[position], self._sums[position]
            if metric.name == "examples":
                values[metric.name] = total
            elif n == 0:
                values[metric.name] = None
            elif metric.kind == "median":
                values[metric.name] = self._tokens.quantile(0.5)
            else:
                values[metric.name] = total if metric.kind == "count" else total / n
        return values

    def counts(self) -> dict[str, int]:
        """Items by what happened to them.

        `instructions_kept` and `pairs_kept` are good and confident; `kept` is what passed every filter. `tokens` are
        generated tokens; `hit_token_limit` and `runaway` count generated responses.
        """
        n = dict(zip(self._metrics, self._ns, strict=True))
        total = dict(zip(self._metrics, self._sums, strict=True))
        return {
            "parsed": self._outcomes.total(),
            "candidates": n["instruction_acceptance"],
            "instructions_good": total["instruction_acceptance"],
            "instructions_kept": total["instruction_yield"],
            "generated": n["runaway_rate"],
            "pairs_good": total["pair_acceptance"],
            "pairs_kept": total["pair_yield"],
            "kept": total["examples"],
            "dropped": sum(self._outcomes[outcome] for outcome in DROPPED_OUTCOMES),
            "failed": self._outcomes["failed"],
            "records": self._added,
            "tokens": self._generated_tokens,
            "hit_token_limit": total["token_limit_rate"],
            "runaway": total["runaway_rate"],
        }

    def outcomes(self) -> dict[str, int]:
        """How many records ended how, by `outcome`."""
        return dict(self._outcomes)

    def token_statistics(self) -> dict[str, float | None]:
        """`median mean min max p95` of `response_tokens` over kept pairs."""
        return self._tokens.summary()

    def margins(self) -> dict[str, dict[str, float | None]]:
        """`n mean median min max` of the critics' margins in nats, by critic; see `Spread` for how exact."""
        return {name: spread.summary() for name, spread in self._margins}

    # --- what is to be thought of the detectors ----------------------------------------------------------------

    def detector_counts(self) -> tuple[DetectorEvidence, ...]:
        """What the pair critic says of what the detectors flag that judge by a rule of thumb, custom ones included."""
        return tuple(evidence.result() for evidence in self._evidence)

    def detector_errors(self) -> dict[str, tuple[int, str]]:
        """By custom detector that failed: on how many records, and the first error, safe to show."""
        return dict(self._errors)

    def warnings(self) -> list[str]:
        """`custom detector refusal failed on 3 records: ZeroDivisionError: …`, one for each that failed."""
        return failures_in_words(self._errors)
