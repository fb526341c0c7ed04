"""What the generator says while it works: a banner as each phase begins, and a line a second at most."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from engine.campaign.spec import RunSpec
from engine.qc.tally import RunTally
from engine.qc.verdicts import CheckVerdict, GateVerdict

SECONDS_BETWEEN_LINES = 1.0

log = logging.getLogger("pilothouse.generate")


class Progress:
    """Keeps the run's tally and logs from it."""

    def __init__(self, spec: RunSpec, target: int) -> None:
        self.tally = RunTally(spec.qc, spec.gate, spec.pipeline.delimiter, import_from=(spec.workspace,))
        self._target = target
        self._phases: set[str] = set()
        self._began = time.monotonic()
        self._said = self._began
        self._kept_before = 0

    def begin(self) -> None:
        """Generation begins now: what was added before counts for no rate."""
        self._began = self._said = time.monotonic()
        self._kept_before = self.tally.counts()["kept"]

    def phase(self, title: str) -> None:
        """Log `PHASE …` the first time it is entered; phases overlap, since items go on one by one."""
        if title not in self._phases:
            self._phases.add(title)
            log.info("PHASE %s", title)

    def add(self, record: Mapping[str, Any]) -> None:
        self.tally.add(record)
        now = time.monotonic()
        if now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            log.info("%s", self._line(now))

    def _line(self, now: float) -> str:
        counts, metrics = self.tally.counts(), self.tally.metrics()
        speed = (counts["kept"] - self._kept_before) / max(now - self._began, 1e-9)
        return (
            f"kept {counts['kept']} of {self._target} from {counts['candidates']} candidates, "
            f"acceptance: instructions {percent(metrics['instruction_acceptance'])}, "
            f"pairs {percent(metrics['pair_acceptance'])}, "
            f"runaway {percent(metrics['runaway_rate'])}, token limit {percent(metrics['token_limit_rate'])}, "
            f"{speed:.1f} examples/s"
        )

    def close(self) -> None:
        """The counts of the whole run, phase by phase."""
        counts, metrics = self.tally.counts(), self.tally.metrics()
        log.info("Generated %d raw instructions", counts["candidates"])
        log.info(
            "Filtered to %d good instructions (acceptance: %s, yield: %s)",
            counts["instructions_kept"],
            percent(metrics["instruction_acceptance"]),
            percent(metrics["instruction_yield"]),
        )
        log.info("Generated %d responses, %d hit the token limit", counts["generated"], counts["hit_token_limit"])
        log.info(
            "Filtered to %d good pairs (acceptance: %s, yield: %s)",
            counts["pairs_kept"],
            percent(metrics["pair_acceptance"]),
            percent(metrics["pair_yield"]),
        )

    def status(self, verdict: GateVerdict) -> None:
        """What the gate says, as the last thing."""
        log.info("Thresholds passed: %s", verdict.verdict == "pass")
        if verdict.verdict != "pass":
            log.warning("QC THRESHOLDS %s:", "FAILED" if verdict.verdict == "fail" else "NOT PROVEN")
            for check in verdict.checks:
                if check.verdict != "pass":
                    log.warning("   - %s", reason(check))
        log.info("Generated: %d examples", self.tally.counts()["kept"])
        log.info("QC Status: %s", verdict.verdict.upper())


def reason(check: CheckVerdict) -> str:
    """Why a check has not passed, its metric first."""
    return f"{check.metric}: {check.sentence}"


def percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.1%}"
