"""What a campaign has spent, is bound to spend and has left, as a plain value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Budget:
    """US dollars. `spent` is metered device time so far; `committed` the forecast rest of the runs that go on now;
    `rate` what is being spent per hour at present."""

    limit_usd: float
    spent_usd: float
    committed_usd: float
    rate_usd_per_hour: float
    device_hours: float
    warn_at: float

    @property
    def left_usd(self) -> float:
        return self.limit_usd - self.spent_usd - self.committed_usd

    @property
    def warning(self) -> bool:
        return self.limit_usd > 0 and self.spent_usd + self.committed_usd >= self.warn_at * self.limit_usd

    def to_json(self) -> dict[str, Any]:
        return {
            "limit_usd": self.limit_usd,
            "spent_usd": self.spent_usd,
            "committed_usd": self.committed_usd,
            "left_usd": self.left_usd,
            "rate_usd_per_hour": self.rate_usd_per_hour,
            "device_hours": self.device_hours,
            "warning": self.warning,
        }
