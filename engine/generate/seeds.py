"""Seeds of single requests, derived from the run's seed, so that no result depends on what else ran."""

from __future__ import annotations

import hashlib


def derive(run_seed: int, stage: str, number: int) -> int:
    """Seed in [0, 2**31) of request `number` of `stage` (`list`, `response`), the same on every machine."""
    digest = hashlib.sha256(f"{run_seed}/{stage}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 2**31
