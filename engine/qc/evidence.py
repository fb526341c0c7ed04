"""What the pair critic, which knows nothing of a detector, says of the records that the detector flags."""

from __future__ import annotations

from engine.qc.detectors import Detector, Record
from engine.qc.verdicts import DetectorEvidence

LEAST_JUDGED = 8
"""Flagged records, and others, that the pair critic must have judged before a detector is doubted for its verdicts."""


class EvidenceCounts:
    """Counts for one detector, whose samples stand at `position` and make the metric `metric`.

    The critic saw the cleaned response, and not how the raw completion ended. Where a detector that reads the latter no
    longer flags once the former takes its place, cleaning has removed the very thing, and the critic's verdict says
    nothing about it.
    """

    def __init__(self, detector: Detector, metric: str, position: int) -> None:
        self.detector, self.metric, self.position = detector, metric, position
        self._flagged = self._judged = self._good = self._rest_judged = self._rest_good = 0

    def add(self, record: Record, strikes: int, good: int | None) -> None:
        """A record that the detector judged, with its `strikes`; `good` as the pair critic says, None: not asked."""
        if not strikes:
            if good is not None:
                self._rest_judged += 1
                self._rest_good += good
            return
        self._flagged += 1
        if good is not None and self._was_seen(record):
            self._judged += 1
            self._good += good

    def _was_seen(self, record: Record) -> bool:
        """Whether what is flagged was still there when the critic looked."""
        response, raw = record.get("response"), record.get("raw_response")
        if not isinstance(response, str):
            return False
        if not self.detector.reads_raw or not isinstance(raw, str) or raw == response:
            return True
        as_seen = {**record, "raw_response": response, "finish_reason": None}
        return self.detector.flag(as_seen) is True

    def result(self) -> DetectorEvidence:
        return DetectorEvidence(
            kind=self.detector.kind,
            detector=self.detector.id,
            metrics=(self.metric,),
            flagged=self._flagged,
            judged=self._judged,
            good=self._good,
            rest_judged=self._rest_judged,
            rest_good=self._rest_good,
        )
