"""Looks at the gate while the run goes on, and says when that ends it early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.campaign.spec import RunSpec
from engine.generate.progress import log
from engine.qc.early_end import early_end
from engine.qc.gate import judge
from engine.qc.tally import RunTally
from engine.qc.verdicts import DetectorEvidence, GateVerdict


class GateWatch:
    """One attempt's look at `tally`, which counts by the detectors and limits of `spec`. `reason` says why the run ends
    now, None while it goes on; it is never held on to: what was still in flight may change it.

    Where the gate would end the attempt at its very start, a person has asked for more samples in spite of it (by
    extending the run), and nothing ends it early. With `follows` it adds what is written to `tally` itself.
    """

    def __init__(self, spec: RunSpec, target: int, tally: RunTally, *, follows: bool = False) -> None:
        self._spec, self._target, self._tally, self._follows = spec, target, tally, follows
        self._seen = tally.judged_items
        early = spec.policy.early_end
        self._forecasts = early.forecast_below is not None
        self._wanted = early.unreachable or early.proven or self._forecasts
        self._wanted = self._wanted and self._reason(max(tally.judged_items, early.after), ()) is None
        self.reason: str | None = None

    def take(self, record: Mapping[str, Any]) -> None:
        """Take in a record that was written."""
        if self._follows:
            self._tally.add(record)

    def look(self) -> None:
        """Look at what was judged since; costs nothing where that is nothing."""
        judged = self._tally.judged_items
        if not self._wanted or judged == self._seen:
            return
        self._seen = judged
        reason = self._reason(judged, self._tally.detector_counts())
        if reason is not None and self.reason is None:
            log.info("%s; what is in flight is finished first", reason)
        self.reason = reason

    def _reason(self, judged: int, detectors: Sequence[DetectorEvidence]) -> str | None:
        policy = self._spec.policy
        if judged < policy.early_end.after or not self._tally.judged_items:
            return None
        verdict = self._judge(ended=False, bounds=self._forecasts)
        if_ended = verdict
        if policy.early_end.proven or self._forecasts:
            if_ended = self._judge(ended=True, bounds=self._forecasts)
        return early_end(
            policy, self._spec.kind, verdict, if_ended, judged=judged, target=self._target, detectors=detectors
        )

    def _judge(self, *, ended: bool, bounds: bool = False) -> GateVerdict:
        spec = self._spec
        return judge(spec.gate, spec.policy, self._tally, ended=ended, target=self._target, bounds=bounds)
